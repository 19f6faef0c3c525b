"""Stage auraflow/make_pictures: the pictures of this study, drawn and encoded → build/auraflow/pictures/ (in the format
of `lib.data.store`) and build/auraflow/tokens/<split>_<size>.npy, of the coarse tokenizer."""

import os
import shutil

import numpy as np

from lib.data.store import Split
from lib.ownership import MANIFEST, fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.scenes.make import make
from lib.weights import checkpoint
from studies.auraflow.code.encoding import encode
from studies.auraflow.code.material import PICTURES, SHARED, SIZE, TOKENIZER, TOKENS, data
from studies.auraflow.code.settings import Params, scenes_of


def run(params: Params) -> None:
    """Data that are not drawn here are taken as they are."""
    fresh(PICTURES)
    if params.data.source == "scenes":
        scenes, kept = scenes_of(params)
        make(PICTURES, scenes, params.threads, kept)
    else:
        shutil.copytree(SHARED, PICTURES, copy_function=os.link, dirs_exist_ok=True)  # takes no room
    listed = [
        Part(
            name=split,
            work=encode,
            arguments={"data": str(data()), "split": split, "size": SIZE},
            inputs=[data() / MANIFEST, TOKENIZER],
            size=len(Split.open(data(), split).images(SIZE)),
        )
        for split in ("train", "test")
    ]
    paths = parts.run("auraflow/make_pictures", listed)
    fresh(TOKENS)
    for part in listed:
        np.save(TOKENS / f"{part.name}_{SIZE}.npy", checkpoint.load(paths[part.name])[0]["tokens"])

"""Stage muse/make_parts: the parts of the data that this study trains on, drawn and encoded → build/muse/parts/<part>/
(data/ in the format of `lib.data.store`, tokens/<split>_<size>.npy of the coarse tokenizer).

Data that are not drawn here are taken as they are: the folder stays empty.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lib.data.store import Split
from lib.models import vqgan
from lib.ownership import MANIFEST, fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.pipeline.stage import Training
from lib.scenes.make import make
from lib.weights import checkpoint
from studies.muse.code.material import PARTS, TOKENIZER
from studies.muse.code.settings import Params, scenes_of

SPLITS = ("train", "test")


def run(params: Params) -> None:
    """Draws and encodes all of them."""
    fresh(PARTS)
    if params.data.source != "scenes":
        return
    listed = {}
    for part in params.muse_parts:
        data = PARTS / part / "data"
        make(data, scenes_of(params, part), processes=params.threads)
        for split in SPLITS:
            for size, count in Split.open(data, split).lengths.items():
                name, arguments = f"{part}, {split}, {size}", {"data": str(data), "split": split, "size": size}
                inputs = [data / MANIFEST, TOKENIZER]
                listed[part, split, size] = Part(name=name, work=encode, arguments=arguments, inputs=inputs, size=count)
    paths = parts.run("muse/make_parts", list(listed.values()))
    for (part, split, size), one in listed.items():
        folder = PARTS / part / "tokens"
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{split}_{size}.npy", checkpoint.load(paths[one.name])[0]["tokens"])


def encode(training: Training, *, data: str, split: str, size: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Pictures of a split and a size → tokens uint16 [N, h, w]; no checkpoint, it is over before one pays."""
    return {"tokens": vqgan.encode_batches(vqgan.load(TOKENIZER), Split.open(Path(data), split).images(size))}, {}

"""Stage muse/make_parts: the parts of the data that this study trains on, drawn and encoded → build/muse/parts/<part>/
(data/ in the format of `lib.data.store`, tokens/<split>_<size>.npy of the coarse tokenizer).

Data that are not drawn here are taken as they are, and all parts are the same.
"""

import numpy as np

from lib.data.store import Split
from lib.ownership import MANIFEST, fresh
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.scenes.make import make
from lib.weights import checkpoint
from studies.muse.code.encoding import encode
from studies.muse.code.material import PARTS, TOKENIZER, folders
from studies.muse.code.settings import Params, scenes_of

SPLITS = ("train", "test")


def run(params: Params) -> None:
    """Draws and encodes all of them."""
    fresh(PARTS)
    drawn = params.data.source == "scenes"
    for part in params.muse_parts if drawn else ():
        scenes, kept = scenes_of(params, part)
        make(PARTS / part / "data", scenes, params.threads, kept)
    listed = {}
    for where in sorted({folders(part) for part in params.muse_parts}):
        for split in SPLITS:
            for size, count in Split.open(where.data, split).lengths.items():
                name, arguments = (
                    f"{where.data}, {split}, {size}",
                    {"data": str(where.data), "split": split, "size": size},
                )
                inputs = [where.data / MANIFEST, TOKENIZER]
                listed[where.tokens / f"{split}_{size}.npy"] = Part(
                    name=name, work=encode, arguments=arguments, inputs=inputs, size=count
                )
    paths = parts.run("muse/make_parts", list(listed.values()))
    for target, one in listed.items():
        target.parent.mkdir(exist_ok=True)
        np.save(target, checkpoint.load(paths[one.name])[0]["tokens"])

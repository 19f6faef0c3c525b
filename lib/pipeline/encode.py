"""Stage encode: turns every picture of every split into the tokens of each tokenizer, once → build/tokens/<name>/."""

from pathlib import Path

import numpy as np
import torch

from lib.config import Params
from lib.data.store import Split, read_meta, write_json
from lib.models import vqgan
from lib.models.quantizer import usage
from lib.ownership import fresh
from lib.progress import Progress

DATA, TOKENIZER, OUT = Path("data"), Path("build/tokenizer"), Path("build/tokens")


def run(params: Params) -> None:
    """Encodes with the two tokenizers, one after the other."""
    for name in ("fine", "coarse"):
        _encode(params.encode.pictures, name)


def _encode(most: int, name: str) -> None:
    """Writes <split>_<size>.npy, uint16 [N, size/stride, size/stride], for every split and size, and report.json."""
    out = OUT / name
    meta = read_meta(DATA)
    splits = [Split.open(DATA, name) for name in meta["splits"]]
    model = vqgan.load(TOKENIZER / name).to("cuda" if torch.cuda.is_available() else "cpu")
    codes = model.config["codes"]
    progress = Progress(f"encode {name}", sum(min(most, count) for split in splits for count in split.lengths.values()))
    fresh(out)
    report, before = {"codes": codes, "arrays": {}}, 0
    for split in splits:
        for size in split.lengths:
            images = split.images(size)[:most]
            tokens = vqgan.encode_batches(
                model, images, report=lambda done, before=before: progress.update(before + done)
            )
            before += len(images)
            np.save(out / f"{split.name}_{size}.npy", tokens)
            counts = {"pictures": len(images), "tokens_per_picture": tokens[0].size, "tokens": tokens.size}
            report["arrays"][f"{split.name}_{size}"] = counts | usage(tokens, codes)
    write_json(out / "report.json", report)

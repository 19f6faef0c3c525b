"""Stage collect: the numbers of all stages, and the few pictures that figures show → results/<profile>/.

What is collected is listed here; nothing is globbed, so a leftover of an older run can never slip in.
"""

from pathlib import Path

import numpy as np

from lib.config import Params
from lib.data.store import Split, read_meta, write_json
from lib.evidence.results import read
from lib.evidence.strips import write_strip
from lib.ownership import fresh

DATA = Path("data")
REPORTS = {
    "text": "build/text/report.json",
    "clip": "build/clip/metrics.json",
    "reader": "build/reader/metrics.json",
    "tokenizer": "build/tokenizer/fine/metrics.json",
    "coarse_tokenizer": "build/tokenizer/coarse/metrics.json",
    "tokens": "build/tokens/fine/report.json",
    "coarse_tokens": "build/tokens/coarse/report.json",
    "dalle_mini_search": "build/dalle_mini_search/metrics.json",
    "dalle_mini": "build/evaluation/metrics.json",
}
TRAININGS, NAMES = Path("build/dalle_mini"), ("both", "english")
PICTURES = Path("build/evaluation/pictures")


def run(params: Params) -> None:
    """Copies the reports and turns the picture arrays into PNG strips."""
    out = params.results
    fresh(out / "pictures")
    write_json(out / "data.json", describe_data() | {"check": read("build/data_check.json")})
    for name, report in REPORTS.items():
        write_json(out / f"{name}.json", read(report))
    write_json(out / "dalle_mini_training.json", {name: read(TRAININGS / name / "metrics.json") for name in NAMES})
    write_json(out / "pictures" / "texts.json", read(PICTURES / "texts.json"))
    for array in sorted(PICTURES.glob("*.npy")):
        write_strip(out / "pictures" / f"{array.stem}.png", np.load(array))


def describe_data() -> dict:
    """What the data folder holds: its meta.json, captions and distinct captions of every split."""
    meta = read_meta(DATA)
    captions = {}
    for name in meta["splits"]:
        texts = [text for entry in Split.open(DATA, name).captions for text in entry[meta["languages"][0]]]
        captions[name] = {"captions": len(texts), "distinct": len(set(texts))}
    return meta | {"first_language": meta["languages"][0], "captions": captions}

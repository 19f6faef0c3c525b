"""Stage collect: the bench's numbers → results/<profile>/.

What is collected is listed here; nothing is globbed, so a leftover of an older run can never slip in.
"""

from pathlib import Path

from lib.config import Params
from lib.data.store import Split, read_meta, write_json
from lib.evidence.results import read

DATA = Path("data")
REPORTS = {
    "text": "build/text/report.json",
    "clip": "build/clip/metrics.json",
    "reader": "build/reader/metrics.json",
    "tokenizer": "build/tokenizer/fine/metrics.json",
    "coarse_tokenizer": "build/tokenizer/coarse/metrics.json",
    "tokens": "build/tokens/fine/report.json",
    "coarse_tokens": "build/tokens/coarse/report.json",
}


def run(params: Params) -> None:
    """Copies the reports and describes the data."""
    out = params.results
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "data.json", describe_data() | {"check": read("build/data_check.json")})
    for name, report in REPORTS.items():
        write_json(out / f"{name}.json", read(report))


def describe_data() -> dict:
    """What the data folder holds: its meta.json, captions and distinct captions of every split."""
    meta = read_meta(DATA)
    captions = {}
    for name in meta["splits"]:
        texts = [text for entry in Split.open(DATA, name).captions for text in entry[meta["languages"][0]]]
        captions[name] = {"captions": len(texts), "distinct": len(set(texts))}
    return meta | {"first_language": meta["languages"][0], "captions": captions}

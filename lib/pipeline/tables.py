"""Stage tables: the measured numbers as tables (.csv, .md, .tex) → results/<profile>/tables/."""

import shutil

from lib.config import Params
from lib.evidence.results import read
from lib.evidence.tables import Number, write

ATTRIBUTES = ("shape", "colour", "size", "texture", "count", "relation", "background")


def run(params: Params) -> None:
    """Writes one table per question; a table whose numbers do not apply to this data source is left out."""
    measured, out = params.results, params.results / "tables"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    origin = {"stage": "tables", "sources": ["lib/pipeline/tables.py"]}
    for name, rows, options in (
        ("tokenizer", tokenizer(read(measured / "tokenizer.json")), TOKENIZER),
        ("reader", reader(read(measured / "reader.json")), READER),
        ("clip", clip(read(measured / "clip.json")), CLIP),
        ("dalle_mini", dalle_mini(read(measured / "dalle_mini.json")), DALLE_MINI),
    ):
        if rows:
            inputs = [measured / f"{name}.json"]
            write(out / name, rows, source=f"Profile {params.profile}.", inputs=inputs, **options, **origin)


def interval(entry: dict | None, digits: int, scale: float = 1.0) -> Number | None:
    """{"value", "low", "high"} as a table cell."""
    return entry and Number(*(scale * entry[end] for end in ("value", "low", "high")), digits=digits)


TOKENIZER = {
    "caption": "Image tokenizer on held-out pictures.",
    "units": {"PSNR": "dB", "pooled PSNR": "dB", "codes in use": "%"},
    "notes": [
        "PSNR is the mean over pictures, pooled PSNR that of the mean squared error over all of them; rFID is measured "
        "in the features of this repository's own CLIP and compares only with numbers of the same run."
    ],
}


def tokenizer(report: dict) -> list[dict]:
    """One row for each picture size that was measured."""
    sizes = {"64×64 → 16×16 tokens": report["test"], "128×128 → 32×32 tokens": report.get("test_128")}
    return [
        {
            "pictures": size,
            "PSNR": interval(entry["psnr"], 2),
            "pooled PSNR": Number(entry["psnr_pooled"], digits=2),
            "SSIM": interval(entry["ssim"], 3),
            "rFID": interval(entry["rfid"], 2),
            "codes in use": Number(100 * entry["code_use"], digits=1),
            "perplexity": Number(entry["perplexity"], digits=0),
        }
        for size, entry in sizes.items()
        if entry
    ]


READER = {
    "caption": "The scene reader on real pictures that it has not seen.",
    "units": {"test": "%", "heldout": "%"},
    "notes": [
        "'heldout' are pictures with a shape–colour pair that the training pictures never show. The reader, and only "
        "the reader, is trained on scenes repainted in random colours, so that it cannot guess a shape from its colour."
    ],
}


def reader(report: dict) -> list[dict]:
    """One row an attribute; none where the data source does not say what its pictures show."""
    if not report["applicable"]:
        return []
    return [
        {"attribute": name, **{split: interval(report[split].get(name), 1, 100) for split in ("test", "heldout")}}
        for name in (*ATTRIBUTES, "precision", "recall", "picture")
    ]


CLIP = {
    "caption": "The small CLIP on held-out pictures: how often the right one is among the first.",
    "units": {"text to image @1": "%", "text to image @10": "%", "image to text @1": "%", "image to text @10": "%"},
}


def clip(report: dict) -> list[dict]:
    """One row a language."""
    retrieval = report["retrieval"]
    languages = [name for name, entry in retrieval.items() if isinstance(entry, dict)]
    return [
        {"language": language, "candidates": retrieval["candidates"]}
        | {name.replace("_", " ").replace("@", " @"): interval(entry, 1, 100) for name, entry in measures.items()}
        for language, measures in ((language, retrieval[language]) for language in languages)
    ]


DALLE_MINI = {
    "caption": "A first DALL·E Mini: pictures drawn without and with super-conditioning (scale s).",
    "notes": [
        "Accuracy by category as in GenEval (share of prompts), judged by the scene reader. CLIP score (100 × cosine), "
        "FID and KID in the features of this repository's own CLIP; the distances compare pictures drawn for test "
        "captions with those captions' own pictures."
    ],
}
CATEGORIES = (
    "single_object",
    "two_objects",
    "counting",
    "colours",
    "position",
    "colour_attribution",
    "heldout",
    "overall",
)
MEASURES = (
    ("CLIP score", "clip_score", 1),
    ("CLIP score, pretrained CLIP", "clip_score_pretrained", 1),
    ("FID", "fid", 2),
    ("KID", "kid", 4),
    ("FID, pretrained Inception", "fid_inception", 2),
    ("KID, pretrained Inception", "kid_inception", 4),
)


def dalle_mini(report: dict) -> list[dict]:
    """One row a measure, one column a guidance scale."""
    columns = {f"s = {entry['scale']:g}": entry for entry in (report["unguided"], report["guided"])}
    rows = []
    if report["guided"]["accuracy"]:
        for name in CATEGORIES:
            cells = {head: interval(entry["accuracy"].get(name), 2) for head, entry in columns.items()}
            rows.append({"measure": f"accuracy: {name.replace('_', ' ')}", **cells})
    for name, key, digits in MEASURES:
        if key in report["guided"]:
            rows.append({"measure": name, **{head: interval(entry[key], digits) for head, entry in columns.items()}})
    return rows

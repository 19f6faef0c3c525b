"""Stage tables: the bench's numbers as tables (.csv, .md, .tex) → results/<profile>/tables/bench/."""

from lib.config import Params
from lib.evidence import tables
from lib.evidence.report import Interval
from lib.evidence.results import read
from lib.evidence.tables import Number, write_all

ATTRIBUTES = ("shape", "colour", "size", "texture", "count", "relation", "background")


def run(params: Params) -> None:
    """Writes one table per question; a table whose numbers do not apply to this data source is left out."""
    reports = {
        name: read(params.results / f"{name}.json") for name in ("tokenizer", "coarse_tokenizer", "reader", "clip")
    }
    pictures = {f"pictures, {name}": reports[f"{key}tokenizer"]["test"].get("n") for name, key in KINDS.items()}
    listed = [
        ("tokenizer", tokenizer(reports["tokenizer"], reports["coarse_tokenizer"]), TOKENIZER | {"n": pictures}),
        ("reader", reader(reports["reader"]), READER),
        ("clip", clip(reports["clip"]), CLIP),
    ]
    write_all(
        params.results / "tables" / "bench",
        listed,
        profile=params.profile,
        stage="tables",
        sources=["lib/pipeline/tables.py"],
        inputs=[params.results / f"{name}.json" for name in reports],
    )


def interval(entry: dict | None, digits: int, scale: float = 1.0) -> Number | None:
    """{"value", "low", "high"} times `scale` as a table cell; an empty one for None."""
    return tables.interval(entry and Interval(**entry), digits, scale)


KINDS = {"fine": "", "coarse": "coarse_"}  # of image tokenizers → how their reports' names begin
TOKENIZER = {
    "caption": "Image tokenizer on held-out pictures.",
    "units": {"PSNR": "dB", "pooled PSNR": "dB", "codes in use": "%"},
    "notes": [
        "PSNR is the mean over pictures, pooled PSNR that of the mean squared error over all of them; rFID is measured "
        "in the features of this repository's own CLIP and compares only with numbers of the same run. The coarse "
        "tokenizer (8×8) is trained and measured without the kinds of background that params.yaml leaves out for it."
    ],
}


def tokenizer(fine: dict, coarse: dict) -> list[dict]:
    """One row for each tokenizer and picture size that was measured."""
    measured = {
        "64×64 → 16×16 tokens": fine["test"],
        "128×128 → 32×32 tokens": fine.get("test_128"),
        "64×64 → 8×8 tokens": coarse["test"],
    }
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
        for size, entry in measured.items()
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

"""Stage tables: the measured numbers as tables (.csv, .md, .tex) → results/<profile>/tables/."""

import shutil
import sys
from types import ModuleType
from typing import Any

from lib.config import Params
from lib.evidence import glu_tables, provenance, sjd2_answers, sjd2_tables
from lib.evidence.results import read
from lib.evidence.tables import Number, write
from lib.pipeline.sources import module_path

ATTRIBUTES = ("shape", "colour", "size", "texture", "count", "relation", "background")


def run(params: Params) -> None:
    """Writes one table per question; a table whose numbers do not apply to this data source is left out."""
    measured, out = params.results, params.results / "tables"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tokenizers = read(measured / "tokenizer.json"), read(measured / "coarse_tokenizer.json")
    drawn = read(measured / "dalle_mini.json")
    trained, searched = read(measured / "dalle_mini_training.json"), read(measured / "dalle_mini_search.json")
    here = sys.modules[__name__]
    for maker, name, rows, options, files in (
        (here, "tokenizer", tokenizer(*tokenizers), TOKENIZER, ["tokenizer", "coarse_tokenizer"]),
        (here, "reader", reader(read(measured / "reader.json")), READER, ["reader"]),
        (here, "clip", clip(read(measured / "clip.json")), CLIP, ["clip"]),
        (here, "dalle_mini", dalle_mini(drawn), DALLE_MINI, ["dalle_mini"]),
        (here, "dalle_mini_training", training(trained), TRAINING, ["dalle_mini_training"]),
        (here, "dalle_mini_search", search(searched), SEARCH, ["dalle_mini_search"]),
        (here, "dalle_mini_ranking", ranking(drawn), RANKING, ["dalle_mini"]),
        (here, "dalle_mini_languages", languages(drawn), LANGUAGES, ["dalle_mini"]),
        *((glu_tables, *table, ["glu"]) for table in glu_tables.all_tables(read(measured / "glu.json"))),
        *((sjd2_tables, *table, ["sjd2"]) for table in sjd2_tables.all_tables(read(measured / "sjd2.json"))),
    ):
        if rows:
            inputs = [measured / f"{file}.json" for file in files]
            options = {"source": f"Profile {params.profile}."} | options
            write(out / name, rows, **options, inputs=inputs, **origin(maker))
    if answered := sjd2_answers.as_markdown(read(measured / "sjd2.json")):
        text = f"**What SJD2's paper leaves open or prints without explaining, answered by profile {params.profile}.**"
        path = out / "sjd2_answers.md"
        path.write_text(f"{text}\n\n{answered}\n", encoding="utf-8")
        provenance.write(
            path.with_suffix(".provenance.json"), [path], inputs=[measured / "sjd2.json"], **origin(sjd2_answers)
        )


def origin(maker: ModuleType) -> dict[str, Any]:
    """What the sidecar of a table says about the module that makes its rows."""
    return {"stage": "tables", "sources": [module_path(maker.__name__)]}


def interval(entry: dict | None, digits: int, scale: float = 1.0) -> Number | None:
    """{"value", "low", "high"} as a table cell."""
    return entry and Number(*(scale * entry[end] for end in ("value", "low", "high")), digits=digits)


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


DALLE_MINI = {
    "caption": "DALL·E Mini: pictures drawn at several scales s of super-conditioning (s = 1 is none).",
    "notes": [
        "Accuracy by category as in GenEval (share of prompts), judged by the scene reader; 'heldout' asks for "
        "shape–colour pairs that training never shows. Exact accuracy asks that nothing else be in the picture: "
        "GenEval's rule also rewards pictures littered with fragments, one of which happens to be right. Diversity: "
        "mean distance (0 to 2) between the unit CLIP vectors of two pictures of the same prompt. CLIP score (100 × "
        "cosine), FID and KID in the features of this repository's own CLIP; the distances compare pictures drawn for "
        "test captions with those captions' own pictures, without guidance and at the scale that the rest of the study "
        "uses. Intervals of accuracy, CLIP score and diversity resample prompts, each with its pictures of all seeds. "
        "At every scale tokens are drawn with the top-p of params.yaml (sampling.top_p), from the likeliest that "
        "have this share of the probability together. The original's default is all tokens."
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
    ("diversity", "diversity", 3),
    ("FID", "fid", 2),
    ("KID", "kid", 4),
    ("FID, pretrained Inception", "fid_inception", 2),
    ("KID, pretrained Inception", "kid_inception", 4),
)


def dalle_mini(report: dict) -> list[dict]:
    """One row a measure, one column a guidance scale."""
    columns = {f"s = {entry['scale']:g}": entry for entry in report["sweep"]}
    rows = []
    if report["guided"]["accuracy"]:
        for name in CATEGORIES:
            cells = {head: interval(entry["accuracy"].get(name), 2) for head, entry in columns.items()}
            rows.append({"measure": f"accuracy: {name.replace('_', ' ')}", **cells})
        cells = {head: interval(entry["exact"]["overall"], 3) for head, entry in columns.items()}
        rows.append({"measure": "exact accuracy: overall", **cells})
    for name, key, digits in MEASURES:
        cells = {head: interval(entry.get(key), digits) for head, entry in columns.items()}
        if any(cells.values()):
            rows.append({"measure": name, **cells})
    return rows


TRAINING = {
    "caption": "DALL·E Mini: trainings, measured on held-out pictures.",
    "units": {"loss": "nat/token", "next token right": "%"},
    "notes": [
        "Caption gain: by how many nats a token the picture's own caption makes its tokens likelier than another "
        "picture's caption does. Token frequencies alone would leave the loss in the column of that name."
    ],
}


def training(report: dict) -> list[dict]:
    """One row a training."""
    return [
        {
            "captions": name,
            "parameters": Number(entry["parameters"], digits=0),
            "token frequencies": Number(entry["unigram_nats"], digits=3),
            "loss": interval(entry["test"]["nats_per_token"], 3),
            "next token right": interval(entry["test"]["top1"], 1, 100),
        }
        | {f"caption gain, {language}": interval(gain, 4) for language, gain in entry["caption_gain"].items()}
        for name, entry in report.items()
    ]


SEARCH = {
    "caption": "DALL·E Mini: short trainings at several learning rates.",
    "units": {"loss": "nat/token"},
    "notes": ["Loss on the validation split after the same number of steps, from the same start on the same batches."],
}


def search(report: dict) -> list[dict]:
    """One row a learning rate."""
    return [
        {
            "optimizer": report["optimizer"],
            "learning rate": f"{entry['learning_rate']:g}",
            "steps": report["steps"],
            "loss": interval(entry["val_nats"], 3),
        }
        for entry in report["runs"]
    ]


RANKING = {
    "caption": "DALL·E Mini: the best of n candidates by CLIP, judged by the scene reader.",
    "notes": [
        "Exact accuracy: share of prompts whose picture shows what was asked and nothing else. The reader had no part "
        "in the ranking. 'A perfect ranker' counts a prompt as soon as one of its n candidates is right; with n = 1 "
        "both take the first. 'Taken blindly' is the mean over all candidates, gain that of the best by CLIP over it. "
        "Intervals resample prompts. The original ranked unguided pictures in 2021 and guided ones from 2022 on."
    ],
}


def ranking(report: dict) -> list[dict]:
    """One row a number of candidates; none where the data source does not say what its pictures show."""
    return [
        {
            "guidance": f"s = {found['scale']:g}",
            "n": entry["n"],
            "best by CLIP": interval(entry["ranked"], 3),
            "a perfect ranker": interval(entry["oracle"], 3),
            "taken blindly": interval(found["unranked"], 3),
            # Measured where all candidates are ranked.
            "gain": interval(found["gain_over_prompts"], 3) if entry["n"] == found["candidates"] else None,
        }
        for found in (report["reranking"], report["reranking_guided"])
        for entry in found.get("curve", [])
    ]


LANGUAGES = {
    "caption": "DALL·E Mini: prompts in each language, for a model trained on English only and one trained on all.",
    "notes": [
        "Accuracy in the category colours and overall, and exact accuracy, judged by the scene reader. The prompts are "
        "the same. The English model has read as many English captions, in half as many updates: it has seen half as "
        "many pictures, so the two differ in more than a language."
    ],
}


def languages(report: dict) -> list[dict]:
    """One row for each training and each language of the prompts."""
    return [
        {"trained on": model, "prompts": language}
        | (
            {
                "colours": interval(entry["accuracy"].get("colours"), 2),
                "overall": interval(entry["accuracy"]["overall"], 2),
                "exact, overall": interval(entry["exact"]["overall"], 3),
            }
            if entry["accuracy"]
            else {}
        )
        | {"CLIP score": interval(entry["clip_score"], 1)}
        for model, by_language in report["languages"].items()
        for language, entry in by_language.items()
    ]

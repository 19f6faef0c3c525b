"""Stage dalle_mini/tables: the study's numbers as tables (.csv, .md, .tex) → results/<profile>/tables/dalle_mini/."""

from lib.evidence.systems import save
from lib.evidence.tables import Number, interval, write_all
from studies.dalle_mini.code.reports import Evaluation, Search, Trainings
from studies.dalle_mini.code.settings import Params
from studies.dalle_mini.code.systems import systems


def run(params: Params) -> None:
    """Writes one table per question; a table whose numbers do not apply to this data source is left out."""
    inputs = [params.results / f"{name}.json" for name in ("dalle_mini", "dalle_mini_training", "dalle_mini_search")]
    drawn, trained, searched = Evaluation.read(inputs[0]), Trainings.read(inputs[1]), Search.read(inputs[2])
    prompts = {"prompts": drawn.guided.clip_score.n, "pictures of them": drawn.guided.pictures}
    fid = {"pictures behind FID and KID": drawn.guided.pictures_in_fid}
    ranked = {"prompts": drawn.reranking.prompts, "candidates of a prompt and seed": drawn.reranking.candidates}
    tables = [
        ("dalle_mini", dalle_mini(drawn), DALLE_MINI | {"n": prompts | fid}),
        ("dalle_mini_training", training(trained), TRAINING),
        ("dalle_mini_search", search(searched), SEARCH),
        ("dalle_mini_ranking", ranking(drawn), RANKING | {"n": ranked}),
        ("dalle_mini_languages", languages(drawn), LANGUAGES | {"n": prompts}),
    ]
    out = params.results / "tables" / "dalle_mini"
    write_all(
        out,
        tables,
        profile=params.profile,
        stage="dalle_mini/tables",
        sources=["studies/dalle_mini/code/tables.py"],
        inputs=inputs,
    )
    save(out, systems(params, drawn, trained))


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
CATEGORIES = ("single_object", "two_objects", "counting", "colours", "position", "colour_attribution", "heldout")
MEASURES = (
    ("accuracy: overall", "accuracy", 2),
    ("exact accuracy: overall", "exact", 3),
    ("CLIP score", "clip_score", 1),
    ("CLIP score, pretrained CLIP", "clip_score_pretrained", 1),
    ("diversity", "diversity", 3),
    ("FID", "fid", 2),
    ("KID", "kid", 4),
    ("FID, pretrained Inception", "fid_inception", 2),
    ("KID, pretrained Inception", "kid_inception", 4),
)


def dalle_mini(report: Evaluation) -> list[dict]:
    """One row a measure, one column a guidance scale."""
    columns = {f"s = {entry.scale:g}": entry for entry in report.sweep}
    rows = []
    if report.guided.accuracy:
        for name in CATEGORIES:
            cells = {head: interval(entry.accuracy.categories.get(name), 2) for head, entry in columns.items()}
            rows.append({"measure": f"accuracy: {name.replace('_', ' ')}", **cells})
    for name, key, digits in MEASURES:
        cells = {head: interval(getattr(entry, key), digits) for head, entry in columns.items()}
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


def training(report: Trainings) -> list[dict]:
    """One row a training."""
    return [
        {
            "captions": name,
            "parameters": Number(entry.parameters, digits=0),
            "token frequencies": Number(entry.unigram_nats, digits=3),
            "loss": interval(entry.test.nats_per_token, 3),
            "next token right": interval(entry.test.top1, 1, 100),
        }
        | {f"caption gain, {language}": interval(gain, 4) for language, gain in entry.caption_gain.items()}
        for name, entry in report
    ]


SEARCH = {
    "caption": "DALL·E Mini: short trainings at several learning rates.",
    "units": {"loss": "nat/token"},
    "notes": ["Loss on the validation split after the same number of steps, from the same start on the same batches."],
}


def search(report: Search) -> list[dict]:
    """One row a learning rate."""
    return [
        {
            "optimizer": report.optimizer,
            "learning rate": f"{trial.learning_rate:g}",
            "steps": report.steps,
            "loss": interval(trial.val_nats, 3),
        }
        for trial in report.runs
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


def ranking(report: Evaluation) -> list[dict]:
    """One row a number of candidates; none where the data source does not say what its pictures show."""
    return [
        {
            "guidance": f"s = {found.scale:g}",
            "n": best.n,
            "best by CLIP": interval(best.ranked, 3),
            "a perfect ranker": interval(best.oracle, 3),
            "taken blindly": interval(found.unranked, 3),
            # Measured where all candidates are ranked.
            "gain": interval(found.gain_over_prompts, 3) if best.n == found.candidates else None,
        }
        for found in (report.reranking, report.reranking_guided)
        for best in found.curve or ()
    ]


LANGUAGES = {
    "caption": "DALL·E Mini: prompts in each language, for a model trained on English only and one trained on all.",
    "notes": [
        "Accuracy in the category colours and overall, and exact accuracy, judged by the scene reader. The prompts are "
        "the same. The English model has read as many English captions, in half as many updates: it has seen half as "
        "many pictures, so the two differ in more than a language."
    ],
}


def languages(report: Evaluation) -> list[dict]:
    """One row for each training and each language of the prompts."""
    return [
        {"trained on": model, "prompts": language}
        | (
            {
                "colours": interval(entry.accuracy.categories.get("colours"), 2),
                "overall": interval(entry.accuracy, 2),
                "exact, overall": interval(entry.exact, 3),
            }
            if entry.accuracy
            else {}
        )
        | {"CLIP score": interval(entry.clip_score, 1)}
        for model, by_language in report.languages.items()
        for language, entry in by_language.items()
    ]

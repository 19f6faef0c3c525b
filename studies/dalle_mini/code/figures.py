"""Figures of the study's notebooks: each function draws one from what the stages left, and returns it with its data."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from lib.evidence import figures, grids, plots, samples
from lib.evidence.report import Interval
from lib.evidence.shown import Shown
from lib.evidence.strips import read_strip
from lib.scenes.asked import asked
from lib.scenes.prompts import CATEGORIES
from lib.scenes.vocabulary import HELDOUT_PAIRS
from studies.dalle_mini.code.reports import Evaluation, Measured, Painting, Ranking, Search, Trainings

MODELS = {"both": "both languages", "english": "English only"}
LANGUAGES = {"en": "English", "zh": "Chinese"}
RANKS = ("1st by CLIP", "2nd", "3rd")
LOSSES = (0.25, 0.5, 1, 2, 4, 8)  # ticks


def row(found: Interval) -> dict[str, float | int | None]:
    """A value with its interval, and what that is over, as a row of a table."""
    return {**plots.row(found), "n": found.n}


def category(name: str) -> str:
    """A category of prompts as people call it."""
    return "unseen pairs" if name == "heldout" else name.replace("_", " ")


def judged(drawn: Evaluation) -> bool:
    """Whether the data source says what its pictures must show, so that pictures can be right or wrong."""
    return drawn.guided.exact is not None


def training(trained: Trainings) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """The loss of both trainings on their batches, and what token frequencies alone would leave."""
    histories = {name: pd.DataFrame([step.plain() for step in entry.history]) for name, entry in trained}
    with figures.style():
        figure, axes = figures.axes(width="single")
        for number, (name, history) in enumerate(histories.items()):
            plots.curve(axes, history, "loss", MODELS[name], number)
        axes.axhline(trained.both.unigram_nats, color="0.5", linestyle=":", linewidth=1, label="token frequencies")
        axes.set(ylabel="loss (nat/token)", yscale="log")
        axes.set_yticks(LOSSES, [f"{loss:g}" for loss in LOSSES], minor=False)
        axes.set_yticks([], minor=True)
        axes.legend()
    return figure, histories


def search(searched: Search) -> tuple[Figure, pd.DataFrame]:
    """Validation loss over the peak learning rate, every point with its number."""
    frame = pd.DataFrame([{"learning rate": trial.learning_rate, **trial.val_nats.plain()} for trial in searched.runs])
    with figures.style():
        figure, axes = figures.axes(width="single")
        plots.points(axes, frame, "learning rate", None, 0)
        for rate, loss in zip(frame["learning rate"], frame["value"], strict=True):
            axes.annotate(f"{loss:.2f}", (rate, loss), xytext=(6, 0), textcoords="offset points", va="center")
        axes.set(xlabel=f"peak learning rate ({searched.optimizer.title()})", ylabel="validation loss (nat/token)")
        plots.ticks(axes, frame["learning rate"])
        axes.margins(x=0.2)  # room for the last number
    return figure, frame


def accuracy(drawn: Evaluation) -> tuple[Figure, pd.DataFrame]:
    """Share of prompts drawn right, by category, without super-conditioning and with it."""
    sides = {"s = 1: no super-conditioning": drawn.unguided, f"s = {drawn.guided.scale:g}": drawn.guided}
    rows = [
        {"scale": label, "category": name, **row(share)}
        for label, entry in sides.items()
        for name, share in _shares(entry).items()
    ]
    frame = pd.DataFrame(rows)
    with figures.style():
        figure, axes = figures.axes(width="double", aspect=0.4)
        plots.intervals(axes, frame, "category", "scale")
        limit = drawn.reconstructions["picture"].value
        axes.axhline(limit, color="0.5", linestyle=":", linewidth=0.8, label="test pictures, rebuilt from tokens")
        axes.set(ylabel="share of prompts drawn right", ylim=(0, 1))
        axes.legend(loc="center", bbox_to_anchor=(0.66, 0.75))
        axes.tick_params(axis="x", labelsize=6)
    return figure, frame


def _shares(entry: Measured) -> dict[str, Interval]:
    """What was right as GenEval counts, by category and in all, and what was exactly right."""
    by_category = entry.accuracy.categories
    shares = {category(name): by_category[name] for name in CATEGORIES if name in by_category}
    return shares | {"all": entry.accuracy, "all, exactly": entry.exact}


def sweep(drawn: Evaluation) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Quality and diversity over the scale of super-conditioning."""
    measures = {"exact": "exact accuracy", "accuracy": "accuracy as in GenEval"}
    measures = measures if judged(drawn) else {"clip_score": "CLIP score"}
    quality = pd.DataFrame(
        [
            {"measure": label, "scale": entry.scale, **row(getattr(entry, key))}
            for key, label in measures.items()
            for entry in drawn.sweep
        ]
    )
    diversity = pd.DataFrame([{"scale": entry.scale, **row(entry.diversity)} for entry in drawn.sweep])
    with figures.style():
        figure, (left, right) = figures.axes(width="double", columns=2, aspect=0.7)
        for number, (label, part) in enumerate(quality.groupby("measure", sort=False)):
            plots.points(left, part, "scale", label, number)
        left.set(ylabel="share of prompts" if judged(drawn) else "CLIP score", ylim=(0, None))
        left.legend()
        plots.points(right, diversity, "scale", None, 0)
        right.set(ylabel="diversity of a prompt's pictures", ylim=(0, None))
        for panel in (left, right):
            panel.set(xlabel="super-conditioning scale s")
            plots.ticks(panel, diversity["scale"])
    return figure, {"quality": quality, "diversity": diversity}


def ranking(drawn: Evaluation) -> tuple[Figure, pd.DataFrame]:
    """Exact accuracy of the best of n candidates, by CLIP and by a perfect ranker, unguided and guided."""
    both = (drawn.reranking, drawn.reranking_guided)
    rows = [
        {"scale": found.scale, "ranker": ranker, **row(getattr(best, key)), "n": best.n}
        for found in both
        for ranker, key in (("CLIP", "ranked"), ("perfect ranker", "oracle"))
        for best in found.curve
    ]
    frame = pd.DataFrame(rows)
    with figures.style():
        figure, panels = figures.axes(width="double", columns=2, sharey=True)
        for axes, found in zip(panels, both, strict=True):
            for number, (ranker, part) in enumerate(frame[frame["scale"] == found.scale].groupby("ranker")):
                plots.points(axes, part, "n", ranker, number)
            axes.axhline(found.unranked.value, color="grey", linestyle=":", label="taken blindly", linewidth=1)
            axes.set(title=f"s = {found.scale:g}", xlabel="candidates a prompt", ylim=(0, 1))
            plots.ticks(axes, part["n"])
        panels[0].set_ylabel("exact accuracy")
        panels[0].legend(loc="upper left")
    return figure, frame


def ranked(folder: Path, shown: Shown, strip: str, found: Ranking) -> tuple[Figure, pd.DataFrame]:
    """Prompts with all their candidates, best-ranked first."""
    frame, prompts = samples.table(shown, strip), shown.pictures[strip]
    frame.insert(1, "rank", [rank for prompt in prompts for rank in range(1, len(prompt.right) + 1)])
    ranks = [*RANKS, *(f"{rank}th" for rank in range(4, found.candidates + 1))][: found.candidates]
    titles = [*ranks, *[""] * (len(frame) - found.candidates)]
    rows = [_described(prompt.english) if found.accuracy else prompt.text for prompt in prompts]
    marks = list(frame["right"])
    heading = f"Super-conditioning s = {found.scale:g}; unselected prompts. {grids.counted(marks)}"
    images = read_strip(folder / f"{strip}.png")
    figure = grids.picture_grid(images, found.candidates, titles, rows=rows, marks=marks, heading=heading)
    return figure, frame.drop(columns="english")


def _described(prompt: str) -> str:
    """A prompt, and whether training ever showed what it asks for."""
    new = any((each["shape"], each["colour"]) in HELDOUT_PAIRS for each in asked(prompt)["objects"])
    return prompt + (" (a pair that training never showed)" if new else "")


def languages(drawn: Evaluation) -> tuple[Figure, pd.DataFrame]:
    """Prompts in each language, drawn by the model of both and by that of English."""
    rows = [
        {
            "prompts": LANGUAGES.get(language, language),
            "trained on": MODELS[model],
            **row(entry.exact if judged(drawn) else entry.clip_score),
        }
        for model, by_language in drawn.languages.items()
        for language, entry in by_language.items()
    ]
    frame = pd.DataFrame(rows)
    with figures.style():
        figure, axes = figures.axes(width="single")
        plots.intervals(axes, frame, "prompts", "trained on")
        axes.legend(title="trained on")
        label = "exact accuracy" if judged(drawn) else "CLIP score"
        axes.set(xlabel="language of the prompts", ylabel=label, ylim=(0, None))
    return figure, frame


def painted(painting: Painting, strip: Path, shown: Shown) -> tuple[Figure, pd.DataFrame]:
    """One prompt's pictures in a row, best-ranked first, each under its score."""
    marks = shown.marks("painting")
    titles = [f"{rank}. {score:.1f}" for rank, score in enumerate(painting.scores, start=1)]
    ranked_by = f"“{painting.prompt}”, ranked by CLIP: 100 × cosine between picture and prompt."
    heading = f"{ranked_by} {grids.counted(marks)}"
    figure = grids.picture_grid(read_strip(strip), len(titles), titles, marks=marks, heading=heading)
    return figure, pd.DataFrame({"prompt": painting.prompt, "clip_score": painting.scores, "right": marks})

"""A folder of diffusers, such as Kolors or AuraFlow, measured like the models of this repository: a row of a table.

    python -m huggingface.evaluate --model path/to/Kolors-diffusers --out evaluations/kolors

It draws the data's prompts and captions of test pictures, in every language that the data have, and measures what it
drew with the networks that `make repro` trained and with the pretrained ones that params.yaml names (evaluation): the
reader's accuracies where the data are drawn scenes, CLIP score, FID and KID to the test pictures. The same command goes
on where an interrupted one stopped. EASEL_ENGINE=dask://host:port has the workers of a cluster draw and measure; what
comes out does not depend on how many there are.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.config import Params, load
from lib.data.prompts import first_of_each_category
from lib.data.store import write_json
from lib.errors import EaselError, command_line
from lib.evidence import tables
from lib.evidence.report import Accuracy, Estimate, Interval, Report
from lib.pipeline import engine
from lib.progress import written_to

SIDE = 64  # pixels of the pictures that are measured
SHARE = 64  # pictures that a worker draws before it takes others
LANGUAGES = {"en": "English", "zh": "Chinese"}
PROMPTS, CAPTIONS, MEASURED = "prompts", "captions", "measured.json"


class Measured(Report):
    """What was found of one language. A measurement that the data or their number do not allow is left out."""

    language: str
    prompts: int
    """that pictures were drawn for"""
    captions: int
    """of test pictures; behind FID and KID"""
    exact: Accuracy | None = None
    """pictures that show what the prompt asks for, and nothing else"""
    accuracy: Accuracy | None = None
    """GenEval's: what is asked for is there"""
    clip_score: Estimate | None = None
    clip_score_pretrained: Estimate | None = None
    fid: Interval | None = None
    kid: Interval | None = None
    fid_inception: Interval | None = None
    kid_inception: Interval | None = None


@dataclass(frozen=True)
class Plan:
    """What is drawn in one language and where it lies.

    Attributes:
        ids: of the prompts; texts: their words.
        numbers: of the test pictures; captions: theirs.
    """

    language: str
    out: Path
    ids: list[str]
    texts: list[str]
    numbers: list[int]
    captions: list[str]

    @property
    def sets(self) -> dict[str, list[str]]:
        """Both lists of words by the name of their folder."""
        return {f"{PROMPTS}-{self.language}": self.texts, f"{CAPTIONS}-{self.language}": self.captions}


@dataclass(frozen=True)
class Draw(engine.Task):
    """A share of the pictures of a list of words."""

    settings: Any
    texts: list[str]
    out: Path
    batch: int
    index: int
    count: int

    def run(self) -> None:
        from huggingface.gallery import ALL, Share
        from huggingface.pipelines import draw

        with written_to(self.progress):
            # One device for all shares of a worker, which keeps what it has loaded.
            draw(self.settings, self.texts, self.out, self.batch, Share(self.index, self.count), ALL.device())


@dataclass(frozen=True)
class Measure(engine.Task):
    """All measurements of one language."""

    params: Params
    settings: Any
    plan: Plan

    def run(self) -> None:
        from lib.metrics.panel import Panel

        panel, plan = Panel(self.params.evaluation, self.params.seed), self.plan
        drawn, captioned = (
            pictures(plan.out / name, texts, count)
            for (name, texts), count in zip(plan.sets.items(), (self.settings.pictures, 1), strict=True)
        )  # [P, n, S, S, 3], [C, 1, S, S, 3]
        found = panel.accuracies(drawn, [panel.prompts[name] for name in plan.ids])
        found |= panel.clip_scores(drawn, plan.texts) | panel.distances(captioned, plan.numbers)
        measured = Measured(language=plan.language, prompts=len(plan.ids), captions=len(plan.numbers), **found)
        measured.write(measured_file(plan))


def measured_file(plan: Plan) -> Path:
    """Where the numbers of a language are."""
    return plan.out / f"{PROMPTS}-{plan.language}" / MEASURED


def pictures(out: Path, texts: Sequence[str], count: int) -> Any:
    """Those of a folder, brought to the size that the networks read: uint8 [len(texts), count, SIDE, SIDE, 3].

    Raises:
        EaselError: a file that is no whole picture.
    """
    import numpy as np

    from lib.data.picture import decode, square

    found = []
    for number in range(len(texts)):
        for candidate in range(count):
            path = out / f"{number:04}-{candidate}.png"
            try:
                found.append(square(decode(path.read_bytes()), SIDE))
            except ValueError as error:
                raise EaselError(f"{path}: {error}; delete it and {path.stem}.json, and run again.") from None
    return np.stack(found).reshape(len(texts), count, SIDE, SIDE, 3)


def plans(panel: Any, out: Path, prompts: int, captions: int) -> list[Plan]:
    """What is drawn, for every language that all prompts and captions have."""
    chosen = first_of_each_category(list(panel.prompts.values()), prompts)
    numbers = list(range(min(captions, len(panel.test))))
    languages = [name for name in LANGUAGES if all(name in one for one in (*chosen, *panel.test.captions))]
    if not (chosen and numbers and languages):
        raise EaselError("there is nothing to draw: at least one prompt and one caption, in English or Chinese.")
    return [
        Plan(
            language,
            out,
            [one["id"] for one in chosen],
            [one[language] for one in chosen],
            numbers,
            [panel.test.captions[number][language][0] for number in numbers],
        )
        for language in languages
    ]


def evaluate(
    settings: Any, params: Params, out: Path, prompts: int, captions: int, batch: int, where: str
) -> list[Path]:
    """Draws, measures and writes the table.

    Args:
        settings: of the pictures (`huggingface.pipelines.Settings`); captions are drawn once each.
        prompts: of every category; captions: of test pictures.
        where: tasks run, see lib/pipeline/engine.py.

    Returns:
        the files of the table.

    Raises:
        EaselError: something to draw with or to measure with is not there, or is not what it should be.
    """
    from dataclasses import replace

    from huggingface.gallery import REPORT, read
    from huggingface.models import pipeline_folder
    from lib.metrics.image_distance import check_pretrained
    from lib.metrics.panel import Panel

    check_pretrained(params.evaluation)
    checked = pipeline_folder.check(settings.model)
    wanted = plans(Panel(params.evaluation, params.seed), out, prompts, captions)
    engine.check(where)

    def task(kind: type[engine.Task], name: str, size: int, *given: Any) -> engine.Task:
        return kind(name, size, params.threads, False, out / f".{name}.progress", *given)

    out.mkdir(parents=True, exist_ok=True)
    tasks = []
    for plan in wanted:
        for name, texts in plan.sets.items():
            own = settings if name.startswith(PROMPTS) else replace(settings, pictures=1)
            total = len(texts) * own.pictures
            count = -(-total // SHARE)
            tasks += [
                task(Draw, f"{name}-{index}", total // count, own, texts, out / name, batch, index, count)
                for index in range(count)
            ]
    engine.run("evaluate", tasks, where)
    engine.run("evaluate", [task(Measure, plan.language, 1, params, settings, plan) for plan in wanted], where)
    measured = [Measured.read(measured_file(plan)) for plan in wanted]
    drawn = [read(out / f"{PROMPTS}-{plan.language}" / REPORT) for plan in wanted]
    name, about = Path(settings.model).resolve().name, {"class": checked.kind.__name__}
    write_json(out / "row.json", {"model": name, **about, "rows": [one.plain() for one in measured], "drawn": drawn})
    return tables.write(
        out / "row",
        [row(name, checked.parameters, *found) for found in zip(measured, drawn, strict=True)],
        caption=f"What {checked.kind.__name__} drew for this repository's prompts.",
        source=f"Pictures of {drawn[0]['size'][0]} × {drawn[0]['size'][1]} pixels, measured at {SIDE} × {SIDE}.",
        units={"parameters": "M", "exact": "%", "GenEval": "%", "a picture": "s"},
        notes=[
            "Exact: the picture shows what the prompt asks for and nothing else; GenEval: what is asked for is there; "
            "both as this repository's reader sees it, means over categories. FID, KID and the first CLIP score are in "
            "the features of this repository's own CLIP. 95 % intervals over prompts, or over pictures."
        ],
        stage="none: `python -m huggingface.evaluate`",
        sources=["huggingface/evaluate.py"],
        parameters={"settings": drawn[0]["settings"], "evaluation": params.evaluation.model_dump()},
    )


def row(name: str, parameters: int, found: Measured, drawn: dict[str, Any]) -> dict[str, Any]:
    """A line of the table."""
    scores = {
        "exact": tables.interval(found.exact, 1, 100),
        "GenEval": tables.interval(found.accuracy, 1, 100),
        "CLIP score": tables.interval(found.clip_score),
        "CLIP score, pretrained": tables.interval(found.clip_score_pretrained),
        "FID": tables.interval(found.fid),
        "KID": tables.interval(found.kid, 4),
        "FID, Inception": tables.interval(found.fid_inception),
        "KID, Inception": tables.interval(found.kid_inception, 4),
    }
    pretrained = {key for key in scores if key.endswith(("pretrained", "Inception"))}
    return {
        "model": name,
        "parameters": tables.Number(parameters / 1e6, digits=1),
        "language": LANGUAGES[found.language],
        "pictures": drawn["pictures"],
        **{key: value for key, value in scores.items() if value or key not in pretrained},
        "a picture": tables.Number(drawn["seconds"] / drawn["pictures"], digits=2),
    }


def read_size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH, in pixels."""
    if not (found := re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)):
        raise EaselError(f"--size {text}: write height and width in pixels, such as 1024x1024.")
    return int(found[1]), int(found[2])


@command_line
def main(arguments: list[str]) -> None:
    """Command line: draws, measures, prints the table."""
    parser = argparse.ArgumentParser(prog="python -m huggingface.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a folder that diffusers' save_pretrained has made")
    parser.add_argument("--out", type=Path, required=True, help="the folder of pictures and of the table")
    parser.add_argument("--prompts", type=int, default=10, help="of every category")
    parser.add_argument("--captions", type=int, default=500, help="of test pictures, behind FID and KID")
    parser.add_argument("--pictures", type=int, default=1, help="of every prompt")
    parser.add_argument("--steps", type=int, help="of denoising; the pipeline's own number if left out")
    parser.add_argument("--guidance", type=float, help="classifier-free; the pipeline's own if left out")
    parser.add_argument("--negative", default="", help="the words that guidance is away from")
    parser.add_argument("--size", help="HEIGHTxWIDTH in pixels; the pipeline's own if left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--batch", type=int, default=4, help="pictures that are drawn together")
    given = vars(parser.parse_args(arguments))
    out, prompts, captions, batch = (given.pop(name) for name in ("out", "prompts", "captions", "batch"))
    given["size"] = given["size"] and read_size(given["size"])
    params = load()
    # Here and not above: arguments are checked without waiting for PyTorch.
    from huggingface.pipelines import Settings

    # One copy of a large network fits into memory, one a core does not.
    where = os.environ.get(engine.VARIABLE) or engine.HERE
    files = evaluate(Settings(**given), params, out, prompts, captions, batch, where)
    print(next(path for path in files if path.suffix == ".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    from huggingface.evaluate import main  # workers look for the classes of tasks in this module, not in __main__

    sys.exit(main(sys.argv[1:]))

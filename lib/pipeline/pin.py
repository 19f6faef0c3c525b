"""Makes the last run the reference that later runs are compared with: `make pin`, an author's decision.

Reference numbers and run times are no stage's outputs: DVC would replace them without a word, and times differ with
every run.
"""

import json
import sys
from pathlib import Path

from lib import config
from lib.data.manifest import check_manifest
from lib.data.store import write_json
from lib.errors import EaselError, command_line
from lib.evidence import drift, ledger, tables
from lib.evidence.tables import Number
from lib.pipeline.check_data import DATA, PINNED, identity
from lib.pipeline.stage import RECORDS, all_names
from lib.pipeline.verify import CLAIMS, REFERENCE, judged

README, COSTS = Path("README.md"), Path("results/runtimes.md")
QUOTED = (
    *("tokenizer", "reader", "dalle_mini", "dalle_mini_ranking", "dalle_mini_languages", "dalle_mini_training"),
    *("glu_variants", "glu_switches", "sjd2_sizes", "sjd2_control", "sjd2_draft_tuning"),
)
# Parts of the laptop profile: stages by their names before an @, and the minutes that they may take on two cores.
DALLE_MINI = ("train_dalle_mini", "search_dalle_mini", "sample_dalle_mini", "evaluate_dalle_mini", "compare_dalle")
BUDGETS = {
    "DALL·E Mini, the study": ((*DALLE_MINI, "dalle_mini_figures"), 12),
    "GLU, the eight blocks": (("train_glu_variants",), 30),
    "SJD2, autoregressive trainings": (("train_autoregressive",), 12),
    "SJD2, tuning and drafters": (("tune_sjd2", "train_drafters"), 15),
    "SJD2's control, tuning on drafts": (("tune_on_drafts",), None),
}
BEGIN, END = "<!-- results: written by `make pin` from results/; do not edit -->", "<!-- end of results -->"


@command_line
def main(arguments: list[str]) -> None:
    """`pin` pins data, numbers and run times; `pin data` the data alone."""
    params = config.load()
    PINNED.parent.mkdir(parents=True, exist_ok=True)
    write_json(PINNED, identity(params, check_manifest(DATA)))
    if arguments != ["data"]:
        book = ledger.load(CLAIMS)
        judgements, bench = judged(book, params.results)
        reference = drift.pin(params.results, book.drift, [*judgements, *bench])
        write_json(REFERENCE / f"{params.profile}.json", reference)
        write_runtimes(params.profile)
        write_readme(params.results / "tables")
    print("pinned; run `dvc repro` for the drift report against it, then commit")


def write_runtimes(profile: str) -> None:
    """results/runtimes.*: minutes, peak memory and disk of every stage, from the records that the stages wrote, and of
    the parts that have a limit.

    Raises:
        EaselError: a stage of dvc.yaml has no record.
    """
    rows = []
    for name in all_names():
        path = RECORDS / f"{name}.json"
        if not path.is_file():
            raise EaselError(f"{path} does not exist: stage {name} has not run here. `dvc repro -f -s {name}` runs it.")
        entry = json.loads(path.read_text())
        rows.append(
            {
                "stage": name,
                "time": Number(entry["minutes"], digits=2),
                "asked, at most": None,
                "peak memory": Number(entry["peak_memory_gb"], digits=2),
                "disk": Number(entry["disk_mb"], digits=1),
            }
        )
    sums = []
    if profile == "laptop":
        for name, (stages, asked) in BUDGETS.items():
            part = [row for row in rows if row["stage"].split("@")[0] in stages]
            sums.append(together(name, part, asked))
    sums.append(together("all", rows))
    here = entry["machine"]
    machine = f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB of memory, GPU: {here['gpu'] or 'none'}."
    tables.write(
        Path("results/runtimes"),
        [*rows, *sums],
        caption=f"What each stage costs, profile {profile}.",
        source=machine,
        units={"time": "min", "asked, at most": "min", "peak memory": "GB", "disk": "MB"},
        stage="none: `make pin`, from the records of the run",
        sources=["lib/pipeline/pin.py"],
    )


def together(name: str, rows: list[dict], asked: int | None = None) -> dict:
    """One row for several stages, `asked` the minutes that they may take."""
    return {
        "stage": name,
        "time": Number(sum(row["time"].value for row in rows), digits=2),
        "asked, at most": asked,
        "peak memory": Number(max(row["peak memory"].value for row in rows), digits=2),
        "disk": Number(sum(row["disk"].value for row in rows), digits=1),
    }


def readme_block(tables_folder: Path) -> str:
    """The part of README.md that quotes numbers: the tables as the stages wrote them, the costs as pinned.

    Tables that do not apply, which stage tables leaves out, are left out here.
    """
    quoted = [path for name in QUOTED if (path := tables_folder / f"{name}.md").is_file()] + [COSTS]
    return "\n".join([BEGIN, "", *(path.read_text(encoding="utf-8") for path in quoted), END])


def write_readme(tables_folder: Path) -> None:
    """Puts `readme_block` in its place in README.md."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    README.write_text(before + readme_block(tables_folder) + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Makes the last run the reference that later runs are compared with: `make pin`, an author's decision.

`make pin STUDY=glu` pins the last run of one study: its numbers and run times take the place of its old ones, the rest
stays. Reference numbers and run times are no stage's outputs: DVC would replace them without a word, and times differ
with every run.
"""

import csv
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lib import config
from lib.data.manifest import check_manifest
from lib.data.store import write_json
from lib.errors import EaselError, command_line
from lib.evidence import drift, ledger, tables
from lib.evidence.results import read
from lib.evidence.tables import Number
from lib.pipeline.check_data import DATA, PINNED, identity
from lib.pipeline.stage import RECORDS, address, all_names, specs
from lib.pipeline.verify import REFERENCE, judged

RUNTIMES = Path("results/runtimes")
BENCH = ""  # the owner of the stages at the top
# Column → its unit and decimals. Beside them stands `machine`, in the CSV alone.
COSTS = {"time": ("min", 2), "peak memory": ("GB", 2), "disk": ("MB", 1)}


@command_line
def main(arguments: list[str]) -> None:
    """`pin` pins data, numbers and run times, or numbers and run times of the study in EASEL_STUDY; `pin data` the data
    alone."""
    if arguments not in ([], ["data"]):
        raise EaselError("usage: python -m lib.pipeline.pin [data]")
    params, study = config.load(), "" if arguments else os.environ.get("EASEL_STUDY", "")
    if study and study not in config.studies():
        raise EaselError(f"unknown study '{study}'; there are {', '.join(config.studies())}.")
    costs = None if arguments else runtimes(study)  # before anything is written: a stage may not have run
    PINNED.parent.mkdir(parents=True, exist_ok=True)
    if not study:
        write_json(PINNED, identity(params, check_manifest(DATA)))
    if costs is not None:
        write_json(REFERENCE / f"{params.profile}.json", reference(params, study))
        write_runtimes(params.profile, costs)
    print("pinned; run `dvc repro` for the drift report against it, then commit")


def reference(params: config.Params, study: str = "") -> dict[str, dict[str, Any]]:
    """The numbers of the run to be pinned; with a study those of its results alone, and the others as they were pinned.

    Raises:
        EaselError: there is nothing pinned that a study could be put into, or see `drift.pin`.
    """
    book = ledger.load_all()
    judgements, bench = judged(book, params.results)
    found = drift.pin(params.results, book.drift, [*judgements, *bench])
    if not study:
        return found
    files = results_of(study)
    # The tests of a study are corrected together: one that reads these files moves the verdicts of all of its claims.
    corrected = {claim.study for claim in book.claims if claim.metric and claim.metric.results in files}
    ids = {claim.id for claim in book.claims if claim.study in corrected}

    def is_renewed(name: str, numbers: Mapping[str, dict]) -> bool:
        file, _, key = name.partition(":")
        if file != drift.VERDICTS:
            return file in files
        claim = key.partition(".")[0]
        return claim in ids or numbers[f"{drift.VERDICTS}:{claim}.metric"]["value"].partition(":")[0] in files

    before = read(REFERENCE / f"{params.profile}.json")
    kept = {name: entry for name, entry in before.items() if not is_renewed(name, before)}
    return dict(sorted((kept | {name: entry for name, entry in found.items() if is_renewed(name, found)}).items()))


def results_of(study: str) -> set[str]:
    """The files in results/<profile> that its stages write."""
    outs = [out for name, spec in specs().items() if owner(name) == study for out in spec.get("outs", ())]
    return {Path(out if isinstance(out, str) else next(iter(out))).name for out in outs}


def owner(stage: str) -> str:
    """The study of a stage, or the bench."""
    return stage.rpartition("/")[0]


def runtimes(study: str = "") -> list[dict]:
    """A row for every stage, from the records that the stages wrote; with a study for its stages, the others as pinned.

    Raises:
        EaselError: a stage of dvc.yaml has no record, or no run times are pinned that a study could be put into.
    """
    names = [name for name in all_names() if name.rpartition("/")[2] != "sources"]  # a second each
    if not study:
        return [recorded(name) for name in names]
    own = [recorded(name) for name in names if owner(name) == study]
    rows = [one for one in pinned() if owner(one["stage"]) != study] + own
    return [one for place in (BENCH, *config.studies()) for one in rows if owner(one["stage"]) == place]


def recorded(name: str) -> dict:
    """What a stage's record says of its last run."""
    path = RECORDS / f"{name}.json"
    if not path.is_file():
        command = f"dvc repro -f -s {address(*name.split('@'))}"
        raise EaselError(f"{path} does not exist: stage {name} has not run here. `{command}` runs it.")
    entry = read(path)
    here = entry["machine"]
    return costs_of(
        name,
        (entry["minutes"], entry["peak_memory_gb"], entry["disk_mb"]),
        f"{here['cpu']}, {here['cores']} cores {'with' if here['bf16'] else 'without'} bf16 instructions,"
        f" {here['memory_gb']} GB of memory, GPU: {here['gpu'] or 'none'}",
    )


def pinned() -> list[dict]:
    """The rows of stages in results/runtimes.csv."""
    path = RUNTIMES.with_suffix(".csv")
    if not path.is_file():
        raise EaselError(f"{path} does not exist; `make pin` without STUDY writes it after a whole run.")
    with path.open(encoding="utf-8", newline="") as file:
        return [
            costs_of(
                one["stage"], [float(one[f"{name} ({unit})"]) for name, (unit, _) in COSTS.items()], one["machine"]
            )
            for one in csv.DictReader(file)
            if one["machine"]  # sums have none
        ]


def costs_of(stage: str, costs: Iterable[float], machine: str | None) -> dict:
    """One row of the table; sums have no machine."""
    numbers = {
        name: Number(cost, digits=digits) for (name, (_, digits)), cost in zip(COSTS.items(), costs, strict=True)
    }
    return {"stage": stage, **numbers, "machine": machine}


def write_runtimes(profile: str, rows: Sequence[dict]) -> None:
    """results/runtimes.*: minutes, peak memory and disk of every stage, of every study and of all, and the machines."""
    parts = {place: [one for one in rows if owner(one["stage"]) == place] for place in (BENCH, *config.studies())}
    sums = [together(place or "the bench", part) for place, part in parts.items()] + [together("all", rows)]
    places: dict[str, list[str]] = {}  # machine → whose stages ran there
    for place, part in parts.items():
        places.setdefault(" and ".join(dict.fromkeys(one["machine"] for one in part)), []).append(place)
    source = [machine if BENCH in those else f"{', '.join(those)}: {machine}" for machine, those in places.items()]
    tables.write(
        RUNTIMES,
        [*rows, *sums],
        caption=f"What each stage costs, profile {profile}.",
        source=" ".join(f"{text}." for text in source),
        units={name: unit for name, (unit, _) in COSTS.items()},
        csv_only=("machine",),
        stage="none: `make pin`, from the records of the run",
        sources=["lib/pipeline/pin.py"],
    )


def together(name: str, rows: list[dict]) -> dict:
    """One row for several stages: their sums, and the largest peak of memory."""
    each = {column: [one[column].value for one in rows] for column in COSTS}
    return costs_of(
        name, (max(found) if column == "peak memory" else sum(found) for column, found in each.items()), None
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

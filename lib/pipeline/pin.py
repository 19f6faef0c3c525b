"""Makes the last run the reference that later runs are compared with: `make pin`, an author's decision.

Reference numbers and run times are no stage's outputs: DVC would replace them without a word, and times differ with
every run.
"""

import sys
from pathlib import Path

from lib import config
from lib.data.manifest import check_manifest
from lib.data.store import write_json
from lib.errors import EaselError, command_line
from lib.evidence import drift, ledger, tables
from lib.evidence.results import read
from lib.evidence.tables import Number
from lib.pipeline.check_data import DATA, PINNED, identity
from lib.pipeline.stage import RECORDS, all_names
from lib.pipeline.verify import REFERENCE, judged


@command_line
def main(arguments: list[str]) -> None:
    """`pin` pins data, numbers and run times; `pin data` the data alone."""
    if arguments not in ([], ["data"]):
        raise EaselError("usage: python -m lib.pipeline.pin [data]")
    params = config.load()
    PINNED.parent.mkdir(parents=True, exist_ok=True)
    write_json(PINNED, identity(params, check_manifest(DATA)))
    if arguments != ["data"]:
        book = ledger.load_all()
        judgements, bench = judged(book, params.results)
        reference = drift.pin(params.results, book.drift, [*judgements, *bench])
        write_json(REFERENCE / f"{params.profile}.json", reference)
        write_runtimes(params.profile)
    print("pinned; run `dvc repro` for the drift report against it, then commit")


def write_runtimes(profile: str) -> None:
    """results/runtimes.*: minutes, peak memory and disk of every stage, from the records that the stages wrote, and of
    every study.

    Raises:
        EaselError: a stage of dvc.yaml has no record.
    """
    rows = []
    for name in all_names():
        if name.rpartition("/")[2] == "sources":  # a second each, and no stage of lib.pipeline's
            continue
        path = RECORDS / f"{name}.json"
        if not path.is_file():
            raise EaselError(f"{path} does not exist: stage {name} has not run here. `dvc repro -f -s {name}` runs it.")
        entry = read(path)
        rows.append(
            {
                "stage": name,
                "time": Number(entry["minutes"], digits=2),
                "peak memory": Number(entry["peak_memory_gb"], digits=2),
                "disk": Number(entry["disk_mb"], digits=1),
            }
        )
    studies = {"the bench": [row for row in rows if "/" not in row["stage"]]}
    studies |= {study: [row for row in rows if row["stage"].startswith(f"{study}/")] for study in config.studies()}
    sums = [together(name, part) for name, part in {**studies, "all": rows}.items()]
    here = entry["machine"]
    machine = (
        f"{here['cpu']}, {here['cores']} cores {'with' if here['bf16'] else 'without'} bf16 instructions,"
        f" {here['memory_gb']} GB of memory, GPU: {here['gpu'] or 'none'}."
    )
    tables.write(
        Path("results/runtimes"),
        [*rows, *sums],
        caption=f"What each stage costs, profile {profile}.",
        source=machine,
        units={"time": "min", "peak memory": "GB", "disk": "MB"},
        stage="none: `make pin`, from the records of the run",
        sources=["lib/pipeline/pin.py"],
    )


def together(name: str, rows: list[dict]) -> dict:
    """One row for several stages."""
    return {
        "stage": name,
        "time": Number(sum(row["time"].value for row in rows), digits=2),
        "peak memory": Number(max(row["peak memory"].value for row in rows), digits=2),
        "disk": Number(sum(row["disk"].value for row in rows), digits=1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

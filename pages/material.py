"""What the pages are made from: ledgers, verdicts, results, figures with their sidecars, stages with their locks."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lib import config, config_tree
from lib.errors import EaselError, naming
from lib.evidence import ledger, provenance, results
from lib.evidence.ledger import Claim
from lib.pipeline import stage
from pages import describe

VERDICTS = "verdicts/claims.json"
BENCH = "the bench"  # its row of the runtimes
UPDATE = "`make figures` writes it anew."


@dataclass(frozen=True)
class Figure:
    """A committed figure: a PNG with what lies beside it."""

    png: Path
    stage: str
    claims: tuple[str, ...]
    files: tuple[Path, ...]
    """the PDF and the plotted data"""

    @property
    def name(self) -> str:
        """folder/name, unique among figures."""
        return f"{self.png.parent.name}/{self.png.stem}"

    @property
    def study(self) -> str:
        """Whose it is; "" for the bench's."""
        return self.stage.rpartition("/")[0]


@dataclass(frozen=True)
class Made:
    """The stage that writes a file: its name, command, and what its lock entry says it read."""

    stage: str
    command: str
    reads: Mapping[str, str]
    """path → md5"""


class Material:
    """Everything that Git tracks about the run of one profile, read once.

    Raises:
        EaselError: a file that is missing or not what it should be; verdicts that are not those of the ledger.
    """

    def __init__(self) -> None:
        params = config.load()
        self.profile, self.results, self.figures_folder = params.profile, params.results, params.figures
        self.ledger = ledger.load_all()
        self.studies = config.studies()
        self.stages = stage.specs()
        references = describe.references()
        self.papers, self.released = references.papers, references.released
        self.pages = {study: describe.page(study) for study in ("", *self.studies)}
        self._documents: dict[str, Any] = {}
        self.verdicts = {record["id"]: (i, record) for i, record in enumerate(self.document(VERDICTS)["claims"])}
        unjudged = {claim.id for claim in self.ledger.claims} ^ set(self.verdicts)
        if unjudged:
            raise EaselError(
                f"{self.results / VERDICTS} and the ledgers differ over {', '.join(sorted(unjudged))}. {UPDATE}"
            )

    def path(self, file: str) -> Path:
        """Where a file of results/<profile>/ lies, or one of settings, which is named by its whole path."""
        return Path(file) if Path(file).name == "params.yaml" else self.results / file

    def document(self, file: str) -> Any:
        """What is in a JSON file of results/<profile>/, or in a params.yaml."""
        if file not in self._documents:
            path = self.path(file)
            self._documents[file] = config_tree.read_yaml(path) if path.suffix == ".yaml" else results.read(path)
        return self._documents[file]

    def value(self, file: str, key: str) -> Any:
        """What lies at a dotted key of such a file.

        Raises:
            EaselError: no such file, or nothing there.
        """
        found = results.find(self.document(file), key)
        if found is None:
            nearest = results.nearest(self.document(file), key)
            raise EaselError(f"{self.path(file)} has no {key}; the key most alike is {nearest}.")
        return found

    def ledger_file(self, claim: Claim) -> str:
        """Where a claim is written down."""
        return str((config.folder(claim.study) if claim.study in self.studies else Path()) / "claims.yaml")

    def title(self, study: str) -> str:
        """A study's title; its name, if no page describes it."""
        return self.pages[study].title if study in self.pages else study

    @cached_property
    def figures(self) -> list[Figure]:
        """All figures of the profile."""
        found = []
        for sidecar in sorted(self.figures_folder.rglob("*.json")):
            record = results.read(sidecar)
            if not isinstance(record, dict) or record.get("format") != provenance.FORMAT:
                raise EaselError(f"{sidecar} is no figure's sidecar. {UPDATE}")
            beside = [sidecar.with_name(name) for name in record["artefacts"]]
            files = tuple(path for path in beside if path.suffix != ".png")
            pngs = [path for path in beside if path.suffix == ".png"]
            found += [Figure(png, record["stage"], tuple(record["claims"]), files) for png in pngs]
        return found

    @cached_property
    def locked(self) -> dict[str, dict]:
        """Stage, or item of a matrix → its entry in dvc.lock."""
        found = {}
        for study in ("", *self.studies):
            entries = config_tree.read_yaml(config.folder(study) / "dvc.lock", "stages")["stages"]
            found |= {f"{study}/{name}" if study else name: entry for name, entry in entries.items()}
        return found

    def made(self, file: str) -> Made:
        """How a results file came about.

        Raises:
            EaselError: no stage writes it.
        """
        path = str(self.results / file)
        for name, entry in self.locked.items():
            if path in [out["path"] for out in entry.get("outs", ())]:
                reads = {dep["path"]: dep["md5"] for dep in entry.get("deps", ()) if "md5" in dep}
                return Made(name, entry["cmd"], reads)
        raise EaselError(f"No entry of a dvc.lock has {path} among its outputs.")

    @cached_property
    def runtimes(self) -> dict[str, dict[str, float]]:
        """Minutes, memory and disk by stage, with rows for the bench, every study and all."""
        path = Path("results/runtimes.csv")
        if not path.is_file():
            raise EaselError(f"{path} does not exist; `make pin` writes it after a whole run.")
        with path.open(encoding="utf-8", newline="") as file, naming(path, "CSV"):
            rows = {row.pop("stage"): row for row in csv.DictReader(file)}
            return {
                name: {column: float(cell) for column, cell in row.items() if column != "machine"}
                for name, row in rows.items()
            }

    def cost(self, row: str, column: str = "time (min)") -> float:
        """A number of the runtimes.

        Raises:
            EaselError: the pinned run has no such stage or study.
        """
        try:
            return self.runtimes[row][column]
        except KeyError:
            raise EaselError(f"results/runtimes.csv has no {column} of {row}; `make pin` writes it anew.") from None

"""The committed settings, for tests: as they are, of a profile, or with changes; and pipelines in an empty folder."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from lib import config, config_tree

REPOSITORY = Path(__file__).parent.parent
STUDIES = sorted(path.parent.name for path in REPOSITORY.glob("studies/*/params.yaml"))


def trees(profile: str = "laptop") -> dict[str, dict]:
    """Study → its settings in a profile, unchecked; "" → those at the top."""
    return copy.deepcopy(_read(profile))


@cache
def _read(profile: str) -> dict[str, dict]:
    found = {}
    for study in ("", *STUDIES):
        folder = REPOSITORY / config.folder(study)
        found[study] = config_tree.read_yaml(folder / "params.yaml")
        if (over := folder / "profiles" / f"{profile}.yaml").is_file():
            found[study] = config_tree.overlay(found[study], config_tree.read_yaml(over), profile)
    if profile == "paper":  # of pairs that are not here
        found[""]["data"] |= {"source": "webdataset", "path": "shards", "image_sizes": [64, 128]}
    return found


def params(study: str = "", profile: str = "laptop", changes: dict[str, Any] | None = None) -> Any:
    """A study's settings, with `changes` of sections of its own or at the top."""
    found = trees(profile)
    for section, value in (changes or {}).items():
        owner = study if section in found[study] else ""
        found[owner] = config_tree.overlay(found[owner], {section: value}, "test")
    return config.build(found, study, "test")


def write_pipeline(study: str, **stages: dict[str, Any]) -> None:
    """Makes the folder in which we are one with a study whose pipeline has these stages."""
    Path("studies", study).mkdir(parents=True, exist_ok=True)
    Path("studies", study, "params.yaml").write_text("{}\n")
    Path("studies", study, "dvc.yaml").write_text(json.dumps({"stages": stages}))
    if not Path("dvc.yaml").exists():
        Path("dvc.yaml").write_text("stages: {}\n")

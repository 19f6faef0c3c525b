"""Prepares the folder in which a profile runs, and prints its path: `python -m lib.profile smoke`.

The profile that params.yaml itself describes runs at the top of the repository, where Git tracks its results. Any other
one runs in a shadow copy, runs/<profile>/, with its own DVC state and the shared DVC cache: it never touches what Git
tracks, and never overwrites another profile's results. `--set key=value` makes a further variation, with a shadow of
its own.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from lib import config, config_tree
from lib.errors import EaselError, command_line, naming

PROFILES = Path("profiles")
COPIED = ("lib", "notebooks", "results/reference", "data.dvc", "claims.yaml", "requirements.lock", ".dvcignore")
SHADOW_DVC = """[core]
    no_scm = true
    analytics = false
    check_update = false
[cache]
    dir = {cache}
    type = "reflink,hardlink,copy"
"""


def prepare(profile: str, settings: list[str]) -> Path:
    """The folder in which to run `dvc repro` for `profile` with `settings` ("section.key=value").

    Raises:
        EaselError: unknown profile, unknown key, wrong type of value.
    """
    tree = config_tree.read_yaml("params.yaml", "profile")
    default = tree["profile"]
    if profile != default:
        tree = config_tree.overlay(tree, _profile_tree(profile, default), f"profiles/{profile}.yaml")
    for setting in settings:
        tree = config_tree.overlay(tree, _parse(setting), "SET")
    for section, key in (("data", "path"), ("evaluation", "inception"), ("evaluation", "clip")):
        inner = tree.get(section)
        if isinstance(inner, dict) and inner.get(key) and isinstance(inner[key], str):  # a shadow runs elsewhere
            inner[key] = str(Path(inner[key]).expanduser().absolute())
    config.build(tree, f"profile {profile}")
    if profile == default and not settings:
        return Path(".")
    suffix = "-" + hashlib.sha256(" ".join(sorted(settings)).encode()).hexdigest()[:6] if settings else ""
    shadow = Path("runs") / f"{profile}{suffix}"
    _synchronise(shadow, tree)
    return shadow


def _profile_tree(profile: str, default: str) -> dict:
    path = PROFILES / f"{profile}.yaml"
    if not path.is_file():
        known = [default, *sorted(file.stem for file in PROFILES.glob("*.yaml"))]
        raise EaselError(f"unknown profile '{profile}'; there are {', '.join(known)}.")
    return config_tree.read_yaml(path)


def _parse(setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise EaselError(f"'{setting}' is not of the form section.key=value.")
    with naming(f"SET {setting}", "YAML"):
        value = config_tree.parse_yaml(text) if text else ""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _synchronise(shadow: Path, tree: dict) -> None:
    """Copies code, notebooks and pipeline into the shadow; its outputs and its dvc.lock stay.

    DVC reads the parameters once a stage. As JSON they cost it a sixth less of a `dvc repro` that has nothing to do.
    """
    for name in COPIED:
        _mirror(Path(name), shadow / name)
    (shadow / ".dvc").mkdir(parents=True, exist_ok=True)
    (shadow / ".dvc" / "config").write_text(SHADOW_DVC.format(cache=Path(".dvc/cache").absolute()))
    (shadow / "params.yaml").unlink(missing_ok=True)  # of a shadow from before: DVC refuses to read both
    _update(shadow / "params.json", json.dumps(tree, indent=1) + "\n")
    stages = config_tree.read_yaml("dvc.yaml", "stages")["stages"]
    for spec in stages.values():
        if "params" in spec:
            spec["params"] = [{"params.json": spec["params"]}]
    _update(shadow / "dvc.yaml", json.dumps({"vars": ["params.json"], "stages": stages}, indent=1) + "\n")


def _update(path: Path, text: str) -> None:
    """Writes `text` unless it is there already, so that DVC keeps its memory of the file."""
    if not (path.is_file() and path.read_text(encoding="utf-8") == text):
        path.write_text(text, encoding="utf-8")


def _mirror(source: Path, target: Path) -> None:
    """Makes `target` the same as `source`, writing only what differs so that DVC keeps its memory of the rest."""
    if source.is_dir():
        names = {entry.name for entry in source.iterdir() if entry.name not in ("__pycache__", ".ipynb_checkpoints")}
        target.mkdir(parents=True, exist_ok=True)
        for stale in target.iterdir():
            if stale.name not in names and stale.name != "__pycache__":
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        for name in names:
            _mirror(source / name, target / name)
    elif source.is_file() and not (target.is_file() and target.read_bytes() == source.read_bytes()):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


@command_line
def main(arguments: list[str]) -> None:
    """Command line; prints the folder."""
    parser = argparse.ArgumentParser(prog="python -m lib.profile", description=__doc__.splitlines()[0])
    parser.add_argument("profile")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="section.key=value")
    options = parser.parse_args(arguments)
    print(prepare(options.profile, options.settings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

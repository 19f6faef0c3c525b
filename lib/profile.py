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

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lib import config, config_tree
from lib.errors import EaselError, command_line

PROFILES = Path("profiles")
COPIED = (
    "lib",
    "studies",
    "notebooks",
    "results/reference",
    "data.dvc",
    "claims.yaml",
    "requirements.lock",
    ".dvcignore",
)
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
    trees = config.read_trees()
    committed = dict(trees)
    default = trees[""]["profile"]
    if profile != default:
        _check_known(profile, default)
        for study, tree in trees.items():
            path = config.folder(study) / PROFILES / f"{profile}.yaml"
            if path.is_file():
                trees[study] = config_tree.overlay(tree, config_tree.read_yaml(path), str(path))
    for setting in settings:
        over = _parse(setting)
        study = _owner(trees, next(iter(over)))
        trees[study] = config_tree.overlay(trees[study], over, "SET")
    for section, key in (("data", "path"), ("evaluation", "inception"), ("evaluation", "clip")):
        values = trees[""].get(section)
        if isinstance(values, dict) and isinstance(values.get(key), str) and values[key]:  # a shadow runs elsewhere
            values[key] = str(Path(values[key]).expanduser().absolute())
    for study in trees:
        params = config.build(trees, study, f"profile {profile}")
        if trees[study].get("notebooks") != committed[study].get("notebooks"):
            _check_notebooks(params, list(trees[study].get("notebooks", {})))
    if profile == default and not settings:
        return Path(".")
    suffix = "-" + hashlib.sha256(" ".join(sorted(settings)).encode()).hexdigest()[:6] if settings else ""
    shadow = Path("runs") / f"{profile}{suffix}"
    _synchronise(shadow, trees)
    return shadow


def _check_notebooks(params: config.Params, names: list[str]) -> None:
    from lib import run  # takes seconds

    for path in (Path("notebooks") / f"{name}.ipynb" for name in names):
        if path.is_file():
            run.check(path, params)


def _check_known(profile: str, default: str) -> None:
    known = [default, *sorted(file.stem for file in PROFILES.glob("*.yaml"))]
    if profile not in known:
        raise EaselError(f"unknown profile '{profile}'; there are {', '.join(known)}.")


def _owner(trees: dict[str, dict], section: str) -> str:
    """Whose file has a section; "", the one at the top, if none has."""
    return next((study for study, tree in trees.items() if section in tree), "")


def _parse(setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise EaselError(f"'{setting}' is not of the form section.key=value.")
    try:
        value = YAML(typ="safe", pure=True).load(text) if text else ""
    except YAMLError as error:
        raise EaselError(f"'{setting}' has no value of YAML behind the =: {error}") from error
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _synchronise(shadow: Path, trees: dict[str, dict]) -> None:
    """Copies code, notebooks and pipelines into the shadow; its outputs and its dvc.lock files stay.

    DVC reads the parameters once a stage. As JSON they cost it a sixth less of a `dvc repro` that has nothing to do.
    """
    for name in COPIED:
        _mirror(Path(name), shadow / name)
    for study in config.studies():
        for name in ("code", "claims.yaml"):
            _mirror(config.folder(study) / name, shadow / config.folder(study) / name)
    (shadow / ".dvc").mkdir(parents=True, exist_ok=True)
    (shadow / ".dvc" / "config").write_text(SHADOW_DVC.format(cache=Path(".dvc/cache").absolute()))
    for study, tree in trees.items():
        own, file = shadow / config.folder(study), config.folder(study) / "params.json"
        (own / "params.yaml").unlink(missing_ok=True)  # DVC refuses to read both
        _update(own / "params.json", json.dumps(tree, indent=1) + "\n")
        pipeline = config_tree.read_yaml(config.folder(study) / "dvc.yaml")
        for spec in pipeline["stages"].values():
            entries = spec.get("params", [])
            top = [entry for entry in entries if isinstance(entry, str)]
            mine = [{str(file): keys} for entry in entries if isinstance(entry, dict) for keys in entry.values()]
            spec["params"] = [*([{"params.json": top}] if top else []), *mine]
        variables = ["params.json", *(["../../params.json:profile"] if study else [])]
        _update(own / "dvc.yaml", json.dumps(pipeline | {"vars": variables}, indent=1) + "\n")


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

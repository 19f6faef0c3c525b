"""Prepares the folder in which a profile runs, and prints its path: `python -m lib.profile smoke`.

The profile that params.yaml itself describes runs at the top of the repository, where Git tracks its results. Any other
one runs in a shadow copy, runs/<profile>/, with its own DVC state and the shared DVC cache: it never touches what Git
tracks, and never overwrites another profile's results. `--set key=value` makes a further variation, with a shadow of
its own. `make repro` calls this by way of lib/repro.py, which also sees to it that no run is at work in the shadow.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from configobj import ConfigObj
from ruamel.yaml.error import YAMLError

from lib import config, config_tree
from lib.errors import EaselError, command_line, naming
from lib.ownership import check_outputs_are_ours

PROFILES = Path("profiles")
PRIVATE = ".dvc_site_cache/repo/.gitignore"  # keeps a folder which DVC would open to all users
COPIED = ("lib", "notebooks", "results/reference", "claims.yaml", "requirements.lock", ".dvcignore", PRIVATE)
SHADOW_DVC = {
    "core": {
        "no_scm": True,
        "analytics": False,
        "check_update": False,
        "site_cache_dir": ".dvc_site_cache",  # see .dvc/config
    },
    "cache": {"type": "reflink,hardlink,copy"},
}
# A value ends where the line does or where the next key stands; one in quotation marks ends with them.
SETTING = re.compile(
    r"""\s*(?P<setting>
        "(?P<double>[^"\s=]+=[^"]*)"(?=\s|$) | '(?P<single>[^'\s=]+=[^']*)'(?=\s|$) |
        [^\s=]+=(?: "[^"]*"(?=\s|$) | '[^']*'(?=\s|$) | .*?(?=\s+[A-Za-z_][\w.]*= | \s*$) ) |
        .+
    )""",
    re.VERBOSE | re.DOTALL,
)


def split_settings(text: str) -> list[str]:
    """SET as it was typed → settings "section.key=value".

    No character of a value is special: it may hold spaces, quotation marks, $, # or brackets. Quotation marks around a
    value, or around a whole setting, are needed only where a value itself holds " key=".
    """
    return [found["double"] or found["single"] or found["setting"] for found in SETTING.finditer(text.strip())]


def prepare(profile: str, settings: list[str]) -> Path:
    """Makes the folder in which to run `dvc repro` for `profile` with `settings` ("section.key=value") ready.

    Raises:
        EaselError: unknown profile, unknown key, wrong type of value.
    """
    folder, trees = resolve(profile, settings)
    check_outputs_are_ours(folder, profile)
    synchronise(folder, trees)
    return folder


def resolve(profile: str, settings: list[str]) -> tuple[Path, dict[str, dict]]:
    """The folder in which a profile runs, and every study's parameters; writes nothing. Raises as `prepare` does."""
    trees = config.read_trees()
    committed = dict(trees)
    default = trees[""]["profile"]
    if profile != default:
        _check_known(profile, default)
        for study, tree in trees.items():
            path = config.folder(study) / PROFILES / f"{profile}.yaml"
            if os.path.lexists(path):
                trees[study] = config_tree.overlay(tree, config_tree.read_yaml(path), str(path))
    for setting in settings:
        study = _owner(trees, setting)
        trees[study] = config_tree.overlay(trees[study], _parse(setting, trees[study]), "SET")
    for study in trees:
        params = config.build(trees, study, f"profile {profile}")
        if trees[study].get("notebooks") != committed[study].get("notebooks"):
            _check_notebooks(params, list(trees[study].get("notebooks", {})))
    for section, key in (("data", "path"), ("evaluation", "inception"), ("evaluation", "clip")):
        inner = trees[""][section]
        if inner[key]:  # a shadow runs elsewhere
            inner[key] = str(Path(inner[key]).expanduser().absolute())
    if profile == default and not settings:
        return Path("."), trees
    suffix = "-" + hashlib.sha256(" ".join(sorted(settings)).encode()).hexdigest()[:6] if settings else ""
    return Path("runs") / f"{profile}{suffix}", trees


def _check_notebooks(params: config.Params, names: list[str]) -> None:
    from lib import run  # takes seconds

    for path in (Path("notebooks") / f"{name}.ipynb" for name in names):
        if path.is_file():
            run.check(path, params)


def _check_known(profile: str, default: str) -> None:
    known = sorted(file.stem for file in PROFILES.glob("*.yaml"))
    if profile not in known:
        raise EaselError(f"unknown profile '{profile}'; there are {', '.join([default, *known])}.")


def _owner(trees: dict[str, dict], setting: str) -> str:
    """Whose file has the section of a setting; "", the one at the top, if none has."""
    section = setting.partition("=")[0].split(".")[0]
    return next((study for study, tree in trees.items() if section in tree), "")


def _parse(setting: str, tree: dict) -> dict[str, Any]:
    """One setting as an overlay for `tree`. Where that holds text, the value is text to the letter; else it is YAML."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise EaselError(f"'{setting}' is not of the form section.key=value.")
    parts = key.split(".")
    if isinstance(_value_at(tree, parts), str):
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
        value = text[1:-1] if quoted else text
    else:
        with naming(f"SET {setting}", "YAML"):
            value = config_tree.parse_yaml(text) if text else ""
    for part in reversed(parts):
        value = {part: value}
    return value


def _value_at(tree: Any, parts: list[str]) -> Any:
    for part in parts:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def synchronise(shadow: Path, trees: dict[str, dict]) -> None:
    """Copies code, notebooks and pipelines into the shadow; its outputs and its locks stay. The top stays as it is.

    DVC reads the parameters once a stage. As JSON they cost it a sixth less of a `dvc repro` that has nothing to do.
    """
    if shadow == Path("."):
        return
    for name in COPIED:
        _mirror(Path(name), shadow / name)
    for study in config.studies():
        for name in ("code", "claims.yaml"):
            _mirror(config.folder(study) / name, shadow / config.folder(study) / name)
    _mirror_import(Path("data.dvc"), shadow / "data.dvc")
    (shadow / ".dvc").mkdir(parents=True, exist_ok=True)
    settings = ConfigObj(SHADOW_DVC)  # quotes a path with # or quotation marks
    settings["cache"]["dir"] = str(Path(".dvc/cache").absolute())
    _update(shadow / ".dvc" / "config", "\n".join(settings.write()) + "\n")
    for study, tree in trees.items():
        own, file = shadow / config.folder(study), config.folder(study) / "params.json"
        (own / "params.yaml").unlink(missing_ok=True)  # DVC refuses to read both
        _update(own / "params.json", json.dumps(tree, indent=1) + "\n")
        pipeline = config_tree.read_yaml(config.folder(study) / "dvc.yaml", "stages")
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


def _mirror_import(source: Path, target: Path) -> None:
    """Copies a .dvc file, unless `target` imports the same and differs only in what it found: hashes of its own."""

    def paths(text: str) -> list:
        tree = config_tree.parse_yaml(text)
        return [[entry["path"] for entry in tree[kind]] for kind in ("deps", "outs")]

    try:
        same = paths(target.read_text(encoding="utf-8")) == paths(source.read_text(encoding="utf-8"))
    except (OSError, YAMLError, TypeError, KeyError, UnicodeDecodeError):  # not there yet, or cut
        same = False
    if not same:
        _mirror(source, target)


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

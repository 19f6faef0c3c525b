"""One file with what a run spends its hours on: `python -m lib.bundle [file]`; `make repro FROM=<file>` starts from it.

In it are the networks, codes, samples and measurements that stages leave below build/, as DVC's cache has them. Not in
it are the data, which are drawn anew in less time than they take to copy, and all that stages write for Git: figures,
tables and verdicts are made from the bundle, which shows that they follow from it.

The file is a compressed tar. Unpacked, `python -m lib.bundle --unpack <file> <folder>`, it is a DVC remote:

    MANIFEST.sha256   of every other file, as `sha256sum --check` reads it
    bundle.json       profile, commit, hash of the lock files, stages and their outputs
    locks/            the lock files that it belongs to
    files/md5/        the objects, under the names that DVC gives them

`--stages train_clip …` packs only what these leave. Git tracks such a bundle, networks/laptop.tar.gz, so that a study
can run on the networks that the committed results are from. `--place <file>` puts what a bundle holds where its stages
would have left it, for who wants to paint, not to run.

Equal content gives equal bytes. A run that starts from a bundle only puts objects into DVC's cache: DVC takes a stage's
outputs from there if its lock entry still fits code, settings and inputs, and runs the stage if not. An object's name
is the MD5 of its content, and the lock names it: so a bundle can give a stage no other outputs than its lock entry.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from contextlib import chdir, suppress
from pathlib import Path
from typing import BinaryIO

from lib import config, config_tree, dvc_state, profile
from lib.bundle_file import (
    ABOUT,
    CHUNK,
    FORMAT,
    MANIFEST,
    Content,
    check,
    compressed,
    hashes,
    listed,
    member,
    object_name,
    object_path,
    read,
    written,
)
from lib.download import ADDRESS, KNOWN, download
from lib.errors import EaselError, command_line, naming
from lib.ownership import DATA
from lib.pipeline.stage import all_names
from lib.progress import Progress

NETWORKS = Path("networks/laptop.tar.gz")  # what Git tracks
_AGAIN = "delete it there and below build/, and `make repro` makes it again"


def pack(folder: Path, name: str, target: Path, chosen: Collection[str] = ()) -> int:
    """Writes the bundle of the last run in `folder`, of profile `name`, whole or not at all. Returns its size in bytes.

    Args:
        chosen: the stages that it is to hold, <study>/<stage>@<item>, without the item all of them; all, if empty.

    Raises:
        EaselError: there was no run, or another one is at work; an output is not in DVC's cache or damaged there; the
            file cannot be written; no stage of the name leaves anything that a bundle holds.
    """
    if not (folder / "dvc.lock").is_file():
        raise EaselError(f"there is no run in {folder.absolute()} that could be packed; `make repro` makes one.")
    with dvc_state.only_run(folder):
        texts = _locks(folder)
        stages = _chosen(_expensive(texts, names(folder)), chosen)
        cache = cache_of(folder)
        objects = sorted(
            {part for outs in stages.values() for out, md5 in outs.items() for part in _there(cache, out, md5)}
        )
        small = {f"locks/{path}": text.encode() for path, text in texts.items()}
        about = {
            "format": FORMAT,
            "profile": name,
            "commit": _commit(),
            "lock": hashlib.sha256(b"".join(small[path] for path in sorted(small))).hexdigest(),
            "stages": {stage: sorted(outs) for stage, outs in sorted(stages.items())},
        }
        small = {ABOUT: (json.dumps(about, indent=1) + "\n").encode(), **dict(sorted(small.items()))}
        sums = {path: hashlib.sha256(text).hexdigest() for path, text in small.items()}
        progress = Progress("bundle", 2 * len(objects))
        for done, md5 in enumerate(objects, start=1):
            sums[object_path(md5)] = _checksum(cache, md5)
            progress.update(done)
        small = {MANIFEST: "".join(f"{digest}  {path}\n" for path, digest in sums.items()).encode(), **small}
        with written(target) as file, compressed(file) as tar:
            for path, text in small.items():
                tar.addfile(member(path, len(text)), io.BytesIO(text))
            for done, md5 in enumerate(objects, start=len(objects) + 1):
                with open(_place(cache, md5), "rb") as content:
                    tar.addfile(member(object_path(md5), os.fstat(content.fileno()).st_size), content)
                progress.update(done)
    return target.stat().st_size


def names(folder: Path) -> set[str]:
    """The stages of the pipeline in `folder`: <study>/<stage>@<item>."""
    with chdir(folder):
        return set(all_names())


def _locks(folder: Path) -> dict[str, str]:
    """The lock files of the pipeline in `folder` that there are: path below it → text."""
    paths = [(config.folder(study) / "dvc.lock").as_posix() for study in ("", *config.studies())]
    found = {}
    for path in paths:
        with naming(folder / path, "UTF-8"):
            if (folder / path).is_file():
                found[path] = (folder / path).read_text(encoding="utf-8")
    return found


def _expensive(locks: dict[str, str], current: set[str]) -> dict[str, dict[str, str]]:
    """The stages whose outputs belong into a bundle: name → output → its MD5.

    They are those that write below build/ only, but for the one that makes the data. What Git tracks is quickly made,
    and a lock file may still hold stages that there are no more.
    """
    found = {}
    for path, text in locks.items():
        study = Path(path).parent.name
        with naming(path, "YAML"):
            stages = config_tree.parse_yaml(text)["stages"]
            for name, entry in stages.items():
                full = f"{study}/{name}" if study else name
                outs = {str(out["path"]): str(out["md5"]) for out in entry.get("outs", [])}
                if full in current and outs and all(out.startswith("build/") and Path(out) not in DATA for out in outs):
                    found[full] = outs
    return found


def _chosen(stages: dict[str, dict[str, str]], chosen: Collection[str]) -> dict[str, dict[str, str]]:
    """Those of the stages that were asked for."""
    kept = {name: outs for name, outs in stages.items() if not chosen or {name, name.partition("@")[0]} & set(chosen)}
    known = {part for name in stages for part in (name, name.partition("@")[0])}
    if unknown := sorted(set(chosen) - known):
        raise EaselError(f"a bundle has nothing of stage {unknown[0]}; it can have {', '.join(sorted(stages))}.")
    return kept


def cache_of(folder: Path) -> Path:
    """Where DVC keeps the objects of the pipeline in `folder`."""
    from dvc.config import Config  # takes a second
    from dvc.exceptions import DvcException

    place = (folder / ".dvc").absolute()
    try:
        cache = Config(dvc_dir=str(place))["cache"].get("dir")
    except DvcException as error:
        raise EaselError(f"DVC's settings in {place} cannot be read: {error}.") from error
    return Path(cache or place / "cache") / "files" / "md5"


def _place(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def _there(cache: Path, out: str, md5: str) -> list[str]:
    """The objects of an output, all of which are in the cache."""
    try:
        parts = [md5]
        if md5.endswith(".dir"):
            parts += listed(_place(cache, md5).read_bytes())
        missing = [part for part in parts if not _place(cache, part).is_file()]
    except FileNotFoundError:
        missing = [md5]
    except ValueError as error:
        raise EaselError(f"{_place(cache, md5)}, the list of {out}, is damaged ({error}); {_AGAIN}.") from error
    if missing:
        raise EaselError(f"{out} is not in DVC's cache ({_place(cache, missing[0])}); {_AGAIN}.")
    return parts


def _checksum(cache: Path, md5: str) -> str:
    """The SHA-256 of an object in the cache, whose content is what its name says."""
    place = _place(cache, md5)
    with naming(place), open(place, "rb") as file:
        sha256, found = hashes(file)
    if found != md5.removesuffix(".dir"):
        raise EaselError(f"{place} in DVC's cache is damaged; {_AGAIN}.")
    return sha256


def _commit() -> str | None:
    """The commit that Git is at, if there is Git."""
    with suppress(OSError):
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
        return answer.stdout.strip() if answer.returncode == 0 else None
    return None


def check_source(source: str) -> None:
    """Looks at what FROM says, before anything is done: "" for none.

    Raises:
        EaselError: no such file, or an address of another kind than http.
    """
    if address := ADDRESS.match(source):
        if address[1].lower() not in KNOWN:
            raise EaselError(f"FROM={source} is an address of kind {address[1]}; a file, http and https are known.")
    elif source and not Path(source).expanduser().is_file():
        raise EaselError(f"FROM={source} is no file; name a bundle that `make bundle` has written, or its address.")


def start_from(source: str, folder: Path) -> str:
    """Puts what a bundle, a file or an address, has for the pipeline in `folder` into DVC's cache. Returns a sentence.

    Where a lock file has no entry for a stage, as in a profile that never ran here, the bundle's comes in.

    Raises:
        EaselError: as `check_source`, `download` and `check`; the bundle has nothing for this pipeline.
    """
    check_source(source)
    if not ADDRESS.match(source):
        return _install(Path(source).expanduser(), folder)
    with tempfile.TemporaryDirectory(dir=folder / dvc_state.TEMPORARY) as place:
        file = Path(place, "bundle")
        download(source, file)
        return _install(file, folder)


def _install(file: Path, folder: Path) -> str:
    content = check(file)
    current, texts = names(folder), _locks(folder)
    added = {path: _completed(texts.get(path, ""), path, content, current) for path in sorted(content.locks)}
    stages = _expensive(texts | added, current)
    covered = {name: outs for name, outs in stages.items() if all(content.holds(md5) for md5 in outs.values())}
    if not covered:
        raise EaselError(
            f"{file} has nothing for this pipeline: its networks belong to other code, settings or data. Take the"
            " bundle of this commit, or leave FROM out."
        )
    wanted = {part for outs in covered.values() for md5 in outs.values() for part in content.parts(md5)}
    cache = cache_of(folder)
    with naming(cache):
        _copy(file, lambda path: _place(cache, object_name(path)) if object_name(path) in wanted else None)
    for path, text in added.items():
        if text != texts.get(path, ""):
            with written(folder / path) as target:
                target.write(text.encode())
    return f"the bundle covers {len(covered)} of {len(stages)} stages; one that has changed since runs all the same"


def place(file: Path, folder: Path) -> list[str]:
    """Puts what a bundle holds where the stages of the pipeline in `folder` would have left it. Returns these outputs.

    What is there already stays as it is.

    Raises:
        EaselError: as `start_from`.
    """
    from dvc.repo import Repo  # takes a second

    content = check(file)
    with dvc_state.only_run(folder):
        _install(file, folder)
        stages = _expensive(_locks(folder), names(folder))
        held = sorted(out for outs in stages.values() for out, md5 in outs.items() if content.holds(md5))
        outs = [out for out in held if not os.path.lexists(folder / out)]
        if outs:
            with Repo(str(folder)) as run:
                run.checkout([str(folder.absolute() / out) for out in outs])
    return outs


def _completed(text: str, path: str, content: Content, current: set[str]) -> str:
    """A lock file with the entries of the bundle's that it lacks, of stages that the bundle has all outputs of."""
    theirs = dvc_state.entries(content.locks[path])
    held = _expensive({path: content.locks[path]}, current)
    study = Path(path).parent.name
    full = {name: f"{study}/{name}" if study else name for name in theirs}
    new = {
        name: lines
        for name, lines in theirs.items()
        if name not in dvc_state.entries(text) and all(map(content.holds, held.get(full[name], {"": ""}).values()))
    }
    completed = (text or dvc_state.HEADER) + "".join(new.values())
    return completed if new and dvc_state.is_whole(completed) else text


def _copy(file: Path, place_of: Callable[[str], Path | None]) -> None:
    """Copies members of a bundle that was checked to where `place_of` says, each whole or not at all."""

    def visit(path: str, content: BinaryIO) -> None:
        place = place_of(path)
        if place is None or _is_sound(place, path):
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with written(place) as target:
            shutil.copyfileobj(content, target, CHUNK)
            if object_name(path):
                os.fchmod(target.fileno(), 0o444)  # as DVC protects its objects, which build/ may share

    read(file, visit)


def _is_sound(place: Path, path: str) -> bool:
    """Whether an object is there already, with the content of its name."""
    if not object_name(path) or not place.is_file():
        return False
    with open(place, "rb") as file:
        return hashes(file)[1] == object_name(path).removesuffix(".dir")


def unpack(file: Path, folder: Path) -> None:
    """Makes `folder` a DVC remote with all that a bundle holds.

    Raises:
        EaselError: as `check`; the folder is there already.
    """
    if os.path.lexists(folder):
        raise EaselError(f"{folder} is there already; name a folder that is not.")
    check(file)
    new = folder.with_name(f".{folder.name}.new")
    with naming(folder):
        shutil.rmtree(new, ignore_errors=True)
        try:
            _copy(file, lambda path: new / path)
            new.replace(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)


@command_line
def main(arguments: list[str]) -> None:
    """Command line: packs the run of the profile in EASEL_PROFILE and EASEL_SET, or unpacks, or places."""
    parser = argparse.ArgumentParser(prog="python -m lib.bundle", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="the bundle; easel-<profile>.tar.gz if none is named")
    parser.add_argument("folder", nargs="?", help="with --unpack: a folder that is not there yet")
    parser.add_argument("--stages", nargs="+", default=[], help="pack what these leave, not what all do")
    parser.add_argument("--unpack", action="store_true", help="make a bundle's content a DVC remote, a folder")
    parser.add_argument("--place", action="store_true", help="put a bundle's content where stages would have left it")
    options = parser.parse_args(arguments)
    if options.unpack != bool(options.folder) or options.unpack + options.place + bool(options.stages) > 1:
        raise EaselError("name a file to pack into; --unpack takes a file and a folder, --place a file.")
    if options.place:
        file = Path(options.file or NETWORKS)
        print(f"placed: {', '.join(place(file, Path('.'))) or 'nothing that was not there'}")
        return
    if options.unpack:
        unpack(Path(options.file), Path(options.folder))
        print(f"{options.folder} is a DVC remote: dvc remote add --local --default bundle '{options.folder}'")
        return
    name = os.environ.get("EASEL_PROFILE") or config_tree.read_yaml("params.yaml", "profile")["profile"]
    folder, _ = profile.resolve(name, profile.split_settings(os.environ.get("EASEL_SET", "")))
    target = Path(options.file or f"easel-{name if folder == Path('.') else folder.name}.tar.gz")
    size = pack(folder, name, target, options.stages)
    with open(target, "rb") as file:
        print(f"{target}: {size / 1e6:.1f} MB, SHA-256 {hashes(file)[0]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

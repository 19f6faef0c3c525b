"""Creates, checks and keeps the environment: `python3 -m lib.environment` (`make` calls it).

uv installs in a fifth of pip's time; pip takes over if uv cannot. Either way the versions are those of
requirements.lock, and a wheel folder or an index that pip is configured for is used.

An environment is built in a folder of its own, .venvs/<hash of the lock>, and .venv becomes a link to it when it has
passed its check: one that works stays until its successor does. Standard library only, and nothing that an old Python
cannot import: that is how it comes to say which Python it needs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from contextlib import suppress
from pathlib import Path

VENV, STORE = Path(".venv"), Path(".venvs")
PYTHON = VENV / "bin" / "python"
MARKER = "ready"  # in an environment: for which lock and in which place it passed its check
LOCK = "requirements.lock"
LOCK_HEADER = "# Exact versions of everything Easel needs; made by 'make lock', read by 'make' and by environment.yml."
UV = "uv==0.13.9"
# best-match: like pip, take a version from whichever index has it.
UV_INSTALL = ("pip", "install", "--quiet", "--index-strategy", "unsafe-best-match", "-r")
# pip's settings and what uv calls them: uv does not read pip's configuration.
SETTINGS = {"find-links": "UV_FIND_LINKS", "index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX"}
CHECK = """
import sys
import jax, numpy, torch
from jupyter_client.kernelspec import KernelSpecManager
print(torch.__version__, torch.version.cuda or "cpu", jax.__version__)
assert KernelSpecManager().get_kernel_spec("python3").resource_dir.startswith(sys.prefix), "kernel"
"""
# The first package of the lock that an environment lacks or has in another version, as a sentence's end.
COMPARE = """
import sys
from importlib.metadata import PackageNotFoundError, version
for line in open(sys.argv[1], encoding="utf-8"):
    name, _, wanted = line.split("#")[0].strip().partition("==")
    try:
        found = version(name) if name else ""
    except PackageNotFoundError:
        sys.exit(f"{name} is missing")
    if found.split("+")[0] != wanted:
        sys.exit(f"{name} is {found}, not {wanted}")
"""


def main() -> int:
    """Makes .venv an environment that holds the lock's versions, if it is not one already. Returns the exit status."""
    if _is_marked():
        return 0
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found = ".".join(map(str, sys.version_info[:2]))
        return _fail(f"Easel needs Python 3.11, 3.12 or 3.13; `python3` here is {found}. Try `make PYTHON=python3.12`.")
    try:
        STORE.mkdir(exist_ok=True)
        with open(STORE / "lock", "w", encoding="utf-8") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # a second `make` waits, and finds what the first has built
            return 0 if _is_marked() else _provide()
    except OSError as error:
        return _fail(f"no environment could be made in {Path.cwd()}: {error}. .venv is as it was.")


def _provide() -> int:
    difference = _difference()
    if not difference:
        _mark(VENV)
        return 0
    if VENV.is_symlink() and STORE.resolve() not in VENV.resolve().parents:
        return _fail(
            f"{VENV} is a link to {os.readlink(VENV)}, where {difference}; {LOCK} asks for other versions. Install"
            f" them there, or remove the link: the same command then builds an environment here."
        )
    new = STORE / _lock_hash()[:12]
    if new.resolve() == VENV.resolve():  # one for this lock that was changed since: beside it, as always
        new = new.with_name(f"{new.name}-again")
    print(f"creating {VENV} from {LOCK} (about 2 GB; needs a package registry)", flush=True)
    venv.create(new, with_pip=True, clear=True)
    if not _install(new):
        return _fail(
            "the packages could not be installed; the lines above say why. Is a package registry in reach?"
            + (f" {VENV} is as it was." if os.path.lexists(VENV) else "")
        )
    status = check(new)
    if status == 0:
        _mark(new)
        _swap(new)
    return status


def _swap(new: Path) -> None:
    """Makes .venv a link to `new`. The environment before it stays, for whatever still runs in it; older ones go."""
    before = VENV.resolve()
    if os.path.lexists(VENV) and not VENV.is_symlink():
        before = STORE.resolve() / "before"
        if before.exists():
            shutil.rmtree(before)
        VENV.rename(before)
    link = Path(f"{VENV}.new")
    if os.path.lexists(link):
        link.unlink()
    link.symlink_to(new)
    link.replace(VENV)
    for old in STORE.resolve().iterdir():
        if old.is_dir() and old not in (new.resolve(), before):
            shutil.rmtree(old)


def _is_marked() -> bool:
    """Whether .venv has passed its check for this lock in this place: scripts in it name the place."""
    marker = VENV / MARKER
    try:
        return PYTHON.exists() and marker.read_text(encoding="utf-8") == _mark_of(VENV)
    except OSError:
        return False


def _mark(environment: Path) -> None:
    with suppress(OSError):  # somebody else's environment may be compared anew each time
        (environment / MARKER).write_text(_mark_of(environment), encoding="utf-8")


def _mark_of(environment: Path) -> str:
    return f"{_lock_hash()} {environment.resolve()}\n"


def _lock_hash() -> str:
    return hashlib.sha256(Path(LOCK).read_bytes()).hexdigest()


def _difference() -> str:
    """What .venv differs in from the lock, "" if in nothing."""
    if not PYTHON.exists():
        return "is no Python"
    try:
        start = (VENV / "bin" / "pip").read_bytes()[:1000]
    except OSError:
        start = b""
    if not any(os.fsencode(str(place / "bin")) in start for place in (VENV.resolve(), VENV.absolute())):
        return "programs name another place"
    answer = subprocess.run([PYTHON, "-c", COMPARE, LOCK], stderr=subprocess.PIPE, text=True)
    return (answer.stderr.strip().splitlines() or ["is no working Python"])[-1] if answer.returncode else ""


def check(environment: Path = VENV) -> int:
    """Checks that an environment imports, and that its torch and its notebook kernel are the right ones."""
    variables = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    python = environment / "bin" / "python"
    answer = subprocess.run([python, "-c", CHECK], capture_output=True, text=True, env=variables)
    if answer.returncode:
        reason = (answer.stderr.strip().splitlines() or [f"it ended with status {answer.returncode}"])[-1]
        return _fail(f"the environment does not work: {reason}. Delete {environment} and run the same command again.")
    torch_version, cuda, jax_version = answer.stdout.split()
    print(f"environment: torch {torch_version} ({cuda}), jax {jax_version}, kernel python3 = {PYTHON}")
    if cuda != "cpu" and not Path("/dev/nvidia0").exists():
        print(
            "note: this is torch's CUDA build, and there is no GPU here. It works, but takes 3 GB more than the CPU"
            " build; to get that one, name an index or a folder that has it in PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL,"
            f" delete {VENV} and run the same command again."
        )
    return 0


def lock() -> int:
    """Chooses versions anew from pyproject.toml, for the oldest Python that is supported. Returns the exit status."""
    command = [VENV / "bin" / "uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--no-annotate"]
    answer = subprocess.run(
        [str(part) for part in [*command, "--no-header", "--upgrade", "pyproject.toml"]],
        env={**os.environ, **_uv_settings()},
        stdout=subprocess.PIPE,
        text=True,
    )
    if answer.returncode:
        return _fail("no set of versions fits pyproject.toml; the lines above say why.")
    # A local version such as 2.13.0+cpu is on no registry; the plain one takes whichever build is in reach.
    lines = [line.split("+")[0] for line in answer.stdout.splitlines()]
    Path(LOCK).write_text("\n".join([LOCK_HEADER, *lines]) + "\n")
    return 0


def _install(environment: Path) -> bool:
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    variables = {**os.environ, "VIRTUAL_ENV": str(environment.absolute()), **_uv_settings(python)}
    if _succeeds([*pip, "install", UV]):
        if _succeeds([environment / "bin" / "uv", *UV_INSTALL, LOCK], variables):
            return True
        print("uv could not install the lock; trying pip", flush=True)
    return _succeeds([*pip, "install", "-r", LOCK])


def _uv_settings(python: Path = PYTHON) -> "dict[str, str]":
    """What pip is told through its configuration files and variables, in uv's words; the user's own uv settings win."""
    answer = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True)
    found = {}
    for line in answer.stdout.splitlines():
        key, _, value = line.partition("=")
        name = SETTINGS.get(key.split(".")[-1])
        if name and name not in os.environ:
            found[name] = value.strip("'\"").replace("\\n", " ").strip()
    return found


def _succeeds(command: list, variables: "dict[str, str] | None" = None) -> bool:
    return subprocess.run([str(part) for part in command], env=variables).returncode == 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit({(): main, ("--check",): check, ("--lock",): lock}[tuple(sys.argv[1:])]())

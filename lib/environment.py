"""Creates and checks the environment: `python3 -m lib.environment` (standard library only; `make` calls it).

uv installs in a fifth of pip's time; pip takes over if uv cannot. Either way the versions are those of
requirements.lock, and a wheel folder or an index that pip is configured for is used.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
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


def main() -> int:
    """Creates .venv from the lock and checks it. Returns the exit status."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found = ".".join(map(str, sys.version_info[:2]))
        return _fail(f"Easel needs Python 3.11, 3.12 or 3.13; `python3` here is {found}. Try `make PYTHON=python3.12`.")
    print(f"creating {VENV} from {LOCK} (about 2 GB; needs a package registry)", flush=True)
    venv.create(VENV, with_pip=True, clear=True)
    if not _install():
        return _fail("the packages could not be installed; the lines above say why. Is a package registry in reach?")
    return check()


def check() -> int:
    """Checks that the environment imports, and that its torch and its notebook kernel are the right ones."""
    environment = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    answer = subprocess.run([PYTHON, "-c", CHECK], capture_output=True, text=True, env=environment)
    if answer.returncode:
        reason = answer.stderr.strip().splitlines()[-1]
        return _fail(f"the new environment does not work: {reason}. Delete {VENV} and run the same command again.")
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


def _install() -> bool:
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV.absolute()), **_uv_settings()}
    if _succeeds([*pip, "install", UV]):
        if _succeeds([VENV / "bin" / "uv", *UV_INSTALL, LOCK], environment):
            return True
        print("uv could not install the lock; trying pip", flush=True)
    return _succeeds([*pip, "install", "-r", LOCK])


def _uv_settings() -> dict[str, str]:
    """What pip is told through its configuration files and variables, in uv's words; the user's own uv settings win."""
    answer = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True)
    found = {}
    for line in answer.stdout.splitlines():
        key, _, value = line.partition("=")
        name = SETTINGS.get(key.split(".")[-1])
        if name and name not in os.environ:
            found[name] = value.strip("'\"").replace("\\n", " ").strip()
    return found


def _succeeds(command: list, environment: dict[str, str] | None = None) -> bool:
    return subprocess.run([str(part) for part in command], env=environment).returncode == 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit({(): main, ("--check",): check, ("--lock",): lock}[tuple(sys.argv[1:])]())

"""What the README tells a reader to type, typed in a clone: its quick commands, and all that it draws with.

The text is the README's own. A command that it adds to its table has to be placed below.
"""

import re
import textwrap

import pytest

from tests.end_to_end.commands import REPOSITORY, call

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\| `(make [^`]+)` \|", README, re.MULTILINE)
HERE = {"make networks", "make doctor", "make pages"}
# The others → where they, or what they start, are tested.
ELSEWHERE = {
    "make repro PROFILE=smoke": "tests/end_to_end/test_smoke.py",
    "make repro": "tests/test_repro.py",  # hours; results/benchmarks/ has the log of a run
    "make repro STUDY=glu": "tests/test_repro.py",
    "make bundle": "tests/test_bundle.py",
    "make repro FROM=easel-laptop.tar.gz": "tests/test_bundle.py",
    "make demo": "tests/demo/test_demo.py",
    "make check": "tests/test_check.py",
    "make figures": "tests/end_to_end/test_reader.py",
    "make test": "tests/end_to_end/test_readme_commands.py",
}
(DRAW,) = re.findall(r"^## Draw\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
SNIPPETS = [textwrap.dedent(block).strip() for block in re.findall(r"(?:^    .*\n)+", DRAW, re.MULTILINE)]
(ACTIVATE,) = re.findall(r"`(source \S+)`", DRAW)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with the networks that Git tracks."""
    folder = tmp_path_factory.mktemp("reader") / "clone"
    call("git", "clone", "--quiet", str(REPOSITORY), str(folder), cwd=REPOSITORY)
    (folder / ".venv").symlink_to((REPOSITORY / ".venv").resolve())  # with this environment
    call("make", "networks", cwd=folder)
    return folder


def test_every_command_of_the_table_is_run_by_some_test():
    assert HERE | set(ELSEWHERE) == set(COMMANDS)
    for name in ELSEWHERE.values():
        assert (REPOSITORY / name).is_file(), name


def test_the_doctor_speaks(clone):
    assert "cores" in call("make", "doctor", cwd=clone).stdout


def test_the_site_lands_in_one_folder(clone, tmp_path):
    """`.ci/pages` is `make pages`, with a comparison of what Git tracks."""
    assert ".ci/pages FOLDER" in README
    call(".ci/pages", str(tmp_path / "site"), cwd=clone)
    assert {"index.html", ".nojekyll", "_static", "claims"} <= {path.name for path in (tmp_path / "site").iterdir()}


def test_the_snippets_are_one_in_python_and_one_in_the_shell():
    kinds = [all(line.startswith("python -m ") for line in block.splitlines()) for block in SNIPPETS]
    assert kinds == [False, True]


def test_python_draws_and_edits_as_it_says(clone):
    typed = f"{ACTIVATE}\npython - <<'END'\n{SNIPPETS[0]}\nprint(picture.shape, picture.dtype)\nEND"
    assert "(64, 64, 3) uint8" in call("bash", "-ec", typed, cwd=clone).stdout


def test_the_command_line_draws_and_edits_as_it_says(clone):
    call("bash", "-ec", f"{ACTIVATE}\n{SNIPPETS[1]}", cwd=clone)
    written = re.findall(r"--out (\S+)", SNIPPETS[1])
    assert len(written) == 2
    for name in written:
        assert (clone / name).read_bytes().startswith(b"\x89PNG"), name
        (clone / name).unlink()  # so that the clone stays as Git has it

"""What a user can put right ends in one sentence; any other error keeps its traceback."""

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.config_tree import parse_yaml, read_yaml
from lib.errors import REMEDIES, EaselError, command_line, explained, naming, shortened

REPOSITORY = Path(__file__).parent.parent


def told(error, capsys, arguments=()):
    """Status and standard error of a command line in which `error` is raised."""

    @command_line
    def main(_):
        raise error

    status = main(list(arguments))
    return status, capsys.readouterr().err


@pytest.mark.parametrize("number", [*REMEDIES, errno.EIO, errno.EMFILE, errno.ELOOP])
@pytest.mark.parametrize("names", [(), ("a/b.txt",), (b"a/\xff.txt",), ("a", None, "b")])
def test_errors_of_the_system_are_told_with_their_file(number, names, capsys):
    status, said = told(OSError(number, os.strerror(number), *names), capsys)
    assert status == 2 and said.startswith("error: ") and said.count("\n") == 1
    assert os.strerror(number) in said
    for name in filter(None, names):
        assert os.fsdecode(name).encode("utf-8", "backslashreplace").decode() in said
    if number in REMEDIES:
        assert REMEDIES[number] in said


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (EaselError("no."), 2, "error: no."),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError("Unable to allocate 3 TiB"), 2, "memory ran out.*3 TiB"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"), 2, "memory ran out"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 2, "memory ran out"),
    ],
)
def test_other_errors_of_users(error, status, says, capsys):
    found, said = told(error, capsys)
    assert found == status and said.startswith("error: ") and said.count("\n") == 1
    assert re.search(says, said)


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("x"), KeyError("x"), TypeError("x"), RuntimeError("x"), AssertionError(), RecursionError("x")),
        *(IndexError("x"), ZeroDivisionError("x"), OSError("no number"), UnicodeDecodeError("utf-8", b"x", 0, 1, "x")),
    ],
)
def test_errors_of_ours_keep_their_traceback(error, capsys):
    assert explained(error) is None
    with pytest.raises(type(error)):
        told(error, capsys)


def test_a_commands_own_status_is_kept():
    assert [command_line(lambda _, status=status: status)([]) for status in (None, 0, 1, 3)] == [0, 0, 1, 3]


CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore")),
    st.text("[]{}:,-&*!|>'\"%@`?# \n\ta1.", max_size=40).map(str.encode),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(deadline=None)
@given(CONTENTS, st.sampled_from(["params.yaml", "params.json"]))
def test_any_content_of_a_settings_file_is_a_mapping_or_named(tmp_path_factory, content, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    try:
        assert isinstance(read_yaml(path), dict)
    except EaselError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5_000, "- " * 5_000])
@pytest.mark.parametrize("as_json", [False, True])
def test_nesting_without_end_is_told(text, as_json):
    with pytest.raises(EaselError, match=r"^it is not valid YAML: "), naming("it", "YAML"):
        parse_yaml(text, as_json)


def test_keys_that_are_needed_are_asked_for(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("b: 1\n")
    assert read_yaml(path, "b") == {"b": 1}
    with pytest.raises(EaselError, match=r"a\.yaml: missing c, d"):
        read_yaml(path, "b", "c", "d")


def test_naming_leaves_errors_that_are_none_of_its_files(tmp_path):
    with pytest.raises(KeyError), naming("f"):
        raise KeyError
    with pytest.raises(MemoryError), naming("f", "YAML"):
        raise MemoryError
    with pytest.raises(EaselError, match=r"^own$"), naming("f", "YAML"):
        raise EaselError("own")
    with pytest.raises(EaselError, match=r"^f: No space left"), naming("f"), open("/dev/full", "w") as full:
        full.write("x")
        full.flush()


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_shortened_text_is_one_line_of_its_length(text, letters):
    assert len(shortened(text, letters)) <= letters and "\n" not in shortened(text, letters)


PROGRAM = """
import sys
from lib.errors import command_line
@command_line
def main(arguments):
    print("红色的星形 é \\udce9 " * 3)
    {}
sys.exit(main([]))
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
@pytest.mark.parametrize(("then", "status"), [("return", 0), ("raise OSError(28, '红', 'é')", 2)])
def test_any_terminal_can_show_any_text(encoding, then, status):
    answer = python(PROGRAM.format(then), PYTHONIOENCODING=encoding, LC_ALL="C")
    assert answer.returncode == status and b"Traceback" not in answer.stderr and b"\\udce9" in answer.stdout


def test_an_output_that_cannot_be_written_is_told():
    with open("/dev/full", "wb") as full:
        answer = python(PROGRAM.format("return"), stdout=full)
    assert answer.returncode == 2
    assert (
        answer.stderr.startswith(b"error: ") and b"No space left" in answer.stderr and answer.stderr.count(b"\n") == 1
    )
    reading, writing = os.pipe()
    os.close(reading)
    answer = python(PROGRAM.format("return"), stdout=writing)
    os.close(writing)
    assert answer.returncode == 2 and b"Broken pipe" in answer.stderr and answer.stderr.count(b"\n") == 1


def python(program, stdout=subprocess.PIPE, **environment):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.run([sys.executable, "-c", program], stdout=stdout, stderr=subprocess.PIPE, env=environment)


def test_a_closed_output_does_not_matter(monkeypatch):
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stdout", stream)
        assert command_line(lambda _: print("x"))([]) == 0


def test_devices_that_are_not_there_are_told():
    program = "import jax; from lib.errors import command_line; exit(command_line(lambda _: jax.devices() and 0)([]))"
    for named in ("cuda", "nonsense"):
        answer = python(program, JAX_PLATFORMS=named)
        assert answer.returncode == 2 and answer.stderr.count(b"\n") == 1
        assert answer.stderr.startswith(f"error: JAX cannot use the devices of JAX_PLATFORMS='{named}'".encode())

"""Every command line in broken surroundings: one sentence that names the file, status 2, no traceback."""

import importlib
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from lib import environment
from lib.evidence import provenance
from lib.painter.worker import MODEL
from lib.text import TextTokenizer

REPOSITORY = Path(__file__).parent.parent
NOTEBOOK, FIGURE = "notebooks/n.ipynb", "figs/a.png"
TOKENIZER, CLAIMS = "text/tokenizer.json", "results/laptop/verdicts/claims.json"
TAKEN_OVER = "build/parts/taken_over.jsonl"

# Module, arguments, and the files that it cannot do without.
SETTINGS, PIPELINE = "params.yaml", "dvc.yaml"
COMMANDS = [
    ("lib.profile", ["smoke"], [SETTINGS, "profiles/smoke.yaml", PIPELINE]),
    ("lib.pipeline.__main__", ["train_text"], [PIPELINE, SETTINGS]),
    ("lib.pipeline.pin", [], [SETTINGS]),
    ("lib.pipeline.summary", [], [SETTINGS]),
    ("lib.pipeline.take_over", [], [TAKEN_OVER]),
    ("lib.doctor", [], [SETTINGS]),
    ("pages.__main__", [], [SETTINGS]),
    ("lib.run", [NOTEBOOK], [SETTINGS, NOTEBOOK]),
    ("studies.dalle_mini.code.benchmark", [], [SETTINGS]),
    ("lib.evidence.provenance", [FIGURE], ["dvc.lock"]),
]
# Those that this repository writes itself: only damage is looked for, not other content of the same format.
WRITTEN = [
    ("lib.pipeline.summary", [], CLAIMS),
    ("lib.doctor", [], "results/runtimes.csv"),
    ("lib.generate", ["a red star", "--folder", "."], TOKENIZER),
    ("lib.generate", ["a red star", "--folder", "."], f"{MODEL}/metrics.json"),
]
DAMAGE = {
    "empty": b"",
    "cut": b'{"cells": [{"a": "b',
    "conflict": b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> b\n",
    "Latin-1": "a: é\n".encode("latin-1"),
    "UTF-16": "a: é\n".encode("utf-16"),
    "binary": bytes(range(256)),
    "nested": b"[" * 800,
}
CONTENTS = {**DAMAGE, "a list": b"[1, 2]", "a number": b"3", "a word": b"word", "of other keys": b'{"nobody": 1}'}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A repository in which every command finds what it reads first."""
    top = tmp_path_factory.mktemp("repository")
    for name in (SETTINGS, PIPELINE, "data.dvc", "claims.yaml", "requirements.lock", "results/runtimes.csv", CLAIMS):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, top / name)
    for name in ("profiles", "studies"):
        shutil.copytree(REPOSITORY / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
    networks = (f"{MODEL}/model.safetensors", "clip/model.safetensors")
    for name in ("dvc.lock", NOTEBOOK, TAKEN_OVER, f"{MODEL}/metrics.json", *networks):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("{}")
    TextTokenizer.train(["a red star"] * 2, 400).save(top / TOKENIZER)
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell('profile = ""', metadata={"tags": ["parameters"]})]
    nbformat.write(notebook, top / NOTEBOOK)
    (top / FIGURE).parent.mkdir()
    (top / FIGURE).write_bytes(b"")
    before = Path.cwd()
    os.chdir(top)
    provenance.write("figs/a.json", [FIGURE], stage="s", sources=[NOTEBOOK])
    os.chdir(before)
    return top


@pytest.fixture
def repository(sound, tmp_path, monkeypatch):
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "check", lambda: 0)
    monkeypatch.setattr(environment, "PYTHON", REPOSITORY / SETTINGS)  # some file
    for module in ("lib.run", "lib.pipeline.__main__", "studies.dalle_mini.code.benchmark"):
        monkeypatch.setattr(importlib.import_module(module), "use_cores", lambda count: None)
    monkeypatch.setattr("lib.models.clip.load", lambda folder: None)


def refused(module, arguments, file, capsys):
    """Runs it, and asserts that it ends in one sentence about the file."""
    status = importlib.import_module(module).main(arguments)
    said = capsys.readouterr().err
    assert status == 2, said
    assert re.fullmatch(r"error: [^\n]+\n", said), said
    assert file in said


# All contents for the first command, some for the others, which read in the same way.
CASES = [
    (module, arguments, file, content)
    for module, arguments, files in COMMANDS
    for file in files
    for content in (CONTENTS if module == "lib.profile" else ("Latin-1", "a list"))
]


@pytest.mark.parametrize(("module", "arguments", "file", "content"), CASES)
def test_a_file_of_other_content_is_named(repository, module, arguments, file, content, capsys):
    Path(file).write_bytes(CONTENTS[content])
    refused(module, arguments, file, capsys)


@pytest.mark.parametrize(("module", "arguments", "file"), WRITTEN)
@pytest.mark.parametrize("content", ["empty", "cut", "Latin-1", "binary"])
def test_a_damaged_result_is_named(repository, module, arguments, file, content, capsys):
    Path(file).write_bytes(DAMAGE[content])
    refused(module, arguments, file, capsys)


FILES = [(module, arguments, file) for module, arguments, files in COMMANDS for file in files] + WRITTEN
STATES = [
    (*case, state)
    for case in FILES
    if case[2] not in ("dvc.lock", "results/runtimes.csv")  # which may be absent
    for state in (
        ("a folder", "unreadable", "a loop", "absent") if case[0] == "lib.profile" else ("a folder", "unreadable")
    )
]


@pytest.mark.parametrize(("module", "arguments", "file", "state"), STATES)
def test_a_file_that_cannot_be_read_is_named(repository, module, arguments, file, state, capsys, monkeypatch):
    if state == "unreadable":  # also for the superuser, whom no permissions stop
        read_text = Path.read_text

        def refuse(path, *options, **more):
            if str(path) == file:
                raise PermissionError(13, "Permission denied", str(path))
            return read_text(path, *options, **more)

        monkeypatch.setattr(Path, "read_text", refuse)
    else:
        Path(file).unlink()
        if state == "a folder":
            Path(file).mkdir()
        elif state == "a loop":
            Path(file).symlink_to(Path(file).name)
    # A profile that is no file is not known; it is asked for by its name.
    refused(module, arguments, Path(file).stem, capsys)

"""The screen of `make doctor`, on machines that lack something."""

from pathlib import Path

import pytest

from lib import doctor, environment

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(environment, "check", lambda: 0)


def test_it_says_what_runs_and_what_a_run_ignores(monkeypatch, capsys):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    assert doctor.main([]) == 0
    printed = capsys.readouterr().out
    assert "profile      laptop is the default" in printed and "JAX_ENABLE_X64" in printed


def test_a_broken_environment_is_its_status(monkeypatch):
    monkeypatch.setattr(environment, "check", lambda: 1)
    with pytest.raises(SystemExit, match="1"):
        doctor.main([])


@pytest.mark.parametrize("text", ["a: [\n", "profile: 3\n"])
def test_broken_parameters_are_a_sentence(monkeypatch, capsys, tmp_path, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(text)
    assert doctor.main([]) == 2
    assert capsys.readouterr().err.startswith("error: params.yaml")

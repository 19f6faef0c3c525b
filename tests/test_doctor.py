"""One screen, whatever is broken: what cannot be said is told in a sentence."""

import json
import shutil
from pathlib import Path

import pytest

from lib import doctor, environment

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "PYTHON", tmp_path / "params.yaml")  # some file
    monkeypatch.setattr(environment, "check", lambda: print("environment: sound") or 0)


def here(**given):
    return {"cpu": "a", "cores": 2, "memory_gb": 8.0, "bf16": True, "gpu": None, **given}


def test_it_fits_one_screen_and_says_what_follows(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "machine", lambda: here(bf16=False))
    assert doctor.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 120
    (slow,) = [line for line in lines if line.startswith("fast bf16")]
    assert "fp32" in slow and "twice as long" in slow and "numbers differ" in slow
    (smoke,) = [line for line in lines if line.startswith("smoke")]
    assert f"{doctor.SMOKE_MINUTES} minutes" in smoke
    monkeypatch.setattr(doctor, "machine", here)
    doctor.main([])
    assert "fp32" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("free", "stands", "enough"), [(7, False, True), (5, False, False), (5, True, True), (3, True, False)]
)
def test_disk_that_the_readme_names(free, stands, enough, capsys, monkeypatch):
    assert f"{doctor.ENVIRONMENT_GB + doctor.PROFILE_GB} GB of disk" in (REPOSITORY / "README.md").read_text()
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9e9, 0, free * 1e9))
    if not stands:
        monkeypatch.setattr(environment, "PYTHON", Path("absent"))
    doctor.main([])
    assert ("disk         runs here" in capsys.readouterr().out) is enough


def test_what_needs_no_environment_is_said_without_one(capsys, monkeypatch):
    monkeypatch.setattr(environment, "PYTHON", Path("absent"))
    assert doctor.main([]) == 2
    printed = capsys.readouterr()
    assert "machine" in printed.out and "disk" in printed.out and "there is no environment here" in printed.err


def test_a_broken_environment_ends_the_screen_with_its_status(capsys, monkeypatch):
    monkeypatch.setattr(environment, "check", lambda: 1)
    assert doctor.main([]) == 1
    printed = capsys.readouterr()
    assert "disk" in printed.out and "profile " not in printed.out and not printed.err


def test_variables_that_a_run_ignores_are_named(monkeypatch, capsys):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    assert doctor.main([]) == 0
    assert "JAX_ENABLE_X64" in capsys.readouterr().out


def test_memory_of_the_pinned_run_is_compared_with_what_is_free(monkeypatch):
    Path("results").mkdir()
    Path("results/runtimes.csv").write_text("stage,time (min),peak memory (GB),disk (MB)\na,1,9,1\nall,73,3.5,1163\n")
    assert doctor.memory(6.0) == "6.0 GB free now; the pinned run took 3.5 GB at most: runs here"
    assert "does not run here: close other programs" in doctor.memory(4.2)
    assert "not known" in doctor.memory(None)
    assert doctor.available() is None or doctor.available() > 0
    Path("results/runtimes.csv").unlink()
    assert "not known" in doctor.memory(6.0) and doctor.expected() == ""


def test_verdicts_that_another_processor_may_turn_are_named():
    assert doctor.near_thresholds() == []
    Path(doctor.VERDICTS).parent.mkdir(parents=True)
    numbers = {"A1": 0.06, "A2": 0.011, "A3": 0.009, "A4": 0.3, "A5": None, "A6": 0.24}
    claims = [{"id": name, "corrected": p} for name, p in numbers.items()]
    Path(doctor.VERDICTS).write_text(json.dumps({"claims": claims}))
    said = " ".join(line.strip() for line in doctor.near_thresholds())
    assert "these 3 of 6" in said and said.endswith("(p within a factor 5 of 0.05): A1, A2, A6")


def test_every_profile_has_a_line(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "machine", here)
    doctor.main([])
    first = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert {"laptop", *(path.stem for path in (REPOSITORY / "profiles").glob("*.yaml"))} <= first

"""Tables, the README's block and pins, from small made-up measurements."""

import json
import shutil
from pathlib import Path

import pytest

from lib import config
from lib.data.store import write_json
from lib.errors import EaselError
from lib.evidence import provenance
from lib.pipeline import pin, stage, tables

REPOSITORY = Path(__file__).parent.parent.parent


def entry(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def tokenizer_report():
    return {"psnr": entry(27.5), "psnr_pooled": 26.5, "ssim": entry(0.9), "rfid": entry(3.0), "code_use": 0.95} | {
        "perplexity": 300.0
    }


def drawn(scale, applicable):
    accuracy = {"counting": entry(0.25), "overall": entry(0.5)} if applicable else None
    return {"scale": scale, "pictures": 10, "accuracy": accuracy, "clip_score": entry(20.0)} | {
        "fid": entry(5.0),
        "kid": entry(0.1),
    }


@pytest.fixture(params=[True, False], ids=["scenes", "real pictures"])
def params(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("requirements.lock", "dvc.yaml", "params.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    Path("lib/pipeline").mkdir(parents=True)
    for module in ("tables", "pin"):
        shutil.copy(REPOSITORY / "lib/pipeline" / f"{module}.py", "lib/pipeline")
    found = config.load()
    found.results.mkdir(parents=True)
    attributes = {name: entry(0.98) for name in (*tables.ATTRIBUTES, "precision", "recall", "picture")}
    reader = {"applicable": True, "test": attributes, "heldout": attributes}
    measures = {f"{way}@{k}": entry(0.5) for way in ("text_to_image", "image_to_text") for k in (1, 10)}
    retrieval = {"candidates": 256, "queries": 512, "en": measures}
    reports = {
        "tokenizer": {"test": tokenizer_report(), "test_128": tokenizer_report()} if request.param else {},
        "reader": reader if request.param else {"applicable": False, "reason": "real pictures"},
        "clip": {"retrieval": retrieval},
        "dalle_mini": {"unguided": drawn(1.0, request.param), "guided": drawn(3.0, request.param)},
    }
    if not request.param:
        reports["tokenizer"] = {"test": tokenizer_report()}
    for name, report in reports.items():
        write_json(found.results / f"{name}.json", report)
    return found, request.param


def test_tables_leave_out_what_does_not_apply(params):
    found, applicable = params
    tables.run(found)
    out = found.results / "tables"
    provenance.check(out)
    assert (out / "reader.md").exists() == applicable
    assert len((out / "tokenizer.csv").read_text().splitlines()) == (3 if applicable else 2)
    text = (out / "dalle_mini.md").read_text()
    assert ("counting" in text) == applicable and "20.0 [20.0, 20.0]" in text


def test_pinned_costs_and_the_readme_come_from_the_run(params):
    found, applicable = params
    if not applicable:
        pytest.skip("authors pin the drawn data set")
    tables.run(found)
    Path("README.md").write_text(f"before\n{pin.BEGIN}\nold\n{pin.END}\nafter\n")
    with pytest.raises(EaselError, match="stage make_data has not run here"):
        pin.write_runtimes("laptop")
    for name in stage.pipeline_file()["stages"]:
        with stage.record(name, ["params.yaml"]):
            pass
    pin.write_runtimes("laptop")
    costs = Path("results/runtimes.md").read_text()
    assert "train_tokenizer" in costs and "all" in costs
    pin.write_readme(found.results / "tables")
    readme = Path("README.md").read_text()
    assert readme.startswith("before\n") and readme.endswith("\nafter\n") and "old" not in readme
    assert costs in readme and (found.results / "tables" / "tokenizer.md").read_text() in readme


def test_records_hold_time_memory_and_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("out/x").write_bytes(b"0" * 2_000_000)
    with stage.record("s", ["out"]):
        pass
    found = json.loads((stage.RECORDS / "s.json").read_text())
    assert found["disk_mb"] == 2.0 and found["peak_memory_gb"] > 0.01 and found["minutes"] < 1


def test_the_readme_quotes_the_committed_results():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for name in pin.QUOTED:
        assert (REPOSITORY / "results/laptop/tables" / f"{name}.md").read_text(encoding="utf-8") in readme
    assert (REPOSITORY / "results/runtimes.md").read_text(encoding="utf-8") in readme

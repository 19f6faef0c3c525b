"""Tables and pins, from small made-up measurements."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib import config
from lib.data.store import write_json
from lib.errors import EaselError
from lib.evidence import provenance, results
from lib.pipeline import overview, pin, stage, summary, tables
from studies.dalle_mini.code import tables as dalle_mini_tables
from studies.glu.code import tables as glu_tables
from studies.sjd2.code import tables as sjd2_tables
from tests.studies.glu import made_up

REPOSITORY = Path(__file__).parent.parent.parent
PICTURES = (
    "pictures",
    "muse_pictures",
    "muse_painting",
    "auraflow_painting",
    "sjd2_pictures",
)  # folders of what was measured; those shown are some figure's inputs
OF_STUDIES = (dalle_mini_tables, glu_tables, sjd2_tables)


def entry(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def tokenizer_report():
    return {"psnr": entry(27.5), "psnr_pooled": 26.5, "ssim": entry(0.9), "rfid": entry(3.0), "code_use": 0.95} | {
        "perplexity": 300.0
    }


def drawn(scale, applicable):
    counting = {"counting": entry(0.25) | {"by_seed": [0.25]}}
    accuracy = entry(0.5) | {"by_seed": [0.5], "categories": counting}
    measured = {"scale": scale, "pictures": 10, "clip_score": entry(20.0), "diversity": entry(0.5)}
    measured |= {"fid": entry(5.0), "kid": entry(0.1)}
    return measured | ({"accuracy": accuracy, "exact": accuracy} if applicable else {})


def study(applicable):
    plain, guided = drawn(1.0, applicable), drawn(3.0, applicable)
    curve = [{"n": n, "ranked": entry(0.4), "oracle": entry(0.6)} for n in (1, 2)]
    measured = {"curve": curve, "unranked": entry(0.41), "gain_over_prompts": entry(0.015)}
    ranked = {"candidates": 2, "prompts": 7, "scale": 1.0} | (measured if applicable else {})
    nothing = ("super_conditioning", "super_conditioning_geneval", "claims", "reconstructions")
    return {"unguided": plain, "guided": guided, "sweep": [plain, guided], "languages": {"both": {"en": guided}}} | {
        "reranking": ranked,
        "reranking_guided": ranked | {"scale": 3.0},
        **{name: {} for name in nothing},
    }


def decoding_study():
    """Only the toy chain, as in a profile without any decoding."""
    case = {"lossless": True, "total_variation": 0.004, "by_chance": {"mean": 0.01, "most": 0.02}, "p": 0.4}
    case |= {"same_in_batches_of": {"1": 1.0, "4": 1.0}, "pictures": 243, "tokens_a_pass": 1.5}
    empty = {name: {} for name in ("groups", "models", "networks", "draft_tuned", "drafters", "initial", "control")}
    empty |= {"choice": {"captions": 1, "margin": 0.05, "decoders": {}}, "margins": {"accuracy": 0.05, "nats": 0.05}}
    empty |= {"surface": {"cells": []}, "most_overhead": {}}
    return empty | {"exactness": {"cases": {"Jacobi, shared noise": case}}}


def trained():
    measures = {"nats_per_token": entry(1.5), "top1": entry(0.6)}
    gain = {"en": entry(0.04), "zh": entry(0.03)}
    about = {"tokenizer": "coarse", "languages": ["en", "zh"], "history": [{"step": 1, "loss": 5.0}]}
    return about | {
        "parameters": 1234,
        "unigram_nats": 5.2,
        "val": measures,
        "test": measures,
        "caption_gain": gain,
    }


@pytest.fixture(params=[True, False], ids=["scenes", "real pictures"])
def params(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("requirements.lock", "dvc.yaml", "params.yaml"):
        shutil.copy(REPOSITORY / name, name)
    for name in ("lib", "studies"):
        shutil.copytree(REPOSITORY / name, name, ignore=shutil.ignore_patterns("__pycache__"))
    found = config.load()
    found.results.mkdir(parents=True)
    attributes = {name: entry(0.98) for name in (*tables.ATTRIBUTES, "precision", "recall", "picture")}
    reader = {"applicable": True, "test": attributes, "heldout": attributes}
    measures = {f"{way}@{k}": entry(0.5) for way in ("text_to_image", "image_to_text") for k in (1, 10)}
    retrieval = {"candidates": 256, "queries": 512, "en": measures}
    reports = {
        "tokenizer": {"test": tokenizer_report(), "test_128": tokenizer_report()} if request.param else {},
        "coarse_tokenizer": {"test": tokenizer_report()},
        "reader": reader if request.param else {"applicable": False, "reason": "real pictures"},
        "clip": {"retrieval": retrieval},
        "dalle_mini": study(request.param),
        "dalle_mini_training": {"both": trained(), "english": trained()},
        "dalle_mini_search": {"optimizer": "adafactor", "steps": 9, "best": 0.1}
        | {"runs": [{"learning_rate": rate, "val_nats": entry(2.0), "history": []} for rate in (0.01, 0.1)]},
        "glu": made_up.results().plain(),
        "sjd2": decoding_study(),
    }
    if not request.param:
        reports["tokenizer"] = {"test": tokenizer_report()}
    for name, report in reports.items():
        write_json(found.results / f"{name}.json", report)
    return found, request.param


def test_tables_leave_out_what_does_not_apply(params):
    found, applicable = params
    tables.run(found)
    for module in OF_STUDIES:
        module.run(found)
    out = found.results / "tables"
    provenance.check(out)
    assert (out / "bench/reader.md").exists() == applicable
    assert len((out / "bench/tokenizer.csv").read_text().splitlines()) == (4 if applicable else 3)
    out = found.results / "tables/dalle_mini"
    text = (out / "dalle_mini.md").read_text()
    assert ("counting" in text) == applicable and "20.0 [20.0, 20.0]" in text and "s = 3" in text
    assert (out / "dalle_mini_ranking.md").exists() == applicable
    if applicable:
        first, last = (out / "dalle_mini_ranking.csv").read_text().splitlines()[1:3]
        assert "0.41" in first and "0.015" not in first and "0.015" in last
    assert "0.1 " in (out / "dalle_mini_search.md").read_text()
    assert "0.0400" in (out / "dalle_mini_training.md").read_text()
    assert (
        "Jacobi, shared noise" in (out / "../sjd2/sjd2_exactness.md").read_text()
        and not (out / "../sjd2/sjd2_quality.md").exists()
    )


def test_pinned_costs_come_from_the_run(params):
    _, applicable = params
    if not applicable:
        pytest.skip("authors pin the drawn data set")
    with pytest.raises(EaselError, match="stage inputs has not run here"):
        pin.write_runtimes("laptop")
    for name in stage.all_names():
        with stage.record(name, ["params.yaml"]):
            pass
    pin.write_runtimes("laptop")
    costs = Path("results/runtimes.md").read_text()
    assert "train_tokenizer" in costs and "all" in costs
    frame = pd.read_csv("results/runtimes.csv", index_col="stage")
    models = frame[frame.index.str.startswith("muse/publish@")]
    assert len(models) == 6
    own = frame[frame.index.str.startswith("glu/")]
    assert frame.loc["glu", "disk (MB)"] == pytest.approx(own["disk (MB)"].sum())


def test_records_hold_time_memory_and_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("out/x").write_bytes(b"0" * 2_000_000)
    clock = iter([10.0, 100.0])
    monkeypatch.setattr(stage.time, "monotonic", lambda: next(clock))
    with stage.record("s", ["out"]):
        pass
    found = json.loads((stage.RECORDS / "s.json").read_text())
    assert found["disk_mb"] == 2.0 and found["peak_memory_gb"] > 0.01
    assert found["minutes"] == 1.5 and found["machine"]["load"] >= 0


def test_the_summary_of_a_profile_of_which_nothing_is_asked_names_no_verdict(params, capsys):
    found, _ = params
    outcomes = {"smoke": "not measured", "laptop": "met"}
    for profile, outcome in outcomes.items():
        claims = {"claims": [{"verdict": "contradicted"}], "bench": [{"outcome": outcome}]}
        (found.results / "verdicts").mkdir(exist_ok=True)
        write_json(found.results / "verdicts/claims.json", claims)
        write_json(found.results / "verdicts/drift.json", {"comparisons": []})
        summary.main([])
        printed = capsys.readouterr().out
        assert ("1 contradicted" in printed) == (profile == "laptop")
        assert ("no verdicts" in printed) == (profile == "smoke")


def test_what_drifted_is_an_error_after_the_summary(params, capsys):
    found, _ = params
    (found.results / "verdicts").mkdir(exist_ok=True)
    write_json(found.results / "verdicts/claims.json", {"claims": [], "bench": []})
    item = {"name": "a.json:b", "reference": 1.0, "measured": 9.0, "allowed": "± 1"}
    for states, status in ((["reproduced"], 0), (["reproduced", "drifted"], 2), (["missing"], 2)):
        write_json(found.results / "verdicts/drift.json", {"comparisons": [item | {"state": one} for one in states]})
        assert summary.main([]) == status
        printed, error = capsys.readouterr()
        assert f"1 {states[-1]}" in printed and "  figures" in printed
        assert (f"1 of {len(states)} pinned numbers drifted or are missing, e.g. a.json:b" in error) == (status == 2)


def test_the_overview_names_verdicts_that_differ_from_the_reference(params):
    found, _ = params
    entries = [{"id": "C1", "verdict": "supported", "reference": "inconclusive"}]
    entries += [{"id": "C2", "verdict": "supported", "reference": reference} for reference in ("supported", None)]
    (found.results / "verdicts").mkdir(exist_ok=True)
    for claims, differing in ((entries, True), (entries[1:], False)):
        write_json(found.results / "verdicts/claims.json", {"claims": claims})
        overview.run(found)
        text = (found.results / "README.md").read_text(encoding="utf-8")
        assert f"- supported: {len(claims)}" in text
        assert ("Other verdicts than in the reference run, mostly of another machine: C1." in text) == differing


def test_committed_tables_and_figures_are_those_of_their_sidecars(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    provenance.check_all("results", "paper_figs")


def test_one_byte_of_a_committed_table_is_missed_nowhere(tmp_path, monkeypatch):
    """Any of some committed artefacts and inputs, one byte changed, or gone."""
    for name in ("results", "paper_figs", "studies", "claims.yaml", "lib/metering/systems.yaml"):
        source, copy = REPOSITORY / name, tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    monkeypatch.chdir(tmp_path)
    provenance.check_all("results", "paper_figs")
    random = np.random.default_rng(0)
    files = [path for root in ("results/laptop", "paper_figs") for path in sorted(Path(root).rglob("*"))]
    watched = [path for path in files if path.suffix in provenance.ARTEFACTS and path.parent.name not in PICTURES]
    for path in [*random.choice(watched, 20), Path("results/laptop/glu.json"), Path("results/laptop/painting.png")]:
        content = path.read_bytes()
        place = int(random.integers(len(content)))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(EaselError, match=path.name):
            provenance.check_all("results", "paper_figs")
        path.unlink()
        with pytest.raises(EaselError, match=path.name):
            provenance.check_all("results", "paper_figs")
        path.write_bytes(content)
    Path("paper_figs/laptop/bench/pictures.json").unlink()
    with pytest.raises(EaselError, match=r"pictures\.pdf has no sidecar"):
        provenance.check_all("results", "paper_figs")


def test_a_table_names_the_modules_that_made_it_and_no_others(params):
    found, _ = params
    for module in (tables, *OF_STUDIES):
        module.run(found)
    for name, maker, stranger in (
        ("bench/tokenizer", "lib/pipeline/tables.py", "studies/sjd2/code/tables.py"),
        ("glu/glu_search", "studies/glu/code/tables.py", "studies/sjd2/code/tables.py"),
        ("sjd2/sjd2_exactness", "studies/sjd2/code/rows.py", "studies/glu/code/tables.py"),
    ):
        path = found.results / "tables" / f"{name}.provenance.json"
        if path.is_file():
            named = json.loads(path.read_text())["sources"]
            assert maker in named and "lib/evidence/tables.py" in named and stranger not in named
    assert (found.results / "tables/sjd2/sjd2_exactness.provenance.json").is_file()


def test_tables_name_all_that_was_read_for_them_and_nothing_else(params, monkeypatch):
    found, _ = params
    opened, original = set(), results.read

    def read(path):
        opened.add(path.as_posix())
        return original(path)

    monkeypatch.setattr(results, "read", read)  # typed reports call it there
    for module in (tables, *OF_STUDIES):
        monkeypatch.setattr(module, "read", read, raising=False)
        module.run(found)
    sidecars = [json.loads(path.read_text()) for path in (found.results / "tables").rglob("*.provenance.json")]
    named = {name for sidecar in sidecars for name in sidecar["inputs"]}
    assert named == opened


def test_what_a_committed_figure_or_table_is_made_from_its_stage_depends_on(monkeypatch):
    """Or DVC would leave it as it is when that changes."""
    monkeypatch.chdir(REPOSITORY)
    stages, checked = stage.specs(), 0
    for path in [*(REPOSITORY / "results/laptop").rglob("*.json"), *(REPOSITORY / "paper_figs").rglob("*.json")]:
        sidecar = json.loads(path.read_text(encoding="utf-8"))
        if sidecar.get("format") != provenance.FORMAT:
            continue
        spec = stages[sidecar["stage"]]
        outs = [next(iter(out)) if isinstance(out, dict) else out for out in spec["outs"]]
        known = [name.replace("${profile}", "laptop") for name in [*spec["deps"], *outs]]
        for name in sidecar["inputs"]:
            assert any(Path(name).is_relative_to(one) for one in known), (path, name)
            checked += 1
    assert checked > 60

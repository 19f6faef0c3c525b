import json

import pytest

from lib.errors import EaselError
from lib.evidence import provenance

DVC_LOCK = """
schema: '2.0'
stages:
  make_data:
    cmd: python -m lib.pipeline make_data
    deps: [{path: lib/scenes/draw.py, md5: aaa111, size: 1}]
    outs: [{path: build/data, md5: bbb222.dir, size: 1}]
  evaluate:
    cmd: python -m lib.pipeline evaluate
    deps: [{path: data, md5: bbb222.dir, size: 1}, {path: lib/scenes/draw.py, md5: aaa111, size: 1}]
    outs: [{path: results/laptop/a.json, md5: ccc333, size: 1}]
"""
DATA_DVC = "deps: [{path: build/data, md5: bbb222.dir}]\nouts: [{path: data, md5: bbb222.dir}]\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    root = tmp_path / "repository"
    (root / "figs").mkdir(parents=True)
    (root / "results/laptop").mkdir(parents=True)
    for name in ("requirements.lock", "made.py", "figs/a.pdf", "figs/a.csv", "results/laptop/a.json"):
        (root / name).write_text(name)
    monkeypatch.chdir(root)
    return root


def sidecar(**changes):
    options = {"stage": "draw", "sources": ["made.py"], "inputs": ["results/laptop/a.json"], "claims": ["C2", "C1"]}
    options |= {"parameters": {"steps": 3, "rate": 0.1}, **changes}
    return provenance.write("figs/a.json", ["figs/a.pdf", "figs/a.csv"], **options)


def test_sidecar_holds_hashes_and_relative_names_only(repository):
    record = json.loads(sidecar(sources=[repository / "made.py"]).read_text())
    assert record["sources"] == ["made.py"]
    assert record["claims"] == ["C1", "C2"]
    assert record["inputs"] == {"results/laptop/a.json": provenance.file_hash("results/laptop/a.json")}
    assert record["artefacts"].keys() == {"a.pdf", "a.csv"}
    assert record["lock"] == provenance.file_hash("requirements.lock")
    assert str(repository) not in json.dumps(record)


def test_sidecar_is_the_same_on_every_run_and_follows_what_it_describes(repository):
    first = sidecar().read_bytes()
    assert sidecar(parameters={"rate": 0.1, "steps": 3}, claims=["C1", "C2"]).read_bytes() == first
    assert sidecar(parameters={"rate": 0.2, "steps": 3}).read_bytes() != first
    (repository / "requirements.lock").write_text("other")
    assert sidecar().read_bytes() != first


def test_mistakes_in_a_sidecar(repository):
    with pytest.raises(EaselError, match=r"none\.json does not exist"):
        sidecar(inputs=["none.json"])
    with pytest.raises(EaselError, match="results is a folder; name the files"):
        sidecar(inputs=["results"])
    (repository.parent / "outside.json").write_text("{}")
    with pytest.raises(EaselError, match="lies outside the repository"):
        sidecar(inputs=["../outside.json"])
    with pytest.raises(EaselError, match="must be plain values"):
        sidecar(parameters={"a": object()})
    with pytest.raises(EaselError, match=r"must lie beside its artefacts; elsewhere: figs/a\.pdf"):
        provenance.write("a.json", ["figs/a.pdf"], stage="x", sources=["made.py"])


def test_check_accepts_described_files_and_ignores_prose_and_results(repository):
    sidecar()
    (repository / "figs/README.md").write_text("prose")
    (repository / "figs/other.json").write_text("[1")
    provenance.check("figs")


def test_check_names_every_fault_at_once(repository):
    sidecar()
    (repository / "figs/a.pdf").write_text("edited by hand")
    (repository / "figs/a.csv").unlink()
    (repository / "figs/stray.tex").write_text("x")
    with pytest.raises(EaselError) as error:
        provenance.check("figs")
    text = str(error.value)
    assert "stray.tex has no sidecar" in text
    assert "a.pdf changed after its sidecar was written" in text
    assert "a.csv is described by a sidecar but gone" in text
    with pytest.raises(EaselError, match="folder nowhere does not exist"):
        provenance.check("nowhere")


def test_whence_walks_back_to_the_generator(repository):
    (repository / "dvc.lock").write_text(DVC_LOCK)
    (repository / "data.dvc").write_text(DATA_DVC)
    (repository / ".dvc").mkdir()
    sidecar()
    text = provenance.whence("figs/a.pdf")
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "figs/a.pdf (unchanged)"
    assert "claims       C1, C2" in lines
    chain = ["from results/laptop/a.json", "by stage evaluate:", "from data ", "by stage data.dvc:", "from build/data "]
    chain += ["by stage make_data: python -m lib.pipeline make_data", "from lib/scenes/draw.py"]
    places = [next(i for i, line in enumerate(lines) if line.startswith(part)) for part in chain]
    assert places == sorted(places)
    (repository / "results/laptop/a.json").write_text("new")
    (repository / "figs/a.pdf").write_text("new")
    text = provenance.whence("figs/a.pdf")
    assert "CHANGED since the sidecar" in text and "CHANGED since)" in text


def test_whence_without_lock_or_sidecar(repository):
    sidecar()
    assert "no stages in dvc.lock: the chain ends at the inputs" in provenance.whence("figs/a.csv")
    (repository / "figs/b.pdf").write_text("x")
    with pytest.raises(EaselError, match=r"figs/b\.pdf has no provenance sidecar"):
        provenance.whence("figs/b.pdf")
    with pytest.raises(EaselError, match=r"figs/c\.pdf does not exist"):
        provenance.whence("figs/c.pdf")

import copy
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lib.errors import EaselError
from lib.evidence import ledger
from tests import house

ROOT = Path(__file__).parents[2]

CLAIM = {
    "id": "C1",
    "source": {"paper": "A paper", "place": "Table 1", "known_from": "paper"},
    "statement": "A is better than B.",
    "paper_value": 1.5,
    "unit": "points",
    "test": "A against B.",
    "scale": "reduced",
    "study": "glu",
    "metric": {"results": "glu.json", "key": "a.b", "kind": "direction", "better": "lower", "minimum_seeds": 5},
}
BENCH = {
    "id": "B1",
    "statement": "Good.",
    "source": "us",
    "results": "tokenizer.json",
    "key": "psnr",
    "better": "higher",
    "threshold": 26,
    "unit": "dB",
    "profiles": ["laptop"],
}


def load(folder, claims=(CLAIM,), **sections):
    path = folder / "claims.yaml"
    with open(path, "w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"claims": list(claims), **sections}, file)
    return ledger.load(path)


def changed(entry, **changes):
    """A copy with some fields replaced; None as `...` deletes; `metric__key` reaches into metric."""
    entry = copy.deepcopy(entry)
    for name, value in changes.items():
        target = entry
        *parents, name = name.split("__")
        for parent in parents:
            target = target[parent]
        if value is ...:
            del target[name]
        else:
            target[name] = value
    return entry


def test_the_repository_ledger_holds_every_claim():
    book = ledger.load_all()
    ids = [claim.id for claim in book.claims]
    assert {f"C{number}" for number in range(1, 41)} <= set(ids)
    assert {item.id for item in book.bench} >= {"B1", "B2", "B3"}
    super_conditioning = next(claim for claim in book.claims if claim.id == "C28")
    assert super_conditioning.metric.key == "super_conditioning.accuracy"
    assert super_conditioning.metric.kind == "direction"


def test_a_claim_in_the_ledger_of_a_study_is_that_studys(tmp_path):
    path = tmp_path / "claims.yaml"
    for claim, message in ((changed(CLAIM, study=...), None), (CLAIM, "claim C1: unknown study")):
        with open(path, "w", encoding="utf-8") as file:
            YAML(typ="safe").dump({"claims": [claim]}, file)
        if message is None:
            assert ledger.load(path, "muse").claims[0].study == "muse"
        else:
            with pytest.raises(EaselError, match=message):
                ledger.load(path, "muse")


def test_an_id_stands_in_one_ledger_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    house.write_pipeline("muse")
    load(tmp_path)
    (tmp_path / "studies/muse/claims.yaml").write_text(
        (tmp_path / "claims.yaml").read_text().replace("  study: glu\n", "")
    )
    with pytest.raises(EaselError, match="claim C1: this id occurs twice"):
        ledger.load_all()


def test_a_valid_entry_arrives_with_all_its_fields(tmp_path):
    rules = [{"file": "*.json", "key": "*", "tolerance": {"relative": 0.1}}]
    book = load(tmp_path, bench=[BENCH], drift=rules)
    [claim] = book.claims
    assert (claim.id, claim.paper_value, claim.needs) == ("C1", 1.5, None)
    assert claim.source.place == "Table 1"
    assert (claim.metric.better, claim.metric.minimum_seeds) == ("lower", 5)
    assert book.bench[0].profiles == ("laptop",)
    assert book.drift[0].tolerance == {"relative": 0.1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "claim C1: unknown colour; known here: id, source"),
        ({"statement": ...}, "claim C1: missing statement"),
        ({"statement": 3}, "claim C1: statement must be str, found 3"),
        ({"statement": " "}, "claim C1: statement is empty"),
        ({"paper_value": True}, "claim C1: paper_value must be int or float or str or null, found True"),
        ({"scale": "small"}, "claim C1: scale: must be one of reduced, paper, found 'small'"),
        ({"study": ...}, "claim C1: missing study"),
        ({"source__plaec": "x"}, "claim C1: source: unknown plaec"),
        ({"source__known_from": "rumour"}, "claim C1: source: known_from: must be one of"),
        ({"needs": "a GPU"}, "claim C1: give either metric .* or needs"),
        ({"metric": ...}, "claim C1: give either metric .* or needs"),
        (
            {"metric__kind": "directoin"},
            "claim C1: metric: kind: must be one of direction, .*, none, possible",
        ),
        ({"metric__better": "bigger"}, "claim C1: metric: better: must be one of lower, higher"),
        ({"metric__better": ...}, "claim C1: metric: missing better"),
        ({"metric__minimum_seeds": 3}, "claim C1: metric: minimum_seeds 3 is too few"),
        ({"metric__minimum_seeds": "5"}, "claim C1: metric: minimum_seeds must be int"),
        ({"metric__threshold": 2.0}, "claim C1: metric: unknown threshold"),
        ({"metric__kind": "threshold"}, "claim C1: metric: missing threshold"),
        ({"metric__results": "/tmp/glu.json"}, "claim C1: metric: results: must be a .json file below"),
        ({"metric__results": "../glu.json"}, "claim C1: metric: results: must be a .json file below"),
    ],
)
def test_mistakes_name_the_claim(tmp_path, changes, message):
    with pytest.raises(EaselError, match=message):
        load(tmp_path, [changed(CLAIM, **changes)])


def test_exact_claims_need_the_expected_value_and_take_no_seeds(tmp_path):
    metric = {"results": "glu.json", "key": "a", "kind": "exact", "equals": True}
    assert load(tmp_path, [changed(CLAIM, metric=metric)]).claims[0].metric.equals is True
    with pytest.raises(EaselError, match="missing equals"):
        load(tmp_path, [changed(CLAIM, metric={"results": "glu.json", "key": "a", "kind": "exact"})])
    with pytest.raises(EaselError, match="unknown minimum_seeds"):
        load(tmp_path, [changed(CLAIM, metric={**metric, "minimum_seeds": 5})])


def test_equalities_have_a_margin_above_zero(tmp_path):
    metric = {"results": "glu.json", "key": "a", "kind": "equal", "margin": 0.5, "about": 2}
    found = load(tmp_path, [changed(CLAIM, metric=metric)]).claims[0].metric
    assert (found.margin, found.about, found.minimum_seeds) == (0.5, 2, 5)
    with pytest.raises(EaselError, match="claim C1: metric: missing margin"):
        load(tmp_path, [changed(CLAIM, metric={"results": "glu.json", "key": "a", "kind": "equal"})])
    for wrong in (0, -0.5):
        with pytest.raises(EaselError, match="claim C1: metric: margin must be above 0"):
            load(tmp_path, [changed(CLAIM, metric={**metric, "margin": wrong})])
    assert load(tmp_path, [changed(CLAIM, metric__margin=0.01)]).claims[0].metric.margin == 0.01
    with pytest.raises(EaselError, match="claim C1: metric: unknown about"):
        load(tmp_path, [changed(CLAIM, metric__about=1)])


def test_our_own_questions_are_known_by_their_source(tmp_path):
    [claim] = load(tmp_path, [changed(CLAIM, source__paper=ledger.OWN_QUESTION)]).claims
    assert claim.source.own and not load(tmp_path).claims[0].source.own
    assert {"D14", "D26", "D34"} <= {claim.id for claim in ledger.load_all().claims if claim.source.own}


def test_claims_that_arithmetic_may_rule_out_take_nothing_more(tmp_path):
    metric = {"results": "costs.json", "key": "a", "kind": "possible"}
    assert load(tmp_path, [changed(CLAIM, metric=metric)]).claims[0].metric.kind == "possible"
    with pytest.raises(EaselError, match="claim C1: metric: unknown equals"):
        load(tmp_path, [changed(CLAIM, metric={**metric, "equals": True})])


def test_an_entry_without_a_usable_id_is_named_by_its_number(tmp_path):
    with pytest.raises(EaselError, match="claim number 2: missing id"):
        load(tmp_path, [CLAIM, changed(CLAIM, id=...)])
    with pytest.raises(EaselError, match="claim number 1: expected fields, found 'C1'"):
        load(tmp_path, ["C1"])


def test_ids_are_unique_across_claims_and_bench(tmp_path):
    with pytest.raises(EaselError, match="claim C1: this id occurs twice"):
        load(tmp_path, [CLAIM, CLAIM])
    with pytest.raises(EaselError, match="claim C1: this id occurs twice"):
        load(tmp_path, bench=[changed(BENCH, id="C1")])


def test_bench_mistakes_name_the_requirement(tmp_path):
    with pytest.raises(EaselError, match="bench requirement B1: missing threshold"):
        load(tmp_path, bench=[changed(BENCH, threshold=...)])
    with pytest.raises(EaselError, match="bench requirement B1: profiles: must be one of"):
        load(tmp_path, bench=[changed(BENCH, profiles=["desktop"])])


@pytest.mark.parametrize("tolerance", ["about", {"absolute": -1}, {"abs": 1}, {"absolute": 1, "relative": 1}, {}])
def test_drift_tolerances_are_checked(tmp_path, tolerance):
    with pytest.raises(EaselError, match="drift rule 1: tolerance must be"):
        load(tmp_path, drift=[{"file": "*", "key": "*", "tolerance": tolerance}])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_are_finite(tmp_path, number):
    metric = {"results": "glu.json", "key": "a", "kind": "threshold", "better": "lower", "threshold": number}
    with pytest.raises(EaselError, match="claim C1: metric: threshold must be a finite number"):
        load(tmp_path, [changed(CLAIM, metric=metric)])
    with pytest.raises(EaselError, match="claim C1: paper_value must be a finite number"):
        load(tmp_path, [changed(CLAIM, paper_value=number)])
    with pytest.raises(EaselError, match="bench requirement B1: threshold must be a finite number"):
        load(tmp_path, bench=[changed(BENCH, threshold=number)])
    with pytest.raises(EaselError, match="drift rule 1: tolerance must be"):
        load(tmp_path, drift=[{"file": "*", "key": "*", "tolerance": {"absolute": number}}])


@given(st.binary(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_a_ledger_or_a_sentence(tmp_path, content):
    (tmp_path / "any.yaml").write_bytes(content)
    with pytest.raises(EaselError, match=r"any\.yaml|claim number"):
        ledger.load(tmp_path / "any.yaml")


def test_files_that_are_no_ledger(tmp_path):
    with pytest.raises(EaselError, match="not found; run from the repository root"):
        ledger.load(tmp_path / "claims.yaml")
    (tmp_path / "claims.yaml").write_text("claims: [")
    with pytest.raises(EaselError, match="not valid YAML"):
        ledger.load(tmp_path / "claims.yaml")
    (tmp_path / "claims.yaml").write_text("claims: " + "[" * 5000)
    with pytest.raises(EaselError, match="not valid YAML"):
        ledger.load(tmp_path / "claims.yaml")
    (tmp_path / "claims.yaml").write_bytes("claims: []  # größer".encode("latin-1"))
    with pytest.raises(EaselError, match="not in UTF-8"):
        ledger.load(tmp_path / "claims.yaml")
    (tmp_path / "claims.yaml").write_text("- 1")
    with pytest.raises(EaselError, match="expected fields"):
        ledger.load(tmp_path / "claims.yaml")
    with pytest.raises(EaselError, match="unknown bensh"):
        load(tmp_path, bensh=[])

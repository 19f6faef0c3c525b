import json

import pytest

from lib.errors import EaselError
from lib.evidence import drift
from lib.evidence.ledger import DriftRule

RULES = [
    DriftRule("*.json", "*.count", "exact"),
    DriftRule("a.json", "loss*", {"relative": 0.1}),
    DriftRule("a.json", "psnr", {"absolute": 0.5}),
]
RUN = {"loss": [2.0, 4.0], "psnr": 27.0, "model": {"count": 12}, "name": "x", "other": 1.0}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "results" / "laptop"
    folder.mkdir(parents=True)

    def run(**changes):
        (folder / "a.json").write_text(json.dumps({**RUN, **changes}))
        return folder

    return run


def check(folder, reference, rules=()):
    file = folder.parent / "reference.json"
    file.write_text(json.dumps(reference))
    return drift.check(folder, file, folder, rules=rules)


def states(folder):
    report = json.loads((folder / "drift.json").read_text())
    return {item["name"]: item["state"] for item in report["comparisons"]}


def test_pin_takes_the_first_matching_rule_and_nothing_else(run):
    assert drift.pin(run(), RULES) == {
        "a.json:loss.0": {"value": 2.0, "tolerance": {"relative": 0.1}},
        "a.json:loss.1": {"value": 4.0, "tolerance": {"relative": 0.1}},
        "a.json:model.count": {"value": 12, "tolerance": "exact"},
        "a.json:psnr": {"value": 27.0, "tolerance": {"absolute": 0.5}},
    }
    first = [DriftRule("*", "*", "exact"), *RULES]
    assert drift.pin(run(), first)["a.json:psnr"]["tolerance"] == "exact"


def test_pin_refuses_what_cannot_be_a_reference(run):
    with pytest.raises(EaselError, match=r"a\.json:psnr is nan"):
        drift.pin(run(psnr=float("nan")), RULES)
    with pytest.raises(EaselError, match="nothing to pin"):
        drift.pin(run(), [DriftRule("b.json", "*", "exact")])


def test_names_may_hold_dots(run):
    reference = drift.pin(run(model={"budget 0.1": {"count": 3}}), RULES)
    assert "a.json:model.budget 0.1.count" in reference
    assert {item.state for item in check(run(model={"budget 0.1": {"count": 3}}), reference)} == {"reproduced"}


def test_an_unchanged_run_and_one_within_tolerance_pass(run):
    reference = drift.pin(run(), RULES)
    assert {item.state for item in check(run(), reference)} == {"reproduced"}
    folder = run(loss=[2.2, 3.6], psnr=26.5)
    check(folder, reference)
    assert set(states(folder).values()) == {"reproduced"}


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ({"loss": [2.21, 4.0]}, "a.json:loss.0", "drifted"),
        ({"psnr": 26.4}, "a.json:psnr", "drifted"),
        ({"psnr": float("nan")}, "a.json:psnr", "drifted"),
        ({"psnr": "27"}, "a.json:psnr", "drifted"),
        ({"model": {"count": 13}}, "a.json:model.count", "drifted"),
        ({"model": {"count": 12.0}}, "a.json:model.count", "drifted"),
        ({"loss": [2.0]}, "a.json:loss.1", "missing"),
        ({"psnr": None}, "a.json:psnr", "missing"),
    ],
)
def test_a_breach_raises_after_the_report_is_on_disk(run, changes, name, state):
    reference = drift.pin(run(), RULES)
    folder = run(**changes)
    with pytest.raises(EaselError, match=f"1 of 4 pinned numbers of profile laptop .* {name}"):
        check(folder, reference)
    assert states(folder)[name] == state
    assert list(states(folder).values()).count("reproduced") == 3
    lines = (folder / "drift.md").read_text().splitlines()
    assert lines[0] == "# Drift, profile laptop"
    assert f"1 {state}" in lines[2] and "3 reproduced" in lines[2]
    # The breach is the first row below the table's head.
    assert lines[6].startswith(f"| {state}") and name in lines[6]


def test_a_missing_file_is_missing_numbers(run):
    folder = run()
    reference = drift.pin(folder, RULES)
    (folder / "a.json").unlink()
    with pytest.raises(EaselError, match="4 of 4 pinned numbers"):
        check(folder, reference)
    assert set(states(folder).values()) == {"missing"}


def test_new_numbers_are_listed_and_do_not_fail(run):
    reference = drift.pin(run(), RULES)
    folder = run(loss=[2.0, 4.0, 8.0])
    check(folder, reference, RULES)
    assert states(folder)["a.json:loss.2"] == "new"


def test_reports_are_not_results(run):
    folder = run()
    (folder / "claims.json").write_text('{"claims": [{"count": 5}]}')
    reference = drift.pin(folder, RULES)
    assert not any("claims.json" in name for name in reference)
    # The second check finds its own report of the first one beside the results.
    check(folder, reference, RULES)
    first = (folder / "drift.md").read_bytes()
    check(folder, reference, RULES)
    assert (folder / "drift.md").read_bytes() == first


def test_without_a_reference_the_report_says_so(run, tmp_path):
    folder = run()
    assert drift.check(folder, tmp_path / "none.json", folder) == []
    assert "No reference pinned for profile laptop." in (folder / "drift.md").read_text()
    assert json.loads((folder / "drift.json").read_text())["reference_pinned"] is False


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ([1], "a reference is"),
        ({"psnr": {"value": 1, "tolerance": "exact"}}, "psnr: needs a name"),
        ({"a.json:psnr": {"value": 1}}, "fields value and tolerance"),
        ({"a.json:psnr": {"value": 1, "tolerance": "roughly"}}, "a.json:psnr: tolerance must be"),
        ({"a.json:psnr": {"value": "1", "tolerance": "exact"}}, "value must be a number"),
    ],
)
def test_an_unusable_reference(run, reference, message):
    with pytest.raises(EaselError, match=message):
        check(run(), reference)

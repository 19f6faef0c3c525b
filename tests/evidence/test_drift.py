import json
from contextlib import suppress
from pathlib import Path

import pytest

from lib.errors import EaselError
from lib.evidence import drift, ledger, results, verdicts
from lib.evidence.ledger import DriftRule

ROOT = Path(__file__).parents[2]
BOOK = ledger.load_all()
COMMITTED = ROOT / "results" / "laptop"

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


def held(compared):
    """What was compared, as `make repro` ends on it: an error where something drifted."""
    if found := drift.breach(compared, Path("drift.md")):
        raise EaselError(found)
    return compared


def check(folder, reference, rules=()):
    file = folder.parent / "reference.json"
    file.write_text(json.dumps(reference))
    return held(drift.check(folder, file, folder, rules=rules))


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
def test_a_breach_is_an_error_and_in_the_report(run, changes, name, state):
    reference = drift.pin(run(), RULES)
    folder = run(**changes)
    with pytest.raises(EaselError, match=f"1 of 4 pinned numbers .* {name}"):
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


# ------------------------------------------------------------------------------------------- verdicts and their numbers


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def scaled(value, factor):
    """Every number in a value times a factor; what is no number (a truth, a text) becomes another one, and nothing, of
    which ten times as much is nothing still, becomes the factor."""
    if isinstance(value, dict):
        return {key: inner if isinstance(inner, str) else scaled(inner, factor) for key, inner in value.items()}
    if isinstance(value, list):
        return [scaled(inner, factor) for inner in value]
    if isinstance(value, bool):
        return not value
    return factor * value or (factor if factor > 1 else value)


@pytest.fixture(scope="module")
def measured():
    """(entry, what the committed results have for it) of everything that the ledger tests."""
    documents = {path.name: results.read(path) for path in COMMITTED.glob("*.json")}
    entries = [*(claim for claim in BOOK.claims if claim.metric), *BOOK.bench]
    found = [(entry, getattr(entry, "metric", entry)) for entry in entries]
    found = [(entry, where, results.find(documents[where.results], where.key)) for entry, where in found]
    return [item for item in found if item[2] is not None]


def judged(folder, entry, where, value):
    """The entry alone, judged by results that hold nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    document = nested(where.key, value)
    if where.timed:
        document.setdefault(where.timed, {})["machine"] = {"cpu": "any", "cores": 2}
    (folder / where.results).write_text(json.dumps(document))
    judge = verdicts.judge if isinstance(entry, ledger.Claim) else verdicts.judge_bench
    return judge([entry], folder)


def test_every_tested_claim_is_pinned(measured):
    reference = results.read(ROOT / "results/reference/laptop.json")
    for entry, where, _ in measured:
        assert reference[f"verdicts:{entry.id}.metric"]["value"] == f"{where.results}:{where.key}"
        numbers = {name.rpartition(".")[2] for name in reference if name.startswith(f"verdicts:{entry.id}.")}
        assert len(numbers) >= 3 and "verdict" in numbers, entry.id
    tested = {entry.id for entry, _, _ in measured}
    assert len(tested) > 60
    untested = {claim.id for claim in BOOK.claims if claim.metric} - tested
    assert all(claim.metric.absent_when for claim in BOOK.claims if claim.id in untested)


def test_the_drift_report_objects_to_a_changed_number_of_any_tested_claim(measured, tmp_path):
    together = [item for one in measured for item in judged(tmp_path / "pinned" / one[0].id / "laptop", *one)]
    reference = drift.pin(COMMITTED, BOOK.drift, together)
    decided = 0
    for entry, where, value in measured:
        own = {name: pinned for name, pinned in reference.items() if name.startswith(f"verdicts:{entry.id}.")}
        (tmp_path / "reference.json").write_text(json.dumps(own))
        folder = tmp_path / entry.id / "laptop"

        def check(value, entry=entry, where=where, folder=folder):
            found = judged(folder, entry, where, value)
            return held(drift.check(folder, tmp_path / "reference.json", tmp_path / "out", judged=found))

        assert {item.state for item in check(value)} == {"reproduced"}, entry.id
        for factor in (10, 0.1):
            ends = [
                own[f"verdicts:{entry.id}.{end}"]["value"]
                for end in ("low", "high")
                if f"verdicts:{entry.id}.{end}" in own
            ]
            ends = ends or [own.get(f"verdicts:{entry.id}.value", {"value": 1})["value"]] * 2
            if factor < 1 and ends[0] <= 0 <= ends[1]:
                continue  # nothing, divided by ten, is still nothing
            decided += factor < 1
            if where.timed and factor < 1:  # a clock's: an error, or named in the report
                with suppress(EaselError):
                    assert drift.TIMED in {item.state for item in check(scaled(value, factor))}, entry.id
                continue
            with pytest.raises(EaselError, match=rf"drifted or are missing, e\.g\. verdicts:{entry.id}\."):
                pytest.fail(f"{entry.id}, {factor}: {check(scaled(value, factor))}")
    assert decided > 40


def seeds(*values):
    return {"values": list(values), "unit": "x", "seeds_are": "seeds"}


@pytest.fixture
def one(tmp_path):
    """Pins a claim of five values against a threshold; checks it with other values or another threshold."""
    source = ledger.Source("p", "x", "paper")

    def judge(values, threshold):
        metric = ledger.Metric("a.json", "a.b", "threshold", better="higher", threshold=threshold)
        claim = ledger.Claim("C1", source, "s", None, None, "t", "reduced", "glu", metric)
        return judged(tmp_path / "laptop", claim, metric, seeds(*values))

    (tmp_path / "reference.json").write_text(json.dumps(drift.pin(tmp_path, [], judge([2.0, 2.1, 2.2, 2.3, 2.4], 1.5))))
    return lambda values, threshold: held(
        drift.check(tmp_path / "laptop", tmp_path / "reference.json", tmp_path, judged=judge(values, threshold))
    )


def test_a_verdict_may_part_only_where_its_numbers_moved(one):
    assert drift.parted(one([2.0, 2.1, 2.2, 2.3, 2.4], 1.5)) == []
    compared = one([1.8, 2.1, 2.2, 2.3, 2.4], 1.5)
    assert drift.parted(compared) == ["C1: trend reproduced at reduced scale in the reference, inconclusive here"]
    assert {item.state for item in compared} == {"reproduced", "other verdict"}
    with pytest.raises(EaselError, match=r"e\.g\. verdicts:C1\.verdict: reference trend .*, found contradicted"):
        one([2.0, 2.1, 2.2, 2.3, 2.4], 19.0)  # the same numbers: somebody changed the rule


def test_what_a_clock_measured_may_move_further_and_is_reported(tmp_path):
    source = ledger.Source("p", "x", "paper")
    metric = ledger.Metric("a.json", "a.b", "threshold", better="higher", threshold=0, timed="a")
    claim = ledger.Claim("C1", source, "s", None, None, "t", "reduced", "glu", metric)

    def judge(*values):
        return judged(tmp_path / "laptop", claim, metric, seeds(*values))

    (tmp_path / "reference.json").write_text(json.dumps(drift.pin(tmp_path, [], judge(2.0, 2.1, 2.2, 2.3, 2.4))))

    def states(*values):
        found = held(drift.check(tmp_path / "laptop", tmp_path / "reference.json", tmp_path, judged=judge(*values)))
        return {item.name.rpartition(".")[2]: item.state for item in found}

    assert states(2.1, 2.2, 2.3, 2.4, 2.5)["value"] == "reproduced"
    assert states(4.0, 4.1, 4.2, 4.3, 4.4)["value"] == "another time"
    assert "| another time | `verdicts:C1.value`" in (tmp_path / "drift.md").read_text()
    with pytest.raises(EaselError, match=r"drifted or are missing, e\.g\. verdicts:C1\."):
        states(20.0, 21.0, 22.0, 23.0, 24.0)


def test_a_claim_that_is_gone_is_missing(one, tmp_path):
    with pytest.raises(EaselError, match="5 of 5 pinned numbers"):
        held(drift.check(tmp_path / "laptop", tmp_path / "reference.json", tmp_path))


def test_the_verdicts_of_a_reference_can_be_asked_for(one, tmp_path):
    assert drift.pinned_verdicts(tmp_path / "reference.json") == {"C1": verdicts.REDUCED_SCALE}
    assert drift.pinned_verdicts(tmp_path / "none.json") == {}


def test_references_know_what_was_measured(one, tmp_path):
    (tmp_path / "references").mkdir()
    (tmp_path / "reference.json").rename(tmp_path / "references" / "laptop.json")
    (tmp_path / "references" / "data.json").write_text('{"files": 3}')
    assert drift.measured_in(tmp_path / "references") == {("a.json", "a.b")}
    assert drift.measured_in(tmp_path / "none") == set()

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from lib.errors import EaselError
from lib.evidence import inference, ledger, provenance, verdict_tables, verdicts
from lib.evidence.ledger import OWN_QUESTION, Claim, Metric, Requirement, Source

ROOT = Path(__file__).parents[2]
RANDOM = np.random.default_rng(7)
SOURCE = Source("A paper", "Table 1", "paper")


def claim(scale="reduced", identifier="C1", **metric):
    metric = {"kind": "direction", "better": "higher", **metric}
    metric = Metric(results="study.json", key="a.b", **metric)
    return Claim(identifier, SOURCE, "A is better.", 1.5, "points", "A against B.", scale, "glu", metric)


def judge(folder, measured, profile="laptop", **changes):
    """The judgement of one claim when study.json holds `measured` at a.b."""
    results = folder / "results" / profile
    results.mkdir(parents=True, exist_ok=True)
    (results / "study.json").write_text(json.dumps({"a": {"b": measured}}))
    [judgement] = verdicts.judge([claim(**changes)], results)
    return judgement


def pairs(baseline, treatment):
    return {
        "baseline": list(baseline),
        "treatment": list(treatment),
        "unit": "points",
        "seeds_are": "training seeds",
    }


def simulated(generator, effect, count=6):
    seed_effect = generator.normal(size=count)  # shared by both arms, which is what pairing removes
    return pairs(seed_effect, seed_effect + effect + generator.normal(0, 0.1, size=count))


def judge_all(folder, measured, **changes):
    """The judgements of claims of one study, C0, C1 and so on, one for each of `measured`."""
    results = folder / "results" / "laptop"
    results.mkdir(parents=True, exist_ok=True)
    (results / "study.json").write_text(json.dumps(dict(enumerate(measured))))
    claims = [claim(identifier=f"C{i}", **changes) for i in range(len(measured))]
    claims = [replace(one, metric=replace(one.metric, key=str(i))) for i, one in enumerate(claims)]
    return verdicts.judge(claims, results)


def test_a_known_effect_is_reproduced(tmp_path):
    generator = np.random.default_rng(0)
    for count in (5, 6, 9):
        measured = simulated(generator, 0.9, count)
        judgement = judge(tmp_path, measured)
        assert judgement.verdict == verdicts.REDUCED_SCALE
        assert judgement.seeds == count
        found = scipy.stats.ttest_rel(measured["treatment"], measured["baseline"])
        assert judgement.p == pytest.approx(found.pvalue) and judgement.corrected == judgement.p
        assert (judgement.effect.low, judgement.effect.high) == pytest.approx(found.confidence_interval(0.95))
        assert f"over {count} pairs (training seeds)" in judgement.sentence


def test_a_reversed_effect_is_contradicted(tmp_path):
    measured = simulated(np.random.default_rng(1), -0.9)
    judgement = judge(tmp_path, measured)
    assert judgement.verdict == verdicts.CONTRADICTED
    assert judgement.sentence.endswith("on the other side of what is claimed.")
    assert judge(tmp_path, measured, better="lower").verdict == verdicts.REDUCED_SCALE


def test_what_no_paper_asks_is_supported(tmp_path):
    own = Source(OWN_QUESTION, "as C1", "paper")
    (tmp_path / "study.json").write_text(
        json.dumps({"a": {"b": simulated(RANDOM, 0.9), "c": True, "d": {"value": 1, "low": 0.9, "high": 1.1}}})
    )
    document = json.loads((tmp_path / "study.json").read_text())
    document["a"]["d"] |= {"unit": "x", "over": "pictures"}
    (tmp_path / "study.json").write_text(json.dumps(document))
    metrics = (
        Metric("study.json", "a.b", "direction", better="higher"),
        Metric("study.json", "a.c", "exact", equals=True),
        Metric("study.json", "a.d", "interval", better="higher", threshold=0.5),
    )
    claims = [replace(claim(identifier=f"D{i}", scale="paper"), source=own, metric=m) for i, m in enumerate(metrics)]
    assert [judged.verdict for judged in verdicts.judge(claims, tmp_path)] == [verdicts.SUPPORTED] * 3
    [no] = verdicts.judge([replace(claims[0], metric=replace(metrics[0], better="lower"))], tmp_path)
    assert no.verdict == verdicts.CONTRADICTED


@pytest.mark.parametrize("count", [5, 8])
@pytest.mark.parametrize("skewed", [False, True])
def test_no_effect_gives_few_false_verdicts(tmp_path, count, skewed):
    generator = np.random.default_rng(count)
    draw = (lambda: generator.lognormal(size=count) - np.exp(0.5)) if skewed else (lambda: generator.normal(size=count))
    found = [judge(tmp_path, pairs(np.zeros(count), draw())).verdict for _ in range(200)]
    assert found.count(verdicts.INCONCLUSIVE) >= 182  # expected are 190 or more


def test_three_seeds_are_never_more_than_inconclusive(tmp_path):
    for effect in (50.0, -50.0):
        judgement = judge(tmp_path, simulated(np.random.default_rng(2), effect, 3))
        assert judgement.verdict == verdicts.INCONCLUSIVE
        assert "a verdict needs at least 5 seeds" in judgement.sentence
        assert judgement.p is None and judgement.corrected is None
    assert judge(tmp_path, pairs([0.0], [2.0])).effect.high == 2.0


def test_the_ledger_can_ask_for_more_seeds_but_not_for_fewer(tmp_path):
    measured = simulated(np.random.default_rng(3), 0.9, 6)
    assert judge(tmp_path, measured, minimum_seeds=7).verdict == verdicts.INCONCLUSIVE
    measured = simulated(np.random.default_rng(3), 0.9, 4)
    assert judge(tmp_path, measured, minimum_seeds=2).verdict == verdicts.INCONCLUSIVE


def test_what_a_skewed_law_might_show_is_inconclusive(tmp_path):
    judgement = judge(tmp_path, pairs([0.0] * 6, [1.0, 1.2, 0.8, 1.6, 0.4, 0.5]))
    assert judgement.effect.low > 0 and inference.largest_p(6) < judgement.p == judgement.corrected < 0.05
    assert judgement.verdict == verdicts.INCONCLUSIVE
    assert "skewed differences would show as much too often" in judgement.sentence


def test_other_tests_of_a_study_count_and_those_of_another_do_not(tmp_path):
    clear, doubtful = pairs([0.0] * 5, [1.0, 1.1, 0.9, 1.05, 0.95]), pairs([0.0] * 5, [1.0, 1.35, 0.65, 1.25, 0.75])
    nothing = [simulated(RANDOM, 0.0, 5) for _ in range(38)]
    alone = judge(tmp_path, doubtful)
    assert (alone.verdict, alone.corrected) == (verdicts.REDUCED_SCALE, alone.p)
    many = judge_all(tmp_path, [clear, doubtful, *nothing])
    assert [item.verdict for item in many[:2]] == [verdicts.REDUCED_SCALE, verdicts.INCONCLUSIVE]
    assert many[1].p == alone.p and many[1].corrected == pytest.approx(39 * alone.p)
    assert "after Holm's correction for 40 tests: among so many tests that is not certain." in many[1].sentence
    short = [pairs([0.0] * 3, [1.0] * 3)] * 38  # cannot be decided, so they are no tests
    assert judge_all(tmp_path, [clear, doubtful, *short])[1].verdict == verdicts.REDUCED_SCALE
    # The same claims, all but two of another study.
    results = tmp_path / "results" / "laptop"
    (results / "study.json").write_text(json.dumps({"a": {"b": doubtful}}))
    others = [replace(claim(identifier=f"C{i}"), study=study) for i, study in enumerate(["glu", *["var"] * 40])]
    assert verdicts.judge(others, results)[0].corrected == alone.p


def test_identical_arms_are_inconclusive(tmp_path):
    judgement = judge(tmp_path, pairs([1.0] * 6, [1.0] * 6))
    assert judgement.verdict == verdicts.INCONCLUSIVE
    assert (judgement.effect.low, judgement.effect.high, judgement.p) == (0.0, 0.0, 1.0)


def test_equal_is_within_a_margin(tmp_path):
    def equal(values, margin, about=0.0):
        measured = {"values": values, "unit": "nats", "seeds_are": "sampling seeds"}
        return judge(tmp_path, measured, kind="equal", better=None, margin=margin, about=about)

    values = [0.01, -0.01, 0.02, 0.0, 0.005]
    assert equal(values, 0.05).verdict == verdicts.REDUCED_SCALE
    assert equal([-value for value in values], 0.05).p == pytest.approx(equal(values, 0.05).p)
    assert equal(values, 0.03).verdict == verdicts.INCONCLUSIVE
    for sign in (1, -1):
        far = equal([sign * (value + 0.1) for value in values], 0.05)
        assert far.verdict == verdicts.CONTRADICTED and far.effect.value == pytest.approx(sign * 0.105)
    assert equal([value + 2 for value in values], 0.05, about=2.0).verdict == verdicts.REDUCED_SCALE
    assert "(equal: within 0.05 of 2)" in equal([value + 2 for value in values], 0.05, about=2.0).sentence
    paired = judge(tmp_path, pairs([5.0] * 5, np.add(values, 5)), kind="equal", better=None, margin=0.05)
    assert paired.p == pytest.approx(equal(values, 0.05).p) and paired.verdict == verdicts.REDUCED_SCALE


def test_a_direction_with_a_margin_asks_for_more_than_that(tmp_path):
    measured = pairs([0.0] * 5, [1.0, 1.1, 0.9, 1.05, 0.95])
    found = {margin: judge(tmp_path, measured, margin=margin).verdict for margin in (0.5, 1.0, 1.5)}
    assert found == {0.5: verdicts.REDUCED_SCALE, 1.0: verdicts.INCONCLUSIVE, 1.5: verdicts.CONTRADICTED}
    lower = pairs(measured["treatment"], measured["baseline"])
    found = {margin: judge(tmp_path, lower, better="lower", margin=margin).verdict for margin in (0.5, 1.0, 1.5)}
    assert found == {0.5: verdicts.REDUCED_SCALE, 1.0: verdicts.INCONCLUSIVE, 1.5: verdicts.CONTRADICTED}
    assert "against a margin of -0.5 over" in judge(tmp_path, lower, better="lower", margin=0.5).sentence


def test_paper_scale_needs_the_paper_profile_and_the_ledgers_word(tmp_path):
    measured = simulated(np.random.default_rng(4), 0.9)
    assert judge(tmp_path, measured, scale="paper").verdict == verdicts.REDUCED_SCALE
    assert judge(tmp_path, measured, profile="paper").verdict == verdicts.REDUCED_SCALE
    assert judge(tmp_path, measured, profile="paper", scale="paper").verdict == verdicts.PAPER_SCALE


def test_thresholds_are_judged_like_differences(tmp_path):
    def threshold(values, bound):
        measured = {"values": values, "unit": "tokens per pass", "seeds_are": "training seeds"}
        return judge(tmp_path, measured, kind="threshold", threshold=bound)

    values = [1.8, 1.9, 2.0, 1.85, 1.95]
    assert threshold(values, 1.0).verdict == verdicts.REDUCED_SCALE
    assert threshold(values, 1.0).effect.value == pytest.approx(1.9)
    assert "against a threshold of 1 over 5 values" in threshold(values, 1.0).sentence
    assert threshold(values, 1.91).verdict == verdicts.INCONCLUSIVE
    assert threshold(values, 2.5).verdict == verdicts.CONTRADICTED
    assert threshold(values[:3], 1.0).verdict == verdicts.INCONCLUSIVE


def test_exact_claims_are_equal_or_not(tmp_path):
    def exact(measured, equals, scale="reduced"):
        return judge(tmp_path, measured, scale=scale, kind="exact", better=None, equals=equals)

    assert exact(4718592, 4718592, "paper").verdict == verdicts.PAPER_SCALE
    assert exact(True, True).verdict == verdicts.REDUCED_SCALE
    assert exact(4718593, 4718592).verdict == verdicts.CONTRADICTED
    assert exact(1, True).verdict == verdicts.CONTRADICTED
    assert exact(4718593, 4718592).sentence == "Found 4718593, not 4718592."
    assert exact([4718592], [4718592]).sentence == "Found 4718592, as claimed."
    assert exact(True, True).sentence == "What the claim says holds here."
    assert exact(False, True).sentence == "What the claim says does not hold here."


def test_an_interval_lies_on_one_side_of_the_threshold_or_decides_nothing(tmp_path):
    def interval(low, high, **more):
        measured = {"value": (low + high) / 2, "low": low, "high": high, "unit": "nats", "over": "pictures"} | more
        return judge(tmp_path, measured, kind="interval", better="lower", threshold=0.05)

    assert interval(0.02, 0.04).verdict == verdicts.REDUCED_SCALE
    assert interval(0.04, 0.06).verdict == verdicts.INCONCLUSIVE
    assert interval(0.06, 0.08).verdict == verdicts.CONTRADICTED
    assert interval(0.02, 0.04, conditions={"fewer passes": True}).verdict == verdicts.REDUCED_SCALE
    failed = interval(0.02, 0.04, conditions={"fewer passes": False})
    assert failed.verdict == verdicts.CONTRADICTED and failed.sentence.endswith("does not hold: fewer passes.")
    with pytest.raises(EaselError, match=r"claim C1: .*study.json: needs the fields value, low, high, unit, over"):
        judge(tmp_path, {"value": 1.0}, kind="interval", better="lower", threshold=0.05)


def test_arithmetic_can_rule_out_but_not_prove(tmp_path):
    def possible(measured):
        return judge(tmp_path, measured, scale="paper", profile="paper", kind="possible", better=None)

    judged = possible({"possible": True, "because": "72 hours at $2.40 are $172.80."})
    assert judged.verdict == verdicts.INCONCLUSIVE
    assert judged.sentence == "Arithmetic finds it possible, which is no proof: 72 hours at $2.40 are $172.80."
    judged = possible({"possible": False, "because": "it takes 300 % of the peak."})
    assert judged.verdict == verdicts.CONTRADICTED
    assert judged.sentence == "Arithmetic rules it out: it takes 300 % of the peak."
    for wrong in (True, {"possible": 1, "because": "x"}, {"possible": True}):
        with pytest.raises(EaselError, match=r"claim C1: a\.b in .*: needs the fields possible .* and because"):
            possible(wrong)


def test_kind_none_never_decides(tmp_path):
    judgement = judge(tmp_path, {"changes": 3}, kind="none", better=None)
    assert judgement.verdict == verdicts.INCONCLUSIVE
    assert "no number could decide it" in judgement.sentence


def test_missing_results_are_not_attempted(tmp_path):
    [judgement] = verdicts.judge([claim()], tmp_path / "results" / "smoke")
    assert judgement.verdict == "not attempted (needs a.b in study.json)"
    (tmp_path / "study.json").write_text('{"a": {}}')
    [judgement] = verdicts.judge([claim()], tmp_path, {("study.json", "a.b")})
    assert judgement.verdict == "not attempted (needs a.b in study.json)"
    assert judgement.sentence == "Nothing measured: study.json has no a.b."
    [judgement] = verdicts.judge([claim(absent_when="nothing is drawn")], tmp_path)
    assert judgement.sentence == "Nothing measured: study.json has no a.b: nothing is drawn."

    needs = Claim("C2", SOURCE, "B.", None, None, "x", "paper", "glu", needs="human raters")
    [judgement] = verdicts.judge([needs], tmp_path)
    assert judgement.verdict == "not attempted (needs human raters)"


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        (pairs([1, 2, 3], [1, 2]), "baseline has 3 values and treatment 2"),
        (pairs([1, float("nan")], [1, 2]), "1 of 2 values are NaN"),
        ({"baseline": [1]}, "needs the fields baseline, treatment, unit, seeds_are"),
        (3.5, "needs the fields"),
    ],
)
def test_unusable_results_name_the_claim_and_the_file(tmp_path, measured, message):
    with pytest.raises(EaselError, match=rf"claim C1: a\.b in .*study\.json: .*{message}"):
        judge(tmp_path, measured)


def requirement(**changes):
    fields = {"better": "higher", "threshold": 0.97, "unit": "accuracy", "profiles": ("laptop",), **changes}
    return Requirement("B1", "Good.", "us", "reader.json", "accuracy", **fields)


MEASURED = {("reader.json", "accuracy"), ("study.json", "a.b")}
RESULTS = {"study.json": {"a": {"b": {"x": 1}, "long_name": 2}, "c": [3]}, "reader.json": {"accuracy": 0.5}}


def mistyped(text, random):
    """The text with one letter dropped, doubled or replaced."""
    place = int(random.integers(len(text)))
    return text[:place] + str(random.choice(["", 2 * text[place], "q"])) + text[place + 1 :]


@pytest.mark.parametrize("elsewhere", [set(), MEASURED], ids=["the first run", "with a reference"])
def test_a_mistyped_key_or_file_is_an_error_that_names_what_there_is(tmp_path, elsewhere):
    for name, document in RESULTS.items():
        (tmp_path / name).write_text(json.dumps(document))
    random = np.random.default_rng(0)
    for _ in range(40):
        wrong = mistyped("a.long_name", random)
        one = Claim("C9", SOURCE, "s", None, None, "t", "reduced", "glu", Metric("study.json", wrong, "none"))
        with pytest.raises(EaselError) as error:
            verdicts.judge([one], tmp_path, elsewhere)
        assert "claim C9" in str(error.value) and f"no {wrong};" in str(error.value)
        if wrong.startswith("a."):
            assert "most alike is a.long_name" in str(error.value)
        wrong = mistyped("accuracy", random)
        with pytest.raises(EaselError, match=r"bench requirement B1: .*; the key most alike is accuracy"):
            verdicts.judge_bench([replace(requirement(), key=wrong)], tmp_path, elsewhere)
        wrong = f"{mistyped('study', random)}.json"
        one = Claim("C9", SOURCE, "s", None, None, "t", "reduced", "glu", Metric(wrong, "a.b", "none"))
        if elsewhere:
            with pytest.raises(EaselError, match=r"claim C9: .*; the name most alike there is study\.json"):
                verdicts.judge([one], tmp_path, elsewhere)
        else:
            assert verdicts.judge([one], tmp_path)[0].verdict.startswith("not attempted")


def test_keys_of_the_ledger_are_in_the_committed_results_or_say_why_not():
    book = ledger.load_all()
    for judged in verdicts.judge(book.claims, ROOT / "results/laptop"):
        if judged.claim.metric and judged.results is None:
            assert judged.claim.metric.absent_when, judged.claim.id
            # What is absent can only be held against the code that would write it.
            name = judged.claim.metric.key.rpartition(".")[2]
            code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "studies").rglob("*claims.py"))
            assert f'"{name}"' in code


def test_a_timed_claim_names_the_machine_and_its_load(tmp_path):
    for records, words in (
        ([{"cpu": "Zen", "cores": 2}], "Timed on Zen, 2 cores, its load not recorded."),
        ([{"cpu": "Zen", "cores": 2, "load": load} for load in (0.5, 3.0)], "Timed on Zen, 2 cores, load 0.5 to 3."),
        (
            [{"cpu": "Zen", "cores": 2, "load": 1.0}, {"cpu": "A", "cores": 1}],
            "Timed on A, 1 cores; Zen, 2 cores, load",
        ),
    ):
        groups = {str(number): {"machine": record} for number, record in enumerate(records)}
        (tmp_path / "study.json").write_text(json.dumps({"a": {"b": simulated(RANDOM, 0.5)}, "groups": groups}))
        [judged] = verdicts.judge([claim(timed="groups")], tmp_path)
        assert words in judged.sentence
        with pytest.raises(EaselError, match=r"claim C1: .* no record of a machine below runs"):
            verdicts.judge([claim(timed="runs")], tmp_path)
        assert "Timed" not in verdicts.judge([claim()], tmp_path)[0].sentence


@pytest.mark.parametrize(
    ("measured", "outcome", "value"),
    [
        (0.98, "met", 0.98),
        (0.97, "met", 0.97),
        (0.9699, "missed", 0.9699),
        ({"value": 0.98, "low": 0.96, "high": 0.99}, "met", 0.98),
        ({"value": 0.95, "low": 0.94, "high": 0.98}, "missed", 0.95),
    ],
)
def test_bench_outcomes(tmp_path, measured, outcome, value):
    folder = tmp_path / "laptop"
    folder.mkdir()
    (folder / "reader.json").write_text(json.dumps({"accuracy": measured}))
    [found] = verdicts.judge_bench([requirement()], folder)
    assert (found.outcome, found.value) == (outcome, value)


def test_bench_is_asked_only_under_its_profiles(tmp_path):
    folder = tmp_path / "smoke"
    folder.mkdir()
    [found] = verdicts.judge_bench([requirement()], folder)
    assert (found.outcome, found.value) == ("not measured", None)
    (folder / "reader.json").write_text('{"accuracy": 0.2}')
    [found] = verdicts.judge_bench([requirement()], folder)
    assert (found.outcome, found.value) == ("not measured", 0.2)
    assert found.sentence == "0.2; asked for ≥ 0.97 only under laptop."
    [lower] = verdicts.judge_bench([requirement(better="lower", threshold=0.1, profiles=("smoke",))], folder)
    assert (lower.outcome, lower.sentence) == ("missed", "0.2; asked for ≤ 0.1.")


@pytest.mark.parametrize("bad", ["good", True, float("nan"), {"low": 1}, [0.9]])
def test_bench_numbers_are_numbers(tmp_path, bad):
    folder = tmp_path / "laptop"
    folder.mkdir()
    (folder / "reader.json").write_text(json.dumps({"accuracy": bad}))
    with pytest.raises(EaselError, match=r"bench requirement B1: accuracy in .* must be a finite number"):
        verdicts.judge_bench([requirement()], folder)


def test_written_files_agree_and_are_the_same_every_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib/evidence").mkdir(parents=True)
    for name in ("claims.yaml", "requirements.lock", "lib/evidence/verdicts.py", "lib/evidence/inference.py"):
        (tmp_path / name).write_text("x")
    judgement = judge(tmp_path, simulated(np.random.default_rng(6), 0.9))
    folder = tmp_path / "results" / "laptop"
    outcomes = verdicts.judge_bench([requirement()], folder)
    out = folder / "verdicts"

    paths = verdict_tables.write([judgement], outcomes, out)
    first = {path.name: path.read_bytes() for path in paths}
    assert {path.name: path.read_bytes() for path in verdict_tables.write([judgement], outcomes, out)} == first
    expected = {
        f"{name}.{suffix}" for name in ("claims", "bench") for suffix in ("csv", "md", "tex", "provenance.json")
    }
    assert set(first) == expected | {"claims.json"}
    provenance.check(out)

    document = json.loads(first["claims.json"])
    assert document["claims"][0]["verdict"] == verdicts.REDUCED_SCALE
    assert document["profile"] == "laptop"
    assert document["counts"][verdicts.REDUCED_SCALE] == 1
    assert document["bench"][0]["outcome"] == "not measured"
    markdown, full = first["claims.md"].decode(), first["claims.csv"].decode()
    assert "trend reproduced at reduced scale" in markdown and f" points, n = 6, p = {judgement.p:.2g} |" in markdown
    assert "1.5 points" in full and judgement.sentence in full and "1.5 points" not in markdown
    assert str(tmp_path) not in "".join(content.decode() for content in first.values())


@pytest.mark.parametrize(
    ("metric", "measured", "found"),
    [
        ({"kind": "exact", "equals": True}, False, "What the claim says does not hold here."),
        (
            {"kind": "interval", "better": "lower", "threshold": 0.05},
            {"value": 0.04, "low": 0.03, "high": 0.0451, "unit": "nats", "over": "pictures"},
            "0.04 [0.03, 0.0451] nats",
        ),
        ({"kind": "possible"}, {"possible": False, "because": "it takes 300 %."}, "impossible, by arithmetic"),
        ({"kind": "direction", "better": "lower"}, pairs([0.0] * 3, [1.0] * 3), "1 [1, 1] points, n = 3"),
        (None, None, "needs a GPU (or two)"),
    ],
)
def test_a_line_says_what_was_found(tmp_path, metric, measured, found):
    (tmp_path / "study.json").write_text(json.dumps({"a": measured}))
    one = replace(claim(), metric=metric and Metric("study.json", "a", **metric), needs=None if metric else found[6:])
    assert verdict_tables._found(verdicts.judge([one], tmp_path)[0]) == found


def test_a_claim_that_parts_from_the_reference_run_is_marked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib/evidence").mkdir(parents=True)
    for name in ("claims.yaml", "requirements.lock", "lib/evidence/verdicts.py", "lib/evidence/inference.py"):
        (tmp_path / name).write_text("x")
    judgement = judge(tmp_path, simulated(np.random.default_rng(6), 0.9))
    for pinned, marked in (({"C1": verdicts.INCONCLUSIVE}, True), ({"C1": judgement.verdict}, False), ({}, False)):
        verdict_tables.write([judgement], [], tmp_path / "out", reference=pinned)
        text = (tmp_path / "out/claims.md").read_text()
        assert ("differs from the reference run: inconclusive" in text) == marked
        [entry] = json.loads((tmp_path / "out/claims.json").read_text())["claims"]
        assert entry["reference"] == pinned.get("C1")

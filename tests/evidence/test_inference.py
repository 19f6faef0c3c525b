import numpy as np
import pytest
import scipy.stats

from lib.evidence import inference

VALUES = np.array([0.3, -0.1, 0.4, 0.2, 0.25])


def test_interval_and_p_are_students():
    found = scipy.stats.ttest_1samp(VALUES, 0)
    interval = inference.t_interval(VALUES)
    assert (interval.low, interval.high) == pytest.approx(found.confidence_interval(0.95))
    assert interval.value == pytest.approx(VALUES.mean())
    assert inference.t_p(VALUES) == pytest.approx(found.pvalue)
    assert inference.t_p(np.stack([VALUES, -VALUES])) == pytest.approx([found.pvalue] * 2)


def test_values_without_spread_have_no_t():
    assert inference.t_p([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3]) == 2 * 2**-5  # one of them is 0.30000000000000004
    assert inference.t_p([-2.0] * 8) == 2 * 2**-8
    assert inference.t_p([0.0] * 5) == 1.0


@pytest.mark.parametrize("shift", [0.0, 0.4, -0.4, 0.6, -0.6])
def test_an_equality_is_two_one_sided_tests(shift):
    margin, values = 0.5, VALUES + shift
    ends = [
        scipy.stats.ttest_1samp(values, end, alternative=side).pvalue
        for end, side in ((margin, "less"), (-margin, "greater"))
    ]
    inside = abs(values.mean()) < margin
    one_sided = max(ends) if inside else 1 - max(ends)
    measured = inference.outside(values, margin)
    assert inference.t_p(measured) == pytest.approx(2 * one_sided)
    assert (measured.mean() < 0) == inside


def test_holm_by_hand():
    assert inference.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert inference.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert inference.holm([[0.02], [0.03]]).tolist() == [[0.02], [0.03]]
    assert len(inference.holm([])) == 0


def test_a_decision_needs_both_ps():
    assert inference.decided(0.001, 0.05, 5) and not inference.decided(0.001, 0.051, 5)
    assert not inference.decided(0.003, 0.003, 5) and not inference.decided(0.002, 0.002, 9)

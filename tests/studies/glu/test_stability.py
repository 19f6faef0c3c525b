import numpy as np
import pytest

from studies.glu.code.stability import WINDOW, lost, spikes


def falling(steps=100):
    return np.linspace(6.0, 2.0, steps)


def test_a_falling_loss_has_no_spikes():
    assert spikes(falling(), rise=0.5) == 0


@pytest.mark.parametrize("height", [np.nan, np.inf, 9.0])
def test_each_excursion_counts_once(height):
    losses = falling()
    losses[[40, 41, 42, 70]] = height
    losses[73] = losses[73] + 0.1  # less than the rise
    assert spikes(losses, rise=0.5) == 2


def test_what_never_comes_back_is_one_spike_and_lost():
    losses = falling()
    losses[60:] = np.nan
    assert spikes(losses, rise=0.5) == 1 and lost(losses, useless=5.0)
    losses[60:] = 5.5
    assert spikes(losses, rise=0.5) == 1 and lost(losses, useless=5.0)


def test_a_run_is_lost_only_by_its_end():
    losses = falling()
    assert not lost(losses, useless=5.0)
    losses[10:20] = np.nan
    assert not lost(losses, useless=5.0)


def test_shorter_than_the_window_there_is_nothing_to_compare_with():
    assert spikes(np.full(WINDOW, 3.0), rise=0.5) == 0

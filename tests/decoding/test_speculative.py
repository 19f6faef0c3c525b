"""Single draws and tests."""

import numpy as np
import torch
from scipy import stats

from lib.decoding.speculative import (
    chances,
    corrected,
    draw,
    leading,
    picked,
    probabilities,
    redrawn,
    residual,
    sampled,
)


def law(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)


def test_draws_follow_their_weights_and_never_give_what_has_none():
    weights = torch.tensor([0.0, 0.2, 0.0, 1.5, 0.3, 0.0])
    uniform = (torch.arange(100_000) + 0.5) / 100_000
    share = np.bincount(draw(weights.expand(100_000, 6), uniform).numpy(), minlength=6) / 100_000
    np.testing.assert_allclose(share, weights / weights.sum(), atol=1e-4)


def test_draws_at_both_ends_of_the_uniform_numbers():
    ends = torch.tensor([0.0, 1 - 2.0**-24])
    for seed in range(200):
        p = law(seed, 700).exp()
        p[0] = p[-1] = 0
        first, last = draw(p.expand(2, -1), ends).tolist()
        assert p[first] > 0 and p[last] > 0
    assert draw(torch.tensor([[0.0, 1.0, 0.0]]).expand(2, -1), ends).tolist() == [1, 1]


def test_leading_counts_up_to_the_first_that_fails():
    passed = torch.tensor([[1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]]).bool()
    assert leading(passed).tolist() == [2, 0, 4]


def test_chances_are_ratios_and_an_impossible_token_has_none():
    log_p = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]]).log()
    log_q = torch.tensor([[[0.25, 0.25, 0.5], [0.0, 1.0, 0.0]]]).log()

    def chance(*drafts):
        drafts = torch.tensor([drafts])
        return chances(picked(log_p, drafts), picked(log_q, drafts))

    assert torch.allclose(chance(0, 1), torch.tensor([[2.0, 0.5]]))
    assert not (torch.zeros(1, 2) < chance(2, 0)).any()  # impossible for the network; for the proposal too


def test_one_test_gives_the_law_of_p_from_drafts_of_q():
    count = 40_000
    generator = torch.Generator().manual_seed(1)
    log_p, log_q = law(2, 1, 1, 5).expand(count, 1, 5), law(3, 1, 1, 5).expand(count, 1, 5)
    for_draft, for_test, for_draw = torch.rand(3, count, 1, generator=generator)
    drafts = draw(log_q.exp(), for_draft)
    agreed = leading(for_test < chances(picked(log_p, drafts), picked(log_q, drafts)))
    replaced, again = (replace(log_p, log_q[:, 0], agreed, for_draw) for replace in (corrected, redrawn))
    assert torch.equal(replaced, again)
    tokens = torch.where(agreed.unsqueeze(1) == 1, drafts, replaced)
    observed, expected = np.bincount(tokens.flatten(), minlength=5), log_p[0, 0].exp().double().numpy()
    assert stats.chisquare(observed, expected / expected.sum() * count).pvalue > 1e-3
    # Accepted as often as can be.
    most = torch.minimum(log_p[0, 0].exp(), log_q[0, 0].exp()).sum()
    assert abs(agreed.float().mean() - most) < 0.01


def test_the_residual_of_equal_distributions_is_the_distribution():
    p = law(4, 6).exp()
    assert torch.equal(residual(p, p), p)
    assert torch.equal(residual(p, torch.zeros_like(p)), p)


def test_only_the_first_slot_that_failed_is_drawn_from_its_residual():
    log_p, log_q = law(5, 2, 3, 6), law(6, 2, 6)
    agreed, uniform = torch.tensor([1, 3]), torch.rand(2, 3, generator=torch.Generator().manual_seed(7))
    for noise in (None, law(8, 2, 3, 6)):
        tokens, free = redrawn(log_p, log_q, agreed, uniform, noise=noise), sampled(log_p, uniform, noise)
        assert tokens[0, 1] == draw(residual(log_p[0, 1].exp(), log_q[0].exp()), uniform[0, 1])
        assert torch.equal(tokens[0, [0, 2]], free[0, [0, 2]]) and torch.equal(tokens[1, :2], free[1, :2])
        tested = torch.tensor([[True, False, True]]).expand(2, -1)
        chosen = redrawn(log_p, log_q, agreed, uniform, tested, noise)
        assert chosen[0, 1] == draw(log_p[0, 1].exp(), uniform[0, 1])


def test_probabilities_of_impossible_codes_are_zero():
    log_p = torch.tensor([0.0, -torch.inf, -200.0])
    assert probabilities(log_p).tolist() == [1.0, 0.0, 0.0]
    assert torch.allclose(probabilities(law(9, 4, 6)), law(9, 4, 6).exp())

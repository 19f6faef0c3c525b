"""Single draws and tests."""

import numpy as np
import torch
from scipy import stats

from lib.decoding.speculative import after_test, chances, corrected, draw, leading, residual


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
    assert torch.allclose(chances(log_p, log_q, torch.tensor([[0, 1]])), torch.tensor([[2.0, 0.5]]))
    assert chances(log_p, log_q, torch.tensor([[2, 0]])).tolist() == [[0.0, 0.0]]


def test_one_test_gives_the_law_of_p_from_drafts_of_q():
    count = 40_000
    generator = torch.Generator().manual_seed(1)
    log_p, log_q = law(2, 1, 1, 5).expand(count, 1, 5), law(3, 1, 1, 5).expand(count, 1, 5)
    for_draft, for_test, for_draw = torch.rand(3, count, 1, generator=generator)
    drafts = draw(log_q.exp(), for_draft)
    agreed = leading(for_test < chances(log_p, log_q, drafts))
    tokens = after_test(agreed, drafts, corrected(log_p, log_q, agreed, for_draw), drafts)
    observed, expected = np.bincount(tokens.flatten(), minlength=5), log_p[0, 0].exp().double().numpy()
    assert stats.chisquare(observed, expected / expected.sum() * count).pvalue > 1e-3
    # Accepted as often as can be.
    most = torch.minimum(log_p[0, 0].exp(), log_q[0, 0].exp()).sum()
    assert abs(agreed.float().mean() - most) < 0.01


def test_the_residual_of_equal_distributions_is_the_distribution():
    p = law(4, 6)
    assert torch.equal(residual(p, p), p.exp())
    assert torch.equal(residual(p, torch.full_like(p, -torch.inf)), p.exp())


def test_the_window_after_a_test():
    drafts, refined = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), torch.full((3, 3), 50)
    tokens = after_test(torch.tensor([0, 2, 3]), drafts, torch.tensor([[90], [91], [92]]), refined)
    assert tokens.tolist() == [[90, 50, 50], [4, 5, 91], [7, 8, 9]]

"""Best-of-n: does ranking candidates by CLIP give better pictures? (DALL·E Mini shows the best of 8 that way.)

What the ranker likes best scores highest with the ranker, whatever it shows: with pure noise for scores, the mean of
the best of n rises with n. A claim about re-ranking therefore needs a judge that had no part in the ranking, such as
the reader, which was trained apart from CLIP and on another task.
"""

from dataclasses import dataclass

import numpy as np

from lib.errors import EaselError


@dataclass(frozen=True)
class BestOf:
    """Outcomes per prompt, so that intervals and paired comparisons can be taken over prompts.

    Attributes:
        k: int [K], how many candidates were drawn: 1, 2, 4, … and n.
        ranked: float [P, K], the judge's outcome of the candidate that the ranker likes best among the first k.
        oracle: float [P, K], the best outcome among the first k: what a perfect ranker would reach.
        unranked: float [P], the mean outcome of all n candidates: what a candidate taken blindly is worth. Less noisy
            than `ranked` at k = 1, whose expectation it shares.
    """

    k: np.ndarray
    ranked: np.ndarray
    oracle: np.ndarray
    unranked: np.ndarray


def best_of(scores: np.ndarray, outcomes: np.ndarray) -> BestOf:
    """Selection by score, judged by outcome.

    Args:
        scores: the ranker's, [P, n], candidates in the order in which they were drawn, not sorted. Of equal scores the
            earlier candidate is taken.
        outcomes: the independent judge's, [P, n], right (1) or wrong (0), or any number where more is better.

    Raises:
        EaselError: shapes differ, there are no candidates, or a number is missing (NaN or infinite).
    """
    scores, outcomes = np.asarray(scores, float), np.asarray(outcomes, float)
    if scores.shape != outcomes.shape or scores.ndim != 2 or not scores.size:
        raise EaselError(
            f"re-ranking needs scores and outcomes, both [prompts, candidates], not {list(scores.shape)} and "
            f"{list(outcomes.shape)}."
        )
    if not (np.isfinite(scores).all() and np.isfinite(outcomes).all()):
        raise EaselError("re-ranking needs finite scores and outcomes; some are NaN or infinite.")
    n = scores.shape[1]
    counts = sorted({2**power for power in range(n.bit_length())} | {n})
    chosen = np.stack([scores[:, :k].argmax(axis=1) for k in counts], axis=1)  # [P, K]
    return BestOf(
        k=np.array(counts),
        ranked=np.take_along_axis(outcomes, chosen, axis=1),
        oracle=np.stack([outcomes[:, :k].max(axis=1) for k in counts], axis=1),
        unranked=outcomes.mean(axis=1),
    )

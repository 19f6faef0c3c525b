"""What the study's rule for "equal" makes of decoders that *are* equal, by simulation from its own pictures.

Lossless decoders draw from one law, so any two of them are the null of that rule. Here both sides of a pair are drawn
anew from what lossless decoders gave for the same captions: a difference of means for every sampling seed, or for every
training, and the rule of claims.yaml (`kind: equal`; two one-sided tests, lib/evidence/verdicts.py) on these.
"""

from collections.abc import Mapping

import numpy as np

from lib.evidence.inference import decided, outside, t_p
from lib.evidence.statistics import generator_of
from studies.sjd2.code import measures
from studies.sjd2.code.reports import DecodedGroup, EqualityNull

LOSSLESS = ("autoregressive", "sjd", "sjd2_lossless")  # runs whose pictures differ, unlike those of shared noise
BLOCK = 50  # simulated comparisons at a time


def of_groups(decoded: Mapping[str, DecodedGroup], tests: int) -> dict[str, EqualityNull]:
    """`null` of every group that has several of `LOSSLESS`, all on one network: a pair for each of its units.

    Args:
        tests: as of `null`.
    """
    found: dict[str, EqualityNull] = {}
    for name, group in decoded.items():
        runs = [group.runs[one] for one in LOSSLESS if one in group.runs]
        if len(runs) > 1:
            values = np.stack([run.judged or run.nats for run in runs], axis=1)  # [U, runs, R]
            if group.over == "seeds":  # one training, so what differs by seed is chance too
                values = np.repeat(values.reshape(1, -1, values.shape[2]), len(values), axis=0)  # [U, U · runs, R]
            generator = generator_of(f"sjd2 equality {name}")
            found[name] = null(values, measures.NATS_MARGIN, tests, generator)
    return found


def null(
    pools: np.ndarray, margin: float, tests: int, generator: np.random.Generator, draws: int = 2000
) -> EqualityNull:
    """How often the rule calls equal what is equal, and what lies at its margin.

    Args:
        pools: what lossless decoders gave, [n, P, R]: for each of the n pairs that the rule sees (a sampling seed, a
            training) P > 1 pictures of each of R captions.
        margin: within which differences count as none.
        tests: of the study, by which Holm's rule multiplies the smallest p: the worst that can befall this one.
        draws: comparisons.
    """
    blocks = [differences(pools, generator, min(BLOCK, draws - at)) for at in range(0, draws, BLOCK)]
    values = np.concatenate(blocks)  # [draws, n]
    shares = {}
    for name, shift, factor in (("equal", 0.0, 1), ("equal_corrected", 0.0, tests), ("at_margin", margin, 1)):
        measured = outside(values + shift, margin)
        p = t_p(measured)
        told = decided(p, np.minimum(p * factor, 1.0), values.shape[1])
        shares[name] = float((told & (measured.mean(axis=1) < 0)).mean())
        if not shift and factor == 1:
            shares["not_equal"] = float((told & (measured.mean(axis=1) > 0)).mean())
    return EqualityNull(
        pairs=len(pools),
        rows=pools.shape[2],
        margin=margin,
        tests=tests,
        draws=draws,
        deviation=float(values.std()),
        **shares,
    )


def differences(pools: np.ndarray, generator: np.random.Generator, draws: int) -> np.ndarray:
    """Mean differences of two sides, each a picture of every caption drawn with replacement from its pool: [draws, n].

    Deviations from a caption's mean are scaled so that they vary as much as pictures do, however few the pool has.
    """
    pairs, count, rows = pools.shape
    apart = (pools - pools.mean(axis=1, keepdims=True)) * np.sqrt(count / (count - 1))  # [n, P, R]
    chosen = generator.integers(count, size=(draws, 2, pairs, rows))
    means = apart[np.arange(pairs)[:, None], chosen, np.arange(rows)].mean(axis=-1)  # [draws, 2, n]
    return means[:, 1] - means[:, 0]

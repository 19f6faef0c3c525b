"""What the study's rule for "equal" makes of decoders that *are* equal, by simulation from its own pictures.

Lossless decoders draw from one law, so any two of them are the null of that rule. Here both sides of a pair are drawn
anew from what lossless decoders gave for the same captions: a difference of means for every sampling seed, or for every
training, and the rule of claims.yaml (`kind: equal`; two one-sided tests, lib/evidence/verdicts.py) on these.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.evidence.inference import decided, outside, t_p
from lib.evidence.statistics import generator_of
from studies.sjd2.code import measures
from studies.sjd2.code.reports import DecodedGroup, EqualityNull

LOSSLESS = ("autoregressive", "sjd")  # decoders whose pictures differ, unlike those of shared noise
BLOCK = 50  # simulated comparisons at a time


def of_groups(decoded: Mapping[str, DecodedGroup], tests: int) -> dict[str, EqualityNull]:
    """`null` of the units of a group, for every network that has both of `LOSSLESS`: of the first such group.

    Likelihoods are the judge's, or, where it knows no such pictures, the network's own. Of few pictures of a caption
    the spread is smaller than that of the law that they are from; it is brought to that.

    Args:
        tests: as of `null`.
    """
    found: dict[str, EqualityNull] = {}
    for group in decoded.values():
        for network in {run.network: None for run in group.runs.values()}:
            runs = [
                run
                for run in group.runs.values()
                if run.network == network and run.decoder in LOSSLESS and run.sampling.temperature > 0
            ]
            if network not in found and {run.decoder for run in runs} == set(LOSSLESS):
                every = np.array([run.judged or run.nats for run in runs])  # [runs, U, R]
                if group.over == "seeds":  # all units are of one training
                    pools = [unbiased(every.reshape(-1, every.shape[2]))] * group.units
                else:
                    pools = [unbiased(every[:, unit]) for unit in range(group.units)]
                generator = generator_of(f"sjd2 equality {network}")
                found[network] = null(pools, measures.NATS_MARGIN, tests, generator, each=1)
    return found


def unbiased(pool: np.ndarray) -> np.ndarray:
    """Values [P, R] spread so that drawing one of P with replacement has the variance of the law that they are from."""
    mean = pool.mean(axis=0)
    return mean + (pool - mean) * np.sqrt(len(pool) / (len(pool) - 1))


def null(
    pools: Sequence[np.ndarray],
    margin: float,
    tests: int,
    generator: np.random.Generator,
    *,
    each: int,
    draws: int = 2000,
) -> EqualityNull:
    """How often the rule calls equal what is equal, and what lies at its margin.

    Args:
        pools: for each pair that the rule sees (a sampling seed, a training) the values that lossless decoders gave,
            [P, R]: P pictures of each of R captions.
        margin: within which differences count as none.
        tests: of the study, by which Holm's rule multiplies the smallest p: the worst that can befall this one.
        each: pictures of a caption on both sides of a pair.
        draws: comparisons.
    """
    values = np.concatenate(
        [differences(pools, generator, each, min(BLOCK, draws - at)) for at in range(0, draws, BLOCK)]
    )
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
        rows=pools[0].shape[1],
        each=each,
        margin=margin,
        tests=tests,
        draws=draws,
        deviation=float(values.std()),
        **shares,
    )


def differences(pools: Sequence[np.ndarray], generator: np.random.Generator, each: int, draws: int) -> np.ndarray:
    """Mean differences of two sides that were drawn from the same pools, with replacement: [draws, pairs]."""
    found = []
    for pool in pools:
        chosen = generator.integers(len(pool), size=(draws, 2, each, pool.shape[1]))
        means = pool[chosen, np.arange(pool.shape[1])].mean(axis=(2, 3))  # [draws, 2, each, R] → [draws, 2]
        found.append(means[:, 1] - means[:, 0])
    return np.stack(found, axis=1)

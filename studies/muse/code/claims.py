"""What the claims on Muse are judged by."""

from collections.abc import Sequence

import numpy as np

from lib.evidence.report import Pairs, Values
from lib.training.muse import draw_rates
from studies.muse.code.reports import Measured

DRAWS = 1_000_000  # masking rates
KOLMOGOROV = 1.63  # the 1 % point of √n times the largest difference between an empirical law and the true one
TRAININGS = "independent trainings, paired by seed"


def claims(report: Measured, seed: int) -> dict[str, Pairs | Values | bool]:
    """The numbers that studies/muse/claims.yaml names; those that this data or profile has."""
    found: dict[str, Pairs | Values | bool] = {"rate_law": rate_law(seed)}
    usual = f"masked_{report.steps['masked']}"
    for name, baseline, treatment in (
        ("quality", "autoregressive", usual),
        ("order", "order_random", "order_confidence"),
        ("halton", "order_random", "order_halton"),
        ("law", "uniform", usual),
    ):
        if pairs := exact_pairs(report, baseline, treatment):
            found[name] = pairs
    if report.runs["constant"].diversity:
        found["diversity"] = Pairs(
            baseline=report.runs["constant"].diversity.by_seed,
            treatment=report.runs["ramped"].diversity.by_seed,
            unit="mean distance of two pictures",
            seeds_are=TRAININGS,
        )
    if all(one.right for one in report.inpainting.values()) and report.inpainting:
        found["inpainting"] = Pairs(
            baseline=report.inpainting["autoregressive"].right.by_seed,
            treatment=report.inpainting["masked"].right.by_seed,
            unit="share of pictures",
            seeds_are=TRAININGS,
        )
    for batch in sorted({one.batch_size for one in report.timings.values()}):
        slow = report.timings[f"autoregressive, batch {batch}"].seconds
        fast = report.timings[f"masked, {report.steps['masked']} steps, batch {batch}"].seconds
        found[f"speed_{batch}"] = times_as_fast(slow, fast)
        for name in ("latent", "cascade"):
            if rival := report.timings.get(f"{name}, {report.steps.get(name)} steps, batch {batch}"):
                found[f"speed_{name}_{batch}"] = times_as_fast(rival.seconds, fast)
    return found


def times_as_fast(slow: Sequence[float], fast: Sequence[float]) -> Values:
    """How many times faster one model is than another, repetition by repetition."""
    values = [own / other for own, other in zip(slow, fast, strict=True)]
    return Values(values=values, unit="times as fast", seeds_are="repetitions")


def exact_pairs(report: Measured, baseline: str, treatment: str) -> Pairs | None:
    """Exact accuracy of two runs, training by training."""
    runs = [report.runs.get(name) for name in (baseline, treatment)]
    if any(run is None or run.exact is None for run in runs):
        return None
    first, second = (run.exact.by_seed for run in runs)
    if len(first) != len(second):
        return None
    return Pairs(baseline=first, treatment=second, unit="share of prompts", seeds_are=TRAININGS)


def rate_law(seed: int) -> bool:
    """Whether masking rates as training draws them follow P(rate ≤ r) = 1 − (2/π) arccos r (Kolmogorov's test, 1 %).

    Its density is the paper's, (2/π) (1 − r²)^(−1/2); (2/π) arccos u has the same mean and does not.
    """
    uniform = np.random.Generator(np.random.PCG64([seed, 2])).random(DRAWS)
    rates = np.sort(draw_rates(uniform, "arccos"))
    expected = 1 - 2 / np.pi * np.arccos(rates)
    empirical = np.arange(1, DRAWS + 1) / DRAWS
    furthest = max(np.abs(empirical - expected).max(), np.abs(empirical - 1 / DRAWS - expected).max())
    return bool(np.sqrt(DRAWS) * furthest < KOLMOGOROV)

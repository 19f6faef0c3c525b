"""The decoding study as arithmetic: the paper's tables, step compression, accepted lengths, window over steps, what is
left of SJD2's gain over shared noise.

Step compression S is tokens over passes. Lists have one value a unit, a sampling seed or a training, in the same order
for every run.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lib.errors import EaselError
from lib.evidence.statistics import spearman
from studies.sjd2.code.reports import Accepted, Cell, Gains, Run, WindowPerStep

# Differences up to these count as none, decided before anything was measured. Exact accuracy: the paper speaks of
# quality kept where GenEval falls from 0.52 to 0.49 (Table 2, Emu3). Nats a token: one part in twenty of a likelihood.
ACCURACY_MARGIN, NATS_MARGIN = 0.05, 0.05
LIKE_THE_PAPERS = (2.0, 6.0)  # window / steps; 96 / 25 and 128 / 25 there
LONGEST = 32  # tokens a pass that a histogram shows one by one
TIE = 0.03  # of a time; the paper counts values within 3 of about 100 seconds as ties (Figure 4)


class Accelerator(NamedTuple):
    """Table 7 of arXiv:2510.08994, Lumina-mGPT: times less latency, times fewer passes, CLIP score."""

    latency: float
    passes: float
    clip_score: float


PAPER_ACCELERATORS = {
    "autoregressive": Accelerator(1.00, 1.00, 31.3),
    "jacobi": Accelerator(1.02, 1.04, 31.4),
    "sjd": Accelerator(2.05, 2.23, 31.3),
    "eagle": Accelerator(2.10, 2.94, 33.3),
    "lantern": Accelerator(2.56, 3.63, 32.7),
    "zipar": Accelerator(1.82, 4.00, 31.2),
    "sjd2": Accelerator(2.63, 4.02, 31.8),
}


class PaperModel(NamedTuple):
    """Tables 1, 3, 4 and appendix A: window, denoising steps, S, latency ratio, ratio of GFLOPs a token."""

    window: int
    steps: int
    compression: float
    latency: float
    flops: float


PAPER_MODELS = {
    "Lumina-mGPT": PaperModel(96, 25, 4.02, latency=88.55 / 33.64, flops=219.60 / 18.72),
    "Emu3": PaperModel(128, 25, 5.62, latency=375.29 / 147.65, flops=465.92 / 18.15),
}


def step_compression(passes: np.ndarray, length: int) -> list[float]:
    """S of every seed from passes int [S, R]: all tokens over all passes."""
    passes = np.asarray(passes)
    return (length * passes.shape[1] / passes.sum(axis=1)).tolist()


def accepted_lengths(histogram: Sequence[int]) -> Accepted:
    """What a histogram of fixed tokens says: histogram[k] is in how many passes k tokens were fixed."""
    counts = np.trim_zeros(np.asarray(histogram, float), "b")
    total, lengths = counts.sum(), np.arange(len(counts))
    tokens, fixing = (counts * lengths).sum(), counts[1:].sum()
    return Accepted(
        shares=(counts[: LONGEST + 1] / total).tolist(),
        longer=counts[LONGEST + 1 :].sum() / total,
        none=counts[0] / total,
        single=counts[1] / total if len(counts) > 1 else 0.0,
        mean=tokens / total,
        kept_drafts=1 - fixing / tokens,
    )


def by_kind(passes: np.ndarray, kinds: np.ndarray, length: int) -> dict[str, list[float]]:
    """S of every seed for each kind of picture that every seed has.

    Args:
        passes: int [S, R]; kinds: names [S, R].
    """
    found = {}
    for kind in sorted(set(kinds.ravel().tolist())):
        here = kinds == kind
        if here.any(axis=1).all():
            found[kind] = (length * here.sum(axis=1) / np.where(here, passes, 0).sum(axis=1)).tolist()
    return found


def neighbour_gains(starts: Mapping[str, Mapping[str, Sequence[float]]]) -> Gains | None:
    """How much more S drafts copied from neighbours give than random ones, the mean over kinds of background and both
    neighbours of S / S(random) − 1; None where one is missing.

    Args:
        starts: S by kind (`by_kind`), of the starts one_hot (random), left and above.
    """
    gains = {}
    for name, kinds in {"simple": ("plain", "striped"), "textured": ("speckled",)}.items():
        parts = [
            np.divide(starts[near][kind], starts["one_hot"][kind]) - 1
            for near in ("left", "above")
            for kind in kinds
            if {"one_hot", near} <= set(starts) and kind in starts["one_hot"] and kind in starts[near]
        ]
        if not parts:
            return None
        gains[name] = np.mean(parts, axis=0).tolist()
    return Gains(**gains)


def window_per_step(cells: Sequence[Cell]) -> WindowPerStep:
    """Does S follow window / steps?

    Raises:
        EaselError: fewer than three cells.
    """
    if len(cells) < 3:
        raise EaselError(f"window over steps: {len(cells)} cells make no sweep.")
    expected = [cell.window / cell.steps for cell in cells]
    found = [cell.compression for cell in cells]
    slope = np.polyfit(np.log(expected), np.log(found), 1)[0]
    return WindowPerStep(rank_correlation=spearman(found, expected)[0], slope=slope)


def misses(cells: Sequence[Cell]) -> list[float] | None:
    """Per seed: by what share S misses window / steps, mean over the cells where that is about what it is in the paper;
    None if there is no such cell."""
    low, high = LIKE_THE_PAPERS
    near = [cell for cell in cells if low <= cell.window / cell.steps <= high]
    if not near:
        return None
    return np.mean([np.abs(np.divide(c.by_seed, c.window / c.steps) - 1) for c in near], axis=0).tolist()


def fastest(cells: Sequence[Cell]) -> list[Cell]:
    """Of the timed cells, that with the least time and those that tie with it."""
    timed = [cell for cell in cells if cell.seconds is not None]
    least = min((cell.seconds for cell in timed), default=0.0)
    return [cell for cell in timed if cell.seconds <= (1 + TIE) * least]


def left_over(slow: Sequence[float], shared: Sequence[float], best: Sequence[float]) -> list[float] | None:
    """Share of the passes that `best` saves over `slow` which `shared` does not save, seed by seed.

    0: shared noise alone does all of it; 1: none of it; below 0: more. None where `best` saves nothing with some seed.
    """
    saved = np.subtract(slow, best)
    return (np.subtract(shared, best) / saved).tolist() if (saved > 0).all() else None


def table_bytes(decoder: str, options: Mapping[str, Any], codes: int, length: int) -> int:
    """Bytes of the float32 tables that a window decoder keeps for a picture, beside the cache of keys and values.

    Proposals: of every slot, two windows past the end included (`lib.decoding.window`). Gumbel noise: of every slot.
    """
    slots = 0
    if decoder in ("sjd", "sjdpp", "sjd2"):
        slots += length + 2 * min(options["window"], length)
    if "shared" in options.values() or "gumbel" in options.values():
        slots += length
    return 4 * codes * slots


def tokens_a_pass(flops: float, compression: float) -> float:
    """Slots that a pass computes, as implied by operations a token over those of autoregressive decoding."""
    return flops * compression


# What runs are, by the first words of their names: one decoder with one kind of settings, on whichever network. Without
# more in it, a name stands for the settings that stage choose found; `authors` for those of the decoder's authors.
ROLES = (
    "autoregressive",
    "autoregressive_greedy",
    "jacobi",
    "jacobi_greedy",
    "shared",
    "sjd",
    "sjd_authors",
    "gumbel",
    "maximal",
    "sjdpp",
    "sjdpp_authors",
    "keep_alone",
    "sjd2",
    "sjd2_authors",
    "sjd2_lossless",
    "sjd2_gumbel",
    "sjd2_match",
    "sjd2_any",
    "sjd2_any_authors",
    "denoised",
    "denoised_authors",
    "zipar",
    "eagle",
    "medusa",
    "lantern",
)


def role_of(name: str) -> str | None:
    """The role of a run by its name: the longest that the name begins with, None if there is none."""
    fitting = [role for role in ROLES if name == role or name.startswith(f"{role}_")]
    return max(fitting, key=len, default=None)


def pick(runs: Mapping[str, Run], network: str, role: str) -> str | None:
    """The name of the first run that plays the role on a network, None if no run does."""
    return next((name for name, run in runs.items() if run.network == network and role_of(name) == role), None)

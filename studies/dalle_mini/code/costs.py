"""Arithmetic behind claims about the cost of training: operations, utilisation, price.

What is not known enters as a `Range` and stays one. Such arithmetic can rule a claim out, but cannot prove it: a run
may have been slower or dearer than it had to be. So the two judges at the end say what is possible, which the ledger's
rule `possible` turns into "contradicted" or "inconclusive", never into "reproduced".

Units: operations in FLOP, peaks in FLOP/s, time in hours, money in US dollars.
"""

from __future__ import annotations

from dataclasses import dataclass

from lib.errors import EaselError
from studies.dalle_mini.code.reports import Possibility

SECONDS = 3600  # an hour's


@dataclass(frozen=True)
class Range:
    """A positive quantity known to lie between `low` and `high`; known exactly where the two are equal."""

    low: float
    high: float

    def __post_init__(self):
        if not 0 < self.low <= self.high:
            raise EaselError(f"Range: needs 0 < low ≤ high, found {self.low:g} and {self.high:g}.")

    def __mul__(self, other: Range | float) -> Range:
        other = known(other)
        return Range(self.low * other.low, self.high * other.high)

    def __truediv__(self, other: Range | float) -> Range:
        other = known(other)
        return Range(self.low / other.high, self.high / other.low)


def known(value: Range | float) -> Range:
    """A number as a range without width; a range as it is."""
    return value if isinstance(value, Range) else Range(value, value)


@dataclass(frozen=True)
class Accelerator:
    """A rented board: peak in FLOP/s, prices in dollars per hour, best published utilisation of its kind (share)."""

    name: str
    peak: Range
    on_demand: float
    preemptible: float
    best_utilisation: float


# Peak (bf16, the TPU's matrix precision): Google's documentation of TPU v3 prints 123 TFLOP/s a chip, of which a v3-8
# has four; its product page of 2018–2022 printed 420 TFLOP/s for the board. Prices: Google Cloud, us-central1, 2021–22,
# known second hand. Best utilisation: LaMDA, arXiv:2201.08239, section 3 (1024 TPU v3 chips).
TPU_V3_8 = Accelerator("TPU v3-8", Range(420e12, 4 * 123e12), on_demand=8.00, preemptible=2.40, best_utilisation=0.565)


@dataclass(frozen=True)
class FirstMiniRun:
    """What is known of DALL·E Mini's training in July 2021, on a TPU lent for free (Hugging Face and Google's event).

    hours: "a single TPU v3-8 for only 3 days" (W&B report "DALL·E mini"; the model card of 2022 counts 72 hours).
    passes: `--num_train_epochs 6` in dev/seq2seq/do_big_run.sh of the authors' repository.
    batch: pairs a step, 56 on each of 8 cores (same script). A step is one forward and backward pass.
    steps_per_hour: "3000, about once every hour in our experiments", a comment on how often run_seq2seq_flax.py
    (same folder, @ 00a582c) saves.
    later_pairs: `--len_train` of the script as last committed (@ 5ca30e6); six passes over that do not fit into 3 days.
    """

    hours: float = 72.0
    passes: int = 6
    batch: int = 56 * 8
    steps_per_hour: float = 3_000.0
    later_pairs: int = 129_847_128
    price_limit: float = 200.0

    @property
    def pairs_by_speed(self) -> float:
        """Pairs seen in all, from the speed that the code's comment gives."""
        return self.hours * self.steps_per_hour * self.batch


@dataclass(frozen=True)
class DalleRun:
    """DALL·E's training (arXiv:2102.12092, appendix B.2)."""

    batch: int = 1_024
    updates: int = 430_000

    @property
    def pairs(self) -> int:
        """Pairs seen in all."""
        return self.batch * self.updates


def six_n_d(parameters: float, positions: float) -> float:
    """The usual estimate of training operations, 6 × parameters × positions (Kaplan et al., arXiv:2001.08361)."""
    return 6.0 * parameters * positions


def training_flops(forward_flops: float, pairs: Range | float) -> Range:
    """Operations of training on `pairs`, the backward pass counted as two forward ones.

    Activations computed again in the backward pass are not counted: utilisation is that of the model, not the chip.
    """
    return known(pairs) * (3.0 * forward_flops)


def utilisation(flops: Range | float, hours: float, peak: Range) -> Range:
    """Share of the peak that doing `flops` in `hours` takes; above 1 it cannot be done."""
    return known(flops) / (peak * (hours * SECONDS))


def price(hours: float, per_hour: float) -> float:
    """Dollars for `hours` at `per_hour`."""
    return hours * per_hour


def judge_time(implied: Range, best: float) -> Possibility:
    """Whether the implied utilisation could be had: possible unless all of its range is above the `best` published."""
    found = f"{100 * implied.low:.0f} to {100 * implied.high:.0f} % of the peak"
    because = f"it takes {found}, below the best published {100 * best:.1f} %."
    if implied.low > best:
        because = f"it takes {found}, more than the best published {100 * best:.1f} %."
    elif implied.high > best:
        because = f"it takes {found}; only up to {100 * best:.1f} % has been published."
    return Possibility(possible=implied.low <= best, because=because)


def judge_price(hours: float, limit: float, accelerator: Accelerator) -> Possibility:
    """Whether `hours` of the accelerator could cost less than `limit` dollars, and what must be true for it."""
    prices = {"on demand": accelerator.on_demand, "preemptible": accelerator.preemptible}
    listed = ", ".join(f"${price(hours, rate):.2f} {name} (${rate:.2f} an hour)" for name, rate in prices.items())
    under = [name for name, rate in prices.items() if price(hours, rate) < limit]
    verdict = f"holds only if the {accelerator.name} was {under[0]}" if len(under) == 1 else "holds at both prices"
    if not under:
        verdict = "holds at neither price"
    return Possibility(
        possible=bool(under),
        because=f"{hours:g} hours cost {listed}; under ${limit:g} takes less than ${limit / hours:.2f} an hour, so "
        f"the claim {verdict}.",
    )

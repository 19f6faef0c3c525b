"""What the study's stages write: build/glu/*.json, and results/<profile>/glu.json (`Results`).

Losses are held-out log-perplexities (nats a token). Lists over seeds have one value a seed, in the same order in all of
a report; blocks are known by the names of `lib.models.layout.BLOCKS`, layouts by how they differ from the default one.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Generic, Literal, Self, TypeVar

from lib.evidence import inference
from lib.evidence.report import Interval, Pairs, Report, Values
from studies.glu.code.settings import GluSetting

Part = TypeVar("Part")


class Curve(Report):
    """Losses on the way."""

    step: list[int]
    nats: list[list[float]]
    """[points, seeds]"""


class Lengths(Report, Generic[Part]):
    """The same of the short training, if there is one, and of the long one."""

    short: Part | None = None
    long: Part


# ------------------------------------------------------------------------------------------------- train_variants
class Training(Report):
    """One block at one length."""

    steps: int
    nats: list[float]
    """[seeds], of the averaged weights, on the test split"""
    curve: Curve
    """of the averaged weights, on the validation split"""
    training: Curve
    """means over stretches of batches"""


class Variant(Lengths[Training]):
    """One block on one kind of tokens."""

    parameters: int
    """of a network"""
    inner: int
    """width of the block"""


class Comparison(Report):
    """All blocks on one kind of tokens."""

    learning_rate: float
    seeds: list[int]
    blocks: dict[str, Variant]


class Variants(Report):
    """build/glu/variants.json."""

    tokens: dict[str, Comparison]


# ------------------------------------------------------------------------------------------------- search
class Trial(Report):
    """Two blocks at one learning rate; losses [seeds] of the averaged weights."""

    relu: list[float]
    geglu: list[float]
    effect: float
    """GEGLU − ReLU, mean over seeds, nats a token"""
    noise: float
    """standard deviation of the paired differences"""
    seed_noise: float
    """standard deviation of ReLU's losses"""
    ratio: float
    """effect, without its sign, over noise"""


class Searched(Report):
    """All rates on one kind of tokens, or on text."""

    steps: int
    trials: dict[str, Trial]
    """by peak learning rate"""
    chosen: float
    """the rate with the largest ratio"""


class Search(Report):
    """build/glu/search.json."""

    seeds: list[int]
    blocks: list[str]
    tasks: dict[str, Searched]
    """by tokens, and `text`"""


# ------------------------------------------------------------------------------------------------- train_text
class CaptionEntropy(Report):
    """How much there is to predict, nats a token."""

    unigram: float
    """without context"""
    compressed: float
    """after LZMA"""
    targets_unigram: float
    """of the targets of the gaps, marks included, without context"""
    distinct: float
    """share of the captions"""


class TextTraining(Report):
    """One block on captions with gaps."""

    nats: list[float]
    """[seeds], of the averaged weights, nats a target, on the test split"""
    training: Curve


class Text(Report):
    """build/glu/text.json."""

    learning_rate: float
    seeds: list[int]
    steps: int
    gaps: int
    """of a stretch"""
    targets: int
    """tokens to predict in a stretch"""
    caption_entropy: CaptionEntropy
    variants: dict[str, TextTraining]


# ------------------------------------------------------------------------------------------------- measure_cost
class BlockCost(Report):
    """One block at one size."""

    parameters: int
    """of the network"""
    inner: int
    """width of the block"""
    flops_forward: int
    """of the products of one picture, counted by hand"""
    flops_training: int
    """the same of forward and backward pass"""
    xla_flops: float
    """of forward and backward pass over a batch, XLA's count"""
    peak_bytes: int
    """of that program at its fullest, as XLA plans it"""
    working_bytes: int
    """of these beside parameters and gradients"""
    step_seconds: list[float] | None = None
    """[repetitions], of a training step, if it was timed"""
    picture_seconds: list[float] | None = None
    """[repetitions], of a drawn picture"""


class SizeCost(Report):
    """All blocks at one size."""

    setting: GluSetting
    batch_size: int
    drawn: int
    """pictures at once"""
    blocks: dict[str, BlockCost]


class Cost(Report):
    """build/glu/cost.json."""

    machine: dict[str, Any]
    """as `lib.hardware.machine` says"""
    threads: int
    repetitions: int
    sizes: dict[str, SizeCost]


# ------------------------------------------------------------------------------------------------- train_switches
class LayoutTraining(Report):
    """A layout at the ordinary rate."""

    layout: str
    parameters: int
    nats: list[float]
    """[seeds], of the averaged weights, on the test split"""
    training: Curve


class StepSeconds(Report):
    """Seconds of a training step, [repetitions], timed in turn."""

    baseline: list[float]
    treatment: list[float]


class Switch(Report):
    """Two layouts that differ in what a finding of the DALL·E Mini report is about."""

    finding: str
    expected: Literal["higher", "lower", "equal"]
    """the treatment's loss, by the finding"""
    baseline: LayoutTraining
    treatment: LayoutTraining
    step_seconds: StepSeconds | None = None


class HighRate(Report):
    """A placement of norms at a rate that is too high; lists over seeds."""

    spikes: list[int]
    lost: list[bool]
    """it ended worse than without learning anything of the pictures"""
    final: list[float | None]
    """mean loss of the last twentieth; None where that is no number"""
    training: Curve


class Switches(Report):
    """build/glu/switches.json."""

    learning_rate: float
    """the ordinary one"""
    seeds: list[int]
    steps: int
    high_steps: int
    """at the high rates"""
    rise: float
    """nats that make a spike"""
    unigram_nats: float
    """entropy of the code frequencies, nats a token"""
    switches: dict[str, Switch]
    placements: dict[str, dict[str, HighRate]]
    """placement → peak rate → run"""


# ------------------------------------------------------------------------------------------------- evaluate
class Difference(Interval):
    """Mean of treatment − baseline over paired seeds with Student's 95 % interval, as of a verdict."""

    p: float
    """two-sided, of the t test, uncorrected"""

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of the differences [seeds]."""
        return cls(**asdict(inference.t_interval(values)), p=float(inference.t_p(values)))


class Block(Report):
    """A block's losses over the seeds."""

    mean: float
    sd: float
    difference: Difference | None = None
    """to ReLU, which has none"""


class RankCorrelation(Report):
    """Spearman's correlation of the order of the blocks with the paper's after its long training."""

    mean: float
    """of the order of the means over seeds"""
    by_seed: list[float]
    chance: float
    """the mean over all orders that put gated blocks before ungated ones"""
    as_good: float
    """the share of these orders that agree at least as well as that of the means"""


class Compared(Report):
    """Blocks after trainings of one length."""

    steps: int
    blocks: dict[str, Block]
    nats: dict[str, list[float]]
    """[seeds]"""
    rank_correlation: RankCorrelation | None = None
    """of all eight blocks"""


class Range(Interval):
    """What a claim without seeds is judged by."""

    unit: str
    over: str
    """what the ends are over"""


class BlockClaims(Report):
    """What claims.yaml decides by of the blocks, after the long training of one task."""

    geglu: Pairs
    order: Range | None = None
    ungated: Values | None = None


class Claims(Report):
    """What claims.yaml decides by."""

    tasks: dict[str, BlockClaims]
    """by tokens, and `text`"""
    placements: Pairs
    bias_loss: Pairs | None = None
    bias_time: Pairs | None = None
    final_norm: Pairs | None = None


class Parameters(Report):
    """Of the trained networks, and of one block at the paper's size."""

    ours: dict[str, int]
    spread: float
    """largest over smallest network − 1"""
    paper_blocks: dict[str, int]
    paper_distinct: list[int]
    """the distinct counts of these; they should be one"""


class StepsSaved(Values):
    """By GEGLU on the way to ReLU's final loss on coarse tokens, in percent of the long training."""

    paper: float
    """the same from the paper's own table"""


class TextCompared(Report):
    """The blocks on captions with gaps."""

    blocks: dict[str, Block]
    told_apart: list[str]
    """blocks whose difference to ReLU would be a verdict, Holm's correction among them"""
    rank_correlation: RankCorrelation | None = None
    """of all eight blocks"""


class EvaluatedText(Text):
    """With the comparison."""

    compared: TextCompared


class Gains(Report):
    """By how many percent GEGLU is faster than ReLU with as many parameters, a value a repetition."""

    training: Values
    drawing: Values


class Memory(Report):
    """Working memory of gated blocks over that of the ungated ones with the same activation."""

    ratios: dict[str, dict[str, float]]
    """size → "gated / ungated" → ratio"""
    rise: Range | None = None
    """their mean, least and most, if there are any"""


class EvaluatedCost(Cost):
    """With what follows."""

    gains: dict[str, Gains]
    """by size"""
    memory: Memory


class EvaluatedSwitch(Switch):
    """With what this study says of the finding."""

    difference: Difference
    verdict: str


class EvaluatedSwitches(Switches):
    """With what this study says of the findings."""

    switches: dict[str, EvaluatedSwitch]


class Results(Report):
    """results/<profile>/glu.json."""

    variants: dict[str, Lengths[Compared]]
    """by tokens"""
    claims: Claims
    parameters: Parameters
    steps_saved: StepsSaved
    search: Search
    text: EvaluatedText
    cost: EvaluatedCost
    switches: EvaluatedSwitches
    curves: dict[str, dict[str, Curve]]
    """tokens → block → curve of the long training"""

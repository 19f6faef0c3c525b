"""What the stages of this study write: runs of decoding, trainings, results/<profile>/sjd2.json.

S is step compression, tokens a pass. A group has units: sampling seeds of the first training, or trainings with a
sampling seed each. Lists `by_seed` have one value a unit, in the same order for every run.
"""

from typing import Any

from pydantic import ConfigDict, Field

from lib.evidence.report import Difference, Estimate, Interval, Number, Pairs, Report, Values
from studies.sjd2.code.choice import Choice

# ------------------------------------------------------------------------------- build/sjd2/decoded/<group>/runs.json


class Sampling(Report):
    """What tokens are drawn with."""

    guidance: Number
    temperature: Number
    """0: greedy"""
    top_k: Number
    """0: of all codes"""


class Row(Report):
    """One picture of a group."""

    id: str
    """of the prompt, or test-<number of the picture>"""
    kind: str
    """prompt or caption"""
    picture: int | None
    """of the test split, whose caption it is; None for a prompt"""
    text: str


class Trace(Report):
    """How drafts changed in the slots of the window, every unit's [U][slots]."""

    changes: list[list[float | None]]
    """of a slot's draft a pass; None for a slot that every pass fixes"""
    looked_at: list[list[int]]
    """passes behind them"""
    a_token: list[float]
    """[U]: changes of a token's draft in all traced slots"""


class Decoded(Report):
    """What one run did with R rows of each of U units; its tokens [U, R, h, w] lie beside."""

    network: str
    """one of sjd2.variants, or `model:` or `drafts:` and a name"""
    decoder: str
    chosen: str
    """the name by which stage choose found its settings, "" if params.yaml gives them"""
    options: dict[str, Any]
    """those that are given or chosen"""
    steps: int
    """of denoising"""
    sampling: Sampling
    passes: list[list[int]]
    """[U][R]"""
    accepted: list[list[int]]
    """[U] histograms: in how many passes k tokens were fixed"""
    flops_per_token: float
    cache_bytes: int
    """keys and values of a picture"""
    nats: list[list[float]]
    """[U][R], a token, under the network"""
    entropy: list[list[float]] | None = None
    """[U][R], a token, under what was drawn from without guidance; nothing at temperature 0"""
    judged: list[list[float]] | None = None
    """[U][R], a token, under the judge, where it knows such pictures"""
    seconds: list[float] | None = None
    """[U], all rows; only where the group is timed"""
    network_seconds: list[float] | None = None
    """[U], the networks' share of them"""
    trace: Trace | None = None


class GroupShape(Report):
    """What all runs of a group share."""

    over: str
    """what its units are: seeds or trainings"""
    units: int
    length: int
    """tokens of a picture"""
    columns: int
    batch_size: int
    machine: dict[str, Any]
    threads: int


class DecodedGroup(GroupShape):
    """Runs of the same rows and units."""

    rows: list[Row]
    rows_of_tokens: int
    runs: dict[str, Decoded]


# ------------------------------------------------------------------------- metrics.json of the trainings, in parts


class Metrics(Report):
    """What this study goes on with of a training's metrics.json."""

    model_config = ConfigDict(extra="ignore")  # losses on the way and of other splits


class ModelLosses(Report):
    """Of test pictures, nats a token."""

    nats_per_token: Interval
    caption_gain: Interval
    """what its own caption saves over another picture's"""


class ModelMetrics(Metrics):
    """One training of one of autoregressive.models."""

    parameters: int
    pictures: int
    """of the train split"""
    test: ModelLosses


class Drafter(Metrics):
    """EAGLE or Medusa."""

    parameters: int
    overlap: list[Interval]
    """chance that a draft is accepted, one for every token ahead"""


class BeforeAfter(Report):
    """Nats a token of clean pictures."""

    untuned: Interval
    tuned: Interval


class TuningMetrics(Metrics):
    """A fine-tuning; by split: val, test."""

    nats_per_token: dict[str, BeforeAfter]
    rise: dict[str, Interval]
    """tuned − untuned, picture by picture"""


class NoiseTuningMetrics(TuningMetrics):
    """One that reads noisy embeddings."""

    nats_per_level: list[float]
    """after input of every level, the clean one first; NaN for levels that were not drawn"""
    table_deviation: float


# ------------------------------------------------------------------------------------- results/<profile>/sjd2.json


class Accuracy(Estimate):
    """Share of prompts drawn right, the mean over categories; intervals are over prompts."""

    categories: dict[str, Interval]


class Accepted(Report):
    """How many tokens the passes of a run fixed."""

    shares: list[float]
    """of the passes, by the number of tokens"""
    longer: float
    """share that fixed more than these"""
    none: float
    """share that fixed no token"""
    single: float
    """share that fixed one"""
    mean: float
    """tokens a pass"""
    kept_drafts: float
    """share of the tested drafts that were accepted, counting one rejection a pass"""


class Changes(Report):
    """Changes of a draft a pass at the front of the window."""

    slots: list[int]
    """those that not every pass fixes"""
    by_seed: list[list[float]]
    """[S][slots]"""


class Against(Report):
    """A run compared with autoregressive decoding of the same network, seed by seed."""

    run: str | None = None
    """the autoregressive one"""
    identical: float | None = None
    """share of pictures that are the same token for token"""
    flops: float | None = None
    """its operations over the autoregressive run's"""
    latency: Estimate | None = None
    """times less time"""
    nats: Difference | None = None
    judged: Difference | None = None
    exact: Difference | None = None
    accuracy: Difference | None = None
    clip_score: Difference | None = None


class Run(Report):
    """One run in numbers. What is not measured is None: times where a group is not timed, the likeness to captions
    outside of a few groups, accuracy without prompts or reader."""

    network: str
    decoder: str
    chosen: str
    """the name by which stage choose found its settings, "" if params.yaml gives them"""
    options: dict[str, Any]
    """complete, with the decoder's defaults"""
    given: dict[str, Any]
    """those that are given or chosen"""
    steps: int
    """of denoising"""
    sampling: Sampling
    batch_size: int
    flops_per_token: float
    cache_bytes: int
    """keys and values of a picture"""
    table_bytes: int
    """what the decoder keeps beside them"""
    passes: Estimate
    """a picture"""
    compression: Estimate
    """S"""
    nats: Estimate
    """a token, under the network"""
    accepted: Accepted
    single: Estimate
    """share of the passes that fix one token"""
    entropy: Estimate | None = None
    """nats a token, under what was drawn from without guidance"""
    judged: Estimate | None = None
    """nats a token, under the judge"""
    settled_compression: Estimate | None = None
    """S without the first passes, in which no slot is clean yet"""
    seconds: Estimate | None = None
    """a picture"""
    overhead: Estimate | None = None
    """share of the time that is not the networks'"""
    changes: Changes | None = None
    changes_a_token: Estimate | None = None
    """where the whole window is traced"""
    accuracy: Accuracy | None = None
    """GenEval's: what is asked for is there"""
    exact: Accuracy | None = None
    """and nothing else is"""
    clip_score: Estimate | None = None
    clip_score_pretrained: Estimate | None = None
    fid: Interval | None = None
    kid: Interval | None = None
    fid_inception: Interval | None = None
    kid_inception: Interval | None = None
    against: Against = Against()


class Group(GroupShape):
    """Runs that are compared with each other."""

    rows: dict[str, int]
    """how many prompts and captions"""
    runs: dict[str, Run]


class Model(Report):
    """One of autoregressive.models: over its trainings, or over test pictures where there is one."""

    parameters: int
    pictures: int
    """of the train split"""
    nats_per_token: Estimate | Interval
    caption_gain: Estimate | Interval
    """nats a token that its own caption saves over another picture's"""


class Tuned(Report):
    """A tuned network: losses on clean test pictures, nats a token; over its trainings, or over pictures where there is
    one."""

    model: str
    """that it was tuned from"""
    updates: int
    updates_share: float
    """of the pretraining's"""
    untuned: Estimate | Interval
    tuned: Estimate | Interval
    rise: Estimate | Interval
    """tuned − untuned"""
    rise_val: Estimate | Interval
    """the same on val"""


class Network(Tuned):
    """One tuned for SJD2."""

    levels: str
    standardize: bool
    table_deviation: float
    """that the embeddings were brought to; 0: left as they were"""
    spacing: str
    clean_share: float
    nats_per_level: list[float | None]
    """after input of every level, the clean one first, mean over trainings; None for levels that were not drawn"""
    after_noise: Estimate | None
    """nats a token after input of the highest level"""
    deviation_after: float
    """of the embeddings, after tuning, mean over trainings"""


class DraftTuned(Tuned):
    """One tuned on drafts."""

    drafted: float
    """share of pictures"""
    passes: int


class Cell(Report):
    """One window and number of steps; means over seeds, by_seed of S."""

    run: str
    window: int
    steps: int
    compression: float
    by_seed: list[float]
    seconds: float | None
    nats: float
    exact: float | None


class WindowPerStep(Report):
    """Does S follow window / steps?"""

    rank_correlation: float
    slope: float
    """of log S over log(window / steps); 1 where S follows it"""


class Surface(Report):
    """Window × steps. What follows from the cells needs three of them."""

    cells: list[Cell]
    fastest: list[str] = Field(default_factory=list)
    """runs that tie for it"""
    window_per_step: WindowPerStep | None = None
    misses: list[float] | None = None
    """by seed: share by which S misses window / steps where that is about the paper's"""


class Gains(Report):
    """Share by which S is larger with first drafts copied from neighbours than with random ones, by seed."""

    simple: list[float]
    """plain and striped backgrounds"""
    textured: list[float]
    """speckled ones"""


class Initial(Report):
    """SJD by first drafts, then by the background of the drawn picture."""

    compression: dict[str, dict[str, Estimate]] = Field(default_factory=dict)
    pictures: dict[str, dict[str, int]] = Field(default_factory=dict)
    gains: Gains | None = None


class Control(Report):
    """Jacobi decoding with shared noise beside other decoders on one network, by role."""

    group: str
    compression: dict[str, Estimate]
    shared_over: dict[str, Estimate]
    """passes of shared noise over those of the others"""
    nats: dict[str, Difference]
    """against autoregressive decoding"""
    same: dict[str, float]
    """share of pictures equal to autoregressive decoding's"""
    left_over_sjd: Estimate | None
    """share of the passes that SJD2 saves over SJD which shared noise does not save"""
    left_over_autoregressive: Estimate | None


class Overhead(Report):
    """The largest share of a run's time outside the networks."""

    run: str
    value: float


class Chance(Report):
    """Distances of samples that follow the law."""

    mean: float
    most: float


class Case(Report):
    """One decoder on the toy chain."""

    lossless: bool
    """as argued in the decoder's file"""
    pictures: int
    """that there can be"""
    total_variation: float
    """distance from the law"""
    by_chance: Chance
    p: float
    """χ²"""
    tokens_a_pass: float
    same_in_batches_of: dict[str, float]
    """share of pictures that come out alike, by the size of batches"""


class Exactness(Report):
    """All decoders on the toy chain."""

    pictures: int | None = None
    """drawn at once"""
    again: int | None = None
    """of them, drawn in small batches as well"""
    codes: int | None = None
    cases: dict[str, Case] = Field(default_factory=dict)


class EqualityNull(Report):
    """Pairs of lossless decoders, simulated: what the rule for "equal" makes of them."""

    pairs: int
    """sampling seeds or trainings that the rule sees"""
    rows: int
    """captions, with a picture each on both sides of a pair"""
    margin: float
    tests: int
    """of the study, for Holm's correction"""
    draws: int
    deviation: float
    """of the difference of a pair"""
    equal: float
    """share of the draws that the rule calls equal, as the study's only test"""
    equal_corrected: float
    """the same as the last of the study's tests"""
    not_equal: float
    at_margin: float
    """share called equal where the difference is the margin"""


class TextComparison(Report):
    """Decoders of pictures on character models of captions; by_seed: one value a training."""

    parameters: int
    updates: int
    length: int
    """characters of a text"""
    rows: int
    """texts that every decoder drew from each training"""
    nats: Estimate
    """a character of the test captions"""
    compression: dict[str, Estimate]
    """S by decoder: jacobi, shared, sjd, sjdpp"""
    sample: str
    """what the first training wrote"""


class Lossless(Report):
    """Whether nothing speaks against it."""

    least_p: float
    lossless: bool


class Lossy(Report):
    """Whether the law is missed."""

    p: float
    lossy: bool


Claim = Pairs | Values | Lossless | Lossy


class Margins(Report):
    """Differences up to these count as none."""

    accuracy: float
    nats: float


class Results(Report):
    """All that the study measures."""

    margins: Margins
    random_codes: float | None = None
    """nats a token of uniformly random codes, under the judge"""
    choice: Choice
    groups: dict[str, Group]
    models: dict[str, Model]
    networks: dict[str, Network]
    draft_tuned: dict[str, DraftTuned]
    drafters: dict[str, Drafter]
    surface: Surface
    initial: Initial
    control: dict[str, Control]
    most_overhead: dict[str, Overhead]
    """by timed group"""
    exactness: Exactness
    text: TextComparison | None = None
    """characters beside pictures"""
    equality: dict[str, EqualityNull] = Field(default_factory=dict)
    """by group: what the rule for "equal" makes of its lossless decoders"""
    claims: dict[str, Claim] = Field(default_factory=dict)
    """by the names that claims.yaml asks for"""

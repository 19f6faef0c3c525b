"""Settings of trainings: the recipe that all share, and what each kind of fine-tuning adds to it."""

from dataclasses import dataclass
from typing import Literal

from lib.errors import require


@dataclass(frozen=True)
class DescentParams:
    """One training: Muon for the matrices inside blocks, AdamW for the rest.

    Attributes:
        learning_rate: peak of Muon's; adam_learning_rate: peak of AdamW's. Both rise over `warmup` steps and fall
            linearly to 0 over the last `decay` of the steps.
        caption_dropout: share of captions replaced by the empty one, which guidance needs.
    """

    steps: int
    batch_size: int
    learning_rate: float
    adam_learning_rate: float
    warmup: int
    decay: float
    caption_dropout: float

    def __post_init__(self):
        for name in ("steps", "batch_size", "learning_rate", "adam_learning_rate"):
            require(getattr(self, name) > 0, f"training.{name}", "must be above 0")
        require(0 <= self.warmup < self.steps, "training.warmup", f"must lie below training.steps = {self.steps}")
        require(0 <= self.decay <= 1, "training.decay", "must lie between 0 and 1")
        require(0 <= self.caption_dropout < 1, "training.caption_dropout", "must lie between 0 and 1")


@dataclass(frozen=True)
class Sjd2Params:
    """One fine-tuning for SJD2. What the paper leaves open is a field; lib/training/sjd2.py explains the choices.

    Attributes:
        model: which of autoregressive.models is tuned.
        levels: how the network is told noise levels: none, token or added.
        standardize: whether noise is added to standardized embeddings.
        statistics: live follows the table as it is tuned, frozen keeps those of the untuned one.
        table_deviation: standard deviation that the table of embeddings is first brought to; 0 leaves it as trained.
        spacing: of the levels' times.
        denoising_steps: numbers of levels; every batch takes one of them.
        noisy_run: fewest and most tokens of a stretch of rising levels.
        clean_share: mean share of clean inputs.
        jumps: share of the stretches that do not begin at level 1 but at a random one.
    """

    model: str
    levels: Literal["none", "token", "added"]
    standardize: bool
    statistics: Literal["live", "frozen"]
    table_deviation: float
    spacing: Literal["linear", "karras", "karras_time"]
    denoising_steps: tuple[int, ...]
    noisy_run: tuple[int, ...]
    clean_share: float
    jumps: float
    training: DescentParams

    def __post_init__(self):
        require(
            self.denoising_steps and min(self.denoising_steps) > 0, "sjd2: denoising_steps", "must be positive numbers"
        )
        require(
            len(self.noisy_run) == 2 and 0 < self.noisy_run[0] <= self.noisy_run[1],
            "sjd2: noisy_run",
            "must be two lengths, the smaller first",
        )
        require(self.table_deviation >= 0, "sjd2: table_deviation", "must not be negative")
        require(0 <= self.clean_share < 1, "sjd2: clean_share", "must lie between 0 and 1")
        require(0 <= self.jumps <= 1, "sjd2: jumps", "must lie between 0 and 1")


@dataclass(frozen=True)
class DraftTuningParams:
    """One fine-tuning on drafts of Jacobi decoding with shared noise (lib/training/drafts.py).

    Attributes:
        model: which of autoregressive.models is tuned.
        drafted: share of the pictures of which a part is drafts.
        passes: most passes that the drafts have had.
    """

    model: str
    drafted: float
    passes: int
    training: DescentParams

    def __post_init__(self):
        require(0 < self.drafted <= 1, "draft_tuning.variants: drafted", "must lie above 0 and be at most 1")
        require(self.passes > 0, "draft_tuning.variants: passes", "must be at least 1")


@dataclass(frozen=True)
class DraftersParams:
    """EAGLE- and Medusa-style drafters of one model.

    Attributes:
        model: which of autoregressive.models they draft for.
        heads: of Medusa, one for each token ahead.
        feature_noise: half-width of the uniform noise on EAGLE's input features while it is trained.
        regression: weight of EAGLE's distance between features; the cross-entropy's is `classification`.
        discount: of Medusa's heads; head k weighs discount^k.
    """

    model: str
    heads: int
    feature_noise: float
    regression: float
    classification: float
    discount: float
    training: DescentParams

    def __post_init__(self):
        require(self.heads > 0, "drafters.heads", "must be at least 1")
        require(0 < self.discount <= 1, "drafters.discount", "must lie above 0 and be at most 1")
        for name in ("feature_noise", "regression", "classification"):
            require(getattr(self, name) >= 0, f"drafters.{name}", "must not be negative")

"""Settings of trainings: the recipe that all share, and what each kind of fine-tuning adds to it."""

from typing import Annotated, Literal

from pydantic import Field

from lib.config_tree import Amount, Count, PartialShare, Rate, Section, Several, Share, Weight, require

AboveZero = Annotated[float, Field(gt=0, le=1)]


class DescentParams(Section):
    """One training: Muon for the matrices inside blocks, AdamW for the rest.

    Both learning rates rise over `warmup` steps and fall linearly to 0 over the last `decay` of the steps.
    """

    steps: Count
    """updates"""
    batch_size: Count
    """pictures"""
    learning_rate: Rate
    """peak of Muon's"""
    adam_learning_rate: Rate
    """peak of AdamW's"""
    warmup: Amount
    """steps"""
    decay: Share
    """of the steps, the last ones"""
    caption_dropout: PartialShare
    """share of captions replaced by the empty one, which guidance needs"""

    def check(self) -> None:
        require(self.warmup < self.steps, "warmup", f"must lie below steps = {self.steps}")


class Sjd2Params(Section):
    """One fine-tuning for SJD2. What the paper leaves open is a field; lib/training/sjd2.py explains the choices."""

    model: str
    """which of autoregressive.models is tuned"""
    levels: Literal["none", "token", "added"]
    """how the network is told noise levels"""
    standardize: bool
    """whether noise is added to standardized embeddings"""
    statistics: Literal["live", "frozen"]
    """live follows the table as it is tuned, frozen keeps those of the untuned one"""
    table_deviation: Weight
    """standard deviation that the table of embeddings is first brought to; 0 leaves it as trained"""
    spacing: Literal["linear", "karras", "karras_time"]
    """of the levels' times"""
    denoising_steps: Several[Annotated[int, Field(ge=1, le=1000)]]
    """numbers of levels; every batch takes one of them"""
    noisy_run: Several[Count]
    """fewest and most tokens of a stretch of rising levels"""
    clean_share: PartialShare
    """mean share of clean inputs"""
    jumps: Share
    """of the stretches that do not begin at level 1 but at a random one"""
    training: DescentParams

    def check(self) -> None:
        require(self.denoising_steps, "denoising_steps", "must be at least one number")
        run = self.noisy_run
        require(len(run) == 2 and run[0] <= run[1], "noisy_run", "must be two lengths, the smaller first")


class DraftTuningParams(Section):
    """One fine-tuning on drafts of Jacobi decoding with shared noise (lib/training/drafts.py)."""

    model: str
    """which of autoregressive.models is tuned"""
    drafted: AboveZero
    """share of the pictures of which a part is drafts"""
    passes: Annotated[int, Field(ge=1, le=1000)]
    """most passes that the drafts have had"""
    training: DescentParams


class DraftersParams(Section):
    """EAGLE- and Medusa-style drafters of one model."""

    model: str
    """which of autoregressive.models they draft for"""
    heads: Annotated[int, Field(ge=1, le=63)]
    """of Medusa, one for each token ahead"""
    feature_noise: Weight
    """half-width of the uniform noise on EAGLE's input features while it is trained"""
    regression: Weight
    """weight of EAGLE's distance between features"""
    classification: Weight
    """weight of EAGLE's cross-entropy"""
    discount: AboveZero
    """of Medusa's heads; head k weighs discount^k"""
    training: DescentParams

    def check(self) -> None:
        require(self.regression + self.classification > 0, "regression", "or classification must be above 0")

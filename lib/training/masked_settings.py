"""Settings of Muse's networks, of the text encoders beside them, and of their trainings."""

from typing import Annotated, Literal

from pydantic import Field

from lib.config_tree import Amount, Count, Depth, PartialShare, Section, Width, require
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.settings import AboveZero, DescentParams


class TransformerParams(Section):
    """Sizes of a transformer."""

    width: Width
    """of a token"""
    layers: Depth
    """blocks"""
    heads: Width
    """of attention; four times as many divide width, for rotary positions in two dimensions"""
    feed_forward: Width
    """inner width"""

    def check(self) -> None:
        divides = self.width % (4 * self.heads) == 0
        require(divides, "heads", f"is {self.heads}; four times as many must divide width = {self.width}")


class CaptionedTransformerParams(TransformerParams):
    """Sizes of a transformer that reads captions through a frozen text network."""

    text_layers: Amount
    """blocks that refine the frozen features; Muse: 0"""


class MaskedTransformerParams(CaptionedTransformerParams):
    """Sizes of Muse's base model."""

    neighbours: bool
    """whether each cell of the input also sees those around it; Muse: false"""


class SuperResolutionParams(MaskedTransformerParams):
    """Sizes of Muse's super-resolution model; `layers` are those of the large picture."""

    small_layers: Depth
    """of the small picture's encoder"""
    block: Width
    """side of the blocks of multi-axis attention, in cells of the large picture"""

    def check(self) -> None:
        super().check()
        require(self.heads % 2 == 0, "heads", f"is {self.heads}; multi-axis attention halves them")


class MaskedTrainingParams(AveragedTrainingParams):
    """One training on masked image tokens."""

    rate: Literal["arccos", "uniform"]
    """law of the share of masked tokens: cos(πu/2), as in Muse, or u, for u uniform in 0 … 1"""
    least_rate: PartialShare
    """to which smaller rates are raised; Muse has 0, MaskGIT's configuration 0.5"""
    rise: PartialShare
    """share of the updates over which the rates rise to those of the law; Muse: 0"""


class TextTrainingParams(Section):
    """One training of a text encoder or a language model, which have no pictures and so drop no captions."""

    training: DescentParams

    def check(self) -> None:
        require(self.training.caption_dropout == 0, "training.caption_dropout", "must be 0: captions are the data")


class SpanTrainingParams(TextTrainingParams):
    """One training on gaps in captions (T5's span corruption)."""

    masked: AboveZero
    """share of a caption's tokens that are cut out; T5: 0.15"""
    span: Annotated[float, Field(ge=1, le=100)]
    """mean tokens of a gap; T5: 3"""
    decoder_layers: Count
    """of the decoder, which only the training needs"""

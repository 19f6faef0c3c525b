"""Settings of the image tokenizer that quantizes residuals over scales."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field

from lib.config_tree import Count, PartialShare, Rate, Section, Several, Weight, require


class MultiScaleParams(Section):
    """One training that starts from a plain tokenizer, whose picture size, stride and widths it has."""

    scales: Several[Count]
    """cells of a token map in each direction, rising from 1 to those of the plain tokenizer's"""
    codes: Annotated[int, Field(ge=2, le=2**16)]  # tokens are kept as uint16
    """size of the vocabulary, which all scales share"""
    steps: Count
    """updates"""
    batch_size: Count
    """pictures"""
    learning_rate: Rate
    """of all but kernels, by AdamW"""
    kernel_learning_rate: Rate
    """of convolution kernels, by Muon"""
    commitment: Weight
    """weight of the commitment term"""
    ema_decay: PartialShare
    """of the codebook's averages"""

    def check(self) -> None:
        rising = all(here < there for here, there in pairwise(self.scales))
        require(len(self.scales) > 1 and self.scales[0] == 1 and rising, "scales", "must be two or more, rising from 1")

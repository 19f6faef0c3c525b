"""Settings of diffusion models' U-Nets and of their trainings."""

from typing import Literal

from lib.config_tree import Amount, Count, Depth, Rate, Section, Several, Share, Width, require
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.settings import AboveZero


class UNetParams(Section):
    """Sizes of a U-Net (lib/models/unet.py)."""

    widths: Several[Width]
    """channels of each level, from the finest; multiples of 8, for group norm, and with attention of head_width"""
    blocks: Depth
    """residual blocks of a level on the way down; there is one more on the way up"""
    attention: Several[Amount]
    """levels, from 0, with a transformer block behind each residual block; the middle always has one"""
    head_width: Width
    """of attention, a multiple of 4"""
    feed_forward: Width
    """inner width of transformer blocks, in widths of their level"""
    text_layers: Amount
    """blocks that refine the frozen text network's features"""

    def check(self) -> None:
        require(self.widths, "widths", "must be at least one number")
        levels = len(self.widths)
        require(all(level < levels for level in self.attention), "attention", f"must be levels 0 … {levels - 1}")
        require(self.head_width % 4 == 0, "head_width", "must be a multiple of 4, for rotary positions")
        for level, width in enumerate(self.widths):
            require(width % 8 == 0, "widths", "must be multiples of 8, for group norm")
            attends = level in self.attention or level == levels - 1
            heads = f"must be multiples of head_width where there is attention, as at level {level}"
            require(not attends or width % self.head_width == 0, "widths", heads)

    def require_grid(self, side: int, name: str) -> None:
        """An error, with the name of these settings, if a grid of `side` cells a side cannot be halved often enough."""
        halved = len(self.widths) - 1
        fits = f"has {halved + 1} levels, but a grid of {side}×{side} cannot be halved {halved} times"
        require(side % 2**halved == 0, f"{name}.widths", fits)


class NoiseParams(Section):
    """A noise schedule; arguments of `lib.decoding.diffusion_schedules.noise_schedule`."""

    kind: Literal["linear", "scaled_linear", "cosine", "flow"]
    """of the noise levels; flow is the straight path of rectified flow"""
    steps: Count
    """number of levels"""
    betas: Several[AboveZero]
    """first and last of the linear kinds; none for the others. Stable Diffusion: scaled_linear, 0.00085 and 0.012"""
    shift: Rate
    """by whose square every signal-to-noise ratio is divided; 1 leaves them as they are"""
    zero_terminal_snr: bool
    """whether the last level is made noise alone"""

    def check(self) -> None:
        linear, ends = self.kind.endswith("linear"), len(self.betas)
        require(ends == (2 if linear else 0), "betas", f"has {ends} numbers; linear kinds have two, others none")
        require(
            not (self.kind == "flow" and self.zero_terminal_snr), "zero_terminal_snr", "is for other kinds than flow"
        )


class DiffusionTrainingParams(AveragedTrainingParams):
    """One training on noisy grids."""

    noise: NoiseParams
    target: Literal["epsilon", "v", "flow"]
    """what is predicted: the noise ε, v = α ε − σ x₀, or ε − x₀"""
    times: Literal["uniform", "logit_normal"]
    """law of the noise level's number; logit-normal as in Stable Diffusion 3, most often in the middle"""

    def check(self) -> None:
        flows = (self.target == "flow") == (self.noise.kind == "flow")
        require(flows, "target", f"is {self.target}; flow and noise.kind = flow go together")
        blind = self.target == "epsilon" and self.noise.zero_terminal_snr
        require(not blind, "target", "is epsilon, which says nothing at a level of noise alone; use v")


class EnlargingTrainingParams(DiffusionTrainingParams):
    """One training of a cascade's model that enlarges small pictures."""

    augmentation: Share
    """share of the noise levels, from the clean end, of which a random one is added to the small pictures; Imagen: 1"""

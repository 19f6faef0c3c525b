"""Settings of multimodal diffusion transformers; their trainings have those of diffusion_settings.py."""

from lib.config_tree import Amount, Section, Width, require


class MMDiTParams(Section):
    """Sizes of an MMDiT (lib/models/mmdit.py)."""

    patch: Width
    """side of a patch in cells; AuraFlow: 2"""
    width: Width
    """of a token, a multiple of 8"""
    joint: Amount
    """blocks with weights of their own for patches and for captions; AuraFlow: 4"""
    single: Amount
    """blocks with the same weights for all tokens, behind the joint ones; AuraFlow: 32"""
    heads: Width
    """of attention; four times as many divide width, for rotary positions in two dimensions"""
    feed_forward: Width
    """inner width; AuraFlow: two thirds of four widths, rounded up"""
    text_layers: Amount
    """blocks that refine the frozen text network's features; AuraFlow: 0"""
    registers: Amount
    """learned tokens before the caption; AuraFlow: 8"""
    keeps_attention: bool
    """whether what a block attends to stays in the stream, as in Stable Diffusion 3; AuraFlow: false"""
    pooled: bool
    """whether the caption's mean vector is added to the time, as in Stable Diffusion 3; AuraFlow: false"""
    neighbours: bool
    """whether each patch of the input also sees those around it; AuraFlow: false"""

    def check(self) -> None:
        divides = self.width % (4 * self.heads) == 0
        require(divides, "heads", f"is {self.heads}; four times as many must divide width = {self.width}")
        require(self.width % 8 == 0, "width", "must be a multiple of 8")
        require(self.joint + self.single > 0, "joint", "or single must be above 0")

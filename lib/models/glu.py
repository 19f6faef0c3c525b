"""Feed-forward blocks: plain (FFN) and gated (GLU), after Shazeer, "GLU Variants Improve Transformer" (2002.05202).

Which block a layout names stands in `BLOCKS`; `matched_width` gives a gated block the parameters of a plain one.
"""

import flax.linen as nn
import jax

from lib.models.activations import ACTIVATIONS
from lib.models.bart_parts import dense, norm
from lib.models.layout import BLOCKS, Layout, matched_width

__all__ = ["BLOCKS", "FFN", "GLU", "matched_width"]


class FFN(nn.Module):
    """act(x W₁) W₂ (equations 1 to 3), with the norms of the layout's placement and dropout.

    Attributes:
        width: of input and output.
        inner: width between the products.
        gain: factor on the initial weights.
    """

    layout: Layout
    width: int
    inner: int
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool = True) -> jax.Array:
        """[..., width] → [..., width], to be added to the residual stream."""
        layout = self.layout
        if layout.norm_before:
            x = norm(layout, feeds_product=True)(x)
        x = self.activate(x)  # [..., inner]
        if layout.norm_inside:
            x = norm(layout, feeds_product=True)(x)
        x = nn.Dropout(layout.activation_dropout)(x, deterministic)
        x = dense(layout, self.width, self.gain)(x)  # [..., width]
        if layout.norm_placement in ("cogview", "swinv2"):
            x = norm(layout, feeds_product=False)(x)
        return nn.Dropout(layout.dropout)(x, deterministic)

    def activate(self, x: jax.Array) -> jax.Array:
        """The first product and its activation, [..., width] → [..., inner]."""
        return ACTIVATIONS[self.layout.activation](dense(self.layout, self.inner, self.gain)(x))


class GLU(FFN):
    """(act(x W) * (x V)) W₂ (equations 4 to 6): as `FFN`, with a second product that gates the first."""

    def activate(self, x: jax.Array) -> jax.Array:
        gate = super().activate(x)
        return gate * dense(self.layout, self.inner, self.gain)(x)

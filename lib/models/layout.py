"""Shape and layout of DALL·E Mini: every switch of the authors' repository, checked before any network is built.

Imports no JAX, so that configuration files can be read without it. The defaults are those of the authors' last
repository state (github.com/borisdayma/dalle-mini), with the dropout of 0 that its shipped configurations set.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from lib.config_tree import PartialShare, Section, plain, require
from lib.errors import EaselError

Activation = Literal[
    "relu", "gelu", "gelu_tanh", "quick_gelu", "swish", "sigmoid", "identity", "smelu", "smelu_original"
]
Norm = Literal["layernorm", "rmsnorm"]
NormPlacement = Literal["normformer", "preln", "postln", "cogview", "subln", "swinv2"]
ComputeDtype = Literal["float32", "bfloat16"]
Side = Literal["encoder", "decoder"]
Scale = Annotated[float, Field(ge=1e-6, le=100)]

SWIN_PERIOD = 6  # Swin v2 placement normalises the residual stream after every sixth layer

# The eight feed-forward blocks of Shazeer's comparison (arXiv:2002.05202, table 1) as (gated, activation).
BLOCKS: dict[str, tuple[bool, Activation]] = {
    "relu": (False, "relu"),
    "gelu": (False, "gelu"),
    "swish": (False, "swish"),
    "glu": (True, "sigmoid"),
    "bilinear": (True, "identity"),
    "reglu": (True, "relu"),
    "geglu": (True, "gelu"),
    "swiglu": (True, "swish"),
}


def matched_width(ffn_width: int, multiple: int = 1) -> int:
    """Inner width of a gated block with no more parameters than an ungated one of width `ffn_width`.

    A gated block has three matrices instead of two, so two thirds of the width (arXiv:2002.05202 section 3.1: 3072
    → 2048; DALL·E Mini: 4096 → 2730), rounded down to a multiple of `multiple`.

    Raises:
        EaselError: nothing is left after rounding.
    """
    width = 2 * ffn_width // 3 // multiple * multiple
    if width < 1:
        raise EaselError(f"a feed-forward width of {ffn_width} has no matched gated width in multiples of {multiple}.")
    return width


class Layout(Section):
    """What kind of Transformer DALL·E Mini is; its size stands in `DalleMiniConfig`.

    Norm placements, for a sub-layer f (attention or feed-forward) of residual stream x:

    - `preln`: x + f(norm(x)).
    - `postln`: norm(x + f(x)); the placement of DeepNet (arXiv:2203.00555), whose scaling is `deepnet_scaling`.
    - `normformer` (arXiv:2110.09456): as `preln`, with a norm on the attention's output and one inside the
      feed-forward block, before its last product.
    - `cogview` (Sandwich-LN, arXiv:2105.13290): x + norm(f(norm(x))).
    - `subln` (Magneto, arXiv:2210.06423): norms before the last product of self-attention and feed-forward blocks
      as well as before the first. As in the original's source, the decoder's attentions lack the norm before, and its
      attention to the caption has none at all.
    - `swinv2` (arXiv:2111.09883): x + norm(f(x)), and a norm of the stream itself after every sixth layer.

    A norm that feeds a product has no scale, because the product can absorb it, unless `force_norm_scale`.

    Raises:
        EaselError: an unknown name, a number out of range, or switches that exclude each other.
    """

    gated: bool = True
    """GLU (act(x W) * (x V)) or plain feed-forward (act(x W))"""
    activation: Activation = "gelu"
    """of feed-forward blocks"""
    bias: bool = False
    """in the products of attention and feed-forward blocks; the output layer never has one"""
    norm: Norm = "layernorm"
    """layer normalisation, or that by the root mean square"""
    norm_placement: NormPlacement = "normformer"
    """see above"""
    force_norm_scale: bool = False
    """also for norms that feed a product"""
    final_norm_encoder: bool = True
    """of the stack's output; `postln` has one anyhow"""
    final_norm_decoder: bool = True
    """of the stack's output; `postln` has one anyhow"""
    head_scale: bool = False
    """a learned factor for each attention head (NormFormer)"""
    cosine_attention: bool = False
    """cosine of queries and keys, divided by `tau_init`, in place of the scaled product (Swin v2)"""
    tau_init: Scale = 0.05
    """temperature of cosine attention; as in the original, it is not learned"""
    deepnet_scaling: bool = False
    """residuals and initial weights scaled with depth as in DeepNet"""
    subln_init: bool = False
    """initial weights scaled with depth as in Magneto"""
    sinkhorn_iterations: Annotated[int, Field(ge=1, le=1000)] = 1
    """row and column normalisations, in turn, of the encoder's attention weights (Sinkformers,
    arXiv:2110.11773); 1 is the softmax"""
    sinkhorn_padding: bool = False
    """whether the rows of padding take part in the normalisation of columns, as they do in the original, so that the
    words of a short caption get less than their share; ours leaves them out"""
    swin_positions: bool = False
    """a learned score for every pair of query and key position in each head (the original's
    `use_swin_position_embeddings`)"""
    absolute_positions: bool = True
    """learned embeddings of positions"""
    scale_embedding: bool = False
    """embeddings of tokens, not of positions, multiplied by √width"""
    dropout: PartialShare = 0.0
    """share of embeddings and of every sub-layer's output"""
    attention_dropout: PartialShare = 0.0
    """share of attention weights"""
    activation_dropout: PartialShare = 0.0
    """share of the feed-forward block's inner values"""
    init_std: Scale = 0.02
    """standard deviation of every initial matrix and embedding"""
    scan: bool = False
    """one compiled layer run over stacked parameters; compiles faster, the parameter tree differs"""
    remat: bool = False
    """layers are computed again in the backward pass instead of being kept"""
    compute_dtype: ComputeDtype = "float32"
    """of activations and products, those of scores and logits too, as in the original; parameters and softmax are
    float32 whatever it is"""

    def check(self) -> None:
        require(
            self.sinkhorn_iterations > 1 or not self.sinkhorn_padding,
            "sinkhorn_padding",
            "needs sinkhorn_iterations above 1: a softmax normalises no columns",
        )
        require(
            not (self.scan and self.norm_placement == "swinv2"),
            "scan",
            "needs layers that are all alike, but swinv2 adds a norm to every sixth; switch scan off",
        )
        for name in ("final_norm_encoder", "final_norm_decoder"):
            require(
                getattr(self, name) or self.norm_placement != "postln",
                name,
                "cannot be switched off: postln ends every layer with a norm",
            )
        require(
            not (self.deepnet_scaling and self.subln_init),
            "deepnet_scaling",
            "and subln_init both set the initial weights; choose one",
        )

    @property
    def norm_before(self) -> bool:
        """Whether feed-forward blocks (and, but for the decoder of `subln`, attentions) start with a norm."""
        return self.norm_placement in ("normformer", "preln", "cogview", "subln")

    @property
    def norm_inside(self) -> bool:
        """Whether feed-forward blocks have a norm before their last product."""
        return self.norm_placement in ("normformer", "subln")


@dataclass(frozen=True)
class DalleMiniConfig:
    """Size of the network, and its layout; the BOS id of the image side is `codes`.

    The original pads its image vocabulary so that matrices divide between devices: `padded_codes` ids that follow BOS
    have rows of their own, but are never drawn.
    """

    text_vocabulary: int
    text_length: int
    text_padding: int  # id that fills captions up to text_length
    codes: int
    image_length: int
    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    feed_forward: int
    layout: Layout = field(default_factory=Layout)
    padded_codes: int = 0

    def __post_init__(self):
        if self.padded_codes < 0:
            raise EaselError(f"DALL·E Mini: padded_codes is {self.padded_codes}, must be 0 or more.")
        if self.width % self.heads:
            raise EaselError(f"DALL·E Mini: {self.heads} heads do not divide a width of {self.width}.")

    @property
    def image_ids(self) -> int:
        """Rows of the image side's embedding and columns of the logits: codes, BOS, padding."""
        return self.codes + 1 + self.padded_codes

    def layers(self, side: Side) -> int:
        """Number of layers of one side."""
        return self.encoder_layers if side == "encoder" else self.decoder_layers

    def residual_scale(self, side: Side) -> float:
        """Factor of the residual stream at every addition: α of DeepNet (arXiv:2203.00555, figure 2), else 1."""
        if not self.layout.deepnet_scaling:
            return 1.0
        if side == "encoder":
            return 0.81 * (self.encoder_layers**4 * self.decoder_layers) ** (1 / 16)
        return (3 * self.decoder_layers) ** (1 / 4)

    def initial_gain(self, side: Side, cross_attention: bool = False) -> float:
        """Factor on `init_std` for values, attention outputs and feed-forward products.

        β of DeepNet (arXiv:2203.00555, figure 2), or γ of Magneto (arXiv:2210.06423, figure 2), which spares the
        attention to the caption, or 1.
        """
        if self.layout.deepnet_scaling:
            if side == "encoder":
                return 0.87 * (self.encoder_layers**4 * self.decoder_layers) ** (-1 / 16)
            return (12 * self.decoder_layers) ** (-1 / 4)
        if self.layout.subln_init and not cross_attention:
            decoder = math.log(3 * self.decoder_layers)
            return math.sqrt(decoder * math.log(2 * self.encoder_layers) / 3 if side == "encoder" else decoder)
        return 1.0

    def closing_norm(self, side: Side, index: int) -> bool | None:
        """Whether layer `index` ends with a norm of the residual stream: None, or whether that norm has a scale.

        The last layer's feeds a product and so has none, except under `scan`, which needs layers that are all alike.
        """
        layout, last = self.layout, index == self.layers(side) - 1
        if layout.norm_placement == "postln":
            return not last or layout.scan or layout.force_norm_scale
        if layout.norm_placement == "swinv2" and (index + 1) % SWIN_PERIOD == 0 and not last:
            return True
        return None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self) | {"layout": plain(self.layout)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "DalleMiniConfig":
        """What `as_dict` gave; a missing `layout` is the default one."""
        return cls(**fields | {"layout": Layout(**fields.get("layout", {}))})

"""Text networks that are trained once on captions of all languages, and what image models read of them. PyTorch.

`TextEncoder` is bidirectional, a small twin of T5's encoder (Raffel et al. 2020, arXiv:1910.10683), trained inside a
`SpanModel` to fill gaps; `LanguageModel` is a decoder alone, trained on the next token. Both turn captions into
`TextFeatures`, as does CLIP's caption tower, a `CaptionTower`. The blocks are those of lib/models/transformer.py,
with rotary positions in one dimension where T5 has biases of the distance.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models.clip import PAD, Clip, ClipConfig, TextTower
from lib.models.cross_attention import CrossBlock, block_weights, line, turns_of
from lib.models.cross_attention import initialise as initialise_cross
from lib.models.transformer import Attention, Block, initialise
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays


@dataclass(frozen=True)
class TextFeatures:
    """Captions as image models read them.

    Attributes:
        vectors: float [B, S, D]; what they are at padding means nothing.
        present: bool [B, S], False at padding.
    """

    vectors: Tensor
    present: Tensor

    def __len__(self) -> int:
        return len(self.vectors)

    def to(self, device: torch.device) -> "TextFeatures":
        """The same on a device."""
        return TextFeatures(self.vectors.to(device), self.present.to(device))

    def then(self, others: "TextFeatures") -> "TextFeatures":
        """These captions, then others; the shorter ones are padded."""
        length = max(self.present.shape[1], others.present.shape[1])
        parts = [
            (F.pad(one.vectors, (0, 0, 0, missing)), F.pad(one.present, (0, missing)))
            for one in (self, others)
            for missing in [length - one.present.shape[1]]
        ]
        return TextFeatures(*(torch.cat(both) for both in zip(*parts, strict=True)))


@dataclass(frozen=True)
class TextConfig:
    """Sizes; saved with the weights.

    Attributes:
        vocabulary: captions have ids 0 … vocabulary − 1, those of their padding among them.
        length: longest caption in tokens.
        marks: further ids vocabulary, vocabulary + 1, … that stand for gaps (T5's sentinels); 0 for a language model.
    """

    vocabulary: int
    length: int
    padding: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    marks: int = 0

    def __post_init__(self):
        if self.width % (4 * self.heads):
            raise EaselError(
                f"text encoder: a width of {self.width} cannot be split into {self.heads} heads whose width is a "
                "multiple of 4."
            )

    @property
    def ids(self) -> int:
        """Tokens and marks."""
        return self.vocabulary + self.marks

    @property
    def parameters(self) -> int:
        """Weights of a `TextEncoder`; a `LanguageModel` has `ids · width` more, its output layer."""
        block = block_weights(self.width, self.heads, self.feed_forward, crossed=False)
        return self.ids * self.width + self.layers * block + self.width


class TextEncoder(nn.Module):
    """Token ids → one vector a token, which knows the whole text.

    Args:
        generator: source of the first weights.
    """

    causal = False  # whether a token sees only itself and those before it

    def __init__(self, config: TextConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.ids, config.width)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.feed_forward) for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(config.width)
        turns = turns_of(line(config.length), config.width // config.heads)
        self.register_buffer("turns", turns, persistent=False)
        nn.init.normal_(self.tokens.weight, generator=generator)
        for block in self.blocks:
            initialise(block, generator)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors [B, S, D] of ids int64 [B, S ≤ length], padded at the end; at padding they mean nothing.

        Raises:
            EaselError: texts longer than the network was made for, or one that is padding alone.
        """
        length, present = ids.shape[1], ids != self.config.padding  # [B, S]
        if length > self.config.length:
            raise EaselError(f"the text encoder reads texts of up to {self.config.length} tokens, got {length}.")
        if not bool(present.any(dim=1).all()):
            raise EaselError("the text encoder was given a text without a token (padding alone).")
        mask = present[:, None, None]  # [B, 1, 1, S]
        if self.causal:
            mask = mask & causal_mask(length, ids.device)
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x, self.turns[:, :, :length], mask)
        return self.norm(x)

    @torch.no_grad()
    def features(self, ids: Tensor) -> TextFeatures:
        """What image models read of captions, int64 [B, S ≤ length]; no gradient reaches this network.

        Raises:
            EaselError: see `forward`.
        """
        return TextFeatures(self(ids).float(), ids != self.config.padding)


class LanguageModel(TextEncoder):
    """A decoder alone: token ids → vectors that know what stands before, and from them logits of the next token."""

    causal = True

    def __init__(self, config: TextConfig, generator: torch.Generator):
        super().__init__(config, generator)
        self.head = nn.Linear(config.width, config.ids, bias=False)
        nn.init.zeros_(self.head.weight)

    def logits(self, ids: Tensor) -> Tensor:
        """Logits [B, S, ids] of the token after each of `ids`, int64 [B, S]."""
        return self.head(self(ids))


class SpanModel(nn.Module):
    """An encoder and the decoder that trains it: texts with gaps → marks and what stood in the gaps (arXiv:1910.10683,
    section 3.1.4). Both read the same table of tokens, as in T5.

    Args:
        encoder: trained as a part of this.
        layers: of the decoder, which is as wide as the encoder.
        generator: source of the decoder's first weights.
    """

    def __init__(self, encoder: TextEncoder, layers: int, generator: torch.Generator):
        super().__init__()
        config = encoder.config
        self.encoder = encoder
        self.blocks = nn.ModuleList(
            CrossBlock(config.width, config.heads, config.feed_forward, Attention(config.width, config.heads))
            for _ in range(layers)
        )
        self.norm = nn.RMSNorm(config.width)
        self.head = nn.Linear(config.width, config.ids, bias=False)
        for block in self.blocks:
            initialise_cross(block, generator)
        nn.init.zeros_(self.head.weight)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Logits [B, T, ids] of every target given those before it.

        Args:
            inputs: texts with gaps, int64 [B, S]; targets: int64 [B, T ≤ length]. Both padded at the end.
        """
        encoder, padding = self.encoder, self.encoder.config.padding
        features, seen = encoder(inputs), (inputs != padding)[:, None, None]  # [B, S, D], [B, 1, 1, S]
        x = encoder.tokens(F.pad(targets, (1, -1), value=padding))  # starts with padding, as T5's decoder does
        mask = causal_mask(x.shape[1], x.device)
        for block in self.blocks:
            x = block(x, encoder.turns[:, :, : x.shape[1]], mask, block.cross.read(features, seen))
        return self.head(self.norm(x))


def causal_mask(length: int, device: torch.device) -> Tensor:
    """What each of `length` tokens sees if it sees itself and those before it, bool [length, length]."""
    places = torch.arange(length, device=device)
    return places[:, None] >= places


class CaptionTower(nn.Module):
    """CLIP's caption tower (Radford et al. 2021, arXiv:2103.00020) as a text network: the vectors of every token before
    CLIP takes their mean, as Stable Diffusion reads them.

    Args:
        sizes: of the CLIP that the tower is of.
    """

    def __init__(self, sizes: ClipConfig):
        super().__init__()
        self.sizes, self.tower = sizes, TextTower(sizes)

    @property
    def config(self) -> TextConfig:
        """The sizes that image models ask for."""
        sizes = self.sizes
        return TextConfig(
            vocabulary=sizes.vocabulary,
            length=sizes.length,
            padding=PAD,
            width=sizes.text_width,
            layers=sizes.text_layers,
            heads=sizes.text_heads,
            feed_forward=4 * sizes.text_width,
        )

    @torch.no_grad()
    def features(self, ids: Tensor) -> TextFeatures:
        """What image models read of captions, int64 [B, S ≤ length].

        Raises:
            EaselError: captions longer than CLIP was made for, or one that is padding alone.
        """
        tower, present, most = self.tower, ids != PAD, self.sizes.length
        if ids.shape[1] > most:
            raise EaselError(f"CLIP reads captions of up to {most} tokens, got {ids.shape[1]}.")
        if not bool(present.any(dim=1).all()):
            raise EaselError("CLIP was given a caption without a token (padding alone).")
        x = tower.tokens(ids) + tower.positions.weight[: ids.shape[1]]  # [B, S, D]
        return TextFeatures(tower.layers(x, src_key_padding_mask=~present), present)


def caption_tower(clip: Clip) -> CaptionTower:
    """That of a trained CLIP, in evaluation mode and without gradients of its own."""
    tower = CaptionTower(clip.config)
    tower.tower.load_state_dict(clip.text.state_dict())
    return tower.eval().requires_grad_(False)


def save(model: TextEncoder | CaptionTower, folder: Path) -> None:
    """Writes `folder`/model.safetensors, sizes and kind included."""
    checkpoint.save(Path(folder) / "model.safetensors", module_arrays(model), described(model))


def described(model: TextEncoder | CaptionTower) -> dict[str, Any]:
    """What the weights say of themselves: kind and sizes."""
    sizes = model.sizes if isinstance(model, CaptionTower) else model.config
    return {"config": asdict(sizes), "kind": type(model).__name__}


def load(folder: Path) -> TextEncoder | CaptionTower:
    """The network that `save` wrote, in evaluation mode and without gradients of its own.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    kinds = {kind.__name__: kind for kind in (TextEncoder, LanguageModel)}
    if meta["kind"] == CaptionTower.__name__:
        model = CaptionTower(ClipConfig(**meta["config"]))
    else:
        model = kinds[meta["kind"]](TextConfig(**meta["config"]), torch.Generator())
    load_module(model, arrays)
    return model.eval().requires_grad_(False)

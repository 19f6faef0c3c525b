"""Small networks that draft tokens for an autoregressive model: EAGLE (Li et al. 2024, arXiv:2401.15077), one
transformer layer that extrapolates the model's features, and Medusa (Cai et al. 2024, arXiv:2401.10774), a head for
each of the next tokens.

Features are what the model's output layer reads. Both networks are trained by lib/training/drafters.py with the model
frozen; `EagleDrafter` and `MedusaHeads` are what decoders see of them.
"""

from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.autoregressive_predictor import Sampling, by_row, in_copies
from lib.models.transformer import Block, Cache, GridRotary, initialise
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays


class Eagle(nn.Module):
    """Feature of slot s − 1 and the token there → feature of slot s, to be read by the model's own output layer.

    The caption reaches it through the features alone.

    Args:
        config: of the model that it drafts for.
        generator: source of the first weights.
    """

    def __init__(self, config: AutoregressiveConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        self.join = nn.Linear(2 * config.width, config.width, bias=False)
        self.block = Block(config.width, config.heads, config.feed_forward)
        self.norm = nn.RMSNorm(config.width)
        self.rotary = GridRotary(config.width // config.heads, config.text_length, config.rows, config.columns)
        nn.init.normal_(self.join.weight, std=(2 * config.width) ** -0.5, generator=generator)
        initialise(self.block, generator)

    def forward(
        self,
        features: Tensor,
        vectors: Tensor,
        slots: Tensor,
        mask: Tensor,
        cache: Cache | None = None,
    ) -> Tensor:
        """Extrapolated features [R, W, D].

        Args:
            features: of the slots before `slots`, [R, W, D]; vectors: embeddings of the tokens there, [R, W, D].
            slots: int64 [W] or [R, W], at least 1; with a cache also its columns, [R, W].
            mask: bool, as for `Block`.
        """
        x = self.join(torch.cat([features, vectors], dim=-1))  # [R, W, 2D] → [R, W, D]
        turns = self.rotary(self.config.text_length + slots)
        return self.norm(self.block(x, turns, mask, cache, slots))

    def extrapolate(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Teacher-forced: features and token embeddings of slots 0 … N − 2, [B, N − 1, D] → features of 1 … N − 1."""
        slots = torch.arange(1, features.shape[1] + 1, device=features.device)
        return self(features, vectors, slots, (slots[:, None] >= slots)[None, None])


class Medusa(nn.Module):
    """Feature of slot s → logits of slots s + 1 … s + heads.

    Each head is a residual layer, which starts as the identity, and an output layer, which starts as the model's own.
    """

    def __init__(self, config: AutoregressiveConfig, heads: int):
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(nn.Linear(config.width, config.width, bias=False) for _ in range(heads))
        self.outputs = nn.ModuleList(nn.Linear(config.width, config.codes, bias=False) for _ in range(heads))
        for layer in self.layers:
            nn.init.zeros_(layer.weight)

    def start_from(self, model: Autoregressive) -> None:
        """Copies the model's output layer into every head."""
        for output in self.outputs:
            output.load_state_dict(model.head.state_dict())

    def forward(self, features: Tensor) -> Tensor:
        """[..., D] → [..., heads, codes]."""
        heads = zip(self.layers, self.outputs, strict=True)
        return torch.stack([output(features + F.silu(layer(features))) for layer, output in heads], dim=-2)


class EagleDrafter:
    """EAGLE as lib/decoding/eagle.py calls it, with a static cache that rolls back as `AutoregressivePredictor`'s does.

    Args:
        model: whose embeddings and output layer it uses.
        rows: pictures decoded at once.
        sampling: that of the predictor: drafts are drawn with its guidance, temperature and top-k.
    """

    def __init__(self, network: Eagle, model: Autoregressive, rows: int, sampling: Sampling):
        config, weights = network.config, network.join.weight
        self.network, self.model, self.sampling, self.length = network, model, sampling, config.length
        self.columns = torch.arange(self.length + 1, device=weights.device)  # the last one is for slots past the end
        count, width = rows * sampling.copies, config.width // config.heads
        self.cache = Cache(count, config.heads, len(self.columns), width, weights)

    @torch.no_grad()
    def predict(self, inputs: Tensor, features: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B, W, codes] and features [B, W, copies, D] of slots start … start + W − 1.

        Args:
            inputs: int64 [B, W], the tokens at slots start − 1 … start + W − 2.
            features: [B, W, copies, D], those that each of these tokens was predicted from.
            start: int64 [B], at least 1.
        """
        copies = self.sampling.copies
        vectors = self.model.scale * self.model.image_tokens(inputs)  # [B, W, D]
        slots = start[:, None] + torch.arange(inputs.shape[1], device=start.device)
        slots = slots.clamp(max=self.length).repeat(copies, 1)  # [R, W]
        # Column 0 is never written: slot 0 has no token before it.
        mask = (self.columns <= slots[:, None, :, None]) & (self.columns > 0)  # [R, 1, W, columns]
        found = self.network(in_copies(features), vectors.repeat(copies, 1, 1), slots, mask, self.cache)
        return self.sampling(self.model.head(found)), by_row(found, copies)


class MedusaHeads:
    """Medusa as lib/decoding/medusa.py calls it."""

    def __init__(self, network: Medusa, sampling: Sampling):
        self.network, self.sampling, self.heads = network, sampling, len(network.layers)

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """Features [B, copies, D] of a slot → log-probabilities [B, heads, codes] of those after it."""
        return self.sampling(self.network(features.transpose(0, 1).flatten(0, 1)))  # [R, heads, codes] → [B, …]


def save(network: Eagle | Medusa, folder: Path) -> None:
    """Writes `folder`/model.safetensors, sizes included."""
    meta = {"config": asdict(network.config)}
    if isinstance(network, Medusa):
        meta["heads"] = len(network.layers)
    checkpoint.save(Path(folder) / "model.safetensors", module_arrays(network), meta)


def load(folder: Path) -> Eagle | Medusa:
    """The network that `save` wrote, in evaluation mode and without gradients of its own.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    config = AutoregressiveConfig(**meta["config"])
    network = Medusa(config, meta["heads"]) if "heads" in meta else Eagle(config, torch.Generator())
    load_module(network, arrays)
    return network.eval().requires_grad_(False)

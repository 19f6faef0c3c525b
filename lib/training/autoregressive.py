"""Training the autoregressive model: mean cross-entropy over the image tokens."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.captions import Captions, check_tokens
from lib.models.autoregressive import Autoregressive
from lib.training.descent import Descent, autocast, products
from lib.training.settings import DescentParams
from lib.weights.torch_state import load_module, module_arrays


class Batches:
    """Captions and image tokens of a split, from which every update draws.

    Args:
        model: that the tokens must fit.
        captions: of every picture.
        tokens: integers [pictures, length], codes in reading order.
        dropout: share of captions replaced by the empty one.
        seed: of the caption draws; step `n` draws from (seed, n) alone.

    Raises:
        EaselError: tokens of the wrong shape or outside the model's codes, or not one picture per caption list.
    """

    def __init__(self, model: Autoregressive, captions: Captions, tokens: np.ndarray, dropout: float, seed: int):
        check_tokens(tokens, len(captions), model.config.length, model.config.codes)
        self.captions, self.tokens, self.dropout, self.seed = captions, tokens, dropout, seed
        self.padding, self.device = model.config.text_padding, model.head.weight.device

    def __call__(self, step: int, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Captions, without the padding that all share, and image tokens int64 [B, length] of the given pictures."""
        random = np.random.Generator(np.random.PCG64([self.seed, step]))
        text_ids = self.captions.draw(indices, self.dropout, random)
        text_ids = text_ids[:, (text_ids != self.padding).any(axis=0)]  # [B, longest]
        return tuple(
            torch.from_numpy(array.astype(np.int64)).to(self.device) for array in (text_ids, self.tokens[indices])
        )


class AutoregressiveTrainee:
    """What `lib.training.loop.fit` trains.

    Args:
        model: trained in place, where it lies.
        captions, tokens, seed: see `Batches`.
    """

    def __init__(self, model: Autoregressive, captions: Captions, tokens: np.ndarray, params: DescentParams, seed: int):
        self.model, self.seed = model.train(), seed
        self.batches = Batches(model, captions, tokens, params.caption_dropout, seed)
        self.device = self.batches.device
        table = model.image_tokens.weight
        matrices = products(model.blocks)
        taken = {table, *matrices}
        others = [p for p in model.parameters() if p not in taken]
        self.descent = Descent(params, matrices, others, [(table, 1 / model.scale.item())])

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """What is descended, and further numbers to log."""
        text_ids, tokens = self.batches(step, indices)
        with autocast(self.device):
            logits = self.model(text_ids, tokens)  # [B, length, codes]
        return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten()), {}

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the pictures `indices`, int64 [B]."""
        loss, others = self.loss(step, indices)
        self.descent.step(loss, step)
        return {"loss": loss.item()} | {name: value.item() for name, value in others.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Weights and the optimizers' moments."""
        return module_arrays(self.model, "model.") | self.descent.state("descent.")

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""
        load_module(self.model, arrays, "model.")
        self.descent.load_state(arrays, "descent.")

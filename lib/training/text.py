"""Training the text networks on captions alone: gaps for the encoder, the next token for the language model.

Span corruption is T5's (Raffel et al. 2020, arXiv:1910.10683, section 3.1.4), caption by caption: T5 cuts a stream of
text into stretches of one length, but image models read single captions, and so does the encoder from the start.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import EaselError
from lib.models.cross_attention import blocks_of
from lib.models.text_encoder import LanguageModel, SpanModel, TextConfig
from lib.training.descent import autocast
from lib.training.masked_settings import SpanTrainingParams, TextTrainingParams
from lib.training.spans import corrupt, most_gaps
from lib.training.trainee import DescentTrainee

IGNORED = -100  # a target that does not count, PyTorch's own


def padded(rows: list[np.ndarray], padding: int, device: torch.device) -> Tensor:
    """Rows of different lengths, int64 [B, longest]."""
    ids = np.full((len(rows), max(map(len, rows))), padding, np.int64)
    for row, own in zip(ids, rows, strict=True):
        row[: len(own)] = own
    return torch.from_numpy(ids).to(device)


def check_texts(ids: np.ndarray, config: TextConfig) -> None:
    """Refuses texts [N, S] that are longer than the network reads, have foreign ids or are empty."""
    if ids.ndim != 2 or ids.shape[1] > config.length:
        raise EaselError(f"texts have the shape {list(ids.shape)}, must be [texts, up to {config.length}].")
    if ids.size and not 0 <= ids.min() <= ids.max() < config.vocabulary:
        raise EaselError(f"texts have ids {ids.min()} to {ids.max()}, must be 0 to {config.vocabulary - 1}.")
    if ((ids != config.padding).sum(axis=1) < 3).any():
        raise EaselError("a text has nothing between its first and its last token; leave empty captions out.")


class SpanTrainee(DescentTrainee):
    """Trains an encoder, with its decoder, to fill the gaps of texts.

    Args:
        model: trained in place, where it lies.
        texts: int [N, S], padded at the end.
        seed: of the gaps; step `n` draws from (seed, n) alone.

    Raises:
        EaselError: texts that do not fit the network, or an encoder with too few marks.
    """

    def __init__(self, model: SpanModel, texts: np.ndarray, params: SpanTrainingParams, seed: int):
        config = model.encoder.config
        check_texts(texts, config)
        need = most_gaps(texts.shape[1], params.masked, params.span)
        if config.marks < need:
            raise EaselError(f"the encoder has {config.marks} marks, but these texts have up to {need} gaps.")
        super().__init__(model, params.training, blocks_of(model))
        self.texts, self.params, self.seed, self.config = texts, params, seed, config

    def draw(self, indices: np.ndarray, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Texts with gaps and what was in them, int64 [B, S'] and [B, T], padded."""
        padding, params = self.config.padding, self.params
        texts = [row[row != padding] for row in self.texts[indices]]
        pairs = [corrupt(text, params.masked, params.span, self.config.vocabulary, random) for text in texts]
        inputs, targets = zip(*pairs, strict=True)
        return padded(inputs, padding, self.device), padded(targets, padding, self.device)

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the targets."""
        inputs, targets = self.draw(indices, np.random.Generator(np.random.PCG64([self.seed, step])))
        with autocast(self.device):
            logits = self.model(inputs, targets)  # [B, T, ids]
        return cross_entropy(logits, targets, self.config.padding), {}


class LanguageTrainee(DescentTrainee):
    """Trains a language model on the next token of texts.

    Args:
        model: trained in place, where it lies.
        texts: int [N, S], padded at the end.

    Raises:
        EaselError: texts that do not fit the network.
    """

    def __init__(self, model: LanguageModel, texts: np.ndarray, params: TextTrainingParams):
        check_texts(texts, model.config)
        super().__init__(model, params.training, blocks_of(model))
        self.texts = texts

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of every token but the first, which begins all texts."""
        padding = self.model.config.padding
        rows = self.texts[indices]
        ids = padded([row[row != padding] for row in rows], padding, self.device)  # [B, longest]
        with autocast(self.device):
            logits = self.model.logits(ids[:, :-1])
        return cross_entropy(logits, ids[:, 1:], padding), {}


def cross_entropy(logits: Tensor, targets: Tensor, padding: int) -> Tensor:
    """Mean over targets [B, T] that are no padding, in nats; logits [B, T, ids]."""
    wanted = targets.masked_fill(targets == padding, IGNORED)
    return F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)

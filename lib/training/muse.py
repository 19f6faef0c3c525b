"""Training Muse (Chang et al. 2023, arXiv:2301.00704, sections 2.3, 2.4 and 2.6): masked image tokens from the others.

Of every picture a random number of tokens is masked, all places equally likely; the loss is the mean cross-entropy of
the masked tokens of the batch, and of those alone. The super-resolution model's large pictures are masked, its small
ones given.

The masking rate is r = cos(πu/2), u uniform: density (2/π)(1 − r²)^(−1/2) on 0 … 1, mean 2/π. (Some repositories draw
r = (2/π) arccos u, which has the same mean and another law.) What the paper leaves open, and what is done here:

- The number of masked tokens is exact: the rate times all tokens, rounded, at least one. Which ones follows from the
  order of random numbers.
- The rates may rise: all of an update are multiplied by a share that rises from 0.2 to 1 over the first updates. Few
  masks teach first which code belongs where; tokens that can only be guessed hide that for long.
- Captions are dropped for a picture at a time, and then nothing of them is seen (lib/models/caption_context.py).
- The paper averages checkpoints of every 5,000 steps with a decay of 0.7, afterwards; here weights are averaged after
  every update.
- The super-resolution model is trained on the tokenizer's own small pictures, as the paper seems to do: it names no
  damage to them.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.captions import Captions, check_tokens
from lib.errors import EaselError
from lib.models.muse import Muse, MuseSuperResolution
from lib.models.text_encoder import TextFeatures
from lib.training.captioned import CaptionedBatches, CaptionedTrainee, Encode
from lib.training.masked_settings import MaskedTrainingParams
from lib.training.precision import autocast

LOWEST = 0.2  # largest masking rate of the first update, where it rises
BINS = 4  # quarters of the masking rate: health is logged for each


def draw_rates(uniform: np.ndarray, law: str, least: float = 0.0) -> np.ndarray:
    """Masking rates of uniform numbers in 0 … 1, float [B], none below `least`; law "arccos" or "uniform"."""
    rates = np.cos(np.pi / 2 * uniform) if law == "arccos" else uniform
    return np.maximum(rates, least)


def draw_masks(rates: np.ndarray, length: int, random: np.random.Generator) -> np.ndarray:
    """Which tokens are masked: of row b exactly rates[b] · length, rounded, but at least one. Bool [B, length]."""
    counts = np.maximum(np.rint(rates * length), 1)  # [B]
    ranks = random.random((len(rates), length)).argsort(axis=1).argsort(axis=1)
    return ranks < counts[:, None]


class MaskedBatches(CaptionedBatches):
    """Captions, tokens and masks of a split, from which every update draws.

    Args:
        model: that the tokens must fit.
        captions: of every picture.
        tokens: integers [pictures, length], codes in reading order.
        small: of the small pictures, integers [pictures, small_length], for a super-resolution model and no other.
        seed: of captions and masks; step `n` draws from (seed, n) alone.

    Attributes:
        risen: the first step whose masking rates are those of the law.

    Raises:
        EaselError: tokens that do not fit the model, or small pictures with the wrong model.
    """

    def __init__(
        self,
        model: Muse,
        captions: Captions,
        tokens: np.ndarray,
        encode: Encode,
        params: MaskedTrainingParams,
        seed: int,
        small: np.ndarray | None = None,
    ):
        config, large = model.config, isinstance(model, MuseSuperResolution)
        check_tokens(tokens, len(captions), config.length, config.codes)
        if large != (small is not None):
            raise EaselError(f"this model {'needs the' if large else 'reads no'} tokens of small pictures.")
        if large:
            check_tokens(small, len(captions), config.small_length, config.codes)
        super().__init__(captions, encode, params.training.caption_dropout, seed, model.head.weight.device)
        self.tokens, self.small, self.params, self.length = tokens, small, params, config.length
        self.risen = round(params.rise * params.training.steps)

    def __call__(self, step: int, indices: np.ndarray) -> tuple[TextFeatures, Tensor, Tensor, Tensor, list[Tensor]]:
        """What the given pictures show in update `step`.

        Returns:
            features of a caption each; which captions are dropped, bool [B]; tokens int64 [B, length]; which of them
            are masked, bool [B, length]; tokens of the small pictures in a list, or an empty list.
        """
        random = self.random(step)
        text, dropped = self.text(indices, random)
        rates = draw_rates(random.random(len(indices)), self.params.rate, self.params.least_rate)
        if step < self.risen:
            rates = rates * (LOWEST + (1 - LOWEST) * step / self.risen)
        masked = draw_masks(rates, self.length, random)
        given = [self.there(self.small[indices].astype(np.int64))] if self.small is not None else []
        return text, dropped, self.there(self.tokens[indices].astype(np.int64)), self.there(masked), given


class MuseTrainee(CaptionedTrainee):
    """What `lib.training.loop.fit` trains, on `MaskedBatches`: the base model or the super-resolution model.

    Logs the loss and, for each quarter of the masking rate, how many tokens were masked and of how many the most likely
    code was the right one (`accuracy_by_rate` turns entries of the history into shares).
    """

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """What is descended, and the health of every bin."""
        text, dropped, tokens, masked, small = self.batches(step, indices)
        with autocast(self.device):
            losses, right = masked_losses(self.model, text, dropped, tokens, masked, *small)
        return losses.mean(), by_rate(masked, right.detach())


def masked_losses(
    model: Muse, text: TextFeatures, dropped: Tensor, tokens: Tensor, masked: Tensor, *small: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every masked token in nats, and whether it is the most likely one: float32 [M], bool [M].

    Picture by picture, tokens in reading order.

    Args:
        dropped: bool [B]; tokens: int64 [B, N]; masked: bool [B, N].
        small: tokens of the small pictures, int64 [B, small_length], of a super-resolution model.
    """
    given = tokens.masked_fill(masked, model.config.codes)
    features = model.features(given, model.read(text, dropped, *small))  # [B, N, D]
    logits, wanted = model.head(features[masked]).float(), tokens[masked]  # [M, codes], [M]
    return F.cross_entropy(logits, wanted, reduction="none"), logits.argmax(dim=1) == wanted


def by_rate(masked: Tensor, right: Tensor) -> dict[str, Tensor]:
    """Masked tokens and right ones by the quarter of the masking rate: `masked_25`, `right_25` for rates up to 25 %, …

    Numbers of tokens and not shares, since a batch need not have a picture in every quarter.

    Args:
        masked: bool [B, N]; right: bool [M], of the masked tokens.
    """
    counts, length = masked.sum(dim=1), masked.shape[1]
    # Bin k has rates above k / BINS, and up to (k + 1) / BINS.
    bins = (counts * BINS - 1).div(length, rounding_mode="floor")  # [B]
    bins = bins.repeat_interleave(counts)  # → [M]
    numbers = {}
    for quarter in range(BINS):
        name = 100 * (quarter + 1) // BINS
        numbers[f"masked_{name}"] = (bins == quarter).sum()
        numbers[f"right_{name}"] = (right & (bins == quarter)).sum()
    return numbers


def accuracy_by_rate(numbers: dict[str, float]) -> dict[int, float]:
    """Upper end of each quarter of the masking rate in percent → share of masked tokens that were right.

    Args:
        numbers: an entry of the history of `fit`. Quarters without a masked token are left out.
    """
    ends = [100 * (quarter + 1) // BINS for quarter in range(BINS)]
    return {end: numbers[f"right_{end}"] / numbers[f"masked_{end}"] for end in ends if numbers[f"masked_{end}"]}


@torch.no_grad()
def measure(model: Muse, batches: MaskedBatches, pictures: int, batch_size: int = 64) -> dict[str, float]:
    """Loss of held-out pictures, the numbers of `by_rate` beside it; captions and masks follow from the batches' seed.

    Args:
        batches: of the held-out split.
        pictures: how many of them, the first ones.
    """
    total, sums = 0.0, {}
    for start in range(0, pictures, batch_size):
        indices = np.arange(start, min(start + batch_size, pictures))
        text, dropped, tokens, masked, small = batches(batches.risen + start, indices)
        losses, right = masked_losses(model, text, dropped, tokens, masked, *small)
        total += losses.sum().item()
        for name, value in by_rate(masked, right).items():
            sums[name] = sums.get(name, 0.0) + value.item()
    return {"loss": total / sum(value for name, value in sums.items() if name.startswith("masked"))} | sums

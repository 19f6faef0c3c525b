"""Fine-tuning for speculative Jacobi-denoising decoding (SJD2, Teng et al. 2025, arXiv:2510.08994, section 4.3).

"Next-clean-token prediction": some image inputs are noisy embeddings, the target of every position is still the next
discrete token, the loss plain cross-entropy over all of them, all parameters are tuned. The paper cuts the sequence
into segments of random length, one noise level each, adjacent segments at consecutive levels; at a random position the
level falls back to zero. What it leaves open, and what is done here (fields of `Sjd2Params`):

- Segments (`noisy_run`, `clean_share`). A sequence is stretches of clean inputs and of rising noise by turns, as a
  decoder sees them: what is accepted, then a window. A noisy stretch has a length drawn log-uniformly from the range
  `noisy_run`, which should hold the window lengths to be decoded with, and is cut at random places into one segment
  for each level; where it has fewer tokens than there are levels, it skips some. Clean stretches are uniformly long,
  so that on average `clean_share` of the inputs are clean. What lies before the sequence's first input is cut off at a
  random place, so that a sequence can begin with any level.
- Jumps (`jumps`). A decoder's first passes show the network a window that is all noise behind what is clean: no rise
  by single levels. 0 is the paper's text; a share above 0 lets that many stretches begin at a random level.
- Distribution of levels (`denoising_steps`). The network is told times, not numbers of levels; every batch takes one
  of the listed numbers, so that one tuned network can be decoded with any of them.
- Times (`spacing`): see lib/decoding/noise_levels.py.
- Statistics of the standardization: over the codes alone (neither BOS nor text, which are never noisy). As the table is
  tuned they are taken anew after every update ("live"), which keeps standardized embeddings standardized, or stay those
  of the untuned table ("frozen"). No gradient flows through them.
- Clean inputs have no level token: so the tuned network, given clean inputs, is an ordinary autoregressive model, and
  nothing in it depends on the decoder's levels.
- One token for each level, not for each input: a level token depends on its level alone, so those of several inputs of
  one level would be equal. It lies where BOS does. Its inputs see it, nothing else does (`levels`: "token").
- The control "added" puts the time into the input itself; "none" leaves the network to see the noise.
- Optimizer: AdamW at 2e-5 belongs to a 7B model; here it is the one of the first training, at a lower rate.
- Caption dropout goes on, since decoding uses guidance.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.captions import Captions
from lib.decoding import noise_levels
from lib.models.autoregressive import Autoregressive, with_levels
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.descent import autocast
from lib.training.settings import Sjd2Params
from lib.weights.torch_state import generator


def draw_levels(random: np.random.Generator, rows: int, length: int, steps: int, params: Sjd2Params) -> np.ndarray:
    """Noise level of every image input, int64 [rows, length] in 0 … steps. Input 0 is BOS, which is always clean."""
    low, high = params.noisy_run
    levels = np.zeros((rows, length), np.int64)
    mean = (high - low) / np.log(high / low) if high > low else low  # of a log-uniform length
    clean = mean * params.clean_share / (1 - params.clean_share)
    for row in levels:
        # Starts up to one round before the sequence, so that every phase of a round is equally likely at its start.
        position = -int(random.integers(int(mean + clean) + 1))
        while position < length:
            position += int(random.integers(int(2 * clean) + 1))
            run = round(np.exp(random.uniform(np.log(low), np.log(high))))
            first = int(random.integers(1, steps + 1)) if random.random() < params.jumps else 1
            numbers = np.arange(first, steps + 1)
            if run < len(numbers):
                noisy = np.sort(random.choice(numbers, run, replace=False))  # [run], rising
            else:
                cuts = 1 + np.sort(random.choice(run - 1, len(numbers) - 1, replace=False))
                noisy = numbers[np.searchsorted(cuts, np.arange(run), side="right")]
            begin, end = max(position, 0), min(position + run, length)
            if begin < end:
                row[begin:end] = noisy[begin - position : end - position]
            position += run
    levels[:, 0] = 0
    return levels


class Sjd2Trainee(AutoregressiveTrainee):
    """What `lib.training.loop.fit` trains: the network tuned to read noisy embeddings.

    Args:
        model: the untuned one; it is copied, `self.model` is the tuned one.
        seed: of captions, levels and noise; step `n` draws from (seed, n) alone.
    """

    def __init__(self, model: Autoregressive, captions: Captions, tokens: np.ndarray, params: Sjd2Params, seed: int):
        tuned = with_levels(model, params.levels)
        if params.table_deviation:
            tuned.rescale_table(params.table_deviation)
        if params.standardize:
            tuned.take_statistics()
        super().__init__(tuned, captions, tokens, params.training, seed)
        self.sjd2 = params

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy over all positions; logged beside it, that after clean and that after noisy inputs."""
        text_ids, tokens = self.batches(step, indices)
        random = np.random.Generator(np.random.PCG64([self.seed, step, 1]))
        steps = int(random.choice(self.sjd2.denoising_steps))
        levels = torch.from_numpy(draw_levels(random, *tokens.shape, steps, self.sjd2)).to(self.device)
        times = noise_levels.levels(steps, self.sjd2.spacing).to(self.device)
        noise = draw_noise(generator(self.seed, step), (*tokens.shape, self.model.config.width), self.device)
        with autocast(self.device):
            losses = losses_under_noise(self.model, text_ids, tokens, levels, times, noise)  # [B, length]
        parts = {"clean": losses[levels == 0], "noisy": losses[levels > 0]}
        return losses.mean(), {name: part.detach().mean() for name, part in parts.items() if part.numel()}

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the pictures `indices`, int64 [B]."""
        numbers = super().step(step, indices)
        if self.sjd2.standardize and self.sjd2.statistics == "live":
            self.model.take_statistics()
        return numbers


def losses_under_noise(
    model: Autoregressive, text_ids: Tensor, tokens: Tensor, levels: Tensor, times: Tensor, noise: Tensor
) -> Tensor:
    """Cross-entropy of every image token when the inputs before it are noisy, float32 [B, length].

    Args:
        levels: of the inputs, int64 [B, length]; input 0 is BOS.
        times: of the levels 0 … T, float [T + 1].
        noise: standard normal, [B, length, D].
    """
    clean = model.image_tokens(model.shift(tokens))  # [B, length, D]
    noisy = model.destandardize(noise_levels.corrupt(model.standardize(clean), noise, times[levels]))
    vectors = torch.where((levels > 0).unsqueeze(2), noisy, clean)
    logits = model.head(model.features(text_ids, vectors, levels, times[1:]))  # [B, length, codes]
    return F.cross_entropy(logits.float().transpose(1, 2), tokens, reduction="none")


@torch.no_grad()
def nats_per_level(
    model: Autoregressive,
    text_ids: np.ndarray,
    tokens: np.ndarray,
    steps: int,
    params: Sjd2Params,
    seed: int,
    batch_size: int = 32,
) -> np.ndarray:
    """Mean cross-entropy of the tokens after inputs of each level 0 … steps, float [steps + 1]; NaN where none is.

    Levels and noise are drawn as in training, from `seed`.

    Args:
        text_ids: int [N, S]; tokens: int [N, length].
    """
    device = model.head.weight.device
    times = noise_levels.levels(steps, params.spacing).to(device)
    sums, counts = np.zeros(steps + 1), np.zeros(steps + 1)
    for start in range(0, len(tokens), batch_size):
        rows = slice(start, start + batch_size)
        texts, images = (torch.from_numpy(np.asarray(a[rows], np.int64)).to(device) for a in (text_ids, tokens))
        random = np.random.Generator(np.random.PCG64([seed, start]))
        drawn = draw_levels(random, *images.shape, steps, params)
        noise = draw_noise(generator(seed, start), (*images.shape, model.config.width), device)
        found = losses_under_noise(model, texts, images, torch.from_numpy(drawn).to(device), times, noise)
        sums += np.bincount(drawn.ravel(), found.cpu().numpy().ravel(), steps + 1)
        counts += np.bincount(drawn.ravel(), minlength=steps + 1)
    return np.divide(sums, counts, out=np.full(steps + 1, np.nan), where=counts > 0)


def draw_noise(random: torch.Generator, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal noise, the same on every device."""
    return torch.randn(shape, generator=random).to(device)

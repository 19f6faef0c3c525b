"""Fine-tuning on drafts: the network learns to predict the tokens of a picture behind drafts that Jacobi decoding with
shared noise has not settled yet. It is to the control what reading noisy embeddings is to SJD2.

After "consistency large language models" (Kou et al. 2024, arXiv:2403.00835, section 3), which are tuned on the states
that greedy Jacobi decoding passes through on its way to the model's own answer: whatever state they read, they are to
predict the answer. Here the answer is a training picture and decoding samples, for which two things are needed:

- The noise that a picture would have come from (`noise_behind`). With this table autoregressive sampling gives just
  this picture, so it is the fixed point of Jacobi decoding with it.
- States on the way there (`drafts`). Tokens before a random slot stay, as what is accepted does; those from it on begin
  as a decoder's first drafts, and one to `passes` passes with that table follow, as many for all pictures of a batch.
  Half of the pictures begin with random codes, as the first window does, half with the row above, as later ones do.

The target of every slot is the picture's token, the loss plain cross-entropy over all of them. A share `drafted` of the
pictures has drafts, the others are read as they are. The tuned network stays an ordinary autoregressive model: every
lossless decoder draws from its distribution.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.captions import Captions
from lib.models.autoregressive import Autoregressive, with_levels
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.descent import autocast
from lib.training.settings import DraftTuningParams
from lib.weights.torch_state import generator


class DraftTrainee(AutoregressiveTrainee):
    """What `lib.training.loop.fit` trains.

    Args:
        model: the untuned one; it is copied, `self.model` is the tuned one.
        seed: of captions and drafts; step `n` draws from (seed, n) alone.
    """

    def __init__(
        self, model: Autoregressive, captions: Captions, tokens: np.ndarray, params: DraftTuningParams, seed: int
    ):
        super().__init__(with_levels(model, "none"), captions, tokens, params.training, seed)
        self.params = params

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy over all slots of all pictures."""
        text_ids, tokens = self.batches(step, indices)
        random = generator(self.seed, step)
        start = torch.randint(tokens.shape[1], (len(tokens),), generator=random).to(self.device)
        passes = int(torch.randint(1, self.params.passes + 1, (), generator=random))
        touched = (torch.rand(len(tokens), generator=random) < self.params.drafted).to(self.device)  # [B]
        inputs = tokens.clone()
        with autocast(self.device):
            if touched.any():
                these = (text_ids[touched], tokens[touched], start[touched])
                inputs[touched] = drafts(self.model, *these, passes, random)
            logits = self.model(text_ids, inputs)  # [B, length, codes]
        return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten()), {}


@torch.no_grad()
def drafts(
    model: Autoregressive, text_ids: Tensor, tokens: Tensor, start: Tensor, passes: int, random: torch.Generator
) -> Tensor:
    """Pictures of which the rest is drafts, as Jacobi decoding with shared noise has them after a few passes.

    Args:
        text_ids: captions, int64 [B, S].
        tokens: pictures, int64 [B, length]: what the decoder would arrive at.
        start: the first slot of each picture that holds a draft, int64 [B].
        passes: how many.
        random: of the noise and the first drafts.

    Returns:
        int64 [B, length].
    """
    config = model.config
    log_p = model(text_ids, tokens).float().log_softmax(dim=-1)  # [B, length, codes]
    noise = noise_behind(log_p, tokens, random)
    found = first_drafts(tokens, start, config.columns, config.codes, random)
    drafted = torch.arange(config.length, device=tokens.device) >= start[:, None]  # [B, length]
    for _ in range(passes):
        found = torch.where(drafted, found, tokens)
        log_p = model(text_ids, found).float().log_softmax(dim=-1)
        found = (log_p + noise).argmax(dim=-1)
    return torch.where(drafted, found, tokens)


def noise_behind(log_p: Tensor, tokens: Tensor, random: torch.Generator) -> Tensor:
    """Gumbel noise with which the draws argmax(log p + noise) are given tokens, from its posterior.

    Gumbel noise is −log of exponential waiting times, the draw the code whose time over p is the least. That least
    time is exponential itself, whichever code it is of; the others wait on from there as if they had just begun.

    Args:
        log_p: normalised, float [..., codes].
        tokens: int64 [...].

    Returns:
        float [..., codes]; over tokens drawn from p, standard Gumbel noise, all independent.
    """
    least = torch.empty(tokens.shape).exponential_(generator=random).to(log_p.device)
    more = torch.empty(log_p.shape).exponential_(generator=random).to(log_p.device)
    more = more.scatter(-1, tokens.unsqueeze(-1), 0.0)
    return -(log_p.exp() * least.unsqueeze(-1) + more).log()


def first_drafts(tokens: Tensor, start: Tensor, columns: int, codes: int, random: torch.Generator) -> Tensor:
    """First drafts of all slots from `start` int64 [B] on, int64 [B, length]; before it they mean nothing.

    One half of the pictures, at random: random codes. The others: the token above in the last rows before `start`, and
    random codes where nothing is above.
    """
    slots, rows = torch.arange(tokens.shape[1], device=tokens.device), len(tokens)
    above = slots - ((slots - start[:, None]) // columns + 1) * columns  # [B, length]
    copied = (torch.rand(rows, 1, generator=random) < 0.5).to(tokens.device) & (above >= 0)
    anything = torch.randint(codes, tokens.shape, generator=random).to(tokens.device)
    return torch.where(copied, tokens.gather(1, above.clamp(min=0)), anything)

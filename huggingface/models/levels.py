"""How a model of transformers that was tuned for SJD2 (arXiv:2510.08994) is told how noisy its inputs are.

As in the paper (section 4.3): by level tokens, sinusoids of the levels' times that are brought to the spread of the
codes' embeddings. They have no weights, so a tuned folder is of the same class as before. What the paper leaves open is
as in lib/training/sjd2.py: one token a level, which stands before the prompt at the position of the decoders' BOS, and
which only inputs of that level see; a clean input sees none.

A tuned folder says so in a section of its config.json:

    "noise_levels": {"spacing": "karras", "denoising_steps": [25]}
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedConfig

from lib.config_tree import Count, Section, Several, read, require
from lib.models.autoregressive import encode_times

SECTION = "noise_levels"


class NoiseLevels(Section):
    """The section `noise_levels` of a config.json."""

    spacing: Literal["linear", "karras", "karras_time"]
    """of the levels' times"""
    denoising_steps: Several[Count]
    """numbers of levels that it was tuned with; the first is that of a decoder that is told none"""

    def check(self) -> None:
        require(self.denoising_steps, "denoising_steps", "must be at least one number")


def noise_levels(config: PreTrainedConfig) -> NoiseLevels | None:
    """That section; None for a model that was not tuned. Raises EaselError: it is not as it should be."""
    tree = getattr(config, SECTION, None)
    return None if tree is None else read(tree, NoiseLevels, f"{SECTION} of config.json")


def spread(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Deviation and mean of the embeddings of all codes [V, D], every dimension over the codes: float32 [D] each."""
    deviation, mean = torch.std_mean(codes.float(), dim=0, correction=0)
    return deviation.clamp(min=torch.finfo(torch.float32).tiny), mean


def level_tokens(times: Tensor, deviation: Tensor, mean: Tensor) -> Tensor:
    """Embeddings of the level tokens of times [T], float32 [T, D]; `deviation` and `mean` as of `spread`.

    The sinusoids have mean 0 and variance 1 over their own dimensions, which is how lib/models/autoregressive.py reads
    the paper's "normalize".
    """
    encoded = encode_times(times, len(mean))
    return deviation * F.layer_norm(encoded, encoded.shape[-1:]) + mean

"""The trained models, and what decoders see of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.models import muse, text_encoder
from lib.models.autoregressive import AutoregressiveConfig
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.models.masked_predictor import Guidance, MusePredictor
from lib.models.muse import Muse
from lib.models.parti import Parti
from lib.text import TextTokenizer
from lib.weights import checkpoint
from lib.weights.torch_state import load_module
from studies.muse.code.material import ENCODER, TEXT, encode_of

MODELS = Path("build/muse/models")


def load(folder: Path) -> Parti | Muse:
    """One training's model, in evaluation mode."""
    arrays, meta = checkpoint.load_network(folder)
    if meta["kind"] != "autoregressive":
        return muse.load(folder)
    encoder = text_encoder.load(ENCODER)
    model = Parti(AutoregressiveConfig(**meta["config"]), encoder.features, encoder.config.width, torch.Generator())
    load_module(model, arrays)
    return model.eval().requires_grad_(False)


def predictor(
    model: Parti | Muse, text_ids: Tensor, sampling: Mapping[str, Any], negative: Tensor | None = None
) -> AutoregressivePredictor | MusePredictor:
    """What a decoder sees of a model and captions, int64 [B, S].

    Args:
        sampling: guidance and, of a masked model, ramp; the rest is the decoder's.
        negative: captions to lead away from, int64 [B, S']; masked models alone.
    """
    if isinstance(model, Parti):
        empty = torch.from_numpy(TextTokenizer.load(TEXT).encode([""], text_ids.shape[1])[0]).long()
        settings = Sampling(guidance=sampling["guidance"], temperature=sampling["temperature"])
        return AutoregressivePredictor(model, text_ids, empty, settings)
    encode = encode_of(text_encoder.load(ENCODER))
    guidance = Guidance(sampling["guidance"], sampling["ramp"])
    return MusePredictor(model, encode(text_ids), guidance, None if negative is None else encode(negative))

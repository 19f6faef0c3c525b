"""The trained models, as they draw."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.models import text_encoder, vqgan
from lib.painter.flow import Flow
from lib.painter.latent import Latent
from lib.painter.model import Model
from lib.painter.next_scale import NextScale
from lib.painter.parti import Autoregressive
from lib.weights import checkpoint
from studies.auraflow.code.material import TOKENIZER

KINDS: dict[str, type[Model]] = {
    "flow": Flow,
    "latent": Latent,
    "next_scale": NextScale,
    "autoregressive": Autoregressive,
}


def load(folder: Path, sampling: Mapping[str, Any]) -> Model:
    """One training's model, with the text network that it was trained with."""
    arrays, meta = checkpoint.load_network(folder)
    encoder = text_encoder.load(Path(meta["text"]))
    return KINDS[meta["kind"]](arrays, meta, encoder, vqgan.load(TOKENIZER), sampling, "auraflow_search")

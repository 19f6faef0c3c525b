"""The trained models, as they draw."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.models import text_encoder, vqgan
from lib.painter import kinds
from lib.painter.model import Model
from lib.weights import checkpoint
from studies.auraflow.code.material import TOKENIZER


def load(folder: Path, sampling: Mapping[str, Any]) -> Model:
    """One training's model, with the text network that it was trained with."""
    encoder = text_encoder.load(Path(checkpoint.load_network(folder)[1]["text"]))
    return kinds.trained(folder, encoder, vqgan.load(TOKENIZER), sampling, f"auraflow_search, {folder}")

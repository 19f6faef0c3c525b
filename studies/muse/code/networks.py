"""The trained models, as they draw."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.models import text_encoder, vqgan
from lib.painter import kinds
from lib.painter.model import Model
from studies.muse.code.material import ENCODER, TOKENIZER


def load(folder: Path, sampling: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> Model:
    """One training's model.

    Args:
        sampling: its settings.
        base: folder ("model") and sampling settings ("sampling") of what draws the small pictures, if it enlarges.
    """
    before = base and load(Path(base["model"]), base["sampling"])
    where = f"muse_search, {folder}"
    return kinds.trained(folder, text_encoder.load(ENCODER), vqgan.load(TOKENIZER), sampling, where, before)

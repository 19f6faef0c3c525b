"""The trained models, as they draw."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.models import vqgan
from lib.painter import kinds
from lib.painter.model import Model
from studies.muse.code.material import TOKENIZER
from studies.muse.code.texts import encoder_at, reads


def load(folder: Path, sampling: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> Model:
    """One training's model.

    Args:
        sampling: its settings.
        base: folder ("model") and sampling settings ("sampling") of what draws the small pictures, if it enlarges.
    """
    before = base and load(Path(base["model"]), base["sampling"])
    where = f"muse_search, {folder}"
    return kinds.trained(folder, encoder_at(reads(folder)), vqgan.load(TOKENIZER), sampling, where, before)

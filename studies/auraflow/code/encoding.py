"""Tokens of pictures, as a part."""

from pathlib import Path
from typing import Any

import numpy as np

from lib.data.store import Split
from lib.models import vqgan
from lib.pipeline.stage import Training
from studies.auraflow.code.material import TOKENIZER


def encode(training: Training, *, data: str, split: str, size: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Pictures of a split and a size → tokens uint16 [N, h, w]; no checkpoint, it is over before one pays."""
    return {"tokens": vqgan.encode_batches(vqgan.load(TOKENIZER), Split.open(Path(data), split).images(size))}, {}

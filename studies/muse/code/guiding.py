"""Guidance of the masked model beside its usual settings, as a part: late in the passes alone, or away from a caption
of its own (negative prompts, Muse, section 2.7)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.decoding import masked
from lib.decoding.noise import RowRandom
from lib.models.masked_predictor import Guidance, MusePredictor
from lib.painter.autoregressive import row_seeds
from lib.pipeline.parts import Part
from lib.pipeline.stage import Training
from studies.muse.code.material import tokenised
from studies.muse.code.networks import load

Result = tuple[dict[str, np.ndarray], dict[str, Any]]


def led(part: Part, start: float = 0.0, negatives: Sequence[str] | None = None) -> Part:
    """A drawing of `studies.muse.code.drawing_parts` from a masked model, with other guidance; see `draw`."""
    given = {name: value for name, value in part.arguments.items() if name != "base"}
    return replace(part, work=draw, arguments=given | {"start": start, "negatives": negatives and list(negatives)})


def draw(
    training: Training,
    *,
    model: str,
    captions: Sequence[str],
    items: Sequence[int],
    seed: int,
    batch_size: int,
    text_length: int,
    sampling: Mapping[str, Any],
    start: float,
    negatives: Sequence[str] | None,
) -> Result:
    """As `studies.muse.code.drawing.draw`.

    Args:
        start: progress up to which there is no guidance.
        negatives: of every caption, what guidance leads away from; None for the dropped caption.
    """
    painter = load(Path(model), sampling)
    chosen, guidance = painter.sampling, Guidance(painter.sampling.guidance, painter.sampling.ramp, start)
    texts = [tokenised(own, text_length) for own in (captions, negatives) if own]
    options = {name: getattr(chosen, name) for name in ("steps", "order", "noise", "temperature")}
    found = []
    for first in range(0, len(captions), batch_size):
        rows = slice(first, first + batch_size)
        text, *negative = (painter.features(ids[rows]) for ids in texts)
        predictor = MusePredictor(painter.network, text, guidance, *negative, top_k=chosen.top_k)
        random = RowRandom(row_seeds(seed, items[rows]))
        found.append(masked.decode(predictor, random, columns=painter.network.config.columns, **options))
    tokens, passes = (torch.cat([getattr(one, name) for one in found]) for name in ("tokens", "passes"))
    return {"rows": tokens.to(torch.uint16).numpy(), "passes": passes.numpy()}, {}

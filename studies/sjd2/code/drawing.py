"""One run of a decoder from one seed: captions → image tokens, what they cost, and how likely they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.decoding.noise_levels import Spacing
from lib.models import autoregressive
from lib.models.autoregressive import nats
from lib.models.autoregressive_copies import tempered
from lib.models.autoregressive_predictor import Sampling
from lib.painter.autoregressive import Sampler, row_seeds
from lib.pipeline.stage import Training
from lib.progress import Progress
from lib.text import TextTokenizer
from studies.sjd2.code.material import DRAFTERS

COSTS = ("operations", "passes", "accepted", "changes", "looked_at")  # arrays of `Drawn` beside the tokens
TIMES = ("seconds", "network_seconds")


def draw(
    training: Training,
    *,
    text: str,
    text_length: int,
    network: str,
    judge: str,
    tokenizer: str,
    decoder: str,
    options: Mapping[str, Any],
    steps: int,
    spacing: Spacing,
    sampling: Mapping[str, float],
    captions: Sequence[str],
    items: Sequence[int],
    seed: int,
    batch_size: int,
    timed: bool,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Draws one picture for each caption.

    Args:
        training: not needed: a run is over before a checkpoint pays.
        text, network, tokenizer: file of the text tokenizer, folders of the network and of the image tokenizer.
        judge: folder of the network that judges the pictures; "" where it knows no such pictures.
        decoder, options, steps, spacing, sampling: as for `Sampler`.
        items: by which the captions' random numbers are numbered, with `seed`.
        batch_size: captions that are decoded at once.
        timed: whether the seconds mean anything.

    Returns:
        tokens uint16 [R, length], nats float [R] a token under the network, entropy float [R], the same under what the
        tokens were drawn from without guidance, judged float [R], the same under the judge, and the arrays of `Drawn`;
        its numbers, times only with `timed`.
    """
    words = TextTokenizer.load(text)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = autoregressive.load(Path(network)).to(device)
    sampler = Sampler(
        model,
        words.encode([""], text_length)[0],
        Sampling(**sampling),
        decoder,
        options,
        **({"steps": steps, "spacing": spacing} if steps else {}),
        trained=DRAFTERS,
        tokenizer=Path(tokenizer),
    )
    text_ids = words.encode(list(captions), text_length)  # [R, S]
    if timed:
        sampler(text_ids[:1], [0], 1)  # the very first call allocates: not one that is timed
    progress = Progress("draw", len(captions))
    drawn = sampler(text_ids, row_seeds(seed, items), batch_size, progress.update)
    arrays = {name: getattr(drawn, name) for name in COSTS if getattr(drawn, name) is not None}
    arrays["tokens"] = drawn.tokens.astype(np.uint16)
    arrays["nats"] = nats(model, text_ids, drawn.tokens).mean(axis=1)  # [R]
    if temperature := sampling["temperature"]:
        arrays["entropy"] = nats(tempered(model, temperature), text_ids, drawn.tokens).mean(axis=1)  # [R]
    if judge:
        arrays["judged"] = nats(autoregressive.load(Path(judge)).to(device), text_ids, drawn.tokens).mean(axis=1)  # [R]
    numbers = {"cache_bytes": drawn.cache_bytes} | ({name: getattr(drawn, name) for name in TIMES} if timed else {})
    return arrays, numbers

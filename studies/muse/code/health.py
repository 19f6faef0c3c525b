"""What a masked model's passes know: the entropy of its predictions and how sure it is of what it fixes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lib.decoding import masked
from lib.decoding.noise import RowRandom
from lib.painter.autoregressive import row_seeds
from lib.painter.masked import unmasked
from studies.muse.code.material import tokenised
from studies.muse.code.networks import load
from studies.muse.code.reports import Drawn, Health
from studies.muse.code.settings import Params
from studies.muse.code.training_parts import folder

ORDERS = "order_"  # what the names of the runs that differ in the order of unmasking begin with


def traced(params: Params, captions: Sequence[str], sampling: Mapping[str, Any]) -> masked.Trace:
    """How the first training of the masked model draws captions, pass by pass."""
    model, ids = load(folder("masked", params.seed), sampling), tokenised(captions, params.text.length)
    random = RowRandom(row_seeds(params.seed, range(len(captions))))
    return unmasked(model, ids, random, model.sampling, trace=True).trace


def health(params: Params, runs: Mapping[str, Drawn], texts: Mapping[str, str]) -> dict[str, Health]:
    """Of the usual run, and of each order of unmasking.

    Args:
        texts: id → caption, of the prompts that these runs drew.
    """
    watched = [f"masked_{params.muse_search.steps['masked']}", *(name for name in runs if name.startswith(ORDERS))]
    found = {}
    for name in watched:
        captions = [texts[id] for id in runs[name].prompts]
        trace = traced(params, captions, runs[name].sampling)
        entropy, sure = (torch.nanmean(values, dim=1).tolist() for values in (trace.entropy, trace.confidence))
        found[name] = Health(entropy=entropy, confidence=sure, pictures=len(captions))
    return found

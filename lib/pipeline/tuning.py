"""What all fine-tunings of an autoregressive model share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lib.config import Params
from lib.data.encoded import Encoded
from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.models.autoregressive import Autoregressive, nats


def check_model(params: Params, model: str, where: str) -> None:
    """Refuses the name of a model that there is not, the one that section `where` of params.yaml is to tune."""
    if model not in params.autoregressive.models:
        known = ", ".join(params.autoregressive.models)
        raise EaselError(f"params.yaml: {where}.model is {model!r}, must be one of {known}.")


def before_and_after(
    params: Params, untuned: Autoregressive, tuned: Autoregressive, pictures: Mapping[str, Encoded]
) -> dict[str, Any]:
    """Nats a token of clean pictures under both networks, and their rise, picture by picture; on `val` and `test`."""
    random = np.random.Generator(np.random.PCG64(params.seed))
    found: dict[str, Any] = {"nats_per_token": {}, "rise": {}}
    for split in ("val", "test"):
        few = pictures[split].tokens[: params.autoregressive.measured]
        own = pictures[split].captions.first(len(few))
        losses = {key: nats(one, own, few).mean(axis=1) for key, one in (("untuned", untuned), ("tuned", tuned))}
        found["nats_per_token"][split] = {
            key: vars(bootstrap_mean(values, random, resamples=params.evaluation.bootstrap))
            for key, values in losses.items()
        }
        rise = losses["tuned"] - losses["untuned"]
        found["rise"][split] = vars(bootstrap_mean(rise, random, resamples=params.evaluation.bootstrap))
    return found

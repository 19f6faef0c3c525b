"""All decoders by name, called alike, and a check of their options that costs next to nothing.

A decoder's module is loaded when it is asked for, so that what one of them draws depends on no other.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, get_type_hints

import torch
from torch import Tensor

from lib.decoding import options as options_with_bounds
from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, Predictor

# Name → module.
DECODERS = {
    "autoregressive": "lib.decoding.autoregressive",
    "jacobi": "lib.decoding.jacobi",
    "sjd": "lib.decoding.sjd",
    "sjdpp": "lib.decoding.sjdpp",
    "sjd2": "lib.decoding.sjd2",
    "zipar": "lib.decoding.zipar",
    "lantern": "lib.decoding.lantern",
    "eagle": "lib.decoding.eagle",
    "medusa": "lib.decoding.medusa",
}
# Which of them take a trained drafter, and of which kind.
DRAFTERS = {"lantern": "eagle", "eagle": "eagle", "medusa": "medusa"}
UNSET = {"columns", "acceptance"}  # what no configuration sets: the picture's own, and a function


def load(decoder: str) -> Callable[..., Decoded]:
    """Its `decode`."""
    return import_module(DECODERS[decoder]).decode


def run(
    decoder: str, predictor: Predictor, random: RowRandom, options: Mapping[str, Any], columns: int, drafter: Any = None
) -> Decoded:
    """Decodes by the name of the decoder.

    Args:
        options: by name, as its `decode` takes them.
        columns: of the picture, for the decoders that ask.
        drafter: of the kind that `DRAFTERS` says.

    Raises:
        EaselError: an option outside its range.
    """
    decode = load(decoder)
    if "columns" in inspect.signature(decode).parameters:
        options = {**options, "columns": columns}
    networks = (predictor,) if drafter is None else (predictor, drafter)
    return decode(*networks, random, **options)


def check(decoder: str, options: Mapping[str, Any], length: int, columns: int, steps: int = 0) -> None:
    """Refuses what a decoder would refuse, and what it would stumble over, before any network runs.

    Args:
        options: those of a configuration; where `decode` takes a table of neighbours, their number.
        length: slots of a picture; columns: of them side by side; steps: of denoising.

    Raises:
        EaselError: an unknown or missing option, a value of the wrong type or outside its range.
    """
    options_with_bounds.check(decoder, options)
    # A rehearsal with one code, which every decoder gets through in a few steps, shows the ranges.
    hints = get_type_hints(load(decoder))
    tables = {name: torch.zeros(1, 1, dtype=torch.int64) for name in options if hints[name] is Tensor}
    if decoder != "autoregressive":
        drafter = OneCodeDrafter() if decoder in DRAFTERS else None
        run(decoder, OneCode(length, steps), RowRandom([0]), {**options, **tables}, columns, drafter)


class OneCode:
    """A predictor of one picture of one code: every protocol of lib/decoding/predictor.py, no arithmetic."""

    codes = rows = 1

    def __init__(self, length: int, steps: int):
        self.length, self.times = length, torch.arange(1, steps + 1) / max(steps, 1)

    def predict(self, inputs: Tensor, *_: Tensor) -> Tensor:
        return torch.zeros(*inputs.shape[:2], 1)

    predict_embedded = predict_at = predict

    def predict_features(self, inputs: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        return self.predict(inputs), self.predict(inputs)

    def embed(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, 1)

    def nearest(self, vectors: Tensor) -> Tensor:
        return torch.zeros(vectors.shape[:-1], dtype=torch.int64)


class OneCodeDrafter:
    """A drafter of either kind for it."""

    heads = 1

    def predict(self, given: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        found = torch.zeros(*given.shape[:2], 1)
        return (found, found) if others else found  # EAGLE's asks for features and start as well, Medusa's heads do not

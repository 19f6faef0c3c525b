"""Copies of an autoregressive model of image tokens: for larger pictures, and for another temperature."""

import copy
from dataclasses import asdict

import torch

from lib.errors import EaselError
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.weights.torch_state import load_module, module_arrays


def enlarged(model: Autoregressive, rows: int, columns: int) -> Autoregressive:
    """A copy of a model for pictures of more tokens, to be trained further: what a position was, all those become that
    lie at its place in the larger picture. Rotary positions need nothing.

    Args:
        rows, columns: multiples of the model's.
    """
    before = model.config
    if rows % before.rows or columns % before.columns:
        raise EaselError(f"a model of {before.rows}×{before.columns} tokens cannot grow to {rows}×{columns}.")
    larger = Autoregressive(
        AutoregressiveConfig(**asdict(before) | {"rows": rows, "columns": columns}), torch.Generator()
    )
    arrays = module_arrays(model)
    table = arrays["output_positions.weight"].reshape(before.rows, before.columns, -1)  # [N, D] → [h, w, D]
    table = table.repeat(rows // before.rows, axis=0).repeat(columns // before.columns, axis=1)
    load_module(larger, arrays | {"output_positions.weight": table.reshape(rows * columns, -1)})
    return larger.to(model.head.weight.device)


@torch.no_grad()
def tempered(model: Autoregressive, temperature: float) -> Autoregressive:
    """A copy whose logits are divided by `temperature`, above 0. Its nats on tokens that were drawn at this temperature
    have the entropy of a token as their mean."""
    cooler = copy.deepcopy(model)
    cooler.head.weight /= temperature
    return cooler

"""Memory of training and decoding, planned before a device is there: shapes are traced, nothing is computed.

PyTorch networks are traced on the meta device, JAX networks by abstract evaluation. What is planned is what autograd
keeps for the backward pass, in the precision in which the network runs here: float32 in PyTorch, which autocast to
bf16 about halves. Attention counts as a plain implementation keeps it, with all scores. So a plan errs on the safe
side, but for the working memory of single operations.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from lib.errors import EaselError
from lib.models.autoregressive import AutoregressiveConfig

FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Memory:
    """Bytes of one training step.

    Attributes:
        weights: parameters and buffers.
        gradients: one for each parameter.
        moments: of the optimizer, in float32.
        activations: what the forward pass keeps for the backward pass.
    """

    weights: int
    gradients: int
    moments: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.moments + self.activations


def of_torch(network: nn.Module, loss: Callable[[], Tensor], moments: int = 2) -> Memory:
    """Of a network on the meta device.

    Args:
        loss: the forward pass of one batch, a scalar.
        moments: that the optimizer keeps of every parameter: AdamW two, Muon one.

    Raises:
        EaselError: the network lies on a real device, where this would compute.
    """
    parameters = list(network.parameters())
    if any(weight.device.type != "meta" for weight in parameters):
        raise EaselError("memory is planned on the meta device; build the network under torch.device('meta').")
    own = {_storage(array) for array in (*parameters, *network.buffers())}
    kept: dict[int, int] = {}

    def keep(array: Tensor) -> Tensor:
        if (place := _storage(array)) not in own:
            kept[place] = array.untyped_storage().nbytes()
        return array

    with saved_tensors_hooks(keep, lambda array: array):
        value = loss()
    # The backward pass shows that its shapes fit as well. Until here it keeps all storages, so none counts twice.
    gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    return Memory(
        weights=sum(array.nbytes for array in (*parameters, *network.buffers())),
        gradients=sum(array.nbytes for array in gradients if array is not None),
        moments=moments * FLOAT32 * sum(weight.numel() for weight in parameters),
        activations=sum(kept.values()),
    )


def _storage(array: Tensor) -> int:
    return array.untyped_storage()._cdata


def of_jax(parameters: Any, loss: Callable[[Any], jax.Array], optimizer_state: Any) -> Memory:
    """Of a network of JAX.

    Args:
        parameters, optimizer_state: pytrees of arrays, or of `jax.ShapeDtypeStruct`.
        loss: the forward pass of one batch.
    """
    backward = jax.eval_shape(lambda given: jax.vjp(loss, given)[1], parameters)
    kept = Counter(_shape(leaf) for leaf in _arrays(backward))
    # The backward pass reads weights, too, which are there anyway.
    kept -= Counter(_shape(leaf) for leaf in _arrays(parameters))
    weights = sum(map(_bytes, map(_shape, _arrays(parameters))))
    return Memory(
        weights=weights,
        gradients=weights,
        moments=sum(map(_bytes, map(_shape, _arrays(optimizer_state)))),
        activations=sum(count * _bytes(shape) for shape, count in kept.items()),
    )


def _arrays(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape") and hasattr(leaf, "dtype")]


def _shape(array: Any) -> tuple[tuple[int, ...], str]:
    return tuple(array.shape), str(array.dtype)


def _bytes(shape: tuple[tuple[int, ...], str]) -> int:
    sizes, kind = shape
    # Keys of random streams and empty cotangents have types of JAX's own, and next to no size.
    width = 8 if kind.startswith("key") else 0 if kind == "float0" else jax.numpy.dtype(kind).itemsize
    return int(np.prod(sizes, dtype=np.int64)) * width


def decoding(config: AutoregressiveConfig, pictures: int, levels: int = 0, copies: int = 2, window: int = 96) -> int:
    """Bytes that the autoregressive model's decoders keep of pictures drawn at once, beside the weights: keys and
    values of all columns, a table of noise, one of proposals; all float32.

    Args:
        levels: level tokens before the caption, of SJD2.
        copies: 2 with guidance.
        window: slots a pass looks at.
    """
    columns = levels + config.text_length + config.length + 1
    cache = 2 * config.layers * copies * pictures * columns * config.width
    tables = pictures * (config.length + config.length + 2 * window) * config.codes
    embeddings = pictures * (1 + config.length + 2 * window) * config.width
    return FLOAT32 * (cache + tables + embeddings)

"""CUDA graphs: kernels recorded once and launched together, where a network is so small beside its device that starting
its kernels takes longer than running them, as at batch 1."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

WARMING = 3  # calls before recording, as PyTorch advises: libraries choose their kernels in them


class Replayed:
    """Stands for a function whose kernels depend on nothing but the shapes of its arguments; records them once for
    every set of shapes.

    The function may write into tensors of its own, such as a cache, at places that its arguments say: it is called a
    few times with the same arguments before it is recorded, and must leave the same as after one call. It must not wait
    for the device, draw random numbers, or replace its tensors by others.

    On another device than a CUDA one, nothing is recorded; arguments go through the same buffers, and the function is
    called with these. So what is wrong with the buffers shows on a CPU.

    Args:
        function: of tensors, in whatever lists and tuples, and of other values, each of which makes a record of its
            own; returns a tensor.

    Attributes:
        records: how many there are.
    """

    def __init__(self, function: Callable[..., Tensor]):
        self.function, self._records = function, {}

    @property
    def records(self) -> int:
        return len(self._records)

    def __call__(self, *arguments: Any) -> Tensor:
        """The function's result, in a tensor of its own."""
        leaves, tree = tree_flatten(arguments)
        key = (str(tree), *(_kind(leaf) for leaf in leaves))
        if key not in self._records:
            self._records[key] = self._record(leaves, tree)
        buffers, play = self._records[key]
        for buffer, leaf in zip(buffers, leaves, strict=True):
            if isinstance(leaf, Tensor):
                buffer.copy_(leaf)
        return play().clone()

    def _record(self, leaves: list[Any], tree: Any) -> tuple[list[Any], Callable[[], Tensor]]:
        """Buffers for the arguments, and what gives the result for what is in them."""
        buffers = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        arguments = tree_unflatten(buffers, tree)

        def call() -> Tensor:
            return self.function(*arguments)

        device = next(leaf.device for leaf in leaves if isinstance(leaf, Tensor))
        if device.type != "cuda":
            return buffers, call
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(WARMING):
                call()
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = call()

        def play() -> Tensor:
            graph.replay()
            return result

        return buffers, play


def _kind(leaf: Any) -> Any:
    return (leaf.shape, leaf.dtype, leaf.device) if isinstance(leaf, Tensor) else leaf

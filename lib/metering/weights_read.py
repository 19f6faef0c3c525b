"""How many bytes of weights a computation reads: what a roofline (Williams et al. 2009) sets against operations."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook


def weights_read(work: Callable[[], Any]) -> int:
    """Bytes of the weights of every module that `work` calls, once a call; of a table those that are looked up.

    Weights that are used without a call of the module that holds them are not seen; nor are keys and values in a cache,
    which are no weights.
    """
    read = 0

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal read
        if isinstance(module, nn.Embedding):
            table = module.weight
            read += min(inputs[0].numel(), len(table)) * table.shape[1] * table.element_size()
        else:
            read += sum(own.numel() * own.element_size() for own in module.parameters(recurse=False))

    hook = register_module_forward_pre_hook(before)
    try:
        work()
    finally:
        hook.remove()
    return read

"""How the study's transformers are trained: Muon for the matrices inside blocks, AdamW for the rest, linear decay."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from lib.hardware import has_fast_bf16
from lib.training.muon import Muon
from lib.training.settings import DescentParams
from lib.weights.torch_state import load_optimizer, optimizer_arrays

BETAS = 0.9, 0.95  # of AdamW
CLIP = 1.0  # global norm of the gradients


class Descent:
    """Descends a loss as `DescentParams` says.

    Args:
        matrices: for Muon, which reads each as one linear map.
        others: for AdamW, without weight decay.
        scaled: parameters for AdamW with a factor on its learning rate: where a table is kept at another scale, the
            same factor keeps its updates as large beside it.
    """

    def __init__(
        self,
        params: DescentParams,
        matrices: Iterable[Parameter],
        others: Iterable[Parameter],
        scaled: Iterable[tuple[Parameter, float]] = (),
    ):
        self.params = params
        rate = params.adam_learning_rate
        groups = [{"params": list(others), "peak": rate}]
        groups += [{"params": [parameter], "peak": rate * factor} for parameter, factor in scaled]
        matrices = list(matrices)
        self.optimizers = {"adam": torch.optim.AdamW(groups, rate, betas=BETAS, weight_decay=0.0)}
        if matrices:
            self.optimizers["muon"] = Muon([{"params": matrices, "peak": params.learning_rate}], params.learning_rate)
        self.parameters = [p for one in self.optimizers.values() for group in one.param_groups for p in group["params"]]

    def step(self, loss: Tensor, step: int) -> None:
        """Update `step`, from 0, against the gradients of `loss`."""
        gradients = torch.autograd.grad(loss, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(self.parameters, CLIP)
        now = share(step, self.params.steps, self.params.warmup, self.params.decay)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * now
            optimizer.step()

    def state(self, prefix: str) -> dict[str, np.ndarray]:
        """The optimizers' moments."""
        arrays = {}
        for name, optimizer in self.optimizers.items():
            arrays |= optimizer_arrays(optimizer, f"{prefix}{name}.")
        return arrays

    def load_state(self, arrays: dict[str, np.ndarray], prefix: str) -> None:
        """Takes back what `state` gave."""
        for name, optimizer in self.optimizers.items():
            load_optimizer(optimizer, arrays, f"{prefix}{name}.")


def products(module: nn.Module) -> list[Parameter]:
    """The matrices of a module that Muon is for: the weights of its linear layers."""
    return [part.weight for part in module.modules() if isinstance(part, nn.Linear)]


def share(step: int, steps: int, warmup: int, decay: float) -> float:
    """Share of the peak learning rate at `step` (from 0): rises over `warmup` steps, falls to almost 0 over the last
    `decay` of them."""
    rising = (step + 1) / (warmup + 1)
    falling = (steps - step) / (decay * steps) if decay else 1.0
    return min(1.0, rising, falling)


def autocast(device: torch.device) -> torch.autocast:
    """bf16 inside products where the machine is fast at it; otherwise nothing changes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or has_fast_bf16())

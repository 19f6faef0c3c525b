"""A PyTorch trainee whose update is the descent of one loss: what the judges (CLIP, scene reader) share."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lib.weights.torch_state import load_module, load_optimizer, module_arrays, optimizer_arrays

WARMUP = 0.05  # share of the steps in which the learning rate rises

# (step, indices) → the loss to descend. Whatever is random in it comes from a generator made from the step.
Loss = Callable[[int, np.ndarray], Tensor]


class Supervised:
    """AdamW with warm-up and cosine decay; drives `loss` as `lib.training.loop.fit` asks.

    Args:
        model: what is trained, in place; put into training mode.
        loss: of a batch.
        steps: length of the schedule.
        learning_rate: at its peak.
        weight_decay: of matrices and kernels; vectors (biases, norms, temperature) have none.
    """

    def __init__(self, model: nn.Module, loss: Loss, steps: int, learning_rate: float, weight_decay: float = 0.01):
        self.model, self.loss, self.steps, self.learning_rate = model.train(), loss, steps, learning_rate
        matrices = [p for p in model.parameters() if p.ndim > 1]
        vectors = [p for p in model.parameters() if p.ndim < 2]
        groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay)

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the items `indices`."""
        loss = self.loss(step, indices)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * schedule(step, self.steps)
        self.optimizer.step()
        return {"loss": loss.item()}

    def state(self) -> dict[str, np.ndarray]:
        """Weights, running statistics, the optimizer's moments."""
        return module_arrays(self.model, "model.") | optimizer_arrays(self.optimizer, "optimizer.")

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""
        load_module(self.model, arrays, "model.")
        load_optimizer(self.optimizer, arrays, "optimizer.")


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate at `step` (from 0): linear up to 1, then half a cosine wave down to almost 0."""
    warmup = max(WARMUP * steps, 1.0)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / (steps - warmup + 1))

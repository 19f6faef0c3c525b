"""A moving average of a network's weights over its training."""

import copy
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from lib.training.settings import DescentParams
from lib.training.trainee import DescentTrainee
from lib.weights.torch_state import load_module, module_arrays


class WeightAverage:
    """Exponential moving average without bias: after n updates, the weights of update k count (1 − d) dⁿ⁻ᵏ / (1 − dⁿ).

    These shares sum to 1 from the first update on, and the untrained weights have none (as Adam corrects its moments,
    Kingma and Ba 2015, arXiv:1412.6980, section 3).

    Args:
        model: whose weights are averaged.
        decay: d, below 1; 0 keeps the last weights alone.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay, self.updates = model, decay, 0
        self.average = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self) -> None:
        """Counts the weights as they are now in."""
        self.updates += 1
        share = (1 - self.decay) / (1 - self.decay**self.updates)
        for mean, weights in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(weights, share)

    def network(self) -> nn.Module:
        """A copy of the network with the average weights, in evaluation mode and without gradients of its own."""
        return copy.deepcopy(self.average).eval()

    def state(self, prefix: str) -> dict[str, np.ndarray]:
        """The averages, and how many updates there were."""
        return module_arrays(self.average, f"{prefix}model.") | {f"{prefix}updates": np.array(self.updates)}

    def load_state(self, arrays: dict[str, np.ndarray], prefix: str) -> None:
        """Takes back what `state` gave."""
        load_module(self.average, arrays, f"{prefix}model.")
        self.updates = int(arrays[f"{prefix}updates"].item())


class AveragedTrainee(DescentTrainee):
    """A `DescentTrainee` that averages the weights after every update.

    Args:
        model: trained in place, where it lies. `average` has the weights to draw with.
        blocks: of the model, whose matrices are for Muon.
        decay: of the average.
    """

    def __init__(self, model: nn.Module, params: DescentParams, blocks: Iterable[nn.Module], decay: float):
        super().__init__(model, params, blocks)
        self.average = WeightAverage(model, decay)

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the pictures `indices`, int64 [B]."""
        numbers = super().step(step, indices)
        self.average.update()
        return numbers

    def state(self) -> dict[str, np.ndarray]:
        """Weights, the optimizers' moments and the averages."""
        return super().state() | self.average.state("average.")

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""
        super().load_state(arrays)
        self.average.load_state(arrays, "average.")

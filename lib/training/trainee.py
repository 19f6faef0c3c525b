"""A PyTorch trainee of transformers: the descent of one loss by Muon and AdamW."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor, nn
from torch.nn import Parameter

from lib.training.descent import Descent, products
from lib.training.settings import DescentParams
from lib.weights.torch_state import load_module, module_arrays


class DescentTrainee(ABC):
    """What `lib.training.loop.fit` trains: a network, all matrices of whose blocks are for Muon, the rest for AdamW.

    Args:
        model: trained in place, where it lies.
        blocks: of the model.
        scaled: parameters with a factor on AdamW's learning rate; see `Descent`.
    """

    def __init__(
        self,
        model: nn.Module,
        params: DescentParams,
        blocks: Iterable[nn.Module],
        scaled: Mapping[Parameter, float] | None = None,
    ):
        self.model, scaled = model.train(), scaled or {}
        matrices = products(nn.ModuleList(blocks))
        taken = {*scaled, *matrices}
        others = [p for p in model.parameters() if p not in taken]
        self.descent, self.device = Descent(params, matrices, others, scaled.items()), others[0].device

    @abstractmethod
    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """What is descended, and further numbers to log. What is random in it follows from the step."""

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the items `indices`, int64 [B]."""
        loss, others = self.loss(step, indices)
        self.descent.step(loss, step)
        return {"loss": loss.item()} | {name: value.item() for name, value in others.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Weights and the optimizers' moments."""
        return module_arrays(self.model, "model.") | self.descent.state("descent.")

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""
        load_module(self.model, arrays, "model.")
        self.descent.load_state(arrays, "descent.")

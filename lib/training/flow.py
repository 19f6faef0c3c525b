"""Training lib/models/mmdit.py: as lib/training/diffusion.py trains a U-Net, in the precision of transformers."""

import numpy as np
from torch import Tensor

from lib.training.diffusion import DiffusionTrainee, errors
from lib.training.precision import autocast


class FlowTrainee(DiffusionTrainee):
    """What `lib.training.loop.fit` trains, on `NoisyBatches`."""

    def loss(self, step: int, indices: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """What is descended."""
        batch = self.batches(step, indices)
        with autocast(self.device):
            return errors(self.model, batch).mean(), {}

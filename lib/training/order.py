"""The order in which a training run sees its data: a pure function of the seed and the step."""

from functools import lru_cache

import numpy as np

from lib.errors import EaselError


class BatchOrder:
    """Shuffled epochs of whole batches, computed from (seed, epoch) alone.

    Nothing has to be saved to resume: batch `step` is the same whenever it is asked for.

    Args:
        items: size of the data set.
        batch_size: items a batch; the last, incomplete batch of an epoch is left out.
        seed: of the shuffles.
    """

    def __init__(self, items: int, batch_size: int, seed: int):
        if not 0 < batch_size <= items:
            raise EaselError(
                f"a batch of {batch_size} cannot be drawn from {items} items; lower batch_size or add data."
            )
        self.items, self.batch_size, self.seed = items, batch_size, seed
        self._permutation = lru_cache(maxsize=2)(self._shuffle)

    def _shuffle(self, epoch: int) -> np.ndarray:
        return np.random.Generator(np.random.PCG64([self.seed, epoch])).permutation(self.items)

    def indices(self, step: int) -> np.ndarray:
        """Indices of batch `step` (from 0), int64 [batch_size]."""
        epoch, batch = divmod(step, self.items // self.batch_size)
        start = batch * self.batch_size
        return self._permutation(epoch)[start : start + self.batch_size]

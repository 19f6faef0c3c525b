"""Captions → image tokens with a trained DALL·E Mini (JAX): batches of one size, several candidates a caption."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from lib.decoding.autoregressive_jax import check_settings, sample
from lib.errors import EaselError
from lib.models import dalle_mini
from lib.training import mesh


class Sampler:
    """Draws image tokens; rows are split between the devices of the process.

    Every batch has the same number of rows, so that one compiled program serves all; the last one wraps around to the
    first rows.

    Args:
        empty: the empty caption, int [S], which the unconditional half of a guided batch reads.
        batch_size: rows a batch, a multiple of the number of devices; a guided batch computes twice as many.

    Raises:
        EaselError: the devices do not divide the batch.
    """

    def __init__(self, model: dalle_mini.DalleMini, weights: dict, empty: np.ndarray, batch_size: int):
        if batch_size < 1 or batch_size % jax.device_count():
            raise EaselError(f"a batch of {batch_size} rows cannot be split between {jax.device_count()} devices.")
        self.config, self.empty, self.batch_size = model.config, empty, batch_size
        start, self.predict = dalle_mini.sampling_functions(model)
        devices = mesh.make_mesh()
        self.split = mesh.rows(devices)
        self.weights = jax.device_put(weights, mesh.copied(devices))

        def begin(weights, captions, rows):
            """The cache of rows int [R], each of them one of the captions [U, S], which are read once."""
            return jax.tree.map(lambda leaf: jnp.take(leaf, rows, axis=0), start(weights, captions))

        self.begin = jax.jit(begin, out_shardings=self.split)

    def __call__(
        self,
        captions: np.ndarray,
        keys: jax.Array,
        guidance: float = 1.0,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        report: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Draws n candidates for each of P captions.

        Candidates of one caption lie side by side in a batch, and the encoder reads a caption once for all of them.

        Args:
            captions: int [P, S].
            keys: random keys [P, n], from `lib.decoding.autoregressive_jax.row_keys`; tokens depend on their caption
                and their key, not on what else is drawn.
            guidance, temperature, top_k, top_p: see `lib.decoding.autoregressive_jax.sample`.
            report: told after every batch how many rows are done.

        Returns:
            int32 [P, n, image_length], in reading order.

        Raises:
            EaselError: numbers of captions and keys differ, there are none, or a setting is outside its range.
        """
        if captions.ndim != 2 or keys.ndim != 2 or len(captions) != len(keys) or not keys.size:
            raise EaselError(
                f"sampling needs captions [P, S] and keys [P, n], not {list(captions.shape)} and {list(keys.shape)}."
            )
        check_settings(temperature, guidance, top_k, top_p)
        settings = temperature, guidance, top_k, top_p
        total, candidates = keys.size, keys.shape[1]
        # Neighbouring rows read few captions; room for the most that a batch can meet keeps the shapes the same.
        room = min(len(captions), (self.batch_size - 2) // candidates + 2)
        parts = []
        for start in range(0, total, self.batch_size):
            rows = (start + np.arange(self.batch_size)) % total
            met, reads = np.unique(rows // candidates, return_inverse=True)
            read = captions[np.resize(met, room)]  # [U, S]
            if guidance != 1:
                read = np.concatenate([read, self.empty[None]])  # [U + 1, S]
                reads = np.stack([reads, np.full_like(reads, room)], axis=1).reshape(-1)  # [B] → [2B]
            cache = self.begin(self.weights, read, reads)
            batch_keys = jax.device_put(keys.reshape(-1)[rows], self.split)
            bos, steps = self.config.codes, self.config.image_length
            parts.append(sample(self.predict, self.weights, cache, bos, steps, batch_keys, *settings))
            if report:
                report(min(start + self.batch_size, total))
        return np.concatenate(parts)[:total].reshape(len(captions), candidates, -1)  # [P·n, T] → [P, n, T]

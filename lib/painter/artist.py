"""Prompts → pictures, most often as image tokens, with a published model: several candidates a prompt, in batches."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.config_tree import plain, read
from lib.decoding.noise import RowRandom
from lib.painter.autoregressive import row_seeds
from lib.painter.model import Drawn, Model
from lib.painter.painting import Sampled
from lib.painter.worker import check_prompts
from lib.progress import Progress
from lib.text import TextTokenizer

Draw = Callable[[Tensor, RowRandom], Drawn]  # prompts int64 [B, S], and a stream each → as `Model.draw`


class Artist:
    """What `lib.painter.worker.Worker` is for DALL·E Mini, in this process.

    Candidate c of a prompt is a function of the prompt, the seed, c and the settings, up to the rounding of sums, which
    may depend on how many pictures are drawn together.

    Args:
        batch_size: pictures that are drawn together.
    """

    def __init__(self, model: Model, text: TextTokenizer, batch_size: int):
        self.model, self.text, self.batch_size = model, text, batch_size

    def sample(self, prompts: list[str], candidates: int, seed: int, settings: Mapping[str, Any]) -> Sampled:
        """Candidates of every prompt.

        Args:
            settings: those that are not to be as they were published.

        Raises:
            EaselError: a prompt that is empty or too long, or a setting that the model does not have or take.
        """
        sampling = self._sampling(settings)
        return self._draw(prompts, candidates, seed, lambda ids, random: self.model.draw(ids, random, sampling))

    def fill(self, prompt: str, candidates: int, seed: int, settings: Mapping[str, Any], known: np.ndarray) -> Sampled:
        """As `sample`, of one prompt with a `Filling` model, and tokens that are known, int [N], −1 elsewhere."""
        sampling, given = self._sampling(settings), torch.from_numpy(known.astype(np.int64))

        def draw(ids: Tensor, random: RowRandom) -> Drawn:
            return self.model.fill(ids, random, sampling, given.expand(len(ids), -1))

        return self._draw([prompt], candidates, seed, draw)

    def resample(
        self, prompt: str, candidates: int, seed: int, settings: Mapping[str, Any], tokens: np.ndarray
    ) -> Sampled:
        """As `sample`, of one prompt with an `Editing` model, from the picture `tokens`, int [N].

        Args:
            settings: those of its `resampling` that are not to be as there.
        """
        sampling = read(dict(settings), self.model.resampling, "editing without a mask")
        given = torch.from_numpy(tokens.astype(np.int64))

        def draw(ids: Tensor, random: RowRandom) -> Drawn:
            return self.model.resample(ids, random, sampling, given.expand(len(ids), -1))

        return self._draw([prompt], candidates, seed, draw)

    def close(self) -> None:
        """There is nothing to end."""

    def _sampling(self, settings: Mapping[str, Any]) -> Any:
        return read(plain(self.model.sampling) | dict(settings), self.model.settings, self.model.name)

    def _draw(self, prompts: list[str], candidates: int, seed: int, draw: Draw) -> Sampled:
        length = self.model.encoder.config.length
        check_prompts(self.text, prompts, length, self.model.name)
        ids = torch.from_numpy(self.text.encode(prompts, length).astype(np.int64))
        ids = ids.repeat_interleave(candidates, dim=0)  # [P · n, S]
        # The same for every prompt: its pictures are then the same wherever it stands in a list.
        seeds = row_seeds(seed, range(candidates)) * len(prompts)
        progress, parts = Progress("paint", len(ids), every=1.0), []
        for start in range(0, len(ids), self.batch_size):
            rows = slice(start, start + self.batch_size)
            parts.append(draw(ids[rows], RowRandom(seeds[rows])))
            progress.update(min(start + self.batch_size, len(ids)))
        rows = torch.cat([part.pictures for part in parts]).numpy()
        rows = rows if rows.ndim > 2 else rows.astype(np.int32)
        passes = torch.cat([part.passes for part in parts]).numpy()
        each = (len(prompts), candidates)
        return Sampled(rows.reshape(*each, *rows.shape[1:]), passes.reshape(each))

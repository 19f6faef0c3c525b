"""Captions and image tokens of a training run; of no framework. Captions are drawn from (seed, step) alone."""

from collections.abc import Callable, Sequence

import numpy as np

from lib.errors import EaselError


class Captions:
    """The captions of a split, from which every update draws.

    Captions become tokens when they are drawn: a run of few updates reads a small part of them.

    Args:
        captions: one dict per picture, language → its captions.
        encode: list of captions → int [len, text_length], padded.
    """

    def __init__(self, captions: Sequence[dict[str, list[str]]], encode: Callable[[list[str]], np.ndarray]):
        groups = [list(entry.values()) for entry in captions]
        self.texts = [caption for entry in groups for group in entry for caption in group]
        self.encode = encode
        languages = max(map(len, groups))
        self.counts = np.zeros((len(groups), languages), np.int64)  # [pictures, languages]
        for row, entry in zip(self.counts, groups, strict=True):
            row[: len(entry)] = [len(group) for group in entry]
        if not self.counts[:, 0].all():
            raise EaselError(f"picture {int(np.argmin(self.counts[:, 0]))} has no caption.")
        self.starts = (np.cumsum(self.counts) - self.counts.ravel()).reshape(self.counts.shape)

    def __len__(self) -> int:
        return len(self.counts)

    def draw(self, indices: np.ndarray, dropout: float, generator: np.random.Generator) -> np.ndarray:
        """For each picture a random language, then a random caption in it; with probability `dropout` the empty one.

        Returns:
            int32 [len(indices), text_length].
        """
        counts, starts = self.counts[indices], self.starts[indices]  # [B, languages]
        rows = np.arange(len(indices))
        language = generator.integers((counts > 0).sum(axis=1))  # [B]
        chosen = starts[rows, language] + generator.integers(counts[rows, language])
        kept = generator.random(len(indices)) >= dropout
        return self._ids([self.texts[number] if keep else "" for number, keep in zip(chosen, kept, strict=True)])

    def first(self, most: int | None = None) -> np.ndarray:
        """The first caption of the first language of the first `most` pictures, or of all: int32 [N, text_length]."""
        return self._ids([self.texts[number] for number in self.starts[:most, 0]])

    def _ids(self, texts: list[str]) -> np.ndarray:
        return np.asarray(self.encode(texts), np.int32)


def check_tokens(tokens: np.ndarray, pictures: int, length: int, codes: int) -> None:
    """Raises EaselError unless `tokens` is [pictures, length] of codes 0 … codes − 1."""
    if tokens.shape != (pictures, length):
        raise EaselError(f"image tokens have the shape {list(tokens.shape)}, must be [{pictures} pictures, {length}].")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < codes:
        raise EaselError(
            f"image tokens run from {tokens.min()} to {tokens.max()}, but the model has codes 0 to {codes - 1}; "
            "encode the pictures again with this image tokenizer."
        )

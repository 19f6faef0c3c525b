"""What decoders see of a network, and what they give back.

A picture is a row of `length` slots in reading order, each with a code 0 … codes − 1. The caption, guidance,
temperature, top-k and the cache of keys and values are inside the predictor: every decoder draws from the same
distributions, and at temperature 0, where these have a single code, every lossless decoder is greedy.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Predictor(Protocol):
    """An autoregressive model of pictures, with a cache that any later call may overwrite.

    Attributes:
        length: slots of a picture.
        codes: tokens are 0 … codes − 1; BOS, which stands at slot −1, is `codes`.
        rows: pictures decoded at once, B.
    """

    length: int
    codes: int
    rows: int

    def predict(self, inputs: Tensor, start: Tensor) -> Tensor:
        """Log-probabilities float32 [B, W, codes] of slots start … start + W − 1, normalised.

        Every slot before start − 1 must have been given in an earlier call. A prediction reads the slots before its own
        alone, those before start − 1 as last given: a row is rolled back by calling with a smaller start.

        A row whose start is `length` or more is complete. It has left: every later call has such a start for it. What
        is returned for it means nothing, but is finite, so that a network need not compute it.

        Args:
            inputs: int64 [B, W], the tokens at slots start − 1 … start + W − 2.
            start: int64 [B]. Predictions of slots past the end of the picture mean nothing.
        """
        ...


class EmbeddedPredictor(Predictor, Protocol):
    """A network that was tuned to read noisy embeddings too, for SJD2.

    Attributes:
        times: of noise levels 1 … T, float [T], rising to 1, which is noise and nothing else; 0 is the clean level.
    """

    times: Tensor

    def predict_embedded(self, inputs: Tensor, start: Tensor, levels: Tensor) -> Tensor:
        """As `predict`, from standardized embeddings float [B, W, D] at noise levels int64 [B, W]."""
        ...

    def embed(self, tokens: Tensor) -> Tensor:
        """Standardized embeddings: int64 [B, …], BOS among them → float [B, …, D]."""
        ...

    def nearest(self, vectors: Tensor) -> Tensor:
        """The codes (never BOS) whose embeddings are nearest: float [..., D] → int64 [...]."""
        ...


class FeaturePredictor(Predictor, Protocol):
    """A network that shows what it reads its predictions from, for trained drafters."""

    def predict_features(self, inputs: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """As `predict`, and the features [B, W, …] that each prediction was read from."""
        ...


class ScatteredPredictor(Predictor, Protocol):
    """A network that predicts slots which do not follow one another, for ZipAR."""

    def predict_at(self, inputs: Tensor, slots: Tensor, written: Tensor) -> Tensor:
        """Log-probabilities float32 [B, K, codes] of the given slots.

        A query sees BOS, itself (the input at slots − 1), and those slots before it that are written.

        Args:
            inputs: int64 [B, K], the tokens at slots − 1; what stands for a token that is not known yet, too.
            slots: int64 [B, K], distinct in each row.
            written: bool [B, length]: the slots whose tokens are known. Each of them before the last slot has been
                given in an earlier call, or is in this one.
        """
        ...


@dataclass(frozen=True)
class Decoded:
    """Pictures and what they cost.

    Attributes:
        tokens: int64 [B, length].
        passes: int64 [B], network calls until the row was complete.
        accepted: int64 [B, most passes of a row], tokens that each pass fixed, 0 once the row was complete.
        trace: int64 [most passes, B, trace slots], the drafts at the first slots of the window after each pass, −1 past
            the end of a picture; None if it was not asked for.
    """

    tokens: Tensor
    passes: Tensor
    accepted: Tensor
    trace: Tensor | None = None

"""What networks of the feed-forward comparison learn: image tokens from captions, or the gaps of a text from the rest.

The second is the GLU paper's own task, T5's span corruption (Raffel et al., arXiv:1910.10683, section 3.1.4): spans of
a text are cut out, each leaves a mark of its own behind, and the network writes every mark and what stood there.
"""

from collections.abc import Sequence

import numpy as np

from lib.data.captions import Captions
from lib.errors import EaselError
from lib.training.seeds import Batch
from lib.training.spans import parts


class ImageTask:
    """A random caption of each picture → its image tokens.

    Args:
        tokens: integer [pictures, image_length].
    """

    def __init__(self, captions: Captions, tokens: np.ndarray):
        if len(captions) != len(tokens):
            raise EaselError(f"{len(captions)} pictures have captions, but {len(tokens)} have tokens.")
        self.captions, self.tokens = captions, tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def draw(self, indices: np.ndarray, generator: np.random.Generator) -> Batch:
        return self.captions.draw(indices, 0.0, generator), self.tokens[indices].astype(np.int32)

    def held_out(self, most: int) -> Batch:
        """The first caption and the tokens of the first `most` pictures."""
        return self.captions.first(most), self.tokens[:most].astype(np.int32)


class SpanTask:
    """Stretches of text with gaps → marks and what was in the gaps. All stretches lose equally many tokens and spans.

    Args:
        stretches: int [N, length], ids below `vocabulary`.
        vocabulary: the marks follow it: `vocabulary`, `vocabulary` + 1, …
        masked: share of tokens cut out; span: mean length of a gap.

    Raises:
        EaselError: stretches too short to lose a token and keep one for every gap.
    """

    def __init__(self, stretches: np.ndarray, vocabulary: int, masked: float, span: float):
        length = stretches.shape[1]
        self.noise = max(round(length * masked), 1)
        self.gaps = max(round(self.noise / span), 1)
        if length - self.noise < self.gaps:
            raise EaselError(
                f"of {length} tokens, {self.noise} in {self.gaps} gaps leave nothing between the gaps; "
                "lower masked, or raise length or span."
            )
        self.stretches, self.vocabulary = stretches, vocabulary
        self.input_length = length - self.noise + self.gaps
        self.target_length = self.noise + self.gaps
        self.ids = vocabulary + self.gaps  # of texts with marks

    def __len__(self) -> int:
        return len(self.stretches)

    def draw(self, indices: np.ndarray, generator: np.random.Generator) -> Batch:
        rows = [self.corrupt(self.stretches[index], generator) for index in indices]
        inputs, targets = zip(*rows, strict=True)
        return np.stack(inputs).astype(np.int32), np.stack(targets).astype(np.int32)

    def held_out(self, most: int, seed: int) -> Batch:
        """The first `most` stretches, their gaps a function of `seed`."""
        return self.draw(np.arange(min(most, len(self))), np.random.Generator(np.random.PCG64(seed)))

    def corrupt(self, text: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One stretch [length] → inputs [input_length] and targets [target_length]; it starts with text, not a gap."""
        kept = parts(len(text) - self.noise, self.gaps, generator)
        cut = parts(self.noise, self.gaps, generator)
        inputs, targets, start = [], [], 0
        for number in range(self.gaps):
            mark, gap = [self.vocabulary + number], start + kept[number]
            inputs += [text[start:gap], mark]
            start = gap + cut[number]
            targets += [mark, text[gap:start]]
        return np.concatenate(inputs), np.concatenate(targets)


def stretches(ids: np.ndarray, padding: int, length: int) -> np.ndarray:
    """Captions [N, S], padded, one after another in stretches of `length` tokens: int [M, length].

    Raises:
        EaselError: the captions are not even one stretch long.
    """
    stream = ids[ids != padding]
    if len(stream) < length:
        raise EaselError(f"the captions have {len(stream)} tokens, fewer than one stretch of {length}.")
    return stream[: len(stream) // length * length].reshape(-1, length)


def unigram_entropy(targets: np.ndarray) -> float:
    """Entropy in nats of the frequencies of ids: what predicting without any context would cost."""
    counts = np.unique(targets, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def compressed_nats(texts: Sequence[str], tokens: int) -> float:
    """Nats a token of all `texts` together after LZMA: a bound on their entropy that needs no network."""
    import lzma

    return 8 * len(lzma.compress("\n".join(texts).encode())) * float(np.log(2)) / tokens

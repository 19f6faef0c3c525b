"""Gaps in a text (T5's span corruption, Raffel et al. 2020, arXiv:1910.10683, section 3.1.4)."""

import numpy as np


def gaps(length: int, masked: float, span: float) -> tuple[int, int]:
    """How many tokens a text of so many, at least 3, loses, and in how many gaps, with text before and after each."""
    cut = min(max(round(length * masked), 1), length - 2)
    return cut, min(max(round(cut / span), 1), length - cut - 1)


def most_gaps(length: int, masked: float, span: float) -> int:
    """The marks that texts of up to `length` tokens need."""
    return max(gaps(n, masked, span)[1] for n in range(3, max(length, 3) + 1))


def corrupt(
    text: np.ndarray, masked: float, span: float, vocabulary: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A text int [n ≥ 3] → the text with marks for gaps, and the marks with what was in the gaps.

    Its first and last token, which begin and end every caption, are never cut out (T5 ends every stretch with a gap,
    which would hide the end of every caption). All other divisions are equally likely.

    Args:
        masked: share of tokens cut out; span: mean length of a gap.
        vocabulary: mark k of a text is `vocabulary` + k.
    """
    cut, count = gaps(len(text), masked, span)
    kept = parts(len(text) - cut, count + 1, random)  # [gaps + 1]
    inputs, targets, stop = [], [], 0
    for number, width in enumerate(parts(cut, count, random)):
        mark, start = [vocabulary + number], stop + kept[number]
        inputs += [text[stop:start], mark]
        stop = start + width
        targets += [mark, text[start:stop]]
    return np.concatenate([*inputs, text[stop:]]).astype(np.int64), np.concatenate(targets).astype(np.int64)


def parts(total: int, count: int, random: np.random.Generator) -> np.ndarray:
    """`total` as a sum of `count` whole numbers of at least 1, all such sums equally likely: int [count]."""
    ends = np.sort(random.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], ends, [total]]))

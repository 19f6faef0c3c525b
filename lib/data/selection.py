"""Which pictures of a split a model sees: all, or those without certain backgrounds."""

from collections.abc import Sequence

import numpy as np

from lib.data.store import Split


def kept(split: Split, leave_out: Sequence[str], most: int | None = None) -> np.ndarray:
    """Numbers of the pictures of `split` whose background is of none of the kinds `leave_out`, int64, ascending.

    Where the data source does not say what its pictures show, all are kept.

    Args:
        most: only the first `most` pictures of the split are looked at; None for all.
    """
    numbers = np.arange(len(split) if most is None else min(most, len(split)))
    if split.scenes is None or not leave_out:
        return numbers
    return numbers[[split.scenes[number]["background"]["kind"] not in leave_out for number in numbers]]

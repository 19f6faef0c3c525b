"""For `make check`: decoders that are lossless on paper draw the law of the toy chain."""

from lib.errors import EaselError
from studies.sjd2.code.claims import LUCK
from studies.sjd2.code.measure_exactness import cases, measure

PICTURES, AGAIN = 4000, 8


def check() -> str:
    """Decodes the toy chain with every decoder.

    Raises:
        EaselError: a decoder that is lossless on paper misses the law, or its rows depend on their batch.
    """
    found = cases()
    for name, case in found.items():
        measured = measure(case, PICTURES, AGAIN)
        if set(measured["same_in_batches_of"].values()) != {1.0}:
            raise EaselError(f"{name}: pictures depend on the batch that they are drawn in.")
        if case.lossless and measured["p"] < LUCK / len(found):
            raise EaselError(
                f"{name} is lossless on paper, but misses the law of the toy chain: p = {measured['p']:.2g}."
            )
    lossless = sum(case.lossless for case in found.values())
    return f"{lossless} decoders that are lossless on paper draw the law of the toy chain ({PICTURES} pictures each)"

"""Text beside pictures: what stage sjd2/compare_text found, as a claim and as rows of a table."""

from collections.abc import Mapping
from typing import Any

from lib.evidence.report import Estimate, Values
from lib.evidence.tables import Number, interval
from studies.sjd2.code.reports import TextComparison

NAMES = {
    "jacobi": "Jacobi, fresh noise",
    "shared": "Jacobi, shared noise",
    "sjd": "SJD",
    "sjdpp": "SJD++, threshold 0.1",
}
# Who has the same settings on pictures.
ROLES = {"sjd": "sjd_authors", "sjdpp": "sjdpp_authors"}
# Tokens a pass on nanochat, a language model of subwords: a third party's experiment with the same windows.
NANOCHAT = {"jacobi": 1.03, "sjd": 1.07, "sjdpp": 1.15}


def gain(text: TextComparison, pictures: Estimate) -> Values:
    """What SJD saves on text over what it saves on pictures, S − 1 over S − 1, training by training.

    Args:
        pictures: S of SJD with the same settings; one value a training, as many as of text.
    """
    pairs = zip(text.compression["sjd"].by_seed, pictures.by_seed, strict=True)
    return Values(
        values=[(own - 1) / (other - 1) for own, other in pairs],
        unit="share of the gain on pictures",
        seeds_are="independent trainings, of a character model and of a network of pictures each",
    )


def rows(text: TextComparison | None, pictures: Mapping[str, Estimate]) -> list[dict[str, Any]]:
    """S of every decoder on text, a third party's, and that on pictures where the study has it.

    Args:
        pictures: S by the names of `NAMES`.
    """
    if text is None:
        return []
    return [
        {
            "decoder": name,
            "characters": interval(text.compression[key]),
            "nanochat": Number(NANOCHAT[key]) if key in NANOCHAT else None,
            "pictures": interval(pictures.get(key)),
        }
        for key, name in NAMES.items()
    ]

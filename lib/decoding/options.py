"""Options of all decoders, with their bounds: of no framework, so that a configuration is checked before one is loaded.

What they mean, and their defaults, stand with `decode` in the decoders' own modules. What they refuse of a picture of a
certain size is in `lib.decoding.decoders.check`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from lib.config_tree import Count, Section, Share, read

Ratio = Annotated[float, Field(ge=0, allow_inf_nan=True)]  # of probabilities; infinity is above all of them
Initial = Literal["one_hot", "uniform", "left", "above", "sample_left"]

_WINDOW = {"window": Count, "trace_slots": Annotated[int, Field(ge=0, le=4096)]}
_TYPES: dict[str, dict[str, Any]] = {
    "autoregressive": {},
    "jacobi": _WINDOW | {"noise": Literal["fresh", "shared"], "initial": Initial},
    "sjd": _WINDOW | {"initial": Initial, "coupling": Literal["independent", "gumbel", "maximal"]},
    "sjdpp": _WINDOW | {"threshold": Ratio, "initial": Initial},
    "sjd2": _WINDOW
    | {
        "accept": Literal["clean", "denoised", "any"],
        "test": Literal["ratio", "match"],
        "keep": Ratio,
        "coupling": Literal["independent", "gumbel"],
    },
    "zipar": {"ahead": Count},
    "lantern": {"near": Count, "budget": Share, "drafts": Count},
    "eagle": {"drafts": Count},
    "medusa": {},
}
NEEDED = {"zipar": {"ahead"}, "lantern": {"near"}}

# Decoder → section of its options.
OPTIONS: dict[str, type[Section]] = {
    decoder: create_model(
        decoder,
        __base__=Section,
        **{name: (kind, ... if name in NEEDED.get(decoder, ()) else None) for name, kind in types.items()},
    )
    for decoder, types in _TYPES.items()
}


def check(decoder: str, options: Mapping[str, Any]) -> None:
    """Refuses options that the decoder does not have or take. Raises EaselError."""
    read(dict(options), OPTIONS[decoder], f"decoder {decoder}")

"""Sizes of the systems in the papers' tables, counted from their published configurations, and the memory they need.

    python -m lib.metering.systems

writes results/systems/systems.{csv,md,tex}. The networks are built from diffusers' and transformers' own classes on
PyTorch's meta device: names and shapes, no weights, no memory. The configurations, and where each number comes from,
are in systems.yaml beside this file.

A printed number agrees with the count if it is less than one unit of its last digit away, since some papers round and
some cut. A weight file agrees if the bytes of what is saved are its size, to the digits that are listed.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from lib.config_tree import Entries, Section, Several, read, read_yaml, require
from lib.errors import EaselError, command_line, naming
from lib.evidence import tables
from lib.evidence.tables import Number
from lib.models import dalle_mini_original
from lib.models.layout import DalleMiniConfig

SYSTEMS = Path(__file__).with_suffix(".yaml")
OUT = Path("results/systems/systems")
BFLOAT16, FLOAT32 = 2, 4  # bytes
UNITS = {"M": 10**6, "B": 10**9, " MB": 10**6, " GB": 10**9}
TOKENS = 1000  # of the column on keys and values
TOGETHER = "all parts"

Printed = Annotated[str, Field(pattern=r"^\d+(\.\d+)?[MB]$")]  # parameters
Size = Annotated[str, Field(pattern=r"^\d+(\.\d+)? [MG]B$")]


class Module(Section):
    """A network."""

    kind: str
    """dotted name of its class; or dalle_mini, whose config is one of the authors' sizes"""
    config: dict[str, Any]
    without: Several[str] = ()
    """submodules of the class that the published weights do not have"""
    cached: bool = False
    """whether keys and values of every token are kept"""


class Part(Section):
    """A network, or several that are published as one number."""

    modules: Several[Module]
    source: str
    """of the configuration"""
    published: Printed | None = None
    where: str | None = None
    files: Several[Size] = ()
    bytes: Literal[2, 4] | None = None
    """of one number in the files"""
    listed: str | None = None

    def check(self) -> None:
        require(
            bool(self.published) == bool(self.where), "where", "says who published the number, if one was published"
        )
        require(
            bool(self.files) == bool(self.bytes) == bool(self.listed),
            "files",
            "needs bytes and listed, and they need it",
        )


class Systems(Section):
    """All of systems.yaml."""

    systems: Entries[Entries[Part]]
    notes: Several[str]


@dataclass(frozen=True)
class Count:
    """What a network consists of, in numbers.

    Attributes:
        parameters: that are trained; one that two layers share counts once.
        saved: in its weight file: parameters, and the buffers that are saved.
        allocated: bytes of parameters and all buffers, once the network is in bfloat16.
        cached: keys and values of one token; 0 where none are kept.
    """

    parameters: int = 0
    saved: int = 0
    allocated: int = 0
    cached: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def optimizer(self) -> int:
        """Bytes of AdamW's two moments in float32. PyTorch keeps 4 more for each array, its number of steps."""
        return 2 * FLOAT32 * self.parameters

    def cache(self, tokens: int) -> int:
        """Bytes of keys and values in bfloat16; guidance keeps them twice."""
        return BFLOAT16 * self.cached * tokens


def systems(path: Path = SYSTEMS) -> Systems:
    """Systems by name, each with its parts by name. Raises EaselError: the file is not as it should be."""
    return read(read_yaml(path), Systems, str(path))


def count(module: Module) -> Count:
    """Counts a network.

    Raises:
        EaselError: no such class or submodule, or a configuration that the class does not take.
    """
    if module.kind == "dalle_mini":
        with naming(SYSTEMS, "size of DALL·E Mini"):
            config = dalle_mini_original.read_config(dalle_mini_original.original_config(**module.config))
        parameters = dalle_mini_original.count_parameters(config)
        return Count(parameters, parameters, BFLOAT16 * parameters, cached(config) if module.cached else 0)
    network = build(module)
    return count_network(network, cached(network.config) if module.cached else 0)


def count_part(part: Part) -> Count:
    """Counts all networks of a part. Raises EaselError: as of `count`."""
    return sum(map(count, part.modules), Count())


def build(module: Module) -> nn.Module:
    """A network on the meta device. Raises EaselError: as of `count`."""
    library, _, name = module.kind.rpartition(".")
    with naming(SYSTEMS, f"configuration of {module.kind}"), torch.device("meta"):
        kind = getattr(import_module(library), name)
        if issubclass(kind, PreTrainedModel):
            network = kind(kind.config_class(**module.config))
        else:
            network = kind(**module.config)
        for path in module.without:
            parent, _, child = path.rpartition(".")
            delattr(network.get_submodule(parent), child)
    return network


def count_network(network: nn.Module, cached: int = 0) -> Count:
    """Counts a network that is there, on whatever device.

    Args:
        cached: numbers that are kept of one token.
    """
    parameters, saved = apart(network.parameters()), apart(network.state_dict(keep_vars=True).values())
    held = apart(chain(network.parameters(), network.buffers()))
    return Count(
        sum(array.numel() for array in parameters),
        sum(array.numel() for array in saved),
        sum(array.numel() * (BFLOAT16 if array.is_floating_point() else array.element_size()) for array in held),
        cached,
    )


def apart(arrays: Iterable[Tensor]) -> list[Tensor]:
    """Each array once, whatever its number of names."""
    return list({id(array): array for array in arrays}.values())


def cached(config: PreTrainedConfig | DalleMiniConfig) -> int:
    """Keys and values of one token in all layers of a decoder's self-attention."""
    if isinstance(config, DalleMiniConfig):
        return 2 * config.decoder_layers * config.width
    text = config.get_text_config(decoder=True)
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * text.num_hidden_layers * heads * width


def printed(text: str) -> tuple[float, float]:
    """What a number such as “6.8B” or “4.18 GB” says, and the unit of its last digit."""
    unit = next(unit for unit in sorted(UNITS, key=len, reverse=True) if text.endswith(unit))
    digits = text.removesuffix(unit)
    return float(digits) * UNITS[unit], UNITS[unit] / 10 ** len(digits.partition(".")[2])


def row(system: str, name: str, found: Count, part: Part | None = None) -> dict[str, Any]:
    """A line of the table.

    Args:
        found: the count.
        part: what was published to compare it with.
    """
    value, unit = printed(part.published) if part and part.published else (None, None)
    sizes = [printed(size) for size in part.files] if part else []
    listed, tolerance = sum(size for size, _ in sizes), sum(unit / 2 for _, unit in sizes)
    saved = found.saved * part.bytes if sizes else None
    return {
        "system": system,
        "part": name,
        "parameters": found.parameters,
        "published": part.published if part else None,
        "difference": None if value is None else Number(100 * (found.parameters / value - 1), digits=1),
        "agrees": None if value is None else abs(found.parameters - value) < unit,
        "file, counted": None if saved is None else Number(saved / 1e9, digits=3),
        "file, listed": Number(listed / 1e9, digits=3) if sizes else None,
        "file agrees": None if saved is None else abs(saved - listed) <= tolerance,
        "bfloat16": Number(found.allocated / 1e9, digits=2),
        "keys and values": Number(found.cache(TOKENS) / 1e6, digits=1) if found.cached else None,
        "AdamW": Number(found.optimizer() / 1e9, digits=2),
    }


def rows(described: Systems) -> Iterator[dict[str, Any]]:
    """All lines: of every part, and of the parts of a system together."""
    for system, parts in described.systems.items():
        counts = {name: count_part(part) for name, part in parts.items()}
        yield from (row(system, name, counts[name], part) for name, part in parts.items())
        if len(parts) > 1:
            yield row(system, TOGETHER, sum(counts.values(), Count()))


def write(out: Path = OUT) -> list[Path]:
    """Counts all systems and writes the table; returns its files."""
    described = systems()
    return tables.write(
        out,
        list(rows(described)),
        caption="Parameters of the systems in the papers' tables, counted from their configurations, and their memory.",
        source="lib/metering/systems.yaml, where the source of every configuration and of every published number is.",
        units={
            "difference": "%",
            "file, counted": "GB",
            "file, listed": "GB",
            "bfloat16": "GB",
            "keys and values": f"MB per {TOKENS:,} tokens",
            "AdamW": "GB",
        },
        notes=[
            "A published number agrees if it is less than one unit of its last digit away; a weight file if its size "
            "is that of the numbers that are saved, to the digits listed. Memory: weights and buffers in bfloat16; "
            "keys and values in bfloat16, twice as many with guidance; AdamW's two moments in float32, to which "
            "training adds gradients and float32 weights. Activations are not in it.",
            *described.notes,
        ],
        stage="none: `python -m lib.metering.systems`",
        sources=["lib/metering/systems.py"],
        inputs=[SYSTEMS],
        claims=["C39"],
    )


@command_line
def main(arguments: list[str]) -> None:
    """Command line; prints the path of the table."""
    if arguments:
        raise EaselError("usage: python -m lib.metering.systems")
    print(next(path for path in write() if path.suffix == ".md"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

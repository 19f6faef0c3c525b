"""What stage choose leaves, build/sjd2/choice.json: the options and steps of every decoder on every network."""

from pathlib import Path
from typing import Any

from lib.config_tree import replace
from lib.errors import EaselError
from lib.evidence.report import Report
from studies.sjd2.code.settings import DecodingRunParams

CHOICE = Path("build/sjd2/choice.json")


class Tried(Report):
    """One setting on validation captions."""

    options: dict[str, Any]
    steps: int
    compression: float
    """tokens a pass"""
    nats: float
    """a token of its pictures, above those of autoregressive decoding: under the judge, or under the network"""
    good: bool
    """whether that is within the margin"""


class Chosen(Report):
    """A decoder on a network."""

    decoder: str
    options: dict[str, Any]
    steps: int
    tried: list[Tried]


class Choice(Report):
    """All of them."""

    captions: int
    margin: float
    decoders: dict[str, dict[str, Chosen]]
    """decoder → network"""

    def resolve(self, run: DecodingRunParams) -> DecodingRunParams:
        """A run with what was chosen for its network, or for the first network where it was not tried on that one; one
        that names a decoder as it is. Options and steps that the run has itself stay.

        Raises:
            EaselError: nothing was chosen for such a decoder.
        """
        if not run.chosen:
            return run
        if run.chosen not in self.decoders:
            raise EaselError(
                f"{CHOICE} has no {run.chosen}; there are {', '.join(self.decoders)}. Run sjd2/choose anew."
            )
        networks = self.decoders[run.chosen]
        found = networks.get(run.network) or next(iter(networks.values()))
        options = {name: float(value) if value == "inf" else value for name, value in found.options.items()}
        own = {"options": options | dict(run.options), "steps": run.steps or found.steps}
        return replace(run, decoder=found.decoder, chosen="", **own)

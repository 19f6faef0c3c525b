"""What params.yaml and reports call a network: `small`, `model:small` or `drafts:small`."""

from dataclasses import dataclass
from typing import Literal, Self


@dataclass(frozen=True)
class Network:
    """One of autoregressive.models, or one that is tuned from one of them.

    Attributes:
        kind: model: not tuned; drafts: tuned on drafts; empty: tuned for SJD2.
        name: in autoregressive.models, draft_tuning.variants or sjd2.variants.
    """

    kind: Literal["", "model", "drafts"]
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The network of that name, which need not exist."""
        kind, colon, name = text.partition(":")
        return cls(kind, name) if colon and kind in ("model", "drafts") else cls("", text)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.kind else self.name

    @property
    def as_file(self) -> str:
        """As a part of a file's name."""
        return str(self).replace(":", "_")

"""A folder of pictures that an interrupted run goes on in, and that several processes fill together.

Every picture has a JSON file, written last and in one step: what has one is complete. Nobody waits for another: each
process draws its own share, and a folder is complete when all pictures are there, whoever drew them. So the same
command, started again with as many processes as you like, draws what is missing.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import EaselError, naming

SETTINGS, REPORT = "settings.json", "report.json"
SEEDS = 2**32  # generators take smaller ones


@dataclass(frozen=True)
class Picture:
    """One that is to be drawn: the number of its prompt, that among the prompt's pictures, its seed."""

    prompt: str
    number: int
    candidate: int
    seed: int

    @property
    def name(self) -> str:
        """Of its files, without the ending."""
        return f"{self.number:04}-{self.candidate}"


@dataclass(frozen=True)
class Share:
    """Which pictures are this process's: every `count`-th, from number `index` on.

    Raises:
        EaselError: no share of that number.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            raise EaselError(
                f"process {self.index} of {self.count} does not exist; they are numbered from 0 to {self.count - 1}."
            )

    @classmethod
    def of(cls, text: str | None, variables: Mapping[str, str]) -> "Share":
        """From "0/2", or from RANK and WORLD_SIZE, which torchrun and `accelerate launch` set; else all pictures.

        Slurm's variables are not read: a batch script has them as well, where they say nothing of shares.

        Raises:
            EaselError: another form, or no share of that number.
        """
        if text is None:
            text = f"{variables.get('RANK') or 0}/{variables.get('WORLD_SIZE') or 1}"
        if not (found := re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)):
            raise EaselError(f"--process {text}: write which process of how many, such as 0/2 and 1/2.")
        return cls(int(found[1]), int(found[2]))

    def device(self) -> str:
        """Where this process computes: processes of one machine take its GPUs in turn."""
        import torch

        return f"cuda:{self.index % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"


ALL = Share()


class Gallery:
    """The folder.

    Args:
        settings: whatever a picture depends on beside its prompt and its number, as JSON can hold it.
        seed: of the first picture; the others count from it.
        pictures: of every prompt.

    Attributes:
        wanted: all pictures, in order.

    Raises:
        EaselError: no pictures, or seeds out of range.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], prompts: Sequence[str], pictures: int, seed: int):
        if pictures < 1:
            raise EaselError(f"draw at least one picture of every prompt, not {pictures}.")
        total = len(prompts) * pictures
        if not 0 <= seed <= SEEDS - total:
            raise EaselError(f"seeds lie in 0 … 2³² − 1; {total} from {seed} on do not.")
        self.out, self.settings = out, json.loads(json.dumps(settings))
        self.wanted = [
            Picture(prompt, number, candidate, seed + number * pictures + candidate)
            for number, prompt in enumerate(prompts)
            for candidate in range(pictures)
        ]

    def open(self, share: Share = ALL) -> list[Picture]:
        """Makes the folder, or makes certain that it is of these settings; the pictures of a share that it lacks.

        Raises:
            EaselError: it has pictures of other settings or prompts.
        """
        with naming(f"--out {self.out}"):
            self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / SETTINGS
        if path.exists():
            found = read(path)
            if different := sorted(
                key for key in self.settings.keys() | found.keys() if self.settings.get(key) != found.get(key)
            ):
                key = different[0]
                raise EaselError(
                    f"{self.out} has pictures of other settings ({key} was {found.get(key)!r} and is "
                    f"{self.settings.get(key)!r}); name another folder, or delete it."
                )
        else:
            put(path, self.settings)
        left = []
        for place, picture in enumerate(self.wanted):
            path = self.record(picture)
            if not path.exists():
                if place % share.count == share.index:
                    left.append(picture)
            elif read(path).get("prompt") != picture.prompt:
                raise EaselError(
                    f"{path} is of another prompt than line {picture.number + 1} now is; name another folder."
                )
        return left

    def record(self, picture: Picture) -> Path:
        """The file that says that a picture is complete."""
        return self.out / f"{picture.name}.json"

    def image(self, picture: Picture) -> Path:
        """Where the picture itself is."""
        return self.out / f"{picture.name}.png"

    def missing(self) -> int:
        """How many pictures are not there, of all shares."""
        return sum(not self.record(picture).exists() for picture in self.wanted)

    def records(self) -> list[dict[str, Any]]:
        """What the files of all pictures say, in order. Raises EaselError: one is missing or damaged."""
        return [read(self.record(picture)) for picture in self.wanted]


def read(path: Path) -> dict[str, Any]:
    """A JSON file of the folder. Raises EaselError: it is damaged."""
    with naming(path, "JSON"):
        tree = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict):
        raise EaselError(f"{path} must be a mapping; delete it, and it is made again.")
    return tree


def put(path: Path, tree: Mapping[str, Any]) -> None:
    """Writes JSON in one atomic step; several processes may do so at once."""
    part = path.with_name(f"{path.name}.{os.uname().nodename}.{os.getpid()}.part")
    with naming(path):
        part.write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, path)

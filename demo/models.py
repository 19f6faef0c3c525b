"""The models that the page offers, and their painters."""

from pathlib import Path
from typing import Any

from demo.decoders import TITLES, Decoded, DecodedSampling
from lib.config_tree import Section, plain
from lib.errors import EaselError
from lib.generate import DALLE_MINI, NEEDED, SAMPLING, Painter
from lib.painter import kinds
from lib.painter.model import Editing, Filling
from lib.painter.parti import Autoregressive
from lib.painter.published import ABOUT, PAINTER, Published, names
from lib.weights import checkpoint

BATCH = 4  # pictures that are drawn together: few, so that progress shows
SHOWN = ("guidance", "temperature", "steps", "window")  # settings that the page has controls for


class Offered(Section):
    """A model, as the page shows it."""

    name: str
    """as `lib.generate.Painter` takes it"""
    title: str
    settings: dict[str, float]
    """those that the page has controls for, as they are usual"""
    fills: bool
    """whether it draws a part of a picture anew"""
    edits: bool
    """whether it also edits without a mask"""
    decoders: dict[str, str]
    """that it can be drawn with, and what people call them; {} is its own alone"""
    languages: list[str]
    """of its captions; [] is all"""
    exact: float | None = None
    """share of validation prompts drawn exactly right; CLIP score where no reader could tell"""


class Models:
    """Those below a folder of trained networks.

    Raises:
        EaselError: there are none.
    """

    def __init__(self, folder: Path):
        self.folder, self.painters = folder, dict[str, Painter]()
        self.offered = {name: _published(folder, name) for name in names(folder)}
        if all((folder / name).is_file() for name in NEEDED):
            usual = {name: value for name, value in SAMPLING.items() if name in SHOWN}
            own = Offered(
                name=DALLE_MINI,
                title="DALL·E Mini",
                settings=usual,
                fills=False,
                edits=False,
                decoders={},
                languages=[],
            )
            self.offered[DALLE_MINI] = own
        if not self.offered:
            raise EaselError(f"there is no model below {folder} to paint with; `make networks` brings some from Git.")

    def painter(self, name: str) -> Painter:
        """A model's painter, which stays. Raises EaselError: there is no such model."""
        if name not in self.offered:
            raise EaselError(f"there is no model {name!r}; there are {', '.join(self.offered)}.")
        if name not in self.painters:
            painter = self.painters[name] = Painter(self.folder, batch_size=BATCH, model=name)
            if self.offered[name].decoders:
                painter.worker.model = Decoded(painter.worker.model)
                painter.sampling = dict(painter.worker.model.sampling)
        return self.painters[name]

    def close(self) -> None:
        """Ends what painters have started."""
        for painter in self.painters.values():
            painter.close()


def _published(folder: Path, name: str) -> Offered:
    study, model = name.split("/")
    place = folder / study / PAINTER / model
    about: Any = Published.read(place / ABOUT)
    kind = kinds.KINDS[kinds.kind_of(place, checkpoint.load_network(place)[1])]
    decoded = issubclass(kind, Autoregressive)
    sampling = plain(about.sampling) | ({"window": DecodedSampling.model_fields["window"].default} if decoded else {})
    usual = {key: value for key, value in sampling.items() if key in SHOWN}
    return Offered(
        name=name,
        title=f"{name}: {kind.name}",
        settings=usual,
        fills=issubclass(kind, Filling),
        edits=issubclass(kind, Editing),
        decoders=TITLES if decoded else {},
        languages=about.languages,
        exact=about.exact,
    )

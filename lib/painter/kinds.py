"""The kinds of models that draw pictures of prompts, by what weights say of themselves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.errors import EaselError
from lib.models import text_encoder, vqgan
from lib.models.text_encoder import TextEncoder
from lib.models.vqgan import VQGAN
from lib.painter.enlarging import Enlarging
from lib.painter.flow import Flow
from lib.painter.latent import Latent
from lib.painter.masked import Masked
from lib.painter.model import Model
from lib.painter.next_scale import NextScale
from lib.painter.parti import Autoregressive
from lib.painter.pixels import Cascade, Pixels
from lib.painter.published import ABOUT, TEXT, WEIGHTS, Published, folders
from lib.weights import checkpoint

# Of a study's models, the first of these is the one that its name alone stands for: it fills gaps and edits.
KINDS: dict[str, type[Model]] = {
    "masked": Masked,
    "autoregressive": Autoregressive,
    "next_scale": NextScale,
    "flow": Flow,
    "latent": Latent,
    "super_resolution": Enlarging,
    "cascade": Cascade,
    "pixels": Pixels,
}


def trained(
    folder: Path,
    encoder: TextEncoder,
    tokenizer: VQGAN | None,
    sampling: Mapping[str, Any],
    where: str,
    base: Model | None = None,
) -> Model:
    """The model whose weights lie in a folder; see `lib.painter.model.Model`.

    Raises:
        EaselError: weights that are missing or damaged, or of a kind that is not known here.
    """
    arrays, meta = checkpoint.load_network(folder)
    return KINDS[kind_of(folder, meta)](arrays, meta, encoder, tokenizer, sampling, where, base)


def kind_of(folder: Path, meta: Mapping[str, Any]) -> str:
    """The kind of a model; refuses one that is not known."""
    if (kind := meta.get("kind")) not in KINDS:
        raise EaselError(f"{folder / WEIGHTS} is of kind {kind!r}; a painter knows {', '.join(KINDS)}.")
    return kind


def load(build: Path, name: str) -> Model:
    """A published model.

    Args:
        build: the folder of trained networks.
        name: <study>/<model>; <study> stands for the model of its that can do most.

    Raises:
        EaselError: there is none, or one of a kind that a painter does not know, or a file is missing or damaged.
    """
    found: dict[str, Path] = {}
    for folder in folders(build, name):
        found.setdefault(kind_of(folder, checkpoint.load_network(folder)[1]), folder)
    return _published(build, next(found[kind] for kind in KINDS if kind in found))


def _published(build: Path, folder: Path) -> Model:
    about, base = Published.read(folder / ABOUT), None
    if about.base:
        small = folder.with_name(about.base)
        if not (small / WEIGHTS).is_file():
            raise EaselError(f"{folder} enlarges the pictures of {small}, which is not there; `make repro` makes it.")
        base = _published(build, small)
    tokenizer = about.tokenizer and vqgan.load(build / "tokenizer" / about.tokenizer)
    return trained(folder, text_encoder.load(folder / TEXT), tokenizer, about.sampling, str(folder / ABOUT), base)

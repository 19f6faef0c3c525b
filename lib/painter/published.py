"""A trained model with what it takes to paint with it, in one folder: what a study leaves for the painter.

    build/<study>/painter/<model>/
        painter.json             `Published`: the sampling settings that were chosen, the image tokenizer
        model.safetensors        weights; their metadata say what kind of model they are of, and its sizes
        text/model.safetensors   the frozen text network

Weights are kept in half precision, so that the folder is small enough for Git: now and then a token comes out as
another one than with the weights that the study measured.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import EaselError
from lib.evidence.report import Report
from lib.weights import checkpoint

ABOUT, WEIGHTS, TEXT = "painter.json", "model.safetensors", "text"
PAINTER = "painter"  # below build/<study>
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


class Published(Report):
    """How to paint with a model."""

    sampling: dict[str, Any]
    """settings that were chosen on validation prompts, as the kind of model has them"""
    languages: list[str]
    """of the captions that it was trained on; [] is all there are"""
    exact: float | None = None
    """share of the validation prompts drawn exactly right in these settings; CLIP score where no reader can tell"""
    tokenizer: str | None = None
    """folder of the image tokenizer, below build/tokenizer; a model of pixels has none"""
    base: str | None = None
    """folder, beside this one, of the model that draws the small pictures, of one that enlarges them"""


def save(
    folder: Path, published: Published, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], text: Path
) -> None:
    """Writes a folder as above.

    Args:
        arrays: weights; meta: their kind and sizes.
        text: folder of the text network.
    """
    published.write(folder / ABOUT)
    checkpoint.save(folder / WEIGHTS, _halved(arrays), dict(meta))
    checkpoint.save(folder / TEXT / WEIGHTS, *_halved_network(text))


def _halved_network(folder: Path) -> tuple[dict[str, np.ndarray], dict]:
    arrays, meta = checkpoint.load_network(folder)
    return _halved(arrays), meta


def _halved(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float16) for name, array in arrays.items()}


def names(build: Path) -> list[str]:
    """The models that were published below `build`: <study>/<model>."""
    found = sorted(build.glob(f"*/{PAINTER}/*/{ABOUT}"))
    return [f"{path.parts[-4]}/{path.parts[-2]}" for path in found]


def folders(build: Path, name: str) -> list[Path]:
    """Those of the models that a name stands for: <study>/<model>, or <study> for all of a study.

    Raises:
        EaselError: there are none; the message says which there are, and how to make more.
    """
    there = names(build)
    found = [build / study / PAINTER / model for study, model in (one.split("/") for one in there)]
    wanted = [path for path, one in zip(found, there, strict=True) if name in (one, one.partition("/")[0])]
    if not wanted:
        study = name.partition("/")[0] if _NAME.fullmatch(name) else "<study>"
        raise EaselError(
            f"there is no model {name!r} below {build} to paint with; there are {', '.join(there) or 'none'}. "
            f"`make networks` brings those that Git tracks, `make repro STUDY={study}` makes all of a study's."
        )
    return wanted

"""The cascade of pixel diffusion models (Imagen's kind, Saharia et al. 2022, arXiv:2205.11487): one draws small
pictures, the next one enlarges them, and is told how much noise was added to what it enlarges (section 2.4)."""

from typing import Any

import numpy as np

from lib.config_tree import Section, plain
from lib.data.encoded import Encoded
from lib.data.store import Split
from lib.models import text_encoder
from lib.models.patches import shrunk, to_patches
from lib.models.unet import UNet, UNetConfig
from lib.pipeline.stage import Training
from lib.training.diffusion import DiffusionTrainee, NoisyBatches
from lib.weights.torch_state import generator
from studies.muse.code.material import ENCODER, encode_of, folders, pictures_of
from studies.muse.code.sizes import PICTURE
from studies.muse.code.training import Result, result

COLOURS = 3


def pixels_model(training: Training, *, settings: Section, seed: int, part: str, **words: Any) -> Result:
    """Trains the model of small pictures, and gives the averaged weights.

    Args:
        settings: a `PixelModelParams`.
        part: of the data.
        words: languages and longest caption, as of `studies.muse.code.material.pictures_of`.
    """
    shown, pictures = shown_of(part, words)
    return trained("pixels", training, settings, seed, shown, shrunk(pictures, PICTURE // settings.small))


def cascade_model(training: Training, *, settings: Section, seed: int, part: str, **words: Any) -> Result:
    """Trains the model that enlarges; as `pixels_model`, of `EnlargingModelParams`."""
    shown, pictures = shown_of(part, words)
    small = shrunk(pictures, PICTURE // settings.small)
    return trained("cascade", training, settings, seed, shown, pictures, small)


def shown_of(part: str, words: dict[str, Any]) -> tuple[Encoded, np.ndarray]:
    """Captions, and pictures uint8 [N, S, S, 3], of the train split."""
    where = folders(part)
    return pictures_of("train", where, **words), Split.open(where.data, "train").images(PICTURE)


def trained(
    kind: str,
    training: Training,
    settings: Section,
    seed: int,
    shown: Encoded,
    pictures: np.ndarray,
    small: np.ndarray | None = None,
) -> Result:
    """One U-Net over patches of pixels."""
    encoder, own = text_encoder.load(ENCODER), settings.descent
    cells = to_patches(np.asarray(pictures), settings.patch)  # [N, S / patch, S / patch, patch² · 3]
    rows, columns, channels = cells.shape[1:]
    config = UNetConfig(
        channels=channels,
        rows=rows,
        columns=columns,
        text_width=encoder.config.width,
        small_channels=0 if small is None else COLOURS,
        **dict(settings.sizes),
    )
    model = UNet(config, generator(seed, 0))
    batches = NoisyBatches(model, shown.captions, cells, encode_of(encoder), own, seed, small)
    arrays, numbers = result(kind, training, DiffusionTrainee(model, batches, own), own, len(cells), seed)
    return arrays, numbers | {"target": own.target, "noise": plain(own.noise), "patch": settings.patch}

"""The trainings of this study as parts: an autoregressive or a masked model on a part of the data, on one thread."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import nn

from lib.config_tree import Section, plain
from lib.models import text_encoder
from lib.models.autoregressive import AutoregressiveConfig
from lib.models.muse import Muse, MuseConfig
from lib.models.parti import Parti
from lib.models.text_encoder import SpanModel, TextConfig, TextEncoder
from lib.models.unet import UNet, UNetConfig
from lib.pipeline.stage import Training
from lib.text import TextTokenizer
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.diffusion import DiffusionTrainee
from lib.training.loop import Trainee, fit
from lib.training.muse import MuseTrainee
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams
from lib.training.spans import most_gaps
from lib.training.text import SpanTrainee
from lib.weights.torch_state import generator, module_arrays
from studies.muse.code.material import ENCODER, TEXT, encode_of, latents_of, pictures_of

Result = tuple[dict[str, np.ndarray], dict[str, Any]]


def text_network(
    training: Training, *, sizes: Section, spans: Section, texts: Sequence[str], text_length: int, seed: int
) -> Result:
    """Trains T5's kind of encoder on captions.

    Returns:
        its weights; its kind and sizes, the history.
    """
    text = TextTokenizer.load(TEXT)
    config = TextConfig(
        vocabulary=text.vocabulary,
        length=text_length,
        padding=text.pad_id,
        **dict(sizes),
        marks=most_gaps(text_length, spans.masked, spans.span),
    )
    encoder = TextEncoder(config, generator(seed, 0))
    model = SpanModel(encoder, spans.decoder_layers, generator(seed, 1))
    ids = text.encode(list(texts), text_length)
    history = trained(training, SpanTrainee(model, ids, spans, seed), spans.training, len(ids), seed)
    return module_arrays(encoder), {"kind": "TextEncoder", "config": asdict(config), "history": history}


def autoregressive_model(training: Training, *, settings: Section, codes: int, seed: int, **material: Any) -> Result:
    """Trains the autoregressive model.

    Args:
        settings: an `AutoregressiveModelParams`.
        codes: of the image tokenizer.
        material: as of `studies.muse.code.material.pictures_of`.
    """
    pictures, encoder = pictures_of("train", **material), text_encoder.load(ENCODER)
    rows, columns = pictures.grid
    config = AutoregressiveConfig(
        text_vocabulary=encoder.config.vocabulary,
        text_length=encoder.config.length,
        text_padding=encoder.config.padding,
        codes=codes,
        rows=rows,
        columns=columns,
        **dict(settings.sizes),
    )
    model = Parti(config, encoder.features, encoder.config.width, generator(seed, 0))
    trainee = AutoregressiveTrainee(model, pictures.captions, pictures.tokens, settings.training, seed)
    history = trained(training, trainee, settings.training, len(pictures.tokens), seed)
    return result("autoregressive", model, history)


def masked_model(training: Training, *, settings: Section, codes: int, seed: int, **material: Any) -> Result:
    """Trains the masked model, and gives the averaged weights; as `autoregressive_model`, of `MaskedModelParams`."""
    pictures, encoder = pictures_of("train", **material), text_encoder.load(ENCODER)
    rows, columns = pictures.grid
    config = MuseConfig(
        codes=codes, rows=rows, columns=columns, text_width=encoder.config.width, **dict(settings.sizes)
    )
    model, masked = Muse(config, generator(seed, 0)), settings.masked
    trainee = MuseTrainee(model, pictures.captions, pictures.tokens, encode_of(encoder), masked, seed)
    history = trained(training, trainee, masked.training, len(pictures.tokens), seed)
    return result("masked", trainee.average.network(), history)


def latent_model(training: Training, *, settings: Section, codes: int, seed: int, **material: Any) -> Result:
    """Trains the latent diffusion model, and gives the averaged weights; as `autoregressive_model`, of
    `LatentModelParams`. The codes are not its business: it draws the vectors that they stand for."""
    pictures, encoder = pictures_of("train", **material), text_encoder.load(ENCODER)
    latents, deviation = latents_of(material["part"], material["leave_out"])
    channels, rows, columns = latents.shape[1:]
    config = UNetConfig(
        channels=channels, rows=rows, columns=columns, text_width=encoder.config.width, **dict(settings.sizes)
    )
    model, diffusion = UNet(config, generator(seed, 0)), settings.diffusion
    trainee = DiffusionTrainee(model, pictures.captions, latents, encode_of(encoder), diffusion, seed)
    history = trained(training, trainee, diffusion.training, len(latents), seed)
    arrays, numbers = result("latent", trainee.average.network(), history)
    return arrays, numbers | {"deviation": deviation, "target": diffusion.target, "noise": plain(diffusion.noise)}


def trained(where: Training, trainee: Trainee, settings: DescentParams, items: int, seed: int) -> list[dict]:
    """Trains, resuming where an interrupted run stopped; returns the history of `fit`."""
    return fit(
        trainee,
        name="train",
        steps=settings.steps,
        order=BatchOrder(items, settings.batch_size, seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )


def result(kind: str, model: nn.Module, history: list[dict]) -> Result:
    """Weights; kind, sizes and number of parameters of the network, the history of its training."""
    numbers = {
        "kind": kind,
        "config": asdict(model.config),
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "history": history,
    }
    return module_arrays(model), numbers

"""The trainings of this study as parts: an autoregressive or a masked model on a part of the data, on one thread."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from lib.config_tree import Section, plain
from lib.data.encoded import Encoded
from lib.models import text_encoder, vqgan
from lib.models.muse import Muse, MuseConfig, MuseSuperResolution, SuperResolutionConfig
from lib.models.parti import Parti
from lib.models.text_encoder import SpanModel, TextConfig, TextEncoder
from lib.models.unet import UNet, UNetConfig
from lib.pipeline.stage import Training
from lib.text import TextTokenizer
from lib.training.captioned import CaptionedTrainee
from lib.training.diffusion import DiffusionTrainee, NoisyBatches
from lib.training.loop import Trainee, fit
from lib.training.muse import MaskedBatches, MuseTrainee
from lib.training.order import BatchOrder
from lib.training.parti import PartiTrainee, TokenBatches
from lib.training.settings import DescentParams
from lib.training.spans import most_gaps
from lib.training.text import SpanTrainee
from lib.weights.torch_state import generator, module_arrays
from studies.muse.code.material import ENCODER, TEXT, TOKENIZER, encode_of, folders, latents_of, pictures_of
from studies.muse.code.sizes import PICTURE

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


def autoregressive_model(training: Training, *, settings: Section, seed: int, part: str, **words: Any) -> Result:
    """Trains the autoregressive model, and gives the averaged weights.

    Args:
        settings: an `AutoregressiveModelParams`.
        part: of the data.
        words: languages and longest caption, as of `studies.muse.code.material.pictures_of`.
    """
    pictures, encoder, own = pictures_of("train", folders(part), **words), text_encoder.load(ENCODER), settings.descent
    vectors = codebook()
    model = Parti(config_of(pictures, encoder, vectors, settings.sizes, neighbours=False), generator(seed, 0), vectors)
    batches = TokenBatches(model, pictures.captions, pictures.tokens, encode_of(encoder), own, seed)
    return result("autoregressive", training, PartiTrainee(model, batches, own), own, len(pictures.tokens), seed)


def masked_model(training: Training, *, settings: Section, seed: int, part: str, **words: Any) -> Result:
    """Trains the masked model; as `autoregressive_model`, of `MaskedModelParams`."""
    pictures, encoder, own = pictures_of("train", folders(part), **words), text_encoder.load(ENCODER), settings.descent
    vectors = codebook()
    model = Muse(config_of(pictures, encoder, vectors, settings.sizes), generator(seed, 0), vectors)
    batches = MaskedBatches(model, pictures.captions, pictures.tokens, encode_of(encoder), own, seed)
    return result("masked", training, MuseTrainee(model, batches, own), own, len(pictures.tokens), seed)


def super_resolution_model(training: Training, *, settings: Section, seed: int, part: str, **words: Any) -> Result:
    """Trains the super-resolution model on the pictures that are large enough; as `autoregressive_model`, of
    `SuperResolutionModelParams`."""
    where, encoder = folders(part), text_encoder.load(ENCODER)
    pictures = pictures_of("train", where, **words)
    large = pictures_of("train", where, **words, size=2 * PICTURE)  # the first ones
    small, (rows, columns) = pictures.tokens[: len(large.tokens)], pictures.grid
    vectors = codebook()
    config = SuperResolutionConfig(
        codes=len(vectors),
        code_width=vectors.shape[1],
        rows=2 * rows,
        columns=2 * columns,
        small_rows=rows,
        small_columns=columns,
        text_width=encoder.config.width,
        **dict(settings.sizes),
    )
    model, own = MuseSuperResolution(config, generator(seed, 0), vectors), settings.descent
    batches = MaskedBatches(model, large.captions, large.tokens, encode_of(encoder), own, seed, small)
    return result("super_resolution", training, MuseTrainee(model, batches, own), own, len(small), seed)


def latent_model(training: Training, *, settings: Section, seed: int, part: str, **words: Any) -> Result:
    """Trains the latent diffusion model; as `autoregressive_model`, of `LatentModelParams`. It draws
    the vectors that codes stand for."""
    pictures, encoder = pictures_of("train", folders(part), **words), text_encoder.load(ENCODER)
    latents, deviation = latents_of(folders(part), len(pictures.tokens))
    channels, rows, columns = latents.shape[1:]
    config = UNetConfig(
        channels=channels, rows=rows, columns=columns, text_width=encoder.config.width, **dict(settings.sizes)
    )
    model, own = UNet(config, generator(seed, 0)), settings.descent
    batches = NoisyBatches(model, pictures.captions, latents, encode_of(encoder), own, seed)
    arrays, numbers = result("latent", training, DiffusionTrainee(model, batches, own), own, len(latents), seed)
    return arrays, numbers | {"deviation": deviation, "target": own.target, "noise": plain(own.noise)}


def codebook() -> Tensor:
    """The coarse tokenizer's codes, float [codes, K]."""
    return vqgan.load(TOKENIZER).quantizer.codebook


def config_of(pictures: Encoded, encoder: TextEncoder, vectors: Tensor, sizes: Section, **others: bool) -> MuseConfig:
    """Sizes of a network over image tokens whose codes are `vectors`."""
    (codes, code_width), (rows, columns) = vectors.shape, pictures.grid
    tokens = {"codes": codes, "code_width": code_width, "rows": rows, "columns": columns}
    return MuseConfig(**tokens, text_width=encoder.config.width, **dict(sizes), **others)


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


def result(
    kind: str, training: Training, trainee: CaptionedTrainee, settings: Section, items: int, seed: int
) -> Result:
    """Trains and gives the averaged weights; kind, sizes and number of parameters, the history of the training."""
    history = trained(training, trainee, settings.training, items, seed)
    model = trainee.average.network()
    numbers = {
        "kind": kind,
        "config": asdict(model.config),
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "history": history,
    }
    return module_arrays(model), numbers

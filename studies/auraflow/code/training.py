"""The trainings of image models as parts, on one thread each."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from lib.config_tree import Section, plain
from lib.models import multi_scale_vqgan, text_encoder, vqgan
from lib.models.latents import Latents
from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.models.muse import MuseConfig
from lib.models.parti import Parti
from lib.models.unet import UNet, UNetConfig
from lib.models.var import Var, VarConfig
from lib.pipeline.stage import Training
from lib.training.captioned import CaptionedTrainee
from lib.training.diffusion import DiffusionTrainee, NoisyBatches
from lib.training.loop import Trainee, fit
from lib.training.multi_scale import MultiScaleTrainee
from lib.training.order import BatchOrder
from lib.training.parti import PartiTrainee, TokenBatches
from lib.training.var import VarTrainee
from lib.weights.torch_state import generator, module_arrays
from studies.auraflow.code.material import SCALES, TOKENIZER, encode_of, train_images, train_pictures

Result = tuple[dict[str, np.ndarray], dict[str, Any]]
SCALED = 256  # pictures that say how large latents are


def flow(training: Training, *, settings: Section, text: str, text_length: int, seed: int) -> Result:
    """Trains the rectified-flow transformer on the coarse tokenizer's vectors, and gives the averaged weights.

    Args:
        settings: a `FlowModelParams`.
        text: folder of the text network that reads its captions.
        text_length: the longest caption, in tokens.
    """
    return denoiser(training, "flow", MMDiT, MMDiTConfig, settings, text, text_length, seed)


def unet(training: Training, *, settings: Section, text: str, text_length: int, seed: int) -> Result:
    """Trains the U-Net on the same; as `flow`, of `UNetModelParams`."""
    return denoiser(training, "latent", UNet, UNetConfig, settings, text, text_length, seed)


def denoiser(
    training: Training,
    kind: str,
    network: type[nn.Module],
    config: type,
    settings: Section,
    text: str,
    text_length: int,
    seed: int,
) -> Result:
    """Trains a network that denoises vectors."""
    pictures, encoder, own = train_pictures(text_length), text_encoder.load(Path(text)), settings.descent
    images = np.asarray(train_images()[: len(pictures.tokens)])
    latents = Latents.of(vqgan.load(TOKENIZER), images[:SCALED]).encode(images)  # [N, d, h, w]
    channels, rows, columns = latents.shape[1:]
    sizes = {"channels": channels, "rows": rows, "columns": columns, "text_width": encoder.config.width}
    model = network(config(**sizes, **dict(settings.sizes)), generator(seed, 0))
    batches = NoisyBatches(model, pictures.captions, latents, encode_of(encoder), own, seed)
    arrays, numbers = result(training, DiffusionTrainee(model, batches, own), own, len(latents), seed)
    return arrays, numbers | {"kind": kind, "text": text, "target": own.target, "noise": plain(own.noise)}


def raster(training: Training, *, settings: Section, text: str, text_length: int, seed: int) -> Result:
    """Trains the autoregressive model of coarse tokens; as `flow`, of `TokenModelParams`."""
    pictures, encoder, own = train_pictures(text_length), text_encoder.load(Path(text)), settings.descent
    rows, columns = pictures.grid
    vectors = vqgan.load(TOKENIZER).quantizer.codebook  # [codes, K]
    sizes = {"rows": rows, "columns": columns, "text_width": encoder.config.width, "neighbours": False}
    codes, code_width = vectors.shape
    config = MuseConfig(codes=codes, code_width=code_width, **sizes, **dict(settings.sizes))
    model = Parti(config, generator(seed, 0), vectors)
    batches = TokenBatches(model, pictures.captions, pictures.tokens, encode_of(encoder), own, seed)
    arrays, numbers = result(training, PartiTrainee(model, batches, own), own, len(pictures.tokens), seed)
    return arrays, numbers | {"kind": "autoregressive", "text": text}


def scales(training: Training, *, settings: Section, seed: int) -> Result:
    """Trains the image tokenizer of all scales, of `MultiScaleParams`: its weights; its sizes, the history."""
    images = train_images()
    trainee = MultiScaleTrainee(settings, vqgan.load(TOKENIZER), images, seed)
    history = trained(training, trainee, settings, len(images), seed)
    return module_arrays(trainee.model), {"config": trainee.model.config, "history": history}


def next_scale(training: Training, *, settings: Section, text: str, text_length: int, seed: int) -> Result:
    """Trains the next-scale model, as `raster`. Its tokenizer's weights go with its own (lib/painter/next_scale.py);
    sizes and number of parameters are the model's alone."""
    pictures, encoder, own = train_pictures(text_length), text_encoder.load(Path(text)), settings.descent
    tokenizer = multi_scale_vqgan.load(SCALES)
    images = np.asarray(train_images()[: len(pictures.tokens)])
    tokens = multi_scale_vqgan.encode_batches(tokenizer, images)  # [N, length]
    sizes = {name: tokenizer.config[name] for name in ("codes", "scales", "code_width")}
    config = VarConfig(text_width=encoder.config.width, **sizes, **dict(settings.sizes))
    model = Var(config, generator(seed, 0), tokenizer.quantizer.codebook)
    batches = TokenBatches(model, pictures.captions, tokens, encode_of(encoder), own, seed)
    trainee = VarTrainee(model, batches, own, tokenizer.quantizer)
    arrays, numbers = result(training, trainee, own, len(tokens), seed)
    arrays = {f"model.{name}": array for name, array in arrays.items()} | module_arrays(tokenizer, "tokenizer.")
    return arrays, numbers | {"kind": "next_scale", "text": text, "tokenizer": tokenizer.config}


WORK = {"flow": flow, "unet": unet, "next_scale": next_scale, "raster": raster}


def trained(where: Training, trainee: Trainee, settings: Any, items: int, seed: int) -> list[dict]:
    """Trains, resuming where an interrupted run stopped; returns the history of `fit`."""
    return fit(
        trainee,
        name="train",
        steps=settings.steps,
        order=BatchOrder(items, settings.batch_size, seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )


def result(where: Training, trainee: CaptionedTrainee, settings: Section, items: int, seed: int) -> Result:
    """Trains and gives the averaged weights; sizes and number of parameters, the history of the training."""
    history = trained(where, trainee, settings.training, items, seed)
    model = trainee.average.network()
    weights = sum(weights.numel() for weights in model.parameters())
    return module_arrays(model), {"config": asdict(model.config), "parameters": weights, "history": history}

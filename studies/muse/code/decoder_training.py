"""The training of a decoder as a part: everything else of the tokenizer stays as it is (Muse, section 2.5)."""

from typing import Any

import numpy as np

from lib.config_tree import Section
from lib.data.store import Split
from lib.models import clip, vqgan
from lib.models.decoder import decoder
from lib.pipeline.stage import Training
from lib.training.decoder import decoder_trainee
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.weights.torch_state import generator, module_arrays
from studies.muse.code.material import TOKENIZER, folders
from studies.muse.code.sizes import PICTURE
from studies.muse.code.texts import CLIP

OWN_BLOCKS = 2  # of the tokenizer's decoder


def decoder_model(
    training: Training, *, settings: Section, part: str, seed: int, larger: bool, perceptual_weight: float
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Trains a larger decoder, or as long the tokenizer's own, from where it is.

    Args:
        settings: a `DecoderParams`.
        part: of the data, whose pictures it paints.

    Returns:
        its weights; their number, the history.
    """
    tokenizer, where = vqgan.load(TOKENIZER), folders(part)
    images, tokens = Split.open(where.data, "train").images(PICTURE), np.load(where.tokens / f"train_{PICTURE}.npy")
    width, blocks = (settings.width, settings.blocks) if larger else (tokenizer.config["width"], OWN_BLOCKS)
    layers = decoder(tokenizer, width, blocks, generator(seed, 0))
    if not larger:
        layers.load_state_dict(tokenizer.decoder.state_dict())
    extractor = clip.load(CLIP).features
    trainee = decoder_trainee(
        tokenizer, layers, images, tokens, settings.steps, settings.learning_rate, extractor, perceptual_weight
    )
    history = fit(
        trainee,
        name="train",
        steps=settings.steps,
        order=BatchOrder(len(tokens), settings.batch_size, seed),
        checkpoint=training.checkpoint,
        fingerprint=training.fingerprint,
    )
    numbers = {"parameters": sum(weights.numel() for weights in layers.parameters()), "history": history}
    return module_arrays(layers), numbers | {"width": width, "blocks": blocks}

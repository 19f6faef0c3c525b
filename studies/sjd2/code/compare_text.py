"""Stage sjd2/compare_text: do the decoders that save passes on pictures save them on text? → build/compare_text.json.

A text is a stretch of captions, one after another, whose characters (bytes of UTF-8) are the codes of a picture of one
row: the same network draws it, without a caption, and so do the same decoders, with their authors' settings. Every
training is a part, which decodes as well.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.config_tree import Section
from lib.data.captions import Captions
from lib.data.encoded import chosen_languages
from lib.data.store import CAPTIONS, Split, read_meta
from lib.decoding import jacobi, sjd, sjdpp
from lib.decoding.noise import RowRandom
from lib.evidence.report import Estimate
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig, nats
from lib.models.autoregressive_predictor import AutoregressivePredictor
from lib.painter.autoregressive import row_seeds
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.pipeline.stage import Training
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.weights import checkpoint
from lib.weights.torch_state import generator
from studies.sjd2.code.reports import TextComparison
from studies.sjd2.code.settings import Params

DATA, OUT = Path("data"), Path("build/compare_text.json")
CHARACTERS = 256
SEPARATOR = "\n"  # between captions
SILENT, PADDING = 0, 1  # the only "caption" of a text, and what it never has

# The authors' window, and of SJD++ the threshold that the study's other groups use.
DECODERS = {
    "jacobi": (jacobi.decode, {"window": 16}),
    "shared": (jacobi.decode, {"window": 16, "noise": "shared"}),
    "sjd": (sjd.decode, {"window": 16}),
    "sjdpp": (sjdpp.decode, {"window": 16, "threshold": 0.1}),
}


def run(params: Params) -> None:
    """Trains and decodes all of them, side by side."""
    settings = params.text_model
    language = chosen_languages(params.autoregressive.languages, read_meta(DATA)["languages"])[0]
    inputs = [DATA / split / CAPTIONS for split in ("train", "test")]
    listed = [
        Part(
            name=f"text {number}",
            work=trained_and_decoded,
            arguments={"settings": settings, "language": language, "seed": params.seed_of("text", number)},
            inputs=inputs,
            size=settings.training.steps,
        )
        for number in range(settings.trainings)
    ]
    paths = parts.run("sjd2/compare_text", listed)
    arrays, numbers = zip(*(checkpoint.load(paths[part.name]) for part in listed), strict=True)
    TextComparison(
        parameters=numbers[0]["parameters"],
        updates=settings.training.steps,
        length=settings.length,
        rows=settings.rows,
        nats=Estimate.of([float(one["nats"].mean()) for one in arrays], "text nats"),
        compression={
            name: Estimate.of([float(settings.length / one[name].mean()) for one in arrays], f"text {name}")
            for name in DECODERS
        },
        sample=numbers[0]["sample"],
    ).write(OUT)


def trained_and_decoded(
    training: Training, *, settings: Section, language: str, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A character model of the captions, and what every decoder takes for texts by it.

    Args:
        settings: a `TextModelParams`.

    Returns:
        passes int [rows] by decoder, nats a character float [stretches of the test captions]; size and a sampled text.
    """
    train, test = (stretches(texts_of(split, language), settings.length) for split in ("train", "test"))
    model = Autoregressive(config_of(settings), generator(seed, 0))
    # A `Captions` without any: every stretch has the same one token for a caption.
    silence = Captions([{language: [""]}] * len(train), silent)
    fit(
        AutoregressiveTrainee(model, silence, train, settings.training, seed),
        name="sjd2/compare_text",
        steps=settings.training.steps,
        order=BatchOrder(len(train), settings.training.batch_size, seed),
        checkpoint=training.checkpoint,
        fingerprint=training.fingerprint,
    )
    model.eval()
    few = test[: settings.measured]
    found = {"nats": nats(model, silent(few), few).mean(axis=1)}
    sample = b""
    for name, (decode, options) in DECODERS.items():
        texts = torch.from_numpy(silent(range(settings.rows)))
        predictor = AutoregressivePredictor(model, texts, texts[0])
        drawn = decode(predictor, RowRandom(row_seeds(seed, range(settings.rows))), **options)
        found[name] = drawn.passes.numpy()
        sample = sample or bytes(drawn.tokens[0].tolist())
    parameters = sum(weights.numel() for weights in model.parameters())
    return found, {"parameters": parameters, "sample": sample.decode("utf-8", "replace")}


def silent(texts: Sequence) -> np.ndarray:
    """The caption that no text has, int64 [len, 1]."""
    return np.full((len(texts), 1), SILENT, np.int64)


def config_of(settings: Section) -> AutoregressiveConfig:
    """The network of a picture of one row, whose codes are characters."""
    return AutoregressiveConfig(
        text_vocabulary=2,
        text_length=1,
        text_padding=PADDING,
        codes=CHARACTERS,
        rows=1,
        columns=settings.length,
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        feed_forward=settings.feed_forward,
    )


def texts_of(split: str, language: str) -> str:
    """The captions of a split, one after another."""
    entries = Split.open(DATA, split).captions
    return SEPARATOR.join(caption for entry in entries for caption in entry[language])


def stretches(text: str, length: int) -> np.ndarray:
    """A text cut into stretches of `length` bytes, the rest left out: uint8 [N, length]."""
    characters = np.frombuffer(text.encode(), np.uint8)
    return characters[: len(characters) // length * length].reshape(-1, length)

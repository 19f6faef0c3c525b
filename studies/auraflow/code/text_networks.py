"""The frozen text networks as parts: an encoder of T5's kind, a decoder-only language model, CLIP's caption tower."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from torch import nn

from lib.config_tree import Section
from lib.models.clip import load as load_clip
from lib.models.text_encoder import LanguageModel, SpanModel, TextConfig, TextEncoder, caption_tower, described
from lib.pipeline.stage import Training
from lib.text import TextTokenizer
from lib.training.spans import most_gaps
from lib.training.text import LanguageTrainee, SpanTrainee
from lib.weights.torch_state import generator, module_arrays
from studies.auraflow.code.material import TEXT
from studies.auraflow.code.training import Result, trained


def encoder(training: Training, *, settings: Section, texts: Sequence[str], text_length: int, seed: int) -> Result:
    """Trains T5's kind of encoder on gaps in captions.

    Args:
        settings: a `TextsParams`.

    Returns:
        its weights; its kind and sizes, the history.
    """
    text, marks = TextTokenizer.load(TEXT), most_gaps(text_length, settings.masked, settings.span)
    config = config_of(text, settings.sizes, text_length, marks)
    network = TextEncoder(config, generator(seed, 0))
    model, ids = SpanModel(network, settings.decoder_layers, generator(seed, 1)), text.encode(list(texts), text_length)
    history = trained(training, SpanTrainee(model, ids, settings, seed), settings.training, len(ids), seed)
    return module_arrays(network), {"kind": "TextEncoder", "config": asdict(config), "history": history}


def language_model(
    training: Training, *, settings: Section, texts: Sequence[str], text_length: int, seed: int, dropped: int
) -> Result:
    """Trains a decoder-only model on the next token of captions, and drops its last layers; otherwise as `encoder`.

    Kolors reads the last layer but one: the last one is about the next token more than about those that are there.
    """
    text = TextTokenizer.load(TEXT)
    config, ids = config_of(text, settings.sizes, text_length), text.encode(list(texts), text_length)
    model = LanguageModel(replace(config, layers=config.layers + dropped), generator(seed, 0))
    history = trained(training, LanguageTrainee(model, ids, settings), settings.training, len(ids), seed)
    if dropped:
        del model.blocks[config.layers :]
        nn.init.ones_(model.norm.weight)  # it was trained for what the dropped layers gave
    return module_arrays(model), {"kind": "LanguageModel", "config": asdict(config), "history": history}


def clip(training: Training, *, folder: str) -> Result:
    """Takes the caption tower of the CLIP that all studies share: nothing is trained."""
    tower = caption_tower(load_clip(Path(folder)))
    return module_arrays(tower), described(tower)


def config_of(text: TextTokenizer, sizes: Section, length: int, marks: int = 0) -> TextConfig:
    """Sizes of a text network over the words of `text`."""
    return TextConfig(vocabulary=text.vocabulary, length=length, padding=text.pad_id, marks=marks, **dict(sizes))


TASKS = {"gaps": encoder, "next_token": language_model, "clip": clip}

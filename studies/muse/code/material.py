"""What the models of this study are trained on and asked: a part of the data, captions, prompts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.config_tree import Section
from lib.data.captions import Captions
from lib.data.encoded import Encoded, chosen_languages
from lib.data.store import Split, read_meta
from lib.models import text_encoder, vqgan
from lib.models.latents import Latents
from lib.models.text_encoder import TextFeatures
from lib.scenes.prompts import random_prompts
from lib.text import TextTokenizer

DATA, TOKENS, TEXT = Path("data"), Path("build/tokens/coarse"), Path("build/text/tokenizer.json")
ENCODER, TOKENIZER = Path("build/muse/text"), Path("build/tokenizer/coarse")
PICTURE = 64  # pixels a side
SCALED = 256  # pictures that say how large latents are


def members(split: Split, part: Section, leave_out: Sequence[str], most: int | None = None) -> np.ndarray:
    """Numbers of the pictures of a split that belong to a part of the data, int64, ascending.

    Where the data source does not say what its pictures show, all are.

    Args:
        part: a `PartParams`.
        leave_out: kinds of background that the tokenizer was not trained on.
        most: only the first so many pictures are looked at.
    """
    numbers = np.arange(len(split) if most is None else min(most, len(split)))
    scenes = split.scenes
    return numbers if scenes is None else numbers[[belongs(scenes[n], part, leave_out) for n in numbers]]


def belongs(scene: dict[str, Any], part: Section, leave_out: Sequence[str]) -> bool:
    """Whether a picture shows no more than a part of the data has."""
    kind, objects = scene["background"]["kind"], scene["objects"]
    return (
        len(objects) <= part.most_objects
        and kind not in leave_out
        and (not part.backgrounds or kind in part.backgrounds)
        and (not part.textures or all(one["texture"] in part.textures for one in objects))
    )


def pictures_of(
    split: str, part: Section, leave_out: Sequence[str], languages: Sequence[str], text_length: int
) -> Encoded:
    """The coarse tokens and the captions of the pictures of a split that belong to a part."""
    grids, source = np.load(TOKENS / f"{split}_{PICTURE}.npy"), Split.open(DATA, split)
    numbers = members(source, part, leave_out, len(grids))
    chosen = chosen_languages(languages, read_meta(DATA)["languages"])
    entries = [{language: source.captions[number][language] for language in chosen} for number in numbers]
    encode = partial(TextTokenizer.load(TEXT).encode, length=text_length)
    tokens = grids[numbers].reshape(len(numbers), -1)  # [N, h, w] → [N, h · w]
    return Encoded(tokens, grids.shape[1:], Captions(entries, encode))


def latents_of(part: Section, leave_out: Sequence[str]) -> tuple[np.ndarray, float]:
    """Latents float32 [N, d, h, w] of the train pictures of a part, in the order of `pictures_of`, and their scale."""
    source = Split.open(DATA, "train")
    grids = np.load(TOKENS / f"train_{PICTURE}.npy", mmap_mode="r")
    images = source.images(PICTURE)
    numbers = members(source, part, leave_out, len(grids))
    way = Latents.of(vqgan.load(TOKENIZER), np.asarray(images[numbers[:SCALED]]))
    return way.encode(np.asarray(images[numbers])), way.deviation


def text_features(text_ids: Tensor, encoder: text_encoder.TextEncoder) -> TextFeatures:
    """What a frozen encoder makes of captions int64 [B, S], without the padding that all share."""
    present = text_ids != encoder.config.padding
    return encoder.features(text_ids[:, : int(present.sum(dim=1).max())])


def encode_of(encoder: text_encoder.TextEncoder) -> partial:
    """Captions → features, as models and trainees take it."""
    return partial(text_features, encoder=encoder)


def tokenised(texts: Sequence[str], text_length: int) -> Tensor:
    """Captions as token ids, int64 [N, text_length]."""
    return torch.from_numpy(TextTokenizer.load(TEXT).encode(list(texts), text_length).astype(np.int64))


def objects_asked(prompt: dict[str, Any]) -> int:
    """How many objects a prompt asks for."""
    return sum(item["count"] for item in prompt["require"]["objects"])


def fitting(prompts: Sequence[dict[str, Any]], part: Section) -> list[dict[str, Any]]:
    """The prompts that ask for no more objects than a part has, and those that say nothing of it."""
    return [one for one in prompts if not one["require"] or objects_asked(one) <= part.most_objects]


def validation_prompts(part: Section, per_category: int, seed: int) -> list[dict[str, Any]]:
    """Prompts for choosing settings: others than the data's, which the comparison is measured on."""
    drawn = random_prompts(np.random.Generator(np.random.PCG64([seed, 1])), per_category, part.most_objects)
    return fitting(drawn, part)

"""Where this study's things lie, and what its models are trained on and asked."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.data.encoded import Encoded, encoded_splits
from lib.data.store import Split
from lib.models import text_encoder
from lib.models.text_encoder import TextFeatures
from lib.pipeline import own_pictures
from lib.text import TextTokenizer

SHARED, TEXT, TOKENIZER = Path("data"), Path("build/text/tokenizer.json"), Path("build/tokenizer/coarse")
CLIP = Path("build/clip")
PARTS, PART = Path("build/auraflow/parts"), "one"  # pictures of one object, which this study draws
TEXTS, SCALES, MODELS = Path("build/auraflow/texts"), Path("build/auraflow/scales"), Path("build/auraflow/models")
SCHEDULES = Path("build/auraflow/schedules")
SETTINGS, DRAWN = Path("build/auraflow/settings.json"), Path("build/auraflow/drawn")
SIZE = 64  # of pictures, in pixels a side
HELDOUT = "heldout"  # category of prompts with shapes in colours that no training picture has


def data() -> Path:
    """The pictures that were drawn for this study; where none were, those that all studies share."""
    return own_pictures.folders(PARTS, PART, TOKENIZER.name).data


def tokens() -> Path:
    """Their coarse tokens."""
    return own_pictures.folders(PARTS, PART, TOKENIZER.name).tokens


def folder(training: str, seed: int) -> Path:
    """Where one training's model lies."""
    return MODELS / training / str(seed)


def pictures_of(split: str, text_length: int, size: int = SIZE) -> Encoded:
    """The coarse tokens and the captions of a split, in all languages; those that are there in that size."""
    encode = partial(TextTokenizer.load(TEXT).encode, length=text_length)
    return encoded_splits(data(), tokens(), [split], size, (), (), encode)[split]


def images_of(split: str, size: int = SIZE) -> np.ndarray:
    """Pictures of a split, uint8 [N, S, S, 3], read as they are needed."""
    return Split.open(data(), split).images(size)


def text_features(text_ids: Tensor, encoder: text_encoder.TextEncoder) -> TextFeatures:
    """What a frozen encoder makes of captions int64 [B, S], without the padding that all share."""
    present = text_ids != encoder.config.padding
    return encoder.features(text_ids[:, : int(present.sum(dim=1).max())])


def tokenised(texts: Sequence[str], text_length: int) -> Tensor:
    """Captions as token ids, int64 [N, text_length]."""
    return torch.from_numpy(TextTokenizer.load(TEXT).encode(list(texts), text_length).astype(np.int64))


def objects_asked(prompt: dict[str, Any]) -> int:
    """How many objects a prompt asks for."""
    return sum(item["count"] for item in prompt["require"]["objects"])


def encode_of(encoder: text_encoder.TextEncoder) -> partial:
    """Captions → features, as models and trainees take it."""
    return partial(text_features, encoder=encoder)

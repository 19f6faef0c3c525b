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
from lib.text import TextTokenizer

SHARED, TEXT, TOKENIZER = Path("data"), Path("build/text/tokenizer.json"), Path("build/tokenizer/coarse")
CLIP = Path("build/clip")
PICTURES, TOKENS = Path("build/auraflow/pictures"), Path("build/auraflow/tokens")
TEXTS, SCALES, MODELS = Path("build/auraflow/texts"), Path("build/auraflow/scales"), Path("build/auraflow/models")
SCHEDULES = Path("build/auraflow/schedules")
SETTINGS, DRAWN = Path("build/auraflow/settings.json"), Path("build/auraflow/drawn")
SIZE = 64  # of all pictures, in pixels a side
HELDOUT = "heldout"  # category of prompts with shapes in colours that no training picture has


def data() -> Path:
    """The pictures that were drawn for this study; where none were, those that all studies share."""
    return PICTURES if PICTURES.is_dir() else SHARED


def folder(training: str, seed: int) -> Path:
    """Where one training's model lies."""
    return MODELS / training / str(seed)


def train_pictures(text_length: int) -> Encoded:
    """The coarse tokens and the captions of the train split, in all languages."""
    encode = partial(TextTokenizer.load(TEXT).encode, length=text_length)
    return encoded_splits(data(), TOKENS, ["train"], SIZE, (), (), encode)["train"]


def train_images() -> np.ndarray:
    """Pictures of the train split, uint8 [N, S, S, 3], read as they are needed."""
    return Split.open(data(), "train").images(SIZE)


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

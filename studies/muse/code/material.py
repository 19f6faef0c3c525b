"""What the models of this study are trained on and asked: a part of the data, captions, prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.config import EvaluationParams
from lib.data.encoded import Encoded, encoded_splits
from lib.data.store import Split, read_prompts
from lib.metrics.panel import Panel
from lib.models import text_encoder, vqgan
from lib.models.latents import Latents
from lib.models.text_encoder import TextFeatures
from lib.scenes.kept import Kept
from lib.scenes.prompts import random_prompts
from lib.text import TextTokenizer
from studies.muse.code.sizes import PICTURE

DATA, TEXT = Path("data"), Path("build/text/tokenizer.json")
PARTS, ENCODER, TOKENIZER = Path("build/muse/parts"), Path("build/muse/text"), Path("build/tokenizer/coarse")
HELDOUT = "heldout"  # category of prompts with shapes in colours that no training picture has
SCALED = 256  # pictures that say how large latents are


@dataclass(frozen=True, order=True)
class Folders:
    """Where a part of the data lies.

    Attributes:
        data: in the format of `lib.data.store`.
        tokens: of the coarse tokenizer, `<split>_<size>.npy`.
    """

    data: Path
    tokens: Path


def folders(part: str) -> Folders:
    """Those of a part that was drawn; where none was, everything there is."""
    drawn = PARTS / part / "data"
    return Folders(drawn if drawn.is_dir() else DATA, (drawn.parent if drawn.is_dir() else PARTS) / "tokens")


def pictures_of(
    split: str, folders: Folders, languages: Sequence[str], text_length: int, size: int = PICTURE
) -> Encoded:
    """The coarse tokens and the captions of the pictures of a split."""
    encode = partial(TextTokenizer.load(TEXT).encode, length=text_length)
    return encoded_splits(folders.data, folders.tokens, [split], size, (), languages, encode)[split]


def latents_of(folders: Folders, count: int) -> tuple[np.ndarray, float]:
    """Latents float32 [N, d, h, w] of the first train pictures, in the order of `pictures_of`, and their scale."""
    images = Split.open(folders.data, "train").images(PICTURE)
    way = Latents.of(vqgan.load(TOKENIZER), np.asarray(images[:SCALED]))
    return way.encode(np.asarray(images[:count])), way.deviation


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


def validation_prompts(most_objects: int, kept: Kept, per_category: int, seed: int) -> list[dict[str, Any]]:
    """Prompts for choosing settings: others than the data's, which the comparison is measured on; none held out."""
    found = random_prompts(np.random.Generator(np.random.PCG64([seed, 1])), per_category, most_objects, kept)
    return [prompt for prompt in found if prompt["category"] != HELDOUT]


def panel_of(evaluation: EvaluationParams, seed: int, part: str) -> Panel:
    """What measures the pictures that were drawn for a part of the data."""
    panel, data = Panel(evaluation, seed), folders(part).data
    panel.prompts, panel.test = {prompt["id"]: prompt for prompt in read_prompts(data)}, Split.open(data, "test")
    return panel

"""The networks that drawn pictures are judged by: this repository's own, and pretrained ones where there are copies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib.config import EvaluationParams
from lib.metrics import clip_score, image_distance
from lib.models import clip, reader
from lib.text import TextTokenizer

CLIP, READER, TEXT = Path("build/clip"), Path("build/reader"), Path("build/text/tokenizer.json")


def load_judges(evaluation: EvaluationParams) -> tuple[dict[str, Callable], dict[str, Any], reader.Reader | None]:
    """What measures pictures and captions.

    Returns:
        clips: name of a CLIP score → its judge (`lib.metrics.clip_score`);
        extractors: suffix of FID and KID → what gives the features (`lib.metrics.image_distance`);
        the scene reader, None for data whose content nobody knows.
    """
    own = clip.load(CLIP)
    clips = {"clip_score": clip_score.own_judge(own, TextTokenizer.load(TEXT))}
    extractors = {"": image_distance.ClipFeatures(own)}
    if evaluation.clip:
        clips["clip_score_pretrained"] = clip_score.pretrained_judge(evaluation.clip)
    if evaluation.inception:
        extractors["_inception"] = image_distance.InceptionFeatures(evaluation.inception)
    return clips, extractors, reader.load(READER) if (READER / "model.safetensors").is_file() else None

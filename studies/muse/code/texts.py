"""The text networks that models read captions through: this study's own, or CLIP's caption tower."""

from pathlib import Path

from lib.models import clip, text_encoder
from lib.models.text_encoder import CaptionTower, TextEncoder, caption_tower
from lib.weights import checkpoint
from studies.muse.code.material import ENCODER

CLIP = Path("build/clip")


def encoder_at(where: Path) -> TextEncoder | CaptionTower:
    """The text network of a folder, of `ENCODER` or `CLIP`."""
    return caption_tower(clip.load(CLIP)) if where == CLIP else text_encoder.load(ENCODER)


def reads(model: Path) -> Path:
    """Where the text network lies that a trained model reads captions through, as its weights say."""
    return CLIP if checkpoint.load_network(model)[1].get("text") == "clip" else ENCODER

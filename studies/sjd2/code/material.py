"""Where this study's files lie, and the pictures that its models are trained on and measured with."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lib.data.encoded import Encoded, encoded_splits
from lib.pipeline.own_pictures import folders
from lib.text import TextTokenizer

TEXT, BUILD = Path("build/text/tokenizer.json"), Path("build/sjd2")
PARTS, MODELS = BUILD / "parts", BUILD / "models"
TUNED, ON_DRAFTS, DRAFTERS = BUILD / "tuned", BUILD / "draft_tuned", BUILD / "drafters"
DECODED = BUILD / "decoded"


def folder(where: Path, name: str, training: int) -> Path:
    """Where one of several trainings lies."""
    return where / name / str(training)


def inputs_of(part: str, tokenizer: str) -> list[Path]:
    """What `pictures_of` reads."""
    own = folders(PARTS, part, tokenizer)
    return [own.data, own.tokens, TEXT]


def pictures_of(
    splits: Sequence[str], size: int, *, part: str, tokenizer: str, languages: Sequence[str], text_length: int
) -> dict[str, Encoded]:
    """What a model, and whatever is tuned from it, is trained on and measured with."""
    encode = partial(TextTokenizer.load(TEXT).encode, length=text_length)
    own = folders(PARTS, part, tokenizer)
    return encoded_splits(own.data, own.tokens, splits, size, (), languages, encode)

"""Pictures of a list of prompts with a model's folder, into a folder that an interrupted run goes on in."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase

from huggingface import gallery
from huggingface.decoding import Decoding
from huggingface.gallery import ALL, Gallery, Picture, Share
from huggingface.models import folder as folders
from huggingface.models.family import Family
from huggingface.models.predictor import HFPredictor
from huggingface.models.prompts import Prompts
from lib.decoding.predictor import Decoded
from lib.errors import EaselError, naming
from lib.models.autoregressive_predictor import Sampling
from lib.progress import Progress


@dataclass(frozen=True)
class Settings:
    """Whatever a picture depends on, beside its prompt and its number.

    Attributes:
        model: the folder.
        decoder, options, steps: see `huggingface.decoding.Decoding`.
        guidance, temperature, top_k: see `lib.models.autoregressive_predictor.Sampling`.
        negative: what guidance is away from.
        seed: of the first picture; the others count from it.
        pictures: of every prompt.
        size: rows and columns; None for the model's own.
        dtype: of weights and arithmetic.
    """

    model: str
    decoder: str = "shared"
    options: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    guidance: float = 1.0
    negative: str = ""
    temperature: float = 1.0
    top_k: int = 0
    seed: int = 0
    pictures: int = 1
    size: tuple[int, int] | None = None
    dtype: str = "float32"


def draw(
    settings: Settings, prompts: Sequence[str], out: Path, batch: int = 4, share: Share = ALL
) -> dict[str, Any] | None:
    """Draws what `out` does not have yet of a share.

    For every picture: NAME.png, if the class has a decoder of pictures, and NAME.json with its prompt, seed, codes,
    passes, tokens that each pass fixed, and the seconds of the batch that it was drawn in. Once all pictures of all
    shares are there: report.json.

    Args:
        batch: pictures that are drawn together; they do not depend on it, but for rounding.
        share: of this process, see huggingface/gallery.py.

    Returns:
        the report; None if other processes still have pictures to draw.

    Raises:
        EaselError: a folder that is not what it should be, a setting out of range, or an `out` with pictures of other
            settings or prompts.
    """
    if batch < 1:
        raise EaselError(f"draw at least one picture at once, not {batch}.")
    pictures = Gallery(out, asdict(settings), prompts, settings.pictures, settings.seed)
    sampling = Sampling(settings.guidance, settings.temperature, settings.top_k)
    checked = folders.check(settings.model, settings.size)
    decoding = Decoding(settings.decoder, settings.options, settings.steps, tuned=checked.tuned)
    decoding.check(checked.layout)
    tokenizer = folders.load_tokenizer(checked.folder)
    left = pictures.open(share)
    if left:
        _draw(settings, sampling, decoding, checked, tokenizer, pictures, left, batch, share)
    return None if pictures.missing() else _report(settings, checked, pictures)


def _draw(
    settings: Settings,
    sampling: Sampling,
    decoding: Decoding,
    checked: folders.Checked,
    tokenizer: PreTrainedTokenizerBase,
    pictures: Gallery,
    left: Sequence[Picture],
    batch: int,
    share: Share,
) -> None:
    """The pictures that are left, batch by batch."""
    family = folders.load(checked, getattr(torch, settings.dtype), share.device())

    def encode(texts: Sequence[str]) -> Prompts:
        return Prompts.of([family.prompt(family.config, tokenizer, text, checked.layout) for text in texts])

    progress = Progress("generate", len(left))
    for first in range(0, len(left), batch):
        now = left[first : first + batch]
        started = time.perf_counter()
        given = encode([picture.prompt for picture in now])
        others = None
        if sampling.copies == 2:
            made = family.unconditional(given.ids, given.real)
            others = Prompts(*made) if made else encode([settings.negative] * len(now))
        predictor = HFPredictor(family, given, checked.layout, sampling, others, decoding.times)
        decoded = decoding.run(predictor, [picture.seed for picture in now])
        _write(pictures, now, decoded, family, checked, time.perf_counter() - started)
        progress.update(first + len(now), passes=float(decoded.passes.float().mean()))


def _write(
    pictures: Gallery,
    now: Sequence[Picture],
    decoded: Decoded,
    family: Family,
    checked: folders.Checked,
    seconds: float,
) -> None:
    """The files of a batch, each picture's JSON last."""
    for row, picture in enumerate(now):
        with torch.no_grad():  # one by one: several at once are rounded otherwise, and a picture is its seed's alone
            pixels = family.pictures(decoded.tokens[row : row + 1], checked.layout)  # [1, H, W, 3]
        if pixels is not None:
            path = pictures.image(picture)
            with naming(path):
                Image.fromarray(pixels[0].cpu().numpy()).save(path)
        passes = int(decoded.passes[row])
        record = {
            **asdict(picture),
            "passes": passes,
            "accepted": decoded.accepted[row, :passes].tolist(),
            "forced": checked.layout.forced_count,
            "seconds": round(seconds, 4),
            "batch": len(now),
            "grids": checked.layout.grids,
            "codes": decoded.tokens[row].tolist(),
        }
        gallery.put(pictures.record(picture), record)


def _report(settings: Settings, checked: folders.Checked, pictures: Gallery) -> dict[str, Any]:
    """What the pictures cost together, which is written too."""
    records = pictures.records()
    passes = [record["passes"] for record in records]
    lengths = np.bincount(np.concatenate([record["accepted"] for record in records]))
    report = {
        "settings": asdict(settings),
        "class": checked.class_name,
        "pictures": len(records),
        "drawn_tokens": checked.layout.length,
        "forced_tokens": checked.layout.forced_count,
        "mean_passes": float(np.mean(passes)),
        "tokens_per_pass": checked.layout.length * len(records) / sum(passes),
        "passes_by_accepted_length": lengths.tolist(),
        "seconds": sum(record["seconds"] / record["batch"] for record in records),
    }
    gallery.put(pictures.out / gallery.REPORT, report)
    return report

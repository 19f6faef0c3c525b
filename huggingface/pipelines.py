"""Pictures of a list of prompts with a folder of diffusers, into a folder that an interrupted run goes on in."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from huggingface import gallery
from huggingface.gallery import ALL, Gallery, Picture, Share
from huggingface.models import pipeline_folder
from huggingface.models.pipeline_folder import Checked
from lib.errors import EaselError, naming, shortened
from lib.progress import Progress

SIDES = 8, 8192  # pixels; a VAE halves a picture three times


@dataclass(frozen=True)
class Settings:
    """Whatever a picture depends on, beside its prompt and its number.

    Attributes:
        model: the folder.
        steps: of denoising; None for the pipeline's own number.
        guidance: classifier-free; None for the pipeline's own scale.
        negative: what guidance is away from.
        size: height and width in pixels; None for the pipeline's own.
        seed: of the first picture; the others count from it.
        pictures: of every prompt.
        dtype: of weights and arithmetic.

    Raises:
        EaselError: a setting out of range.
    """

    model: str
    steps: int | None = None
    guidance: float | None = None
    negative: str = ""
    size: tuple[int, int] | None = None
    seed: int = 0
    pictures: int = 1
    dtype: str = "float32"

    def __post_init__(self):
        if self.pictures < 1:
            raise EaselError(f"draw at least one picture of every prompt, not {self.pictures}.")
        if self.steps is not None and self.steps < 1:
            raise EaselError(f"denoising needs at least one step, not {self.steps}.")
        if self.guidance is not None and not 0 <= self.guidance < float("inf"):
            raise EaselError(f"guidance must be a number ≥ 0, not {self.guidance}.")
        if self.size and any(side % SIDES[0] or not SIDES[0] <= side <= SIDES[1] for side in self.size):
            raise EaselError(
                f"a picture's sides must be multiples of {SIDES[0]} up to {SIDES[1]} pixels, not {self.size[0]} and "
                f"{self.size[1]}."
            )

    def arguments(self) -> dict[str, Any]:
        """Of the pipeline's call, those that were set."""
        height, width = self.size or (None, None)
        given = {"num_inference_steps": self.steps, "guidance_scale": self.guidance, "height": height, "width": width}
        return {name: value for name, value in given.items() if value is not None}


def draw(
    settings: Settings,
    prompts: Sequence[str],
    out: Path,
    batch: int = 4,
    share: Share = ALL,
    device: str | None = None,
) -> dict[str, Any] | None:
    """Draws what `out` does not have yet of a share.

    For every picture: NAME.png, and NAME.json with its prompt, seed and the seconds of the batch that it was drawn in.
    Once all pictures of all shares are there: report.json.

    Args:
        batch: pictures that are drawn together; they do not depend on it, but for rounding.
        share: of this process, see huggingface/gallery.py.
        device: None for the share's own.

    Returns:
        the report; None if other processes still have pictures to draw.

    Raises:
        EaselError: a folder that is not what it should be, or an `out` with pictures of other settings or prompts; or
            the pipeline drew what is no picture.
    """
    if batch < 1:
        raise EaselError(f"draw at least one picture at once, not {batch}.")
    pictures = Gallery(out, asdict(settings), prompts, settings.pictures, settings.seed)
    checked = pipeline_folder.check(settings.model)
    left = pictures.open(share)
    if left:
        pipeline = _loaded(settings.model, settings.dtype, device or share.device())
        progress = Progress(out.name, len(left))
        for first in range(0, len(left), batch):
            now = left[first : first + batch]
            started = time.perf_counter()
            drawn = call(pipeline, settings, now)  # uint8 [B, H, W, 3]
            seconds = round(time.perf_counter() - started, 4)
            for picture, pixels in zip(now, drawn, strict=True):
                path = pictures.image(picture)
                with naming(path):
                    Image.fromarray(pixels).save(path)
                record = {**asdict(picture), "seconds": seconds, "batch": len(now), "size": list(pixels.shape[:2])}
                gallery.put(pictures.record(picture), record)
            progress.update(first + len(now))
    return None if pictures.missing() else _report(settings, checked, pictures)


@lru_cache(maxsize=1)
def _loaded(model: str, dtype: str, device: str) -> DiffusionPipeline:
    """A worker draws several shares with one copy."""
    return pipeline_folder.load(pipeline_folder.check(model), getattr(torch, dtype), device)


def call(pipeline: DiffusionPipeline, settings: Settings, pictures: Sequence[Picture]) -> np.ndarray:
    """Draws a batch, each picture from its seed: uint8 [B, H, W, 3].

    Random numbers are the CPU's, so that a picture starts from the same noise on every device.

    Raises:
        EaselError: the pipeline refuses a setting, such as the size; or a picture has values that are NaN, as half
            precision makes them where a VAE was not made for it.
    """
    arguments = settings.arguments()
    if settings.negative:
        arguments["negative_prompt"] = [settings.negative] * len(pictures)
    try:
        with torch.no_grad():
            found = pipeline(
                prompt=[picture.prompt for picture in pictures],
                generator=[torch.Generator().manual_seed(picture.seed) for picture in pictures],
                output_type="np",
                **arguments,
            ).images  # float [B, H, W, 3] in 0 … 1
    except ValueError as error:  # by which pipelines refuse arguments
        raise EaselError(f"{settings.model}: {shortened(str(error))}") from error
    if not np.isfinite(found).all():
        raise EaselError(f"{settings.model} drew NaN in {settings.dtype}; try --dtype bfloat16 or float32.")
    return (255 * found).round().astype(np.uint8)


def _report(settings: Settings, checked: Checked, pictures: Gallery) -> dict[str, Any]:
    """What the pictures cost together, which is written too."""
    records = pictures.records()
    report = {
        "settings": asdict(settings),
        "class": checked.kind.__name__,
        "parameters": checked.parameters,
        "pictures": len(records),
        "size": records[0]["size"],
        "seconds": sum(record["seconds"] / record["batch"] for record in records),
    }
    gallery.put(pictures.out / gallery.REPORT, report)
    return report

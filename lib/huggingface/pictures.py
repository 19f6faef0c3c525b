"""Pictures of a list of prompts with a model's folder, into a folder that an interrupted run goes on in."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lib.decoding.predictor import Decoded
from lib.errors import EaselError, naming
from lib.huggingface.decoding import Decoding
from lib.models.autoregressive_predictor import Sampling
from lib.models.hf import folder as folders
from lib.models.hf.family import Family
from lib.models.hf.predictor import HFPredictor
from lib.models.hf.prompts import Prompts
from lib.progress import Progress

SETTINGS, REPORT = "settings.json", "report.json"
SEEDS = 2**32  # generators take smaller ones


@dataclass(frozen=True)
class Settings:
    """Whatever a picture depends on, beside its prompt and its number.

    Attributes:
        model: the folder.
        decoder, options, steps: see `lib.huggingface.decoding.Decoding`.
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


@dataclass(frozen=True)
class Picture:
    """One that is to be drawn: the number of its prompt, that among the prompt's pictures, its seed."""

    prompt: str
    number: int
    candidate: int
    seed: int

    @property
    def name(self) -> str:
        """Of its files, without the ending."""
        return f"{self.number:04}-{self.candidate}"


def draw(settings: Settings, prompts: Sequence[str], out: Path, batch: int = 4) -> dict[str, Any]:
    """Draws what `out` does not have yet.

    For every picture: NAME.png, if the class has a decoder of pictures, and NAME.json with its prompt, seed, codes,
    passes, tokens that each pass fixed, and the seconds of the batch that it was drawn in. At the end: report.json.

    Args:
        batch: pictures that are drawn together; they do not depend on it, but for rounding.

    Returns:
        the report.

    Raises:
        EaselError: a folder that is not what it should be, a setting out of range, or an `out` with pictures of other
            settings or prompts.
    """
    if batch < 1 or settings.pictures < 1:
        raise EaselError(f"draw at least one picture at once and of every prompt, not {batch} and {settings.pictures}.")
    if not 0 <= settings.seed <= SEEDS - len(prompts) * settings.pictures:
        raise EaselError(
            f"seeds lie in 0 … 2³² − 1; {len(prompts) * settings.pictures} from {settings.seed} on do not."
        )
    sampling = Sampling(settings.guidance, settings.temperature, settings.top_k)
    checked = folders.check(settings.model, settings.size)
    decoding = Decoding(settings.decoder, settings.options, settings.steps, tuned=checked.tuned)
    decoding.check(checked.layout)
    tokenizer = folders.load_tokenizer(checked.folder)
    wanted = _wanted(settings, prompts)
    left = _open(out, settings, wanted)
    if not left:
        return _report(out, settings, checked, wanted)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    family = folders.load(checked, getattr(torch, settings.dtype), device)

    def encode(texts: Sequence[str]) -> Prompts:
        return Prompts.of([family.prompt(family.config, tokenizer, text, checked.layout) for text in texts])

    progress = Progress("generate_hf", len(wanted), len(wanted) - len(left))
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
        _write(out, now, decoded, family, checked, time.perf_counter() - started)
        progress.update(len(wanted) - len(left) + first + len(now), passes=float(decoded.passes.float().mean()))
    return _report(out, settings, checked, wanted)


def _wanted(settings: Settings, prompts: Sequence[str]) -> list[Picture]:
    count = settings.pictures
    return [
        Picture(prompt, number, candidate, settings.seed + number * count + candidate)
        for number, prompt in enumerate(prompts)
        for candidate in range(count)
    ]


def _open(out: Path, settings: Settings, wanted: Sequence[Picture]) -> list[Picture]:
    """Makes the folder, or makes certain that it is of these settings; the pictures that it does not have."""
    own = json.loads(json.dumps(asdict(settings)))
    with naming(f"--out {out}"):
        out.mkdir(parents=True, exist_ok=True)
    path = out / SETTINGS
    if path.exists():
        found = _read(path)
        if different := sorted(key for key in own.keys() | found.keys() if own.get(key) != found.get(key)):
            key = different[0]
            raise EaselError(
                f"{out} has pictures of other settings ({key} was {found.get(key)!r} and is {own.get(key)!r}); name "
                "another folder, or delete it."
            )
    else:
        _put(path, own)
    left = []
    for picture in wanted:
        path = out / f"{picture.name}.json"
        if not path.exists():
            left.append(picture)
        elif _read(path).get("prompt") != picture.prompt:
            raise EaselError(f"{path} is of another prompt than line {picture.number + 1} now is; name another folder.")
    return left


def _write(
    out: Path, pictures: Sequence[Picture], decoded: Decoded, family: Family, checked: folders.Checked, seconds: float
) -> None:
    """The files of a batch, each picture's JSON last: what has one is complete."""
    for row, picture in enumerate(pictures):
        with torch.no_grad():  # one by one: several at once are rounded otherwise, and a picture is its seed's alone
            pixels = family.pictures(decoded.tokens[row : row + 1], checked.layout)  # [1, H, W, 3]
        if pixels is not None:
            path = out / f"{picture.name}.png"
            with naming(path):
                Image.fromarray(pixels[0].cpu().numpy()).save(path)
        passes = int(decoded.passes[row])
        record = {
            **asdict(picture),
            "passes": passes,
            "accepted": decoded.accepted[row, :passes].tolist(),
            "forced": checked.layout.forced_count,
            "seconds": round(seconds, 4),
            "batch": len(pictures),
            "grids": checked.layout.grids,
            "codes": decoded.tokens[row].tolist(),
        }
        _put(out / f"{picture.name}.json", record)


def _report(out: Path, settings: Settings, checked: folders.Checked, wanted: Sequence[Picture]) -> dict[str, Any]:
    """What the pictures cost together, which is written too."""
    records = [_read(out / f"{picture.name}.json") for picture in wanted]
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
    _put(out / REPORT, report)
    return report


def _read(path: Path) -> dict[str, Any]:
    with naming(path, "JSON"):
        tree = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict):
        raise EaselError(f"{path} must be a mapping; delete it, and it is made again.")
    return tree


def _put(path: Path, tree: dict[str, Any]) -> None:
    """Writes JSON in one atomic step."""
    part = path.with_name(path.name + ".part")
    with naming(path):
        part.write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, path)

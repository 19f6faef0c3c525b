"""Writes the data folder of Scenes: pictures, captions, truth, prompts, meta data and manifest.

Every picture has a generator of its own, seeded with (seed, split, index): the bytes do not depend on the number of
processes, and a longer split begins with the pictures of a shorter one.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np

from lib.data.manifest import write_manifest
from lib.data.store import clear, write_meta, write_prompts, write_split
from lib.errors import EaselError
from lib.progress import Progress
from lib.scenes.captions import chinese, english, random_statements
from lib.scenes.draw import draw
from lib.scenes.kept import Kept
from lib.scenes.prompts import random_prompts
from lib.scenes.scene import Dice, Scene, random_scene, split_of
from lib.scenes.vocabulary import BACKGROUNDS, GRID, LANGUAGES, TEXTURES

SPLITS = ("train", "val", "test", "heldout")
LARGE = 2 * GRID
MOST_LATTICE = 8  # pixels; coarser, four objects would seldom find room
_CHUNK = 250  # pictures handed to a process at a time


class ScenesParams(Protocol):
    """What `make` reads: the section `scenes` of params.yaml."""

    seed: int
    train: int
    val: int
    test: int
    heldout: int
    large: int
    prompts_per_category: int
    max_objects: int
    lattice: int
    backgrounds: Mapping[str, int]
    textures: Mapping[str, int]


def make(folder: Path, params: ScenesParams, processes: int = 1, kept: Kept | None = None) -> None:
    """Writes the whole data folder in the format of `lib.data.store`; an earlier data set in it is replaced.

    Args:
        kept: of which scenes pictures and prompts are; None for all.

    Raises:
        EaselError: a parameter is out of range (before anything is drawn or removed).
    """
    check(params)
    kept = kept or Kept()
    random = _generator(params.seed, len(SPLITS), 0)
    prompts = random_prompts(random, params.prompts_per_category, params.max_objects, kept)
    clear(folder)
    # Spawned, not forked: the caller may have threads running.
    with get_context("spawn").Pool(processes) if processes > 1 else nullcontext() as pool:
        for split in SPLITS:
            _make_split(folder, split, params, kept, pool.imap if pool else map)
    write_prompts(folder, prompts)
    write_meta(folder, source="scenes", languages=list(LANGUAGES), has_truth=True)
    write_manifest(folder)


def check(params: ScenesParams) -> None:
    """Refuses parameters that no data can be drawn with. Raises EaselError."""
    for name, least in {**dict.fromkeys(SPLITS, 1), "seed": 0, "large": 0, "prompts_per_category": 1}.items():
        value = getattr(params, name)
        if type(value) is not int or value < least:
            raise EaselError(f"scenes.{name} is {value!r}: it must be a whole number, at least {least}")
    if type(params.max_objects) is not int or not 1 <= params.max_objects <= 4:
        raise EaselError(f"scenes.max_objects is {params.max_objects!r}: it must be 1, 2, 3 or 4")
    if type(params.lattice) is not int or not 1 <= params.lattice <= MOST_LATTICE:
        raise EaselError(f"scenes.lattice is {params.lattice!r}: it must be a whole number from 1 to {MOST_LATTICE}")
    _check_weights("backgrounds", params.backgrounds, BACKGROUNDS)
    _check_weights("textures", params.textures, TEXTURES)


def _check_weights(name: str, weights: Mapping[str, int], known: tuple[str, ...]) -> None:
    for kind, weight in weights.items():
        if kind not in known:
            raise EaselError(f"scenes.{name}: unknown {name[:-1]} {kind!r}; there are {', '.join(known)}")
        if type(weight) is not int or weight < 0:
            raise EaselError(f"scenes.{name}.{kind} is {weight!r}: a weight is a whole number, 0 switches it off")
    if not sum(weights.values()):
        raise EaselError(f"scenes.{name}: every weight is 0; give at least one {name[:-1]} a weight")


def example(
    split: str, index: int, params: ScenesParams, kept: Kept | None = None
) -> tuple[Scene, dict[str, list[str]]]:
    """One picture's scene and captions: a function of its arguments alone.

    Scenes are drawn until one belongs to the split by its hash, and is kept.
    """
    kept = kept or Kept()
    dice = Dice(_generator(params.seed, SPLITS.index(split), index))
    # The order of the weights in the file must not count.
    backgrounds = {kind: params.backgrounds.get(kind, 0) for kind in BACKGROUNDS}
    textures = {kind: params.textures.get(kind, 0) for kind in TEXTURES}
    while True:
        scene = random_scene(
            dice,
            max_objects=params.max_objects,
            lattice=params.lattice,
            backgrounds=backgrounds,
            textures=textures,
            heldout=split == "heldout",
        )
        if split_of(scene) == split and kept.has(scene):
            break
    statements = random_statements(scene, dice)
    return scene, {"en": [english(s, dice) for s in statements], "zh": [chinese(s, dice) for s in statements]}


def _generator(*seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _make_split(folder: Path, split: str, params: ScenesParams, kept: Kept, mapped: Callable) -> None:
    length, large = getattr(params, split), min(params.large, getattr(params, split))
    images = {GRID: np.empty((length, GRID, GRID, 3), np.uint8)}
    if large:
        images[LARGE] = np.empty((large, LARGE, LARGE, 3), np.uint8)
    captions, scenes = [], []
    progress = Progress(f"scenes {split}", length)
    chunks = [(start, min(start + _CHUNK, length)) for start in range(0, length, _CHUNK)]
    work = partial(_draw_chunk, split, large, params, kept)
    _collect(mapped(work, chunks), images, captions, scenes, progress)
    write_split(folder, split, images, captions, scenes)


def _draw_chunk(split: str, large: int, params: ScenesParams, kept: Kept, chunk: tuple[int, int]):
    """Pictures start…stop of a split, the first `large` of the split also large: where they start, scenes with
    captions, pictures by size."""
    start, stop = chunk
    examples = [example(split, index, params, kept) for index in range(start, stop)]
    small_pictures = [draw(scene, GRID) for scene, _ in examples]
    large_pictures = [draw(scene, LARGE) for scene, _ in examples[: max(large - start, 0)]]
    return start, examples, {GRID: small_pictures, LARGE: large_pictures}


def _collect(chunks, images: dict[int, np.ndarray], captions: list, scenes: list, progress: Progress) -> None:
    for start, examples, pictures in chunks:
        for size, drawn in pictures.items():
            if drawn:
                images[size][start : start + len(drawn)] = drawn
        captions += [caption for _, caption in examples]
        scenes += [scene.to_json() for scene, _ in examples]
        progress.update(len(captions))

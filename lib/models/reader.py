"""The scene reader: names the objects of a picture, as GenEval's detector does for photographs.

A small fully convolutional network in the manner of CenterNet (Zhou, Wang and Krähenbühl 2019, "Objects as points"):
every cell of a grid says whether an object's centre lies in it, where exactly, and what it is. One cell is 8 grid
pixels wide and centres of Scenes' objects are at least 17 apart along x or y, so that no cell and no two neighbouring
cells hold two centres: a local maximum is an object, and no further suppression is needed.
"""

from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.data.store import to_float
from lib.models.residual import ResidualBlock, conv, initialise
from lib.scenes.vocabulary import BACKGROUNDS, COLOURS, GRID, SHAPES, SIZES, TEXTURES
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays

CELL = 8  # grid pixels a cell
ATTRIBUTES = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "texture": TEXTURES}
THRESHOLD = 0.5  # probability from which a local maximum is an object
SPREAD = 0.6  # cells: standard deviation of a centre's heat

# Channels of the map: one logit of a centre, two offsets, then the class logits of each attribute.
CENTRE, OFFSET = 0, slice(1, 3)
_ends = list(accumulate(map(len, ATTRIBUTES.values()), initial=OFFSET.stop))
CLASSES = {name: slice(*edges) for name, edges in zip(ATTRIBUTES, pairwise(_ends), strict=True)}
CHANNELS = _ends[-1]


@dataclass(frozen=True)
class ReaderConfig:
    """Size of the network; saved with the weights."""

    width: int  # channels at stride 2; twice as many at stride 4, four times at stride 8


class Reader(nn.Module):
    """Pictures → a map of centres with attributes, and the kind of background.

    Args:
        generator: source of the first weights.
    """

    def __init__(self, config: ReaderConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        w = config.width
        self.stem = nn.Sequential(conv(3, w, stride=2, kernel=5), nn.ReLU())
        self.trunk = nn.Sequential(
            conv(w, 2 * w, stride=2),
            nn.ReLU(),
            ResidualBlock(2 * w),
            conv(2 * w, 4 * w, stride=2),
            nn.ReLU(),
            ResidualBlock(4 * w),
            ResidualBlock(4 * w),
        )
        self.head = nn.Conv2d(4 * w, CHANNELS, 1)
        # Stripes and gradients show in the last map; speckles, finer than its cells, in the roughness of the stem's.
        self.background = nn.Linear(w + 4 * w, len(BACKGROUNDS))
        initialise(self, generator)
        with torch.no_grad():
            # Few cells hold a centre; starting from that belief keeps the first updates from being all about it.
            self.head.bias[CENTRE] = -3.0
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float [B, 3, S, S] in [0, 1] → map [B, CHANNELS, S/8, S/8] and background logits [B, kinds]."""
        fine = self.stem((images * 2 - 1).contiguous(memory_format=torch.channels_last))  # [B, W, S/2, S/2]
        x = self.trunk(fine)  # [B, W, S/2, S/2] -> [B, 4W, S/8, S/8]
        # In the logarithm, faint noise all over the picture counts for more than a few strong edges.
        rough = torch.log((fine[..., 1:] - fine[..., :-1]).square() + 1e-3).mean(dim=(2, 3))  # [B, W]
        return self.head(x), self.background(torch.cat([rough, x.mean(dim=(2, 3))], dim=1))


@dataclass(frozen=True)
class Truth:
    """What a batch of scenes should look like in the network's output; row i is scene i."""

    heat: Tensor  # float [N, cells, cells], 1 in the cell of a centre, falling off around it
    offset: Tensor  # float [N, 2, cells, cells], from the cell's middle to the nearest centre (x, y), in cells
    classes: dict[str, Tensor]  # attribute → int64 [N, cells, cells], class of the nearest object
    background: Tensor  # int64 [N]


def truth_of(scenes: list[dict]) -> Truth:
    """Targets for scenes in their JSON form, on the 64×64 grid."""
    cells, count = GRID // CELL, len(scenes)
    heat = np.zeros((count, cells, cells), np.float32)
    offset = np.zeros((count, 2, cells, cells), np.float32)
    classes = {name: np.zeros((count, cells, cells), np.int64) for name in ATTRIBUTES}
    middle = np.arange(cells) + 0.5
    for number in range(max(len(scene["objects"]) for scene in scenes)):
        # All scenes' first objects at once, then the second ones, and so on.
        rows = np.array([row for row, scene in enumerate(scenes) if len(scene["objects"]) > number])  # [n]
        items = [scenes[row]["objects"][number] for row in rows]
        x, y = (np.array([item[axis] for item in items]) / CELL for axis in "xy")  # [n], in cells
        dx, dy = np.broadcast_arrays(x[:, None, None] - middle, y[:, None, None] - middle[:, None])  # [n, cells, cells]
        near = np.exp(-(dx**2 + dy**2) / (2 * SPREAD**2)).astype(np.float32)
        near[np.arange(len(rows)), y.astype(int), x.astype(int)] = 1.0
        nearest = near > heat[rows]
        heat[rows] = np.where(nearest, near, heat[rows])
        offset[rows] = np.where(nearest[:, None], np.stack([dx, dy], axis=1), offset[rows])
        for name, values in ATTRIBUTES.items():
            own = np.array([values.index(item[name]) for item in items])[:, None, None]
            classes[name][rows] = np.where(nearest, own, classes[name][rows])
    kinds = [BACKGROUNDS.index(scene["background"]["kind"]) for scene in scenes]
    return Truth(
        torch.from_numpy(heat),
        torch.from_numpy(offset),
        {name: torch.from_numpy(values) for name, values in classes.items()},
        torch.tensor(kinds),
    )


def reader_loss(output: tuple[Tensor, Tensor], truth: Truth) -> Tensor:
    """Penalty-reduced focal loss of the centres (CenterNet, equation 1) + attributes + offsets + background.

    Attributes and offsets are learned in the centre's cell and, with the heat as weight, around it: at the edge between
    two cells either may win, and both should name the object.
    """
    prediction, background = output
    logit = prediction[:, CENTRE]  # [B, CHANNELS, cells, cells] -> [B, cells, cells]
    probability, centre = logit.sigmoid(), truth.heat == 1.0
    objects = centre.sum().clamp(min=1)
    hit = (1 - probability) ** 2 * functional.softplus(-logit)
    miss = (1 - truth.heat) ** 4 * probability**2 * functional.softplus(logit)
    centres = torch.where(centre, hit, miss).sum() / objects

    weight = torch.where(truth.heat > 0.1, truth.heat, 0.0)  # [B, cells, cells]
    weight = weight / weight.sum().clamp(min=1e-6)
    attributes = sum(
        (weight * functional.cross_entropy(prediction[:, CLASSES[name]], truth.classes[name], reduction="none")).sum()
        for name in ATTRIBUTES
    )
    offsets = (weight * (prediction[:, OFFSET] - truth.offset).abs().sum(dim=1)).sum()
    return centres + attributes + 2 * offsets + functional.cross_entropy(background, truth.background)


def decode(prediction: np.ndarray, threshold: float = THRESHOLD) -> list[dict]:
    """The objects in one map.

    A cell is an object's if its probability of a centre reaches `threshold` and no neighbour's is higher.

    Args:
        prediction: float [CHANNELS, cells, cells].

    Returns:
        Detections {"shape", "colour", "size", "texture", "x", "y" (grid pixels), "score"}, best first.
    """
    score = 1 / (1 + np.exp(-prediction[CENTRE].astype(np.float64)))  # [cells, cells]
    cells = score.shape[0]
    padded = np.pad(score, 1, constant_values=-1.0)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(cells, cells, 9)
    # Of equal neighbours the first in reading order wins, so that a tie is one object and not two.
    first = around.argmax(axis=2) == 4
    detections = []
    for row, column in zip(*np.nonzero(first & (score >= threshold)), strict=True):
        cell = prediction[:, row, column]
        detection = {name: values[int(cell[CLASSES[name]].argmax())] for name, values in ATTRIBUTES.items()}
        dx, dy = cell[OFFSET]
        detection["x"] = float((column + 0.5 + dx) * CELL)
        detection["y"] = float((row + 0.5 + dy) * CELL)
        detection["score"] = float(score[row, column])
        detections.append(detection)
    return sorted(detections, key=lambda d: -d["score"])


def read(reader: Reader, images: np.ndarray, batch_size: int = 128) -> list[dict]:
    """What the reader sees in uint8 pictures [N, S, S, 3]; other sizes than 64 are resized to it.

    Returns:
        N dicts {"objects": detections as `decode` gives them, "background": kind}.
    """
    readings = []
    with torch.no_grad():
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(to_float(images[start : start + batch_size]))
            if batch.shape[2] != GRID:
                batch = functional.interpolate(batch, (GRID, GRID), mode="bilinear", antialias=True)
            maps, backgrounds = reader(batch)
            for prediction, kind in zip(maps.numpy(), backgrounds.argmax(dim=1).tolist(), strict=True):
                readings.append({"objects": decode(prediction), "background": BACKGROUNDS[kind]})
    return readings


def save(reader: Reader, folder: Path) -> None:
    """Writes `folder`/model.safetensors, size included."""
    checkpoint.save(folder / "model.safetensors", module_arrays(reader), {"config": asdict(reader.config)})


def load(folder: Path) -> Reader:
    """The network that `save` wrote, in evaluation mode.

    Raises:
        EaselError: the file is missing or damaged.
    """
    arrays, meta = checkpoint.load_network(folder)
    reader = Reader(ReaderConfig(**meta["config"]), torch.Generator())
    load_module(reader, arrays)
    return reader.eval().requires_grad_(False)

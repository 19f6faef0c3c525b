"""What the stages of this study write, as classes."""

from typing import Any

from lib.evidence.report import Estimate, Interval, Pairs, Report, Values
from lib.metrics.panel import Accuracy


class Trial(Report):
    """One sampling setting on validation prompts."""

    sampling: dict[str, Any]
    exact: float
    """share of prompts drawn exactly right, mean over categories; CLIP score where no reader can tell"""


class Search(Report):
    """All that was tried for one training, and what was best."""

    trials: list[Trial]
    best: Trial


class Settings(Report):
    """Sampling settings of every training, chosen on validation prompts."""

    models: dict[str, Search]


class Drawn(Report):
    """One way of drawing; `build/auraflow/drawn/<run>.npy` has the pictures, uint8 [seeds, rows, S, S, 3]."""

    training: str
    language: str
    """of prompts and captions"""
    sampling: dict[str, Any]
    passes: float
    """of a picture, mean"""
    prompts: list[str]
    """ids, of the first rows"""
    captions: list[int]
    """numbers of the test pictures whose captions are the other rows"""


class Timing(Report):
    """How long one model takes to draw."""

    training: str
    sampling: dict[str, Any]
    batch_size: int
    seconds: list[float]
    """of a batch, one value a repetition"""
    operations: float
    """of a batch: products, convolutions and attention"""
    machine: dict[str, Any]


class Drawings(Report):
    """All that was drawn."""

    runs: dict[str, Drawn]
    timings: dict[str, Timing]


class Training(Report):
    """One image model's trainings, of all seeds."""

    model: str
    text: str
    parameters: int
    pictures_seen: int
    minutes: list[float]
    """of each training, on one core"""


class Scale(Report):
    """One scale of the image tokenizer, on test pictures."""

    side: int
    """cells in each direction"""
    tokens: int
    """of a picture, up to and with this scale"""
    code_use: float
    """share of the vocabulary that occurs at this scale"""
    entropy_bits: float
    """of the distribution of single tokens"""
    perplexity: float
    """2 to that power"""
    psnr: Interval
    """dB, of pictures rebuilt from all tokens up to and with this scale"""


class Run(Report):
    """One way of drawing, with every training of a name."""

    training: str
    language: str
    sampling: dict[str, Any]
    passes: float
    """of a picture"""
    prompts: int
    captions: int
    """of test pictures, behind FID and KID"""
    exact: Accuracy | None = None
    """of prompts whose shapes and colours training pictures have"""
    accuracy: Accuracy | None = None
    heldout: Accuracy | None = None
    """as `exact`, of prompts for a shape in a colour that no training picture has"""
    objects: Estimate | None = None
    """drawn, as a share of those asked for"""
    clip_score: Estimate | None = None
    fid: Interval | None = None
    kid: Interval | None = None
    clip_score_pretrained: Estimate | None = None
    fid_inception: Interval | None = None
    kid_inception: Interval | None = None


class Texts(Report):
    """Prompts of the pictures that are kept, each with itself in English."""

    texts: dict[str, list[tuple[str, str]]]


class Measured(Report):
    """Everything that the study measured."""

    languages: list[str]
    steps: int
    """usual passes of models that denoise"""
    trainings: dict[str, Training]
    scales: list[Scale]
    runs: dict[str, Run]
    timings: dict[str, Timing]
    search: Settings


class Results(Measured):
    """And what claims are judged by."""

    claims: dict[str, Pairs | Values | bool | float]

"""What studies that compare image models report alike: sampling settings that were tried, times, measured pictures."""

from typing import Any

from lib.evidence.report import Estimate, Interval, Report
from lib.metrics.panel import Accuracy


class Trial(Report):
    """One sampling setting on validation prompts."""

    sampling: dict[str, Any]
    exact: float
    """share of prompts drawn exactly right, mean over categories; CLIP score where no reader can tell"""
    objects: float | None = None
    """drawn, as a share of those asked for"""


class Search(Report):
    """All that was tried for one model or training, and what was best."""

    trials: list[Trial]
    best: Trial


class Settings(Report):
    """Sampling settings of every model or training, chosen on validation prompts."""

    models: dict[str, Search]


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


class MeasuredRun(Report):
    """One way of drawing, with every training of a name."""

    training: str
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
    clip_score: Estimate | None = None
    objects: Estimate | None = None
    """drawn, as a share of those asked for"""
    fid: Interval | None = None
    kid: Interval | None = None
    clip_score_pretrained: Estimate | None = None
    fid_inception: Interval | None = None
    kid_inception: Interval | None = None

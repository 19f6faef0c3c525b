"""What the stages of this study write, as classes."""

from typing import Any

from lib.evidence.report import Interval, Pairs, Report, Values
from lib.metrics.drawings import MeasuredRun, Settings, Timing
from lib.metrics.panel import Accuracy


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


class Again(Report):
    """Test pictures that are drawn anew in one way: `build/auraflow/drawn/<training>_<way>.npy`."""

    pictures: list[int]
    captions: list[str]
    """that they are drawn from, in English"""
    trainings: list[str]
    """that draw them"""


class Drawings(Report):
    """All that was drawn."""

    runs: dict[str, Drawn]
    again: dict[str, Again]
    """way → test pictures: short and long captions, filled, all but the middle given"""
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


class Run(MeasuredRun):
    """One way of drawing, with every training of a name."""

    language: str
    """of prompts and captions"""


class Texts(Report):
    """Prompts of the pictures that are kept, each with itself in English."""

    texts: dict[str, list[tuple[str, str]]]


class Painted(Report):
    """Prompts of what the published models painted, by training."""

    texts: dict[str, list[str]]


class Measured(Report):
    """Everything that the study measured."""

    languages: list[str]
    steps: int
    """usual passes of models that denoise"""
    trainings: dict[str, Training]
    scales: list[Scale]
    runs: dict[str, Run]
    again: dict[str, dict[str, Accuracy]]
    """way, as of `Drawings` → training → how many of the test pictures show exactly what they showed"""
    timings: dict[str, Timing]
    search: Settings


class Scheduled(Report):
    """What a U-Net draws that was trained at the noise levels of one schedule. Brightness: 0 is black, 1 is white."""

    levels: int
    terminal_snr: float
    """signal-to-noise ratio at the last level"""
    brightness: Interval
    """of a picture"""
    spread: Interval
    """how far a picture's brightness lies from the mean of the test pictures"""
    contrast: Interval
    """standard deviation of brightness inside a picture"""
    fid: Interval | None = None
    kid: Interval | None = None


class Schedules(Report):
    """The U-Net at the noise levels of several schedules, and the test pictures themselves."""

    seeds: int
    """independent trainings behind each"""
    pictures: int
    """of each training, and of the test split"""
    real: dict[str, Interval]
    """brightness, spread and contrast of the test pictures"""
    schedules: dict[str, Scheduled]


class Results(Measured):
    """And what claims are judged by."""

    claims: dict[str, Pairs | Values | bool | float]

"""What the stages of this study write, as classes."""

from typing import Any

from lib.evidence.report import Estimate, Pairs, Report, Values
from lib.metrics.drawings import MeasuredRun, Search, Settings, Timing
from lib.metrics.panel import Accuracy


class Choice(Report):
    """Which parts of the data the autoregressive model learns."""

    parts: dict[str, Search]
    wanted: float
    hardest: str | None
    """the hardest part that reaches what is wanted"""


class Drawn(Report):
    """One way of drawing, of which `build/muse/drawn/<run>.npy` has the tokens, uint16 [seeds, samples, rows, N], or
    the pictures, uint8 [seeds, samples, rows, S, S, 3], of a model that knows no tokens."""

    training: str
    sampling: dict[str, Any]
    passes: float
    """of a picture, mean"""
    samples: int
    """pictures of a row from each training"""
    prompts: list[str]
    """ids, of the first rows"""
    captions: list[int]
    """numbers of the test pictures whose captions are the other rows"""


class Filled(Report):
    """Test pictures with a new middle: tokens uint16 [seeds, rows, N] in `build/muse/drawn/filled_<training>.npy`."""

    training: str
    pictures: list[int]
    """of the test split"""
    known: list[bool]
    """[N], which tokens stayed"""


class Worded(Report):
    """Test pictures that are drawn from a short or a long caption: `build/muse/drawn/<training>_<wording>.npy`."""

    captions: list[str]
    """in English"""
    trainings: list[str]
    """that draw them"""


class Rates(Report):
    """What one thread can do at most in a second."""

    operations: float
    bytes: float


class Drawings(Report):
    """All that was drawn."""

    part: str
    runs: dict[str, Drawn]
    filled: dict[str, Filled]
    worded: dict[str, Worded]
    """by the wording, short or long"""
    timings: dict[str, Timing]
    rates: Rates


class Training(Report):
    """One model's trainings, of all seeds."""

    model: str
    part: str
    parameters: int
    pictures_seen: int
    operations: float
    """of a training, 6 · parameters · tokens seen"""
    minutes: list[float]
    """of each training, on one core"""
    accuracy_by_rate: list[dict[str, float]] | None = None
    """of masked models: at the end, share of masked tokens that are right, by the upper end of the masking rate in %"""


class Run(MeasuredRun):
    """One way of drawing, with every training of a model."""

    likelihood: Estimate | None = None
    """mean log-likelihood of a token of the test captions' pictures under the judge, nats"""
    diversity: Estimate | None = None
    """mean distance of two pictures of a prompt, by training"""


class Inpainting(Report):
    """The middle of test pictures drawn anew."""

    training: str
    pictures: int
    same: Estimate
    """share of the new tokens that are the original's"""
    right: Estimate | None = None
    """share of pictures in which the reader sees the objects of the original, and no others"""


class Texts(Report):
    """Captions of the pictures that are kept."""

    texts: dict[str, list[str]]


class Measured(Report):
    """Everything that the study measured."""

    part: str
    steps: dict[str, int]
    """passes of the models that draw all tokens at once, where a run does not say otherwise"""
    length: int
    """tokens of a picture, and passes of the autoregressive model"""
    trainings: dict[str, Training]
    runs: dict[str, Run]
    timings: dict[str, Timing]
    rates: Rates
    real_likelihood: float | None = None
    """of the test pictures themselves, as of `Run.likelihood`"""
    inpainting: dict[str, Inpainting]
    worded: dict[str, dict[str, Accuracy]]
    """wording, short or long → training → how many pictures are exactly right"""
    choice: Choice
    search: Settings


class Results(Measured):
    """And what claims are judged by."""

    claims: dict[str, Pairs | Values | bool]

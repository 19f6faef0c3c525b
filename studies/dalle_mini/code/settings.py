"""Settings of the study of DALL·E Mini: sections dalle_mini, dalle_mini_search and sampling of its params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lib import config
from lib.errors import require
from lib.models.layout import Layout


@dataclass(frozen=True)
class DalleMiniParams:
    """The caption-to-image-token encoder–decoder and its training."""

    tokens: Literal["fine", "coarse"]
    languages: Mapping[str, tuple[str, ...]]
    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    feed_forward: int
    layout: Layout
    optimizer: Literal["adamw", "adafactor", "muon"]
    steps: Mapping[str, int]
    batch_size: int
    accumulation: int
    learning_rate: float
    adam_learning_rate: float
    warmup: int
    decay: float
    caption_dropout: float
    model_devices: int

    def __post_init__(self):
        for name in ("encoder_layers", "decoder_layers", "heads", "batch_size", "learning_rate"):
            require(getattr(self, name) > 0, f"dalle_mini.{name}", "must be above 0")
        for name in ("accumulation", "model_devices", "adam_learning_rate"):
            require(getattr(self, name) > 0, f"dalle_mini.{name}", "must be above 0")
        require(self.width % self.heads == 0, "dalle_mini.heads", f"must divide dalle_mini.width = {self.width}")
        require(set(self.steps) == set(self.languages), "dalle_mini.steps", "must name the trainings of languages")
        fewest = min(self.steps.values())
        require(0 <= self.warmup < fewest, "dalle_mini.warmup", f"must lie below dalle_mini.steps = {fewest}")
        require(0 <= self.decay <= 1, "dalle_mini.decay", "must lie between 0 and 1")
        require(0 <= self.caption_dropout < 1, "dalle_mini.caption_dropout", "must lie between 0 and 1")


@dataclass(frozen=True)
class SearchParams:
    """Short trainings of the DALL·E Mini of section dalle_mini at several learning rates."""

    optimizer: Literal["adamw", "adafactor", "muon"]
    learning_rates: tuple[float, ...]
    steps: int
    warmup: int

    def __post_init__(self):
        require(len(self.learning_rates) >= 3, "dalle_mini_search.learning_rates", "must be at least three")
        require(
            0 <= self.warmup < self.steps,
            "dalle_mini_search.warmup",
            f"must lie below dalle_mini_search.steps = {self.steps}",
        )


@dataclass(frozen=True)
class SamplingParams:
    """How pictures are drawn from DALL·E Mini."""

    seeds: int
    prompts: int
    captions: int
    guidance: float
    sweep: tuple[float, ...]
    candidates: int
    ranked_prompts: int
    temperature: float
    top_k: int
    top_p: float
    batch_size: int

    def __post_init__(self):
        for name in ("seeds", "prompts", "captions", "candidates", "ranked_prompts", "batch_size"):
            require(getattr(self, name) > 0, f"sampling.{name}", "must be at least 1")
        for name in ("guidance", "temperature", "top_k"):
            require(getattr(self, name) >= 0, f"sampling.{name}", "must not be negative")
        require(0 < self.top_p <= 1, "sampling.top_p", "must lie above 0 and be at most 1")
        require(
            {1.0, self.guidance} <= set(self.sweep) and min(self.sweep) >= 0,
            "sampling.sweep",
            f"must hold 1 (no guidance) and sampling.guidance = {self.guidance:g}, and nothing negative",
        )


@dataclass(frozen=True)
class Params(config.Params):
    """What the stages of this study read."""

    dalle_mini: DalleMiniParams
    dalle_mini_search: SearchParams
    sampling: SamplingParams

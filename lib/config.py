"""Configuration: params.yaml → frozen dataclasses, checked key by key.

`params.yaml` is read as YAML 1.2, the dialect that DVC reads (`1e-4` is a number, `on` is a string). In the shadow of
another profile the same tree, resolved, stands in `params.json` (see lib/profile.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lib.config_glu import GluCostParams, GluSearchParams, GluTextParams, GluVariantsParams, ReportSwitchesParams
from lib.config_sjd2 import (
    AutoregressiveParams,
    DecodingParams,
    DraftersParams,
    DraftTuningSectionParams,
    ExactnessParams,
    Sjd2SectionParams,
)
from lib.config_tree import convert, read_yaml
from lib.errors import require
from lib.models.layout import Layout
from lib.ownership import check_is_no_output
from lib.scenes.vocabulary import BACKGROUNDS


@dataclass(frozen=True)
class DataParams:
    """Where pictures and captions come from."""

    source: Literal["scenes", "webdataset", "coco"]
    path: str
    image_sizes: tuple[int, ...]
    val_share: float
    test_share: float
    max_bad_share: float

    def __post_init__(self):
        require(
            self.source == "scenes" or self.path, "data.path", "names no folder; set it to the shards or COCO folder"
        )
        if self.source != "scenes":
            check_is_no_output(self.path)
        require(64 in self.image_sizes, "data.image_sizes", "must hold 64, the size everything downstream reads")
        for name in ("val_share", "test_share", "max_bad_share"):
            require(0 < getattr(self, name) < 0.5, f"data.{name}", "must lie between 0 and 0.5")


@dataclass(frozen=True)
class ScenesParams:
    """The drawn data set: counts per split, what may stand in a picture."""

    seed: int
    train: int
    val: int
    test: int
    heldout: int
    large: int
    max_objects: int
    prompts_per_category: int
    lattice: int
    backgrounds: Mapping[str, int]
    textures: Mapping[str, int]

    def __post_init__(self):
        for name in ("train", "val", "test", "heldout", "prompts_per_category"):
            require(getattr(self, name) > 0, f"scenes.{name}", "must be at least 1")


@dataclass(frozen=True)
class TextParams:
    """Subword vocabulary of the captions; length in tokens, begin and end included."""

    vocabulary: int
    length: int


@dataclass(frozen=True)
class ClipParams:
    """The small CLIP: judge of captions, extractor behind FID, KID and the perceptual loss."""

    steps: int
    batch_size: int
    learning_rate: float
    width: int
    embedding: int
    text_width: int
    text_layers: int
    text_heads: int


@dataclass(frozen=True)
class ReaderParams:
    """The scene reader: names the objects of a picture."""

    steps: int
    batch_size: int
    learning_rate: float
    width: int


@dataclass(frozen=True)
class TokenizerParams:
    """An image tokenizer (VQGAN), and the kinds of background that it and the models of its tokens do without."""

    stride: int
    leave_out: tuple[str, ...]
    steps: int
    batch_size: int
    learning_rate: float
    kernel_learning_rate: float
    width: int
    codes: int
    code_width: int
    commitment: float
    ema_decay: float
    perceptual_weight: float
    discriminator_weight: float


@dataclass(frozen=True)
class TokenizersParams:
    """The image tokenizers; what reads tokens names the one that it takes."""

    fine: TokenizerParams
    coarse: TokenizerParams

    def __post_init__(self):
        for name in ("fine", "coarse"):
            one = getattr(self, name)
            require(64 % one.stride == 0, f"tokenizer.{name}.stride", "must divide 64")
            unknown = set(one.leave_out) - set(BACKGROUNDS)
            require(not unknown, f"tokenizer.{name}.leave_out", f"names none of {', '.join(BACKGROUNDS)}")


@dataclass(frozen=True)
class EncodeParams:
    """How many pictures of each split are turned into tokens, and so seen by the models."""

    pictures: int


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
class EvaluationParams:
    """How much is measured, and which pretrained networks may be used if they are at hand."""

    pictures: int
    bootstrap: int
    inception: str
    clip: str

    def __post_init__(self):
        for name in ("inception", "clip"):
            path = getattr(self, name)
            require(not path or Path(path).exists(), f"evaluation.{name}", f"names {path}, which does not exist")


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml."""

    profile: str
    seed: int
    threads: int
    data: DataParams
    scenes: ScenesParams
    text: TextParams
    clip: ClipParams
    reader: ReaderParams
    tokenizer: TokenizersParams
    encode: EncodeParams
    dalle_mini: DalleMiniParams
    dalle_mini_search: SearchParams
    glu_variants: GluVariantsParams
    glu_search: GluSearchParams
    glu_text: GluTextParams
    glu_cost: GluCostParams
    report_switches: ReportSwitchesParams
    autoregressive: AutoregressiveParams
    sjd2: Sjd2SectionParams
    draft_tuning: DraftTuningSectionParams
    drafters: DraftersParams
    exactness: ExactnessParams
    decoding: DecodingParams
    sampling: SamplingParams
    evaluation: EvaluationParams
    notebooks: Mapping[
        str, Mapping[str, Any]
    ]  # notebook name → its parameters; lib.run checks them against the notebook

    def __post_init__(self):
        require(self.threads > 0, "threads", "must be at least 1")

    @property
    def results(self) -> Path:
        """Where this profile's tables and numbers go."""
        return Path("results") / self.profile

    @property
    def figures(self) -> Path:
        """Where this profile's figures go."""
        return Path("paper_figs") / self.profile


def parameters_file() -> Path:
    """The file that configures the folder in which we run: params.json in a shadow, params.yaml at the top."""
    shadow = Path("params.json")
    return shadow if shadow.is_file() else Path("params.yaml")


def load(path: Path | None = None) -> Params:
    """Reads and checks a complete configuration, by default this folder's.

    Raises:
        EaselError: no such file, not YAML, an unknown or missing key, a value of the wrong type or out of range.
    """
    path = path or parameters_file()
    return build(read_yaml(path), str(path))


def build(tree: Any, where: str) -> Params:
    """Checks a configuration tree, as read from `where`, and freezes it."""
    return convert(tree, Params, where, "")

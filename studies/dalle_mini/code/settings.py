"""Settings of the study of DALL·E Mini: sections dalle_mini, dalle_mini_search and sampling of its params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from lib import config
from lib.config_tree import (
    Amount,
    Count,
    Depth,
    Entries,
    Guidance,
    PartialShare,
    Rate,
    Section,
    Several,
    Share,
    Temperature,
    Width,
    require,
)
from lib.models.layout import Layout

TRAININGS = ("both", "english")  # that the stages, figures and claims of the study name
Optimizer = Literal["adamw", "adafactor", "muon"]


class DalleMiniParams(Section):
    """The caption-to-image-token encoder–decoder and its training."""

    tokens: config.TokenizerName
    """of which tokenizer"""
    languages: Entries[Several[str]]
    """of the captions of two trainings; [] is all there are"""
    width: Width
    """of a token"""
    encoder_layers: Depth
    """over the caption"""
    decoder_layers: Depth
    """over the image tokens"""
    heads: Width
    """of attention; they divide width"""
    feed_forward: Width
    """inner width; of GEGLU about 2/3 of 4 × width"""
    layout: Layout
    """the original's switches"""
    optimizer: Optimizer
    """adafactor is the original's"""
    steps: Entries[Count]
    """of each training"""
    batch_size: Count
    """pictures; a multiple of accumulation"""
    accumulation: Count
    """parts of a batch, one after another"""
    learning_rate: Rate
    """peak: warm-up, constant, linear to 0"""
    adam_learning_rate: Rate
    """Muon only: of embeddings, norms and the output layer, by AdamW"""
    warmup: Amount
    """steps"""
    decay: Share
    """of the steps, the last ones, over which the learning rates fall"""
    caption_dropout: PartialShare
    """share of captions replaced by the empty one, which guidance needs"""
    model_devices: Annotated[int, Field(ge=1, le=256)]
    """devices that share one copy of the parameters; the others split the batch"""

    def check(self) -> None:
        require(self.width % self.heads == 0, "heads", f"must divide width = {self.width}")
        for name in ("languages", "steps"):
            require(set(getattr(self, name)) == set(TRAININGS), name, f"must name {' and '.join(TRAININGS)}")
        fewest = min(self.steps.values())
        require(self.warmup < fewest, "warmup", f"must lie below steps = {fewest}")
        whole = self.batch_size % self.accumulation == 0
        require(whole, "batch_size", f"must be a multiple of accumulation = {self.accumulation}")


class SearchParams(Section):
    """Short trainings of the DALL·E Mini of section dalle_mini at several learning rates."""

    optimizer: Optimizer
    """of these trainings"""
    learning_rates: Several[Rate]
    """peaks"""
    steps: Count
    """of each training"""
    warmup: Amount
    """steps"""

    def check(self) -> None:
        different = {f"{rate:g}" for rate in self.learning_rates}
        require(len(self.learning_rates) >= 3, "learning_rates", "must be at least three")
        require(len(different) == len(self.learning_rates), "learning_rates", "must differ from each other")
        require(self.warmup < self.steps, "warmup", f"must lie below steps = {self.steps}")


class SamplingParams(Section):
    """How pictures are drawn from DALL·E Mini."""

    seeds: Annotated[int, Field(ge=2, le=1000)]
    """paired over everything that is compared"""
    prompts: Count
    """of each category"""
    captions: Annotated[int, Field(ge=config.FEWEST, lt=10**6)]
    """of the test split; their pictures are what FID and KID compare"""
    guidance: Guidance
    """super-conditioning wherever it is not what is compared"""
    sweep: Several[Guidance]
    """scales; 1 is none, 10 the original's"""
    candidates: Annotated[int, Field(ge=1, le=10**4)]
    """drawn for a prompt and ranked by CLIP"""
    ranked_prompts: Count
    """of each category; every seed draws all candidates"""
    temperature: Temperature
    """0 draws the most likely token"""
    top_k: Amount
    """0: of all codes"""
    top_p: Annotated[float, Field(gt=0, le=1)]
    """1: of all codes"""
    batch_size: Count
    """rows a batch"""

    def check(self) -> None:
        require(
            {1.0, self.guidance} <= set(self.sweep),
            "sweep",
            f"must hold 1 (no guidance) and sampling.guidance = {self.guidance:g}",
        )
        different = {f"{scale:g}" for scale in self.sweep}
        require(len(different) == len(self.sweep), "sweep", "must hold every scale once")
        few = self.ranked_prompts <= self.prompts
        require(few, "ranked_prompts", f"are of the prompts; they must be at most prompts = {self.prompts}")


class Params(config.Params):
    """What the stages of this study read."""

    dalle_mini: DalleMiniParams
    dalle_mini_search: SearchParams
    sampling: SamplingParams

    def check(self) -> None:
        super().check()
        tokens = self.dalle_mini.tokens
        self.require_pictures(self.dalle_mini.batch_size, "dalle_mini.batch_size", "train", tokens)
        for name, languages in self.dalle_mini.languages.items():
            self.require_languages(languages, f"dalle_mini.languages.{name}")
        there = self.pictures("test", tokens)
        require(
            self.sampling.captions <= there,
            "sampling.captions",
            f"is {self.sampling.captions}, but the test split is only sure to have {there:.0f} pictures",
        )
        self.require_prompts(self.sampling.prompts, "sampling.prompts")
        codes = getattr(self.tokenizer, tokens).codes
        require(self.sampling.top_k <= codes, "sampling.top_k", f"must be at most tokenizer.{tokens}.codes = {codes}")

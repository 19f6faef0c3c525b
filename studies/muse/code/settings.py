"""Configuration of the study of Muse and its rivals: sections muse_* of its params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field

from lib import config
from lib.config import ScenesParams
from lib.config_changes import changed
from lib.config_tree import (
    Amount,
    Count,
    Entries,
    Guidance,
    Name,
    Section,
    Several,
    Share,
    Temperature,
    Weight,
    Width,
    require,
    within,
)
from lib.decoding.orders import Order
from lib.scenes.kept import Kept
from lib.scenes.part import part_of
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.diffusion_settings import DiffusionTrainingParams, EnlargingTrainingParams, UNetParams
from lib.training.masked_settings import (
    CaptionedTransformerParams,
    MaskedTrainingParams,
    MaskedTransformerParams,
    SpanTrainingParams,
    SuperResolutionParams,
    TransformerParams,
)
from studies.muse.code.sizes import PICTURE

FIRST = {"super_resolution": "masked", "cascade": "pixels"}  # models that enlarge, and what draws the small pictures
PARALLEL = ("masked", "super_resolution", "latent", "cascade")  # draw in as many passes as one likes
MODELS = ("autoregressive", *PARALLEL, "pixels")
DRAWING = MODELS[:-1]  # models whose pictures are looked at; those of the last one are too small
MOST_STEPS = {"masked": 64, "super_resolution": 256, "latent": 1000, "cascade": 1000}  # a pass a token or noise level


class TextNetworkParams(Section):
    """The frozen text network of all models: T5's kind of encoder."""

    sizes: TransformerParams
    pictures: Count
    """of the train split whose captions it reads, in all languages"""
    spans: SpanTrainingParams


class AutoregressiveModelParams(Section):
    """The autoregressive model, and how it is trained."""

    sizes: CaptionedTransformerParams
    descent: AveragedTrainingParams


class MaskedModelParams(Section):
    """The masked model, and how it is trained."""

    sizes: MaskedTransformerParams
    descent: MaskedTrainingParams


class SuperResolutionModelParams(Section):
    """The masked model that gives a small picture's tokens twice the rows and columns, and how it is trained."""

    sizes: SuperResolutionParams
    descent: MaskedTrainingParams


class LatentModelParams(Section):
    """The latent diffusion model, and how it is trained."""

    sizes: UNetParams
    descent: DiffusionTrainingParams


class PixelModelParams(Section):
    """The first model of the cascade, and how it is trained."""

    small: Width
    """side of its pictures, in pixels"""
    patch: Width
    """side of the patches whose pixels are a cell's channels"""
    sizes: UNetParams
    descent: DiffusionTrainingParams


class PatchTrainingParams(EnlargingTrainingParams):
    """One training on patches of pixels."""

    target: Literal["x0", "v"]
    """what is predicted; noise of more numbers a patch than the network is wide does not fit through it, so x₀ there"""


class EnlargingModelParams(Section):
    """The model of the cascade that enlarges, and how it is trained."""

    small: Width
    """as of the first model"""
    patch: Width
    """as of the first model"""
    sizes: UNetParams
    descent: PatchTrainingParams


class MuseModelsParams(Section):
    """The models that are compared: the same 64 cells, the same text features, about the same size."""

    languages: Several[str]
    """of the captions; [] is all there are"""
    autoregressive: AutoregressiveModelParams
    masked: MaskedModelParams
    super_resolution: SuperResolutionModelParams
    latent: LatentModelParams
    pixels: PixelModelParams
    cascade: EnlargingModelParams


class MuseTrainingParams(Section):
    """One model on one part of the data, from several seeds."""

    model: Literal["autoregressive", "masked", "super_resolution", "latent", "pixels", "cascade"]
    """of muse_models"""
    part: Name
    """of muse_parts, whose pictures it sees"""
    seeds: Count
    """independent trainings"""
    changes: Entries[Any]
    """values of the model's training that differ"""


class ChoiceParams(Section):
    """Which part of the data: the hardest on which the autoregressive model is right often enough."""

    parts: Several[str]
    """that are tried, from easy to hard"""
    wanted: Share
    """exact accuracy on validation prompts"""


class GuidanceGridParams(Section):
    """What is tried on validation prompts, every value with every other."""

    guidance: Several[Guidance]
    """scales; 1: none"""


class AutoregressiveGridParams(GuidanceGridParams):
    """The same of models of tokens."""

    temperature: Several[Temperature]
    """of the draws of tokens"""


class MaskedGridParams(AutoregressiveGridParams):
    """The same of masked models."""

    ramp: Several[bool]
    """whether guidance rises over the passes"""
    order: Several[Order]
    """of unmasking"""
    noise: Several[Weight]
    """on confidence; in the order of confidence alone"""


class CascadeGridParams(GuidanceGridParams):
    """The same of a cascade, whose models have the same guidance."""

    augmentation: Several[Share]
    """noise on the small pictures, as a share of the noise levels"""


class GridsParams(Section):
    """Sampling settings of every model."""

    autoregressive: AutoregressiveGridParams
    masked: MaskedGridParams
    super_resolution: MaskedGridParams
    latent: GuidanceGridParams
    cascade: CascadeGridParams


class SearchParams(Section):
    """How sampling settings are chosen, with the first training of each model."""

    prompts: Count
    """of each category, drawn for this"""
    steps: Entries[Count]
    """passes of models that draw in as many as one likes"""
    grids: GridsParams

    def check(self) -> None:
        wanted = (*PARALLEL, "pixels")
        require(set(self.steps) == set(wanted), "steps", f"must be of {' and '.join(wanted)}")


class DrawingParams(Section):
    """What is drawn for the comparison."""

    prompts: Count
    """of each category, at most: those that ask for no more objects than the part has"""
    pictures: Amount
    """drawn for captions of test pictures, which FID and KID compare with: by all trainings of a model together"""
    front: Amount
    """as pictures, for each guidance scale that was tried, by one training: CLIP score against FID"""
    steps: Entries[Several[Count]]
    """passes of models that draw all tokens at once"""
    batch_size: Count
    """rows drawn at once"""
    inpainted: Amount
    """test pictures whose middle is drawn anew"""
    worded: Amount
    """test pictures, at most, that are drawn from their shortest and from their longest caption"""
    timed: Several[Count]
    """batch sizes at which time is taken"""
    repetitions: Annotated[int, Field(ge=5, le=1000)]
    """of every timed run"""


class Params(config.Params):
    """What the stages of this study read."""

    muse_parts: Entries[Entries[Any]]
    """parts of the data: what is other in section scenes, and settings of lib/scenes/part.py; of data that are not
    drawn here, each part is all of them"""
    muse_choice: ChoiceParams
    muse_text: TextNetworkParams
    muse_models: MuseModelsParams
    muse_trainings: Entries[MuseTrainingParams]
    muse_search: SearchParams
    muse_drawing: DrawingParams

    def check(self) -> None:
        super().check()
        for part in self.muse_parts:
            with within(f"muse_parts.{part}"):
                scenes_of(self, part)
        for part in self.muse_choice.parts:
            require(part in self.muse_parts, "muse_choice.parts", f"has {part}, which is none of muse_parts")
        require(set(MODELS) <= set(self.muse_trainings), "muse_trainings", f"must name {' and '.join(MODELS)}")
        for name, one in self.muse_trainings.items():
            with within(f"muse_trainings.{name}"):
                require(one.part in self.muse_parts, "part", f"is {one.part}, which is none of muse_parts")
                training_of(self, name)
                if first := FIRST.get(one.model):
                    require(one.part == self.muse_trainings[first].part, "part", f"must be that of {first}")
                    require(one.seeds <= self.muse_trainings[first].seeds, "seeds", f"are more than those of {first}")
                if one.model == "super_resolution":
                    require(scenes_of(self, one.part)[0].large, "part", f"is {one.part}, which has no large pictures")
        wanted = f"must be of {' and '.join(PARALLEL)}"
        require(set(self.muse_drawing.steps) == set(PARALLEL), "muse_drawing.steps", wanted)
        side, block = 2 * PICTURE // self.tokenizer.coarse.stride, self.muse_models.super_resolution.sizes.block
        require(
            side % block == 0, "muse_models.super_resolution.sizes.block", f"must divide {side}, the large grid's side"
        )
        small = self.muse_models.pixels.small
        require(PICTURE % small == 0, "muse_models.pixels.small", f"must divide {PICTURE}, the large pictures' side")
        require(self.muse_models.cascade.small == small, "muse_models.cascade.small", f"must be {small}, as of pixels")
        for name, side in (("pixels", small), ("cascade", PICTURE)):
            patch = getattr(self.muse_models, name).patch
            require(side % patch == 0, f"muse_models.{name}.patch", f"must divide {side}, the pictures' side")
        grids = {
            "latent": PICTURE // self.tokenizer.coarse.stride,
            "pixels": small // self.muse_models.pixels.patch,
            "cascade": PICTURE // self.muse_models.cascade.patch,
        }
        for name, side in grids.items():
            getattr(self.muse_models, name).sizes.require_grid(side, f"muse_models.{name}.sizes")
        for name, most in MOST_STEPS.items():
            steps = max((self.muse_search.steps[name], *self.muse_drawing.steps[name]))
            require(steps <= most, f"muse_drawing.steps.{name}", f"must be at most {most}")
        self.require_prompts(self.muse_drawing.prompts, "muse_drawing.prompts")
        self.require_languages(self.muse_models.languages, "muse_models.languages")


def scenes_of(params: Params, part: str) -> tuple[ScenesParams, Kept]:
    """How a part of the data is drawn; see `lib.scenes.part.part_of`."""
    return part_of(params.scenes, params.muse_parts[part], params.tokenizer.coarse.leave_out)


def training_of(params: Params, name: str) -> Any:
    """The model and its training that muse_trainings.<name> says, as its section of muse_models has them.

    Raises:
        EaselError: changes that the model cannot have.
    """
    run = params.muse_trainings[name]
    return changed(getattr(params.muse_models, run.model), run.changes)


def seeds_of(params: Params, training: str) -> list[int]:
    """The seeds of a training; paired over all trainings."""
    return list(range(params.seed, params.seed + params.muse_trainings[training].seeds))

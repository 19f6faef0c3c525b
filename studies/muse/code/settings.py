"""Configuration of the study of Muse and its rivals: sections muse_* of its params.yaml."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from lib import config
from lib.config import ScenesParams
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
    plain,
    read,
    require,
    within,
)
from lib.decoding.orders import Order
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.diffusion_settings import DiffusionTrainingParams, UNetParams
from lib.training.masked_settings import (
    CaptionedTransformerParams,
    MaskedTrainingParams,
    SpanTrainingParams,
    SuperResolutionParams,
    TransformerParams,
)

PICTURE = 64  # pixels a side
MODELS = ("autoregressive", "masked", "super_resolution", "latent")
PARALLEL = MODELS[1:]  # those that draw all tokens at once, in as many passes as one likes
MOST_STEPS = {"masked": 64, "super_resolution": 256, "latent": 1000}  # a pass a token, or a noise level


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

    sizes: CaptionedTransformerParams
    descent: MaskedTrainingParams


class SuperResolutionModelParams(Section):
    """The masked model that gives a small picture's tokens twice the rows and columns, and how it is trained."""

    sizes: SuperResolutionParams
    descent: MaskedTrainingParams


class LatentModelParams(Section):
    """The latent diffusion model, and how it is trained."""

    sizes: UNetParams
    descent: DiffusionTrainingParams


class MuseModelsParams(Section):
    """The models that are compared: the same 64 cells, the same text features, about the same size."""

    languages: Several[str]
    """of the captions; [] is all there are"""
    autoregressive: AutoregressiveModelParams
    masked: MaskedModelParams
    super_resolution: SuperResolutionModelParams
    latent: LatentModelParams


class MuseTrainingParams(Section):
    """One model on one part of the data, from several seeds."""

    model: Literal["autoregressive", "masked", "super_resolution", "latent"]
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


class SamplingGridParams(Section):
    """What is tried on validation prompts, every value with every other."""

    guidance: Several[Guidance]
    """scales; 1: none"""
    ramp: Several[bool]
    """whether guidance rises over the passes; masked models alone"""
    order: Several[Order]
    """of unmasking; masked models alone"""
    noise: Several[Weight]
    """on confidence; in the order of confidence alone"""
    temperature: Several[Temperature]
    """of the draws of tokens"""


class SearchParams(Section):
    """How sampling settings are chosen, with the first training of each model."""

    prompts: Count
    """of each category, drawn for this"""
    steps: Entries[Count]
    """passes of models that draw all tokens at once"""
    grids: Entries[SamplingGridParams]
    """model → settings"""

    def check(self) -> None:
        for name, wanted in (("grids", MODELS), ("steps", PARALLEL)):
            require(set(getattr(self, name)) == set(wanted), name, f"must be of {' and '.join(wanted)}")


class DrawingParams(Section):
    """What is drawn for the comparison."""

    prompts: Count
    """of each category, at most: those that ask for no more objects than the part has"""
    captions: Amount
    """of test pictures of the part, whose pictures are what FID and KID compare"""
    steps: Entries[Several[Count]]
    """passes of models that draw all tokens at once"""
    batch_size: Count
    """rows drawn at once"""
    inpainted: Amount
    """test pictures whose middle is drawn anew"""
    timed: Several[Count]
    """batch sizes at which time is taken"""
    repetitions: Annotated[int, Field(ge=5, le=1000)]
    """of every timed run"""


class Params(config.Params):
    """What the stages of this study read."""

    muse_parts: Entries[Entries[Any]]
    """parts of the data: what is other in section scenes; of data that are not drawn here, each part is all of them"""
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
                if one.model == "super_resolution":
                    require(one.part == self.muse_trainings["masked"].part, "part", "must be that of masked")
                    require(scenes_of(self, one.part).large, "part", f"is {one.part}, which has no large pictures")
        wanted = f"must be of {' and '.join(PARALLEL)}"
        require(set(self.muse_drawing.steps) == set(PARALLEL), "muse_drawing.steps", wanted)
        side, block = 2 * PICTURE // self.tokenizer.coarse.stride, self.muse_models.super_resolution.sizes.block
        require(
            side % block == 0, "muse_models.super_resolution.sizes.block", f"must divide {side}, the large grid's side"
        )
        for name, most in MOST_STEPS.items():
            steps = max((self.muse_search.steps[name], *self.muse_drawing.steps[name]))
            require(steps <= most, f"muse_drawing.steps.{name}", f"must be at most {most}")
        self.require_prompts(self.muse_drawing.prompts, "muse_drawing.prompts")
        self.require_languages(self.muse_models.languages, "muse_models.languages")


def scenes_of(params: Params, part: str) -> ScenesParams:
    """How a part of the data is drawn.

    Raises:
        Refused: values that section scenes cannot have, or pictures that the coarse tokenizer has not learned.
    """
    changes, kinds = plain(params.muse_parts[part]), params.tokenizer.coarse.leave_out
    scenes = read(plain(params.scenes) | changes, ScenesParams, "params.yaml")
    shown = [kind for kind in kinds if scenes.backgrounds.get(kind)]
    require(not shown, "backgrounds", f"has {' and '.join(shown)}, which tokenizer.coarse leaves out")
    return scenes


def training_of(params: Params, name: str) -> Any:
    """The model and its training that muse_trainings.<name> says, as its section of muse_models has them.

    Raises:
        EaselError: changes that the model cannot have.
    """
    run = params.muse_trainings[name]
    return changed(getattr(params.muse_models, run.model), run.changes)


def changed(section: Section, changes: Mapping[str, Any]) -> Any:
    """`section` with other values; mappings among the changes change what they name."""
    tree = plain(section)
    for key, value in plain(changes).items():
        tree[key] = tree.get(key, {}) | value if isinstance(value, Mapping) else value
    return read(tree, type(section), "params.yaml")


def seeds_of(params: Params, training: str) -> list[int]:
    """The seeds of a training; paired over all trainings."""
    return list(range(params.seed, params.seed + params.muse_trainings[training].seeds))

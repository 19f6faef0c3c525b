"""Configuration of the study of Kolors, AuraFlow and VAR: sections auraflow_* of its params.yaml."""

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
    Temperature,
    plain,
    require,
    within,
)
from lib.scenes.kept import Kept
from lib.scenes.part import part_of
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.diffusion_settings import DiffusionTrainingParams, NoiseParams, UNetParams
from lib.training.masked_settings import CaptionedTransformerParams, SpanTrainingParams, TransformerParams
from lib.training.mmdit_settings import MMDiTParams
from lib.training.multi_scale_settings import MultiScaleParams

SIZE = 64  # of all pictures, in pixels a side; as in material.py, which is not for settings: it loads networks
FILLING = ("next_scale", "raster")  # models that can be given tokens
DENOISING = ("flow", "unet")  # models that draw in as many passes as one likes
MOST_STEPS = 1000  # a pass a noise level


class TextNetworkParams(Section):
    """A frozen text network."""

    task: Literal["gaps", "next_token", "clip"]
    """that it is trained on: gaps, as T5's kind of encoder; next_token, as a decoder-only language model; clip: none,
    it is the caption tower of the CLIP that all studies share, which pictures taught"""
    languages: Several[str]
    """of the captions that it reads; [] is all there are, as CLIP's"""
    dropped: Amount
    """layers at the end that it is trained with and then loses, so that image models read the one before them"""

    def check(self) -> None:
        require(self.task == "next_token" or not self.dropped, "dropped", f"must be 0: {self.task} needs every layer")
        require(self.task != "clip" or not self.languages, "languages", "must be []: CLIP has read all there are")


class TextsParams(SpanTrainingParams):
    """The frozen text networks; settings of gaps are for those that are trained on them."""

    sizes: TransformerParams
    pictures: Count
    """of the train split whose captions they read"""
    networks: Entries[TextNetworkParams]
    """by the names that trainings call them by"""


class FlowModelParams(Section):
    """The rectified-flow transformer of two streams, and how it is trained."""

    sizes: MMDiTParams
    descent: DiffusionTrainingParams


class UNetModelParams(Section):
    """The U-Net over the same vectors, and how it is trained."""

    sizes: UNetParams
    descent: DiffusionTrainingParams


class TokenModelParams(Section):
    """A transformer over image tokens, and how it is trained."""

    sizes: CaptionedTransformerParams
    descent: AveragedTrainingParams


class ModelsParams(Section):
    """The image models."""

    flow: FlowModelParams
    unet: UNetModelParams
    next_scale: TokenModelParams
    raster: TokenModelParams


class TrainingParams(Section):
    """One image model that reads captions of all languages through one text network, from several seeds."""

    model: Literal["flow", "unet", "next_scale", "raster"]
    """of auraflow_models"""
    text: Name
    """of auraflow_texts.networks"""
    seeds: Count
    """independent trainings"""


class SchedulesParams(Section):
    """The U-Net at other noise levels: what is left of a picture at the last one, and how bright what is drawn gets."""

    text: Name
    """of auraflow_texts.networks"""
    seeds: Count
    """independent trainings at each"""
    descent: Entries[Any]
    """values of auraflow_models.unet.descent that differ, the same for all"""
    noises: Entries[NoiseParams]
    """by the names of their schedules"""
    pictures: Amount
    """drawn for captions of test pictures, by each training"""
    guidance: Guidance
    """scale; 1: none"""
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)]
    """passes"""


class SearchParams(Section):
    """Sampling settings that are tried on validation prompts, every value with every other."""

    prompts: Count
    """of each category, drawn for this"""
    guidance: Several[Guidance]
    """scales; 1: none"""
    temperature: Several[Temperature]
    """of the draws of tokens"""
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)]
    """usual passes of models that denoise"""


class DrawingParams(Section):
    """What is drawn for the comparison."""

    prompts: Count
    """of each category, at most, in every language"""
    pictures: Amount
    """drawn for captions of test pictures, which FID and KID compare with: by all trainings of a name together"""
    worded: Amount
    """test pictures, at most, that every training draws from their shortest and from their longest caption"""
    inpainted: Amount
    """test pictures, at most, whose middle is drawn anew"""
    steps: Several[Annotated[int, Field(ge=1, le=MOST_STEPS)]]
    """passes of models that denoise, beside the usual ones; by the first training alone"""
    batch_size: Count
    """rows drawn at once"""
    timed: Several[Count]
    """batch sizes at which time is taken"""
    repetitions: Annotated[int, Field(ge=5, le=1000)]
    """of every timed run"""


class Params(config.Params):
    """What the stages of this study read."""

    auraflow_pictures: Entries[Any]
    """what is other in section scenes, and settings of lib/scenes/part.py; data that are not drawn here are taken as
    they are"""
    auraflow_texts: TextsParams
    auraflow_scales: MultiScaleParams
    auraflow_models: ModelsParams
    auraflow_trainings: Entries[TrainingParams]
    auraflow_schedules: SchedulesParams
    auraflow_search: SearchParams
    auraflow_drawing: DrawingParams

    def check(self) -> None:
        super().check()
        with within("auraflow_pictures"):
            there = scenes_of(self)[0].test
        if self.data.source == "scenes":
            most = f"must be at most {there}, the test pictures of auraflow_pictures"
            require(self.auraflow_drawing.pictures <= there, "auraflow_drawing.pictures", most)
        side = SIZE // self.tokenizer.coarse.stride
        fits = f"must divide {side}, the side of the coarse tokenizer's grid"
        require(side % self.auraflow_models.flow.sizes.patch == 0, "auraflow_models.flow.sizes.patch", fits)
        self.auraflow_models.unet.sizes.require_grid(side, "auraflow_models.unet.sizes")
        last = f"must end with {side}, the side of the coarse tokenizer's grid"
        require(self.auraflow_scales.scales[-1] == side, "auraflow_scales.scales", last)
        for name, one in self.auraflow_texts.networks.items():
            self.require_languages(one.languages, f"auraflow_texts.networks.{name}.languages")
        for name, one in self.auraflow_trainings.items():
            known = one.text in self.auraflow_texts.networks
            require(
                known, f"auraflow_trainings.{name}.text", f"is {one.text}, which is none of auraflow_texts.networks"
            )
        known = self.auraflow_schedules.text in self.auraflow_texts.networks
        require(known, "auraflow_schedules.text", "is none of auraflow_texts.networks")
        for name in self.auraflow_schedules.noises:
            with within(f"auraflow_schedules.noises.{name}"):
                scheduled(self, name)
        self.require_prompts(self.auraflow_drawing.prompts, "auraflow_drawing.prompts")


def scenes_of(params: Params) -> tuple[ScenesParams, Kept]:
    """How this study's pictures are drawn; see `lib.scenes.part.part_of`."""
    return part_of(params.scenes, params.auraflow_pictures, params.tokenizer.coarse.leave_out)


def scheduled(params: Params, name: str) -> UNetModelParams:
    """The U-Net and its training at the noise levels of auraflow_schedules.noises.<name>."""
    own = params.auraflow_schedules
    return changed(params.auraflow_models.unet, {"descent": plain(own.descent) | {"noise": own.noises[name]}})


def seeds_of(params: Params, training: str) -> list[int]:
    """The seeds of a training; paired over all trainings."""
    return list(range(params.seed, params.seed + params.auraflow_trainings[training].seeds))

"""Configuration of the study of feed-forward blocks: sections glu_variants, glu_search, glu_text, glu_cost and
report_switches of its params.yaml."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lib import config
from lib.errors import EaselError, require
from lib.models.layout import BLOCKS, NormPlacement

NEEDED = ("relu", "geglu")  # blocks whose difference the study is about


@dataclass(frozen=True)
class GluSetting:
    """One network, but for its feed-forward block, and how it is trained.

    Attributes:
        tokens: of which image tokenizer.
        feed_forward: inner width of ungated blocks; gated ones get two thirds, rounded down to `multiple`.
        warmup, decay: shares of the training's steps in which the learning rate rises and falls.
        averaging: horizon of the moving average of the weights, as a share of the steps; 0 for none.
    """

    tokens: Literal["fine", "coarse"]
    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    feed_forward: int
    multiple: int
    norm_placement: NormPlacement
    init_std: float
    batch_size: int
    learning_rate: float
    warmup: float
    decay: float
    averaging: float

    def __post_init__(self):
        sizes = ("width", "encoder_layers", "decoder_layers", "heads", "feed_forward", "multiple", "batch_size")
        for name in (*sizes, "init_std", "learning_rate"):
            require(getattr(self, name) > 0, f"glu_variants.setting.{name}", "must be above 0")
        for name in ("warmup", "decay", "averaging"):
            require(
                0 <= getattr(self, name) <= 1,
                f"glu_variants.setting.{name}",
                "is a share of the steps; it must lie between 0 and 1",
            )
        require(self.width % self.heads == 0, "glu_variants.setting.heads", f"must divide width = {self.width}")


@dataclass(frozen=True)
class GluVariantsParams:
    """The comparison: every variant from every seed, trained shortly and long, each with a schedule of its own.

    Attributes:
        steps: name of a length → its steps; from short to long.
        pictures: of the test split, on which the trained weights are measured.
        curve_points, curve_pictures: how often on the way, and on how many pictures of the validation split.
    """

    variants: tuple[str, ...]
    seeds: int
    steps: Mapping[str, int]
    setting: GluSetting
    pictures: int
    curve_points: int
    curve_pictures: int

    def __post_init__(self):
        unknown = set(self.variants) - set(BLOCKS)
        require(not unknown, "glu_variants.variants", f"must be some of {', '.join(BLOCKS)}")
        require(set(NEEDED) <= set(self.variants), "glu_variants.variants", f"must hold {' and '.join(NEEDED)}")
        for name in ("seeds", "pictures", "curve_points", "curve_pictures"):
            require(getattr(self, name) > 0, f"glu_variants.{name}", "must be at least 1")
        require(set(self.steps) == {"short", "long"}, "glu_variants.steps", "must name short and long")
        require(
            0 < self.steps["short"] < self.steps["long"], "glu_variants.steps", "must be fewer for short than for long"
        )


@dataclass(frozen=True)
class GluSearchParams:
    """Settings tried before the comparison, which then takes one of them: see `glu_variants.setting`.

    Attributes:
        base: what trials change.
        trials: name → values of `base` that differ, or `steps`.
        steps: of a trial that does not say otherwise.
        pictures: of the validation split, on which trials are measured.
    """

    base: GluSetting
    seeds: int
    steps: int
    pictures: int
    trials: Mapping[str, Mapping[str, Any]]

    def __post_init__(self):
        require(self.seeds >= 2, "glu_search.seeds", "must be at least 2, or there is no noise to compare with")
        require(self.steps > 0 and self.pictures > 0, "glu_search.steps", "and pictures must be at least 1")
        known = {field.name for field in dataclasses.fields(GluSetting)} | {"steps"}
        for name, changes in self.trials.items():
            unknown = set(changes) - known
            require(not unknown, f"glu_search.trials.{name}", f"changes {', '.join(sorted(unknown))}, unknown here")


@dataclass(frozen=True)
class GluTextParams:
    """The paper's own task: a text with gaps, encoded, and what was in the gaps, decoded (T5's span corruption).

    The network and its training are those of `glu_variants.setting`.

    Attributes:
        length: tokens of a stretch of captions before spans are cut out.
        masked: share of tokens that are cut out; span: mean length of a gap, in tokens.
        stretches: of the test split, on which the trained weights are measured.
    """

    seeds: int
    steps: int
    length: int
    masked: float
    span: float
    stretches: int

    def __post_init__(self):
        for name in ("seeds", "steps", "length", "stretches"):
            require(getattr(self, name) > 0, f"glu_text.{name}", "must be at least 1")
        require(0 < self.masked < 1, "glu_text.masked", "must lie between 0 and 1")
        require(self.span >= 1, "glu_text.span", "must be at least one token")


@dataclass(frozen=True)
class GluCostParams:
    """What is timed and counted for every block, with the parameters matched and at equal inner width.

    Attributes:
        sizes: name → values of `GluSetting` that differ from `glu_variants.setting`.
        repetitions: rounds, in each of which every block is timed once.
        step_seconds: of training in one repetition, about.
        drawn: pictures drawn at once.
    """

    sizes: Mapping[str, Mapping[str, Any]]
    repetitions: int
    step_seconds: float
    drawn: int

    def __post_init__(self):
        require(self.repetitions >= 5, "glu_cost.repetitions", "must be at least 5, the fewest for a verdict")
        require(self.step_seconds > 0 and self.drawn > 0, "glu_cost.step_seconds", "and drawn must be above 0")


@dataclass(frozen=True)
class SwitchParams:
    """Two layouts, as changes of the original's default one, that differ in what the DALL·E Mini report is about.

    Attributes:
        finding: the report's, in a few words.
        expected: what it lets expect of the treatment's loss.
    """

    finding: str
    expected: Literal["higher", "lower", "equal"]
    baseline: Mapping[str, Any]
    treatment: Mapping[str, Any]


@dataclass(frozen=True)
class ReportSwitchesParams:
    """The other findings of the DALL·E Mini report, on the network of `glu_search.base`.

    Attributes:
        placements: name → changes of the layout, compared under every one of `high_rates`.
        high_rates: peak learning rates, deliberately too high.
        rise: nats by which a batch's loss must lie above the running mean to count as a spike.
    """

    seeds: int
    steps: int
    switches: Mapping[str, SwitchParams]
    placements: Mapping[str, Mapping[str, Any]]
    high_rates: tuple[float, ...]
    high_steps: int
    rise: float

    def __post_init__(self):
        for name in ("seeds", "steps", "high_steps", "rise"):
            require(getattr(self, name) > 0, f"report_switches.{name}", "must be above 0")
        needed = {"preln", "postln", "normformer", "cogview"}
        require(needed <= set(self.placements), "report_switches.placements", f"must name {', '.join(sorted(needed))}")
        require(self.high_rates, "report_switches.high_rates", "must be at least one")


def changed(setting: GluSetting, changes: Mapping[str, Any]) -> GluSetting:
    """`setting` with other values.

    Raises:
        EaselError: a value that no setting can have, or an unknown name.
    """
    try:
        return dataclasses.replace(setting, **changes)
    except TypeError as error:
        raise EaselError(f"params.yaml: {', '.join(changes)} cannot all be values of a GLU setting.") from error


@dataclass(frozen=True)
class Params(config.Params):
    """What the stages of this study read."""

    glu_variants: GluVariantsParams
    glu_search: GluSearchParams
    glu_text: GluTextParams
    glu_cost: GluCostParams
    report_switches: ReportSwitchesParams

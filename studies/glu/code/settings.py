"""Configuration of the study of feed-forward blocks: sections glu_variants, glu_search, glu_text, glu_cost and
report_switches of its params.yaml."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from lib import config
from lib.config_tree import (
    Count,
    Depth,
    Entries,
    Rate,
    Section,
    Several,
    Share,
    Width,
    plain,
    read,
    require,
    within,
)
from lib.models.layout import BLOCKS, Layout, NormPlacement, Scale

NEEDED = ("relu", "geglu")  # blocks whose difference the study is about
PLACEMENTS = ("cogview", "normformer", "postln", "preln")  # that the claim on placements compares
TOKENS_A_CAPTION = 11  # of drawn captions of up to four objects, on average, at least
CAPTIONS_A_PICTURE = 3  # of the drawn ones, in each language
Seeds = Annotated[int, Field(ge=2, le=1000)]  # of one seed there is no noise to compare with


class GluSetting(Section):
    """One network, but for its feed-forward block, and how it is trained."""

    tokens: config.TokenizerName
    """of which image tokenizer"""
    width: Width
    """of a token"""
    encoder_layers: Depth
    """over the caption"""
    decoder_layers: Depth
    """over the image tokens"""
    heads: Width
    """of attention; they divide width"""
    feed_forward: Width
    """inner width of ungated blocks; gated ones get two thirds, rounded down to `multiple`"""
    multiple: Width
    """of which the inner width of gated blocks is one"""
    norm_placement: NormPlacement
    """see lib/models/layout.py"""
    init_std: Scale
    """standard deviation of the initial weights"""
    batch_size: Count
    """pictures"""
    learning_rate: Rate
    """AdamW's peak: warm-up, constant, linear to 0"""
    warmup: Share
    """of the steps, in which the learning rate rises"""
    decay: Share
    """of the steps, the last ones, in which it falls"""
    averaging: Share
    """horizon of the moving average of the weights, as a share of the steps; 0 for none"""

    def check(self) -> None:
        require(self.width % self.heads == 0, "heads", f"must divide width = {self.width}")
        narrow = 2 * self.feed_forward // 3 < self.multiple
        require(not narrow, "multiple", f"must be at most two thirds of feed_forward = {self.feed_forward}")

    def check_steps(self, steps: int) -> None:
        """Refuses a warm-up that is as long as a training of `steps`."""
        fits = round(self.warmup * steps) < steps
        require(fits, "warmup", f"is {self.warmup:g}, which leaves nothing of a training of {steps} steps")


class GluVariantsParams(Section):
    """The comparison: every variant from every seed, trained shortly and long, each with a schedule of its own."""

    variants: Several[str]
    """feed-forward blocks"""
    seeds: Seeds
    """paired over everything that is compared"""
    steps: Entries[Count]
    """of a short and a long training"""
    setting: GluSetting
    """the best of glu_search.trials"""
    pictures: Count
    """of the test split, on which the trained weights are measured"""
    curve_points: Count
    """how often on the way the weights are measured"""
    curve_pictures: Count
    """of the validation split, on which they are"""

    def check(self) -> None:
        unknown = set(self.variants) - set(BLOCKS)
        require(not unknown, "variants", f"must be some of {', '.join(BLOCKS)}")
        require(set(NEEDED) <= set(self.variants), "variants", f"must hold {' and '.join(NEEDED)}")
        require(len(set(self.variants)) == len(self.variants), "variants", "must name every block once")
        require(set(self.steps) == {"short", "long"}, "steps", "must name short and long")
        require(self.steps["short"] < self.steps["long"], "steps", "must be fewer for short than for long")
        points = self.curve_points <= self.steps["short"]
        require(points, "curve_points", f"must be at most steps.short = {self.steps['short']}")
        with within("setting"):
            for steps in self.steps.values():
                self.setting.check_steps(steps)


class GluSearchParams(Section):
    """Settings tried before the comparison, which then takes one of them: see `glu_variants.setting`."""

    base: GluSetting
    """what trials change"""
    seeds: Seeds
    """of every trial"""
    steps: Count
    """of a trial that does not say otherwise"""
    pictures: Count
    """of the validation split, on which trials are measured"""
    trials: Entries[Entries[Any]]
    """name → values of `base` that differ, or `steps`"""

    def check(self) -> None:
        require(self.trials, "trials", "must be at least one")
        for name, changes in self.trials.items():
            with within(f"trials.{name}"):
                steps = changes.get("steps", self.steps)
                whole = type(steps) is int and 0 < steps < 2**31
                require(whole, "steps", f"is {steps!r}, must be a whole number, at least 1")
                self.setting_of(name).check_steps(steps)

    def setting_of(self, trial: str) -> GluSetting:
        """What a trial trains."""
        changes = self.trials[trial]
        return changed(self.base, {name: changes[name] for name in changes if name != "steps"})


class GluTextParams(Section):
    """The paper's own task: a text with gaps, encoded, and what was in the gaps, decoded (T5's span corruption).

    Network and training are those of `glu_variants.setting`, but for the learning rate.
    """

    seeds: Seeds
    """of every block"""
    steps: Count
    """of a training"""
    learning_rate: Rate
    """AdamW's peak"""
    length: Annotated[int, Field(ge=2, le=10**5)]
    """tokens of a stretch of captions before spans are cut out"""
    masked: Annotated[float, Field(gt=0, lt=1)]
    """share of tokens that are cut out"""
    span: Annotated[float, Field(ge=1, le=1e6)]
    """mean length of a gap, in tokens"""
    stretches: Count
    """of the test split, on which the trained weights are measured"""

    def check(self) -> None:
        # As in studies/glu/code/tasks.py.
        cut = max(round(self.length * self.masked), 1)
        gaps = max(round(cut / self.span), 1)
        require(
            self.length - cut >= gaps,
            "masked",
            f"is {self.masked:g}: of {self.length} tokens nothing is left between gaps",
        )


class GluCostParams(Section):
    """What is timed and counted for every block, with the parameters matched and at equal inner width."""

    sizes: Entries[Entries[Any]]
    """name → values of `GluSetting` that differ from `glu_variants.setting`"""
    repetitions: Annotated[int, Field(ge=5, le=10**4)]  # the fewest for a verdict
    """rounds, in each of which every block is timed once"""
    step_seconds: Annotated[float, Field(gt=0, le=3600)]
    """of training in one repetition, about"""
    drawn: Count
    """pictures drawn at once"""


class SwitchParams(Section):
    """Two layouts, as changes of the original's default one, that differ in what the DALL·E Mini report is about."""

    finding: str
    """the report's, in a few words"""
    expected: Literal["higher", "lower", "equal"]
    """what it lets expect of the treatment's loss"""
    baseline: Entries[Any]
    """switches"""
    treatment: Entries[Any]
    """switches"""

    def check(self) -> None:
        for name in ("baseline", "treatment"):
            with within(name):
                layout_of(1.0, getattr(self, name))
        require(dict(self.baseline) != dict(self.treatment), "treatment", "must differ from baseline")


class ReportSwitchesParams(Section):
    """The other findings of the DALL·E Mini report, on the network of `glu_search.base`."""

    seeds: Seeds
    """of every layout"""
    steps: Count
    """of a training at the ordinary rate"""
    switches: Entries[SwitchParams]
    """name → two layouts that are compared"""
    placements: Entries[Entries[Any]]
    """name → changes of the layout, compared under every one of `high_rates`"""
    high_rates: Several[Rate]
    """peak learning rates, deliberately too high"""
    high_steps: Count
    """of a training at these"""
    rise: Annotated[float, Field(gt=0, le=1e6)]
    """nats by which a batch's loss must lie above the running mean to count as a spike"""

    def check(self) -> None:
        require(set(PLACEMENTS) <= set(self.placements), "placements", f"must name {', '.join(PLACEMENTS)}")
        for name, changes in self.placements.items():
            with within(f"placements.{name}"):
                layout_of(1.0, changes)
        require(self.high_rates, "high_rates", "must be at least one")
        different = {f"{rate:g}" for rate in self.high_rates}
        require(len(different) == len(self.high_rates), "high_rates", "must differ from each other")


def changed(setting: GluSetting, changes: Mapping[str, Any]) -> GluSetting:
    """`setting` with other values.

    Raises:
        EaselError: a value that no setting can have, or an unknown name.
    """
    return read(plain(setting) | plain(changes), GluSetting, "params.yaml")


def layout_of(init_std: float, changes: Mapping[str, Any]) -> Layout:
    """The original's default layout, with this study's initial weights and with `changes`.

    Raises:
        EaselError: what `Layout` refuses, or a switch that it does not have.
    """
    return read({"init_std": init_std} | plain(changes), Layout, "params.yaml")


class Params(config.Params):
    """What the stages of this study read."""

    glu_variants: GluVariantsParams
    glu_search: GluSearchParams
    glu_text: GluTextParams
    glu_cost: GluCostParams
    report_switches: ReportSwitchesParams

    def check(self) -> None:
        super().check()
        variants, search, switches = self.glu_variants, self.glu_search, self.report_switches
        for key, setting in self._settings():
            self.require_pictures(setting.batch_size, f"{key}.batch_size", "train", setting.tokens)
        for tokens in {variants.setting.tokens, search.base.tokens}:  # the second are those of the switches
            self.require_pictures(variants.pictures, "glu_variants.pictures", "test", tokens)
        self.require_pictures(variants.curve_pictures, "glu_variants.curve_pictures", "val", variants.setting.tokens)
        for tokens in {search.setting_of(name).tokens for name in search.trials}:
            self.require_pictures(search.pictures, "glu_search.pictures", "val", tokens)
        with within("glu_cost.sizes"):
            for name, changes in self.glu_cost.sizes.items():
                with within(name):
                    changed(variants.setting, changes)
        with within("glu_variants.setting"):
            variants.setting.check_steps(self.glu_text.steps)
        with within("glu_search.base"):
            for steps in (switches.steps, switches.high_steps, 1):  # one step is timed
                search.base.check_steps(steps)
        self._check_text()

    def _settings(self) -> Iterator[tuple[str, GluSetting]]:
        """Everything that is trained, by its key."""
        yield "glu_variants.setting", self.glu_variants.setting
        yield "glu_search.base", self.glu_search.base
        for name in self.glu_search.trials:
            yield f"glu_search.trials.{name}", self.glu_search.setting_of(name)

    def _check_text(self) -> None:
        text, batch = self.glu_text, self.glu_variants.setting.batch_size
        for split, wanted, key in (("train", batch, "length"), ("test", text.stretches, "stretches")):
            captions = CAPTIONS_A_PICTURE * self.pictures(split, most=self.encode.pictures)
            tokens = 2 + (TOKENS_A_CAPTION - 2) * self.scenes.max_objects / 4
            there = captions * min(self.text.length, tokens) / text.length
            require(
                wanted <= there,
                f"glu_text.{key}",
                f"is {getattr(text, key)}, but the captions of split {split} make only about {there:.0f} stretches of "
                f"{text.length} tokens; {wanted} are needed",
            )

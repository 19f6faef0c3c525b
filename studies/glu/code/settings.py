"""Configuration of the study of feed-forward blocks: sections glu_setting, glu_variants, glu_search, glu_text,
glu_cost and report_switches of its params.yaml."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

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
TWO_LENGTHS = "coarse"  # tokens on which they are trained at two lengths
PLACEMENTS = ("cogview", "normformer", "postln", "preln")  # that the claim on placements compares
TOKENS_A_CAPTION = 11  # of drawn captions of up to four objects, on average, at least
CAPTIONS_A_PICTURE = 3  # of the drawn ones, in each language
TASK_OF_TEXT = "text"  # beside those on pictures, which are known by their tokens
MOST_SEEDS = 1000
Seeds = Annotated[int, Field(ge=2, le=MOST_SEEDS)]  # of one seed there is no noise to compare with


class GluSetting(Section):
    """What all networks and trainings have in common, whatever their blocks, tokens and learning rates."""

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
    warmup: Share
    """of the steps, in which AdamW's learning rate rises; it is constant then, and falls to 0 at the end"""
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


class TokensParams(Section):
    """The comparison on one kind of image tokens."""

    seeds: Seeds
    """paired over all blocks"""
    steps: Count
    """of a training"""
    short: Count | None = None
    """of a shorter one of ReLU and GEGLU, with a schedule of its own"""

    def check(self) -> None:
        require(self.short is None or self.short < self.steps, "short", f"must be fewer than steps = {self.steps}")

    def lengths(self, block: str) -> dict[str, int]:
        """The trainings of a block, by their names in reports, and their steps."""
        short = {"short": self.short} if self.short and block in NEEDED else {}
        return short | {"long": self.steps}


class GluVariantsParams(Section):
    """The comparison: every variant from every seed, on every kind of tokens."""

    variants: Several[str]
    """feed-forward blocks"""
    tokens: Entries[TokensParams]
    """image tokenizer → how networks are trained on its tokens"""
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
        require(set(self.tokens) <= set(get_args(config.TokenizerName)), "tokens", "must name image tokenizers")
        with_short = TWO_LENGTHS in self.tokens and self.tokens[TWO_LENGTHS].short
        require(with_short, f"tokens.{TWO_LENGTHS}", "must be there and have a short training")
        for name, one in self.tokens.items():
            points = self.curve_points <= (one.short or one.steps)
            require(points, "curve_points", f"must be at most the steps of any training; tokens.{name} has fewer")


class GluSearchParams(Section):
    """Learning rates tried before the comparison: in which do ReLU and GEGLU differ most, over the noise of seeds?"""

    learning_rates: Several[Rate]
    """AdamW's peaks"""
    seeds: Seeds
    """of every trial; others than those of the comparisons"""
    steps: Entries[Count]
    """of a trial: of networks on every kind of tokens that glu_variants has, and of those on text"""
    pictures: Count
    """of the validation split, on which trials are measured"""
    stretches: Count
    """of captions of that split, on which those on text are"""

    def check(self) -> None:
        require(self.learning_rates, "learning_rates", "must be at least one")
        different = len(set(self.learning_rates)) == len(self.learning_rates)
        require(different, "learning_rates", "must differ from each other")


class GluTextParams(Section):
    """The paper's own task: a text with gaps, encoded, and what was in the gaps, decoded (T5's span corruption).

    Network and training are those of `glu_setting`.
    """

    seeds: Seeds
    """of every block"""
    steps: Count
    """of a training"""
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
    """What is counted for every block, with the parameters matched and at equal inner width, and timed for two."""

    tokens: config.TokenizerName
    """of which image tokenizer"""
    sizes: Entries[Entries[Any]]
    """name → values that differ from `glu_setting`"""
    repetitions: Annotated[int, Field(ge=5, le=10**4)]  # the fewest for a verdict
    """rounds, in each of which ReLU and GEGLU are timed once"""
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
    """The other findings of the DALL·E Mini report."""

    tokens: config.TokenizerName
    """of which image tokenizer; the ordinary learning rate is the one that was chosen for them"""
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

    glu_setting: GluSetting
    glu_variants: GluVariantsParams
    glu_search: GluSearchParams
    glu_text: GluTextParams
    glu_cost: GluCostParams
    report_switches: ReportSwitchesParams

    def check(self) -> None:
        super().check()
        setting, variants = self.glu_setting, self.glu_variants
        search, switches = self.glu_search, self.report_switches
        tasks = {*variants.tokens, TASK_OF_TEXT}
        require(set(search.steps) == tasks, "glu_search.steps", f"must name {', '.join(sorted(tasks))}")
        require(switches.tokens in tasks, "report_switches.tokens", "must be one of glu_variants.tokens")
        for tokens in variants.tokens:
            self.require_pictures(setting.batch_size, "glu_setting.batch_size", "train", tokens)
            self.require_pictures(variants.pictures, "glu_variants.pictures", "test", tokens)
            self.require_pictures(variants.curve_pictures, "glu_variants.curve_pictures", "val", tokens)
            self.require_pictures(search.pictures, "glu_search.pictures", "val", tokens)
        with within("glu_cost.sizes"):
            for name, changes in self.glu_cost.sizes.items():
                with within(name):
                    changed(setting, changes)
        with within("glu_setting"):
            for one in variants.tokens.values():
                setting.check_steps(one.short or one.steps)
            for steps in (*search.steps.values(), self.glu_text.steps, switches.steps, switches.high_steps, 1):
                setting.check_steps(steps)  # one step is timed
        self._check_text()

    def _check_text(self) -> None:
        text, batch = self.glu_text, self.glu_setting.batch_size
        for split, wanted, key, value in (
            ("train", batch, "glu_text.length", text.length),
            ("val", self.glu_search.stretches, "glu_search.stretches", self.glu_search.stretches),
            ("test", text.stretches, "glu_text.stretches", text.stretches),
        ):
            captions = CAPTIONS_A_PICTURE * self.pictures(split, most=self.encode.pictures)
            tokens = 2 + (TOKENS_A_CAPTION - 2) * self.scenes.max_objects / 4
            there = captions * min(self.text.length, tokens) / text.length
            require(
                wanted <= there,
                key,
                f"is {value}, but the captions of split {split} make only about {there:.0f} stretches of {text.length} "
                f"tokens; {wanted} are needed",
            )

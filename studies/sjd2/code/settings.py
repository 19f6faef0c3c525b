"""Settings of the study of SJD2: sections autoregressive, sjd2, draft_tuning, drafters, exactness and decoding of its
params.yaml."""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from lib import config
from lib.config_tree import (
    Amount,
    Count,
    Depth,
    Entries,
    Guidance,
    Name,
    Section,
    Several,
    Table,
    Temperature,
    Weight,
    Width,
    plain,
    read,
    replace,
    require,
    within,
)
from lib.decoding.options import OPTIONS
from lib.evidence.statistics import generator_of
from lib.scenes.kept import Kept
from lib.scenes.part import part_of
from lib.scenes.vocabulary import GRID
from lib.training.settings import DescentParams, DraftersParams, DraftTuningParams, Sjd2Params


class SizedTrainingParams(DescentParams):
    """A training on pictures of one size."""

    pictures: config.PictureSize
    """pixels a side"""


class AutoregressiveModelParams(Section):
    """One decoder-only model, trained from several seeds on pictures that grow."""

    part: Name
    """of sjd2_parts, whose pictures it sees"""
    tokenizer: config.TokenizerName
    """whose tokens it draws"""
    seeds: Count
    """independent trainings"""
    width: Width
    """of a token"""
    layers: Depth
    """over caption and image tokens"""
    heads: Width
    """of attention; four times as many divide width, for rotary positions in two dimensions"""
    feed_forward: Width
    """inner width"""
    trainings: Several[SizedTrainingParams]
    """one after another; every one goes on where the one before, on smaller pictures, has stopped"""

    def check(self) -> None:
        divides = self.width % (4 * self.heads) == 0
        require(divides, "heads", f"is {self.heads}; four times as many must divide width = {self.width}")
        sizes = [one.pictures for one in self.trainings]
        require(sizes, "trainings", "must be at least one")
        require(sizes == sorted(set(sizes)), "trainings", "must be on pictures that grow")

    @property
    def pictures(self) -> int:
        """Side of the pictures that it draws, in pixels."""
        return self.trainings[-1].pictures


class AutoregressiveParams(Section):
    """The models that are decoded, and the one that judges."""

    languages: Several[str]
    """of their captions; [] is all that the data have"""
    measured: Count
    """pictures of a split behind the losses of these models and of what is tuned from them"""
    judge: Name
    """of the models: under which the likelihood of all drawn pictures is measured; nothing is decoded from it"""
    models: Entries[AutoregressiveModelParams]
    """by name"""

    def check(self) -> None:
        require(self.judge in self.models, "judge", f"must be one of models: {', '.join(self.models)}")


class Sjd2SectionParams(Section):
    """All fine-tunings."""

    recipe: Sjd2Params
    """what the paper describes"""
    changes: Entries[Entries[Any]]
    """name → values in which a fine-tuning differs from the recipe, of its training among them"""

    def check(self) -> None:
        require(self.changes, "changes", "must be at least one fine-tuning")
        for name, changes in self.changes.items():
            with within(f"changes.{name}"):
                changed(self.recipe, changes)

    @property
    def variants(self) -> dict[str, Sjd2Params]:
        """Name → the whole fine-tuning."""
        return {name: changed(self.recipe, changes) for name, changes in self.changes.items()}


def changed(recipe: Sjd2Params, changes: Mapping[str, Any]) -> Sjd2Params:
    """`recipe` with other values; those of its training need no prefix.

    Raises:
        EaselError: a name that is in neither, or a value that it cannot have.
    """
    tree = plain(recipe)
    training = tree["training"]
    known = [name for name in (*tree, *training) if name != "training"]
    for name, value in changes.items():
        require(name in known, name, f"is unknown; there are {', '.join(known)}")
        (tree if name in tree else training)[name] = value
    return read(tree, Sjd2Params, "params.yaml")


class DraftTuningSectionParams(Section):
    """All fine-tunings on drafts."""

    variants: Entries[DraftTuningParams]
    """by name"""

    def check(self) -> None:
        require(self.variants, "variants", "must be at least one fine-tuning")


class ExactnessParams(Section):
    """Every decoder on a toy chain whose law is known."""

    pictures: Annotated[int, Field(ge=1, le=10**6)]
    """drawn in one large batch, to compare with the law"""
    again: Count
    """of them, drawn in small batches as well"""

    def check(self) -> None:
        require(self.again <= self.pictures, "again", f"must be at most pictures = {self.pictures}")


class TextModelParams(Section):
    """The character models of captions, on which decoders of pictures are tried."""

    trainings: Count
    """independent ones"""
    length: Annotated[int, Field(ge=16, le=4096)]
    """characters of a text"""
    rows: Count
    """texts that every decoder draws from each training"""
    measured: Count
    """stretches of the test captions behind the loss"""
    width: Width
    layers: Depth
    heads: Width
    """four times as many divide width"""
    feed_forward: Width
    """inner width"""
    training: DescentParams

    def check(self) -> None:
        divides = self.width % (4 * self.heads) == 0
        require(divides, "heads", f"is {self.heads}; four times as many must divide width = {self.width}")
        require(self.training.caption_dropout == 0, "training.caption_dropout", "must be 0: texts have no caption")


DecoderName = Literal["autoregressive", "jacobi", "sjd", "sjdpp", "sjd2", "zipar", "lantern", "eagle", "medusa"]

UNTUNED = "model:"  # what stands before the name of a network that is not tuned
DRAFT_TUNED = "drafts:"  # and of one that is tuned on drafts
NEED_DRAFTER = ("lantern", "eagle", "medusa")


class RunSampling(Section):
    """What a run samples with, where it is not as the section says."""

    guidance: Guidance | None = None
    temperature: Temperature | None = None
    top_k: Amount | None = None
    """0: of all codes"""


class DecodingRunParams(Section):
    """One network decoded in one way, or in several."""

    decoder: DecoderName | None = None
    """a module of lib/decoding/"""
    chosen: str = ""
    """instead of a decoder: one of sjd2_choice.decoders, with the options and steps that stage choose found"""
    network: str = ""
    """one of sjd2.variants, or `model:` and one of autoregressive.models, or `drafts:` and one of
    draft_tuning.variants; empty for that of the group"""
    options: Entries[Any] = Field(default_factory=lambda: Table({}))
    """of the decoder, whose module explains them; those that are missing have its defaults, or are those chosen"""
    steps: Annotated[int, Field(ge=0, le=10**4)] = 0
    """of SJD2's denoising; 0 for every other decoder, and for those chosen"""
    sampling: Entries[float] = Field(default_factory=lambda: Table({}))
    """guidance, temperature and top_k where they are not those of the section"""
    each: Entries[Several[Any]] = Field(default_factory=lambda: Table({}))
    """network, steps, temperature or an option → values, all of which are tried with each other"""

    def one_by_one(self, name: str) -> dict[str, "DecodingRunParams"]:
        """The runs that this is, by `name` and the values that they have of `each`."""
        found = {}
        for values in itertools.product(*self.each.values()):
            given = dict(zip(self.each, values, strict=True))
            own = {key: given.pop(key) for key in ("network", "steps") if key in given}
            sampling = {key: given.pop(key) for key in ("temperature",) if key in given}
            one = replace(
                self, options=dict(self.options) | given, sampling=dict(self.sampling) | sampling, each={}, **own
            )
            found["_".join([name, *map(str, values)])] = one
        return found

    def check(self) -> None:
        require(bool(self.decoder) != bool(self.chosen), "decoder", "or chosen must be given, one of them")
        if self.decoder and not self.each:
            sjd2 = self.decoder == "sjd2"
            require(self.steps > 0 or not sjd2, "steps", "must be above 0")
            require(self.steps == 0 or sjd2, "steps", f"must be 0: decoder {self.decoder} denoises nothing")
            with within("options"):
                read(plain(self.options), OPTIONS[self.decoder], "params.yaml")
        foreign = self.decoder == "sjd2" and self.network.startswith((UNTUNED, DRAFT_TUNED))
        require(not foreign, "network", "must be tuned for SJD2: one of sjd2.variants")
        with within("sampling"):
            read({name: whole(value) for name, value in self.sampling.items()}, RunSampling, "params.yaml")


class DecodingGroupParams(Section):
    """Runs that are compared with each other: the same prompts and captions, the same random numbers."""

    over: Literal["seeds", "trainings"]
    """what its numbers are means over: sampling seeds of the first training, or trainings, with a sampling seed each"""
    units: Count
    """how many of these, paired over everything that is compared"""
    prompts: Amount
    """of every category, the first ones"""
    captions: Amount
    """of the test split, the first ones; their pictures are what FID and KID compare"""
    batch_size: Count
    """rows that are decoded at once"""
    runs: Entries[DecodingRunParams]
    """by name"""
    network: str = ""
    """of the runs that name none"""
    timed: bool = False
    """whether it is measured how long runs take: they then run alone, one after another"""

    @property
    def single(self) -> dict[str, DecodingRunParams]:
        """The runs one by one, those of `each` among them."""
        return {
            key: replace(one, network=one.network or self.network)
            for name, run in self.runs.items()
            for key, one in run.one_by_one(name).items()
        }

    def unit(self, number: int) -> tuple[int, int]:
        """Training and sampling seed of one of the units."""
        return (number, number) if self.over == "trainings" else (0, number)

    def check(self) -> None:
        require(self.prompts + self.captions > 0, "prompts", "or captions must be above 0")
        require(self.runs, "runs", "must name at least one run")
        counts = {}
        for name, run in self.runs.items():
            with within(f"runs.{name}"):
                every = run.one_by_one(name).values()
                counts[name] = len([replace(one, network=one.network or self.network) for one in every])
        require(all(counts.values()), "runs", "must try at least one value of each")
        require(len(self.single) == sum(counts.values()), "runs", "must differ in names, values of each included")
        for name, run in self.single.items():
            with within(f"runs.{name}"):
                require(re.fullmatch(r"[\w.]+", name), "", "names a file: letters, digits, _ and . only")
                require(run.network, "network", "must be named, here or for the whole group")


class ChoiceParams(Section):
    """How the settings of every decoder are chosen: with the first training of each network, on captions of the
    validation split, the fewest passes of all that keep the quality of autoregressive decoding."""

    captions: Count
    """of the validation split, the first ones"""
    batch_size: Count
    """rows that are decoded at once"""
    margin: Weight
    """nats a token: pictures that are so much less likely than those of autoregressive decoding of the same network,
    under the judge, or, where it knows no such pictures, under the network itself, are not as good"""
    decoders: Entries[DecodingRunParams]
    """by name; `each` has what is tried, and on which networks. Others have the settings of the first network"""

    def check(self) -> None:
        for name, run in self.decoders.items():
            with within(f"decoders.{name}"):
                require(run.decoder, "decoder", "must be given")
                require("network" in run.each, "each", "must name at least one network")
                require(run.one_by_one(name), "each", "must try at least one value of each")


def whole(value: float) -> float | int:
    """A number without a fraction as an integer."""
    return int(value) if math.isfinite(value) and value == int(value) else value


class DecodingParams(Section):
    """All decoding."""

    guidance: Guidance
    """of every run that does not say otherwise, as are temperature and top_k; 1: none"""
    temperature: Temperature
    """0 draws the most likely token"""
    top_k: Amount
    """0: of all codes"""
    groups: Entries[DecodingGroupParams]
    """by name"""

    def check(self) -> None:
        require(self.groups, "groups", "must be at least one")
        for name in self.groups:
            require(re.fullmatch(r"\w+", name), f"groups.{name}", "names a folder: letters, digits and _ only")


class Params(config.Params):
    """What the stages of this study read."""

    sjd2_parts: Entries[Entries[Any]]
    """parts of the drawn data: what is other in section scenes, and settings of lib/scenes/part.py; of data that are
    not drawn here, each part is all of them"""
    autoregressive: AutoregressiveParams
    sjd2: Sjd2SectionParams
    draft_tuning: DraftTuningSectionParams
    drafters: DraftersParams
    exactness: ExactnessParams
    sjd2_choice: ChoiceParams
    text_model: TextModelParams
    decoding: DecodingParams

    def check(self) -> None:
        super().check()
        models = self.autoregressive.models
        self.require_languages(self.autoregressive.languages, "autoregressive.languages")
        for part in self.sjd2_parts:
            with within(f"sjd2_parts.{part}"):
                self.scenes_of(part)
        for name, model in models.items():
            with within(f"autoregressive.models.{name}"):
                require(model.part in self.sjd2_parts, "part", f"is {model.part}, which is none of sjd2_parts")
                for training in model.trainings:
                    self._check_batch(training, training.pictures, model.part)
                for split in ("val", "test"):
                    self._require_there(self.autoregressive.measured, split, model.pictures, model.part)
        for key, one in self.tunings.items():
            with within(key):
                require(one.model in models, "model", f"is {one.model!r}, must be one of {', '.join(models)}")
                self._check_batch(one.training, models[one.model].pictures, models[one.model].part)
        length = (models[self.drafters.model].pictures // self.stride(self.drafters.model)) ** 2
        require(self.drafters.heads < length, "drafters.heads", f"must be below {length}, the tokens of a picture")
        choice = self.sjd2_choice
        for name, run in choice.decoders.items():
            for key, one in run.one_by_one(name).items():
                with within(f"sjd2_choice.decoders.{name} ({key})"):
                    part, _, size = self._check_run(one)
                    self._require_there(choice.captions, "val", size, part)
        for name, group in self.decoding.groups.items():
            with within(f"decoding.groups.{name}"):
                self._check_group(group)

    @property
    def tunings(self) -> dict[str, Any]:
        """Key → everything that is tuned from one of autoregressive.models."""
        tuned: dict[str, Any] = {f"sjd2.changes.{name}": one for name, one in self.sjd2.variants.items()}
        tuned |= {f"draft_tuning.variants.{name}": one for name, one in self.draft_tuning.variants.items()}
        return tuned | {"drafters": self.drafters}

    def scenes_of(self, part: str) -> tuple[config.ScenesParams, Kept]:
        """How one of sjd2_parts is drawn; see `lib.scenes.part.part_of`."""
        left_out = {kind for one in self.tokenizers[part] for kind in getattr(self.tokenizer, one).leave_out}
        return part_of(self.scenes, self.sjd2_parts[part], sorted(left_out))

    @property
    def tokenizers(self) -> dict[str, list[str]]:
        """Part → the tokenizers whose tokens models draw of it."""
        used = self.autoregressive.models.values()
        return {part: sorted({one.tokenizer for one in used if one.part == part}) for part in self.sjd2_parts}

    def stride(self, model: str) -> int:
        """Pixels a token of one of autoregressive.models."""
        return getattr(self.tokenizer, self.autoregressive.models[model].tokenizer).stride

    def codes(self, model: str) -> int:
        """Codes of the tokenizer of one of autoregressive.models."""
        return getattr(self.tokenizer, self.autoregressive.models[model].tokenizer).codes

    def words(self, model: str) -> dict[str, Any]:
        """Which pictures and captions one of autoregressive.models, and whatever is tuned from it, reads: arguments of
        `studies.sjd2.code.material.pictures_of`, but for the size."""
        own = self.autoregressive.models[model]
        return {
            "part": own.part,
            "tokenizer": own.tokenizer,
            "languages": self.autoregressive.languages,
            "text_length": self.text.length,
        }

    def seed_of(self, name: str, training: int) -> int:
        """The seed of an independent training of what is called so."""
        return int(generator_of(f"sjd2 {name} {training} {self.seed}").integers(2**31))

    def judged(self, model: str) -> bool:
        """Whether the judge knows the pictures of one of autoregressive.models: its part, and as many tokens of it."""
        kinds = [
            (one.part, one.tokenizer, one.pictures)
            for one in (self.autoregressive.models[name] for name in (model, self.autoregressive.judge))
        ]
        return kinds[0] == kinds[1]

    def there(self, split: str, size: int, part: str) -> float:
        """How many pictures of a split a part has; infinity for data that are not drawn here."""
        if self.data.source != "scenes":
            return math.inf if size in self.data.image_sizes else 0
        scenes, _ = self.scenes_of(part)
        count = getattr(scenes, split)
        return min(count, scenes.large) if size > GRID else count

    def base(self, network: str) -> str:
        """Which of autoregressive.models a network is, or was tuned from.

        Raises:
            EaselError: there is no such network.
        """
        recipe = self.sjd2.recipe
        for prefix, known, section in (
            (UNTUNED, {name: name for name in self.autoregressive.models}, "autoregressive.models"),
            (
                DRAFT_TUNED,
                {name: one.model for name, one in self.draft_tuning.variants.items()},
                "draft_tuning.variants",
            ),
            ("", {name: one.get("model", recipe.model) for name, one in self.sjd2.changes.items()}, "sjd2.variants"),
        ):
            if network.startswith(prefix):
                name = network.removeprefix(prefix)
                require(name in known, "network", f"is {network!r}, but {section} has {', '.join(known)}")
                return known[name]
        raise AssertionError(network)

    def _check_batch(self, training: DescentParams, size: int, part: str) -> None:
        there = self.there("train", size, part)
        require(training.batch_size <= there, "batch_size", f"is above {there}, the pictures of {size}×{size} pixels")

    def _require_there(self, wanted: int, split: str, size: int, part: str) -> None:
        """Refuses to measure on more pictures of a split than a part has."""
        there = self.there(split, size, part)
        require(wanted <= there, "part", f"has {there} pictures of {size}×{size} pixels in split {split}, not {wanted}")

    def _check_run(self, run: DecodingRunParams) -> tuple[str, str, int]:
        """Refuses a run that its network cannot do; returns the kind of pictures that it draws."""
        base = self.base(run.network)
        model = self.autoregressive.models[base]
        require(base != self.autoregressive.judge, "network", "must be another than autoregressive.judge")
        own = run.decoder not in NEED_DRAFTER or run.network == f"{UNTUNED}{self.drafters.model}"
        require(own, "network", f"must be {UNTUNED}{self.drafters.model}: drafters.model has the drafter alone")
        columns, codes = model.pictures // self.stride(base), self.codes(base)
        require(run.options.get("ahead", 1) <= columns, "options.ahead", f"must be at most {columns} columns")
        require(run.options.get("near", 1) < codes, "options.near", f"must be below {codes} codes")
        top_k = run.sampling.get("top_k", self.decoding.top_k)
        require(top_k <= codes, "sampling.top_k", f"is {top_k:g}, must be at most {codes} codes")
        return model.part, model.tokenizer, model.pictures

    def _check_group(self, group: DecodingGroupParams) -> None:
        shapes = set()
        for name, run in group.single.items():
            with within(f"runs.{name}"):
                there = ", ".join(self.sjd2_choice.decoders)
                require(not run.chosen or run.chosen in self.sjd2_choice.decoders, "chosen", f"must be one of {there}")
                shapes.add(self._check_run(run))
                trained = self.autoregressive.models[self.base(run.network)].seeds
                enough = group.over == "seeds" or group.units <= trained
                require(enough, "network", f"has {trained} trainings, not {group.units}")
                first = group.over == "seeds" or run.decoder not in NEED_DRAFTER
                require(first, "decoder", f"is {run.decoder}, whose drafter is for the first training alone")
        require(len(shapes) == 1, "runs", "draw several kinds of pictures; make it two groups")
        part, _, size = shapes.pop()
        self._require_there(group.captions, "test", size, part)
        self.require_prompts(group.prompts, "prompts")

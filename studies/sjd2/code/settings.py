"""Settings of the study of SJD2: sections autoregressive, sjd2, draft_tuning, drafters, exactness and decoding of its
params.yaml."""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, Literal

from lib import config
from lib.errors import require
from lib.training.settings import DescentParams, DraftersParams, DraftTuningParams, Sjd2Params


@dataclass(frozen=True)
class AutoregressiveModelParams:
    """One decoder-only model, on the fine tokens of pictures of one size."""

    pictures: Literal[64, 128]
    width: int
    layers: int
    heads: int
    feed_forward: int
    training: DescentParams

    def __post_init__(self):
        for name in ("width", "layers", "heads", "feed_forward"):
            require(getattr(self, name) > 0, f"autoregressive.models: {name}", "must be above 0")


@dataclass(frozen=True)
class AutoregressiveParams:
    """The models that are decoded.

    Attributes:
        names: of the models, in the order in which they are trained; dvc.yaml cannot list the keys of a mapping.
        languages: of their captions; none means all that the data have.
        measured: pictures of a split behind the losses of these models and of what is tuned from them.
    """

    names: tuple[str, ...]
    languages: tuple[str, ...]
    measured: int
    models: Mapping[str, AutoregressiveModelParams]

    def __post_init__(self):
        require(
            sorted(self.names) == sorted(self.models),
            "autoregressive.names",
            f"must name each of autoregressive.models once: {', '.join(self.models)}",
        )
        require(self.measured > 0, "autoregressive.measured", "must be at least 1")


@dataclass(frozen=True)
class Sjd2SectionParams:
    """All fine-tunings.

    Attributes:
        names: of the fine-tunings, in their order; dvc.yaml cannot list the keys of a mapping.
        recipe: what the paper describes.
        changes: name → values in which a fine-tuning differs from the recipe, of its training among them.
        variants: name → the whole fine-tuning.
    """

    names: tuple[str, ...]
    recipe: Sjd2Params
    changes: Mapping[str, Mapping[str, Any]]

    def __post_init__(self):
        require(
            sorted(self.names) == sorted(self.changes),
            "sjd2.names",
            f"must name each of sjd2.changes once: {', '.join(self.changes)}",
        )
        for name, changes in self.changes.items():
            changed(self.recipe, changes, f"sjd2.changes.{name}")

    @property
    def variants(self) -> dict[str, Sjd2Params]:
        return {name: changed(self.recipe, changes, f"sjd2.changes.{name}") for name, changes in self.changes.items()}


def changed(recipe: Sjd2Params, changes: Mapping[str, Any], where: str) -> Sjd2Params:
    """`recipe` with other values; those of its training need no prefix.

    Raises:
        EaselError: a name that is in neither, or a value of another type.
    """
    own, training = plain_fields(recipe), plain_fields(recipe.training)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
    for name, value in values.items():
        require(name in own | training, f"{where}.{name}", "is unknown; there are " + ", ".join(own | training))
        kind = type((own | training)[name])
        require(type(value) is kind, f"{where}.{name}", f"is {value!r}, must be of type {kind.__name__}")
    trained = replace(recipe.training, **{name: value for name, value in values.items() if name in training})
    return replace(recipe, training=trained, **{name: value for name, value in values.items() if name in own})


def plain_fields(section: Any) -> dict[str, Any]:
    """Name → value of what is not a section itself."""
    return {name: value for name, value in vars(section).items() if not is_dataclass(value)}


@dataclass(frozen=True)
class DraftTuningSectionParams:
    """All fine-tunings on drafts.

    Attributes:
        names: of the fine-tunings, in their order; dvc.yaml cannot list the keys of a mapping.
    """

    names: tuple[str, ...]
    variants: Mapping[str, DraftTuningParams]

    def __post_init__(self):
        require(
            sorted(self.names) == sorted(self.variants),
            "draft_tuning.names",
            f"must name each of draft_tuning.variants once: {', '.join(self.variants)}",
        )


@dataclass(frozen=True)
class ExactnessParams:
    """Every decoder on a toy chain whose law is known.

    Attributes:
        pictures: drawn in one large batch, to compare with the law.
        again: of them, drawn in small batches as well.
    """

    pictures: int
    again: int

    def __post_init__(self):
        require(0 < self.again <= self.pictures, "exactness.again", "must be at least 1 and at most exactness.pictures")


DecoderName = Literal["autoregressive", "jacobi", "sjd", "sjdpp", "sjd2", "zipar", "lantern", "eagle", "medusa"]

UNTUNED = "model:"  # what stands before the name of a network that is not tuned
DRAFT_TUNED = "drafts:"  # and of one that is tuned on drafts
PAIRED = ("quality", "untuned", "drafted")  # groups that claims compare with each other, row by row


@dataclass(frozen=True)
class DecodingRunParams:
    """One network decoded in one way, or in several.

    Attributes:
        network: one of sjd2.variants, or `model:` and one of autoregressive.models, or `drafts:` and one of
            draft_tuning.variants; empty for that of the group.
        options: of the decoder, whose module in lib/decoding/ explains them; those that are missing have its defaults.
        steps: of SJD2's denoising; 0 for every other decoder.
        sampling: guidance, temperature and top_k where they are not those of the section.
        each: network, steps or an option → values, all of which are tried with each other.
    """

    decoder: DecoderName
    network: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    sampling: Mapping[str, float] = field(default_factory=dict)
    each: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def one_by_one(self, name: str) -> dict[str, "DecodingRunParams"]:
        """The runs that this is, by `name` and the values that they have of `each`."""
        found = {}
        for values in itertools.product(*self.each.values()):
            chosen = dict(zip(self.each, values, strict=True))
            own = {key: chosen.pop(key) for key in ("network", "steps") if key in chosen}
            one = replace(self, options=dict(self.options) | chosen, each={}, **own)
            found["_".join([name, *map(str, values)])] = one
        return found


@dataclass(frozen=True)
class DecodingGroupParams:
    """Runs that are compared with each other: the same prompts and captions, the same random numbers.

    Attributes:
        prompts: of every category, the first ones.
        captions: of the test split, the first ones; their pictures are what FID and KID compare.
        batch_size: rows that are decoded at once.
        network: of the runs that name none.
        single: the runs one by one, those of `each` among them.
    """

    prompts: int
    captions: int
    batch_size: int
    runs: Mapping[str, DecodingRunParams]
    network: str = ""

    @property
    def single(self) -> dict[str, DecodingRunParams]:
        return {
            key: replace(one, network=one.network or self.network)
            for name, run in self.runs.items()
            for key, one in run.one_by_one(name).items()
        }


@dataclass(frozen=True)
class DecodingParams:
    """All decoding.

    Attributes:
        names: of the groups that are decoded, in that order; dvc.yaml cannot list the keys of a mapping.
        seeds: paired over everything that is compared.
        guidance, temperature, top_k: of every run that does not say otherwise.
    """

    names: tuple[str, ...]
    seeds: int
    guidance: float
    temperature: float
    top_k: int
    groups: Mapping[str, DecodingGroupParams]

    def __post_init__(self):
        require(
            len(set(self.names)) == len(self.names) and set(self.names) <= set(self.groups),
            "decoding.names",
            f"must name some of decoding.groups, each once: {', '.join(self.groups)}",
        )
        require(self.seeds > 0, "decoding.seeds", "must be at least 1")
        self._check_sampling("decoding", {name: getattr(self, name) for name in ("guidance", "temperature", "top_k")})
        for name, group in self.groups.items():
            where = f"decoding.groups.{name}"
            require(re.fullmatch(r"\w+", name), where, "names a folder: letters, digits and _ only")
            require(group.prompts >= 0 and group.captions >= 0, f"{where}.prompts", "and captions must not be negative")
            require(group.prompts + group.captions > 0, f"{where}.prompts", "or captions must be above 0")
            require(group.batch_size > 0, f"{where}.batch_size", "must be at least 1")
            require(group.runs, f"{where}.runs", "must name at least one run")
            counts = [math.prod(map(len, run.each.values())) for run in group.runs.values()]
            require(all(counts), f"{where}.runs", "must try at least one value of each")
            require(len(group.single) == sum(counts), f"{where}.runs", "must differ in names, values of each included")
            for key, run in group.single.items():
                self._check_run(f"{where}.runs.{key}", key, run)
        paired = [(name, self.groups[name]) for name in PAIRED if name in self.groups]
        for (first, one), (name, other) in itertools.pairwise(paired):
            same = (one.prompts, one.captions) == (other.prompts, other.captions)
            require(
                same, f"decoding.groups.{name}", f"must draw as many prompts and captions as {first}: claims pair them"
            )

    def _check_run(self, where: str, key: str, run: DecodingRunParams) -> None:
        require(re.fullmatch(r"[\w.]+", key), where, "names a file: letters, digits, _ and . only")
        require(run.network, f"{where}.network", "must be named, here or for the whole group")
        if run.decoder == "sjd2":
            require(run.steps > 0, f"{where}.steps", "must be above 0")
            foreign = run.network.startswith((UNTUNED, DRAFT_TUNED))
            require(not foreign, f"{where}.network", "must be tuned for SJD2: one of sjd2.variants")
        else:
            require(run.steps == 0, f"{where}.steps", f"must be 0: decoder {run.decoder} denoises nothing")
        unknown = set(run.sampling) - {"guidance", "temperature", "top_k"}
        require(not unknown, f"{where}.sampling", "may hold guidance, temperature and top_k")
        self._check_sampling(f"{where}.sampling", run.sampling)

    @staticmethod
    def _check_sampling(where: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            require(number and value >= 0, f"{where}.{name}", "must be a number that is not negative")
            require(name != "top_k" or value == int(value), f"{where}.{name}", "must be a whole number (0: off)")


@dataclass(frozen=True)
class Params(config.Params):
    """What the stages of this study read."""

    autoregressive: AutoregressiveParams
    sjd2: Sjd2SectionParams
    draft_tuning: DraftTuningSectionParams
    drafters: DraftersParams
    exactness: ExactnessParams
    decoding: DecodingParams

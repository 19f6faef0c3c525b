"""Configuration: params.yaml → frozen dataclasses, checked key by key.

`params.yaml` is read as YAML 1.2, the dialect that DVC reads (`1e-4` is a number, `on` is a string). In the shadow of
another profile the same tree, resolved, stands in `params.json` (see lib/profile.py). A study has a file of its own,
`studies/<name>/params.yaml`, whose sections it reads beside those at the top.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lib.config_tree import convert, read_yaml
from lib.errors import EaselError, require
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
    """What every study reads: params.yaml at the top. A study adds its sections (studies/*/code/settings.py)."""

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


STUDIES = Path("studies")


def studies() -> list[str]:
    """The studies that there are: the folders of studies/ that have parameters."""
    return sorted({path.parent.name for path in STUDIES.glob("*/params.*")})


def folder(study: str) -> Path:
    """Where parameters and pipeline of a study lie; those that all share, "", lie at the top."""
    return STUDIES / study if study else Path(".")


def package(study: str) -> str:
    """The package of a study's code."""
    return f"{STUDIES}.{study}.code"


def kind(study: str) -> type[Params]:
    """The class of a study's parameters; its code/settings.py defines it."""
    return importlib.import_module(f"{package(study)}.settings").Params if study else Params


def parameters_file(study: str = "") -> Path:
    """The file that configures the folder in which we run: params.json in a shadow, params.yaml at the top."""
    shadow = folder(study) / "params.json"
    return shadow if shadow.is_file() else folder(study) / "params.yaml"


def read_trees(file_of: Callable[[str], Path] = parameters_file) -> dict[str, dict]:
    """Study → what its file of parameters holds, unchecked; "" → the file at the top."""
    needed = {"": ("profile",)}
    return {study: read_yaml(file_of(study), *needed.get(study, ())) for study in ("", *studies())}


def load(study: str = "") -> Params:
    """Reads and checks what a study is configured by: the file at the top and its own.

    Raises:
        EaselError: no such file, not YAML, an unknown or missing key, a value of the wrong type or out of range.
    """
    trees = {name: read_yaml(parameters_file(name)) for name in dict.fromkeys(("", study))}
    return build(trees, study, str(parameters_file(study)))


def build(trees: Mapping[str, Any], study: str, where: str) -> Params:
    """Checks the configuration of a study, from trees as read from `where`, and freezes it."""
    tree = trees[""] if not study else joined(trees[""], trees[study], where)
    return convert(tree, kind(study), where, "")


def joined(top: Mapping[str, Any], own: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The sections of both; those of a study that the top has as well add entries to them.

    Raises:
        EaselError: both set the same key.
    """
    tree = dict(top)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(tree.get(key, {}), Mapping)
        if key in tree and not (both and not set(value) & set(tree[key])):
            raise EaselError(f"{where}: {key} stands in {parameters_file()} already; a study adds sections of its own.")
        tree[key] = {**tree.get(key, {}), **value} if both else value
    return tree

"""Configuration: params.yaml → frozen pydantic models, checked key by key.

`params.yaml` is read as YAML 1.2, the dialect that DVC reads (`1e-4` is a number, `on` is a string). In the shadow of
another profile the same tree, resolved, stands in `params.json` (see lib/profile.py). A study has a file of its own,
`studies/<name>/params.yaml`, whose sections it reads beside those at the top.

Sections have no defaults: a value that params.yaml does not show would be tracked by nobody.
"""

import importlib
import math
import zipfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from lib import config_tree
from lib.config_tree import (
    Amount,
    Count,
    Depth,
    Entries,
    Name,
    PartialShare,
    Rate,
    Section,
    Seed,
    Several,
    Weight,
    Width,
    read_yaml,
    require,
)
from lib.errors import EaselError
from lib.ownership import check_is_no_output
from lib.scenes.vocabulary import BACKGROUNDS, GRID, LANGUAGES, TEXTURES

BelowHalf = Annotated[float, Field(gt=0, lt=0.5)]
TokenizerName = Literal["fine", "coarse"]
PictureSize = Literal[64, 128]  # all that drawing and the networks know
FEWEST = 2  # pictures in a distance between two sets


class DataParams(Section):
    """Where pictures and captions come from."""

    source: Literal["scenes", "webdataset", "coco"]
    """scenes (drawn here), webdataset (a folder of *.tar shards) or coco (a captions folder)"""
    path: str
    """the folder, for webdataset and coco"""
    image_sizes: Several[PictureSize]
    """what is kept of webdataset and coco pictures; scenes also draws 128"""
    val_share: BelowHalf
    """webdataset and coco only: scenes has its own counts"""
    test_share: BelowHalf
    """webdataset and coco only"""
    max_bad_share: BelowHalf
    """more unusable samples than this is an error, not a footnote"""

    def check(self) -> None:
        require(self.source == "scenes" or self.path, "path", "names no folder; set it to the shards or COCO folder")
        if self.source != "scenes":
            check_is_no_output(self.path)
        require(64 in self.image_sizes, "image_sizes", "must hold 64, the size everything downstream reads")
        require(len(set(self.image_sizes)) == len(self.image_sizes), "image_sizes", "must name every size once")


class ScenesParams(Section):
    """The drawn data set: counts per split, what may stand in a picture."""

    seed: Seed
    """of the data set"""
    train: Count
    """pictures"""
    val: Count
    """pictures"""
    test: Count
    """pictures"""
    heldout: Count
    """pictures with a shape–colour pair that training never sees"""
    large: Amount
    """of each split, how many are also drawn at 128×128"""
    max_objects: Annotated[int, Field(ge=1, le=4)]
    """in a picture"""
    prompts_per_category: Annotated[int, Field(ge=1, le=100)]  # heldout has 144 different ones, drawn by chance
    """of evaluation"""
    lattice: Annotated[int, Field(ge=1, le=8)]  # coarser, four objects would seldom find room
    """pixels between possible centres: as a coarse token's side, so that edges meet its border in one way"""
    backgrounds: Entries[Annotated[int, Field(ge=0, le=10**6)]]
    """weights; 0 switches one off"""
    textures: Entries[Annotated[int, Field(ge=0, le=10**6)]]
    """weights; 0 switches one off"""

    def check(self) -> None:
        for name, known in (("backgrounds", BACKGROUNDS), ("textures", TEXTURES)):
            weights = getattr(self, name)
            for kind in weights:
                require(kind in known, f"{name}.{kind}", f"is unknown; there are {', '.join(known)}")
            require(sum(weights.values()), name, "must give at least one of them a weight above 0")


class TextParams(Section):
    """Subword vocabulary of the captions."""

    vocabulary: Annotated[int, Field(ge=323, le=10**6)]  # special tokens, bytes and the commonest letters: lib/text.py
    """tokens, at most"""
    length: Annotated[int, Field(ge=4, le=4096)]
    """tokens of a caption, begin and end included; the longest captions need about as many"""


class ClipParams(Section):
    """The small CLIP: judge of captions, extractor behind FID, KID and the perceptual loss."""

    steps: Count
    """updates"""
    batch_size: Annotated[int, Field(ge=2, lt=2**31)]  # one pair has no other to be told from
    """pairs of picture and caption"""
    learning_rate: Rate
    """peak"""
    width: Width
    """channels of the image tower at stride 2; 2, 3 and 4 times as many further down"""
    embedding: Width
    """dimensions of the space in which pictures and captions meet"""
    text_width: Width
    """dimensions of a token"""
    text_layers: Depth
    """of the caption tower"""
    text_heads: Width
    """of its attention; they divide text_width"""

    def check(self) -> None:
        require(self.text_width % self.text_heads == 0, "text_heads", f"must divide text_width = {self.text_width}")


class ReaderParams(Section):
    """The scene reader: names the objects of a picture."""

    steps: Count
    """updates"""
    batch_size: Count
    """pictures; many small updates: shapes are learned late"""
    learning_rate: Rate
    """peak"""
    width: Width
    """channels at stride 2; 2 and 4 times as many at strides 4 and 8"""


class TokenizerParams(Section):
    """An image tokenizer (VQGAN), and the kinds of background that it and the models of its tokens do without."""

    stride: Literal[2, 4, 8, 16, 32]
    """pixels a token"""
    leave_out: Several[str]
    """kinds of background (drawn data only) that neither it nor a model of its tokens sees"""
    steps: Count
    """updates"""
    batch_size: Count
    """pictures"""
    learning_rate: Rate
    """of all but kernels, by AdamW"""
    kernel_learning_rate: Rate
    """of convolution kernels, by Muon"""
    width: Width
    """channels at the resolution of the tokens"""
    codes: Annotated[int, Field(ge=2, le=2**16)]  # tokens are kept as uint16
    """size of the vocabulary"""
    code_width: Width
    """dimensions of a code"""
    commitment: Weight
    """weight of the commitment term"""
    ema_decay: PartialShare
    """of the codebook's averages"""
    perceptual_weight: Weight
    """0 leaves CLIP's features out"""
    discriminator_weight: Weight
    """0 leaves the patch discriminator out"""

    def check(self) -> None:
        unknown = set(self.leave_out) - set(BACKGROUNDS)
        require(not unknown, "leave_out", f"may name {', '.join(BACKGROUNDS)}, not {', '.join(sorted(unknown))}")
        judged = self.discriminator_weight > 0
        require(not judged or self.width > 1, "width", "must be at least 2: the discriminator has half of it")


class TokenizersParams(Section):
    """The image tokenizers; what reads tokens names the one that it takes."""

    fine: TokenizerParams
    """64×64 pixels → 16×16 tokens, 128×128 → 32×32"""
    coarse: TokenizerParams
    """64×64 → 8×8: less sharp, but a model reads a picture in a quarter of the tokens"""


class EncodeParams(Section):
    """How many pictures are turned into tokens, and so seen by the models."""

    pictures: Count
    """of each split at most"""


class EvaluationParams(Section):
    """How much is measured, and which pretrained networks may be used if they are at hand."""

    pictures: Annotated[int, Field(ge=FEWEST, lt=2**31)]
    """test pictures behind FID, KID and the reader's own accuracy"""
    bootstrap: Annotated[int, Field(ge=40, le=10**6)]  # fewer have no draw beyond the ends of a 95 % interval
    """resamples behind every interval"""
    inception: str
    """StyleGAN's inception-2015-12-05.pt, if it is at hand: FID in its features as well"""
    clip: str
    """a local folder with a pretrained CLIP, if there is one"""

    def check(self) -> None:
        for name in ("inception", "clip"):
            path = getattr(self, name)
            require(not path or Path(path).exists(), name, f"names {path}, which does not exist")
        torch_script = not self.inception or zipfile.is_zipfile(self.inception)
        require(torch_script, "inception", f"names {self.inception}, which is not a TorchScript file")
        pretrained = not self.clip or (Path(self.clip) / "config.json").is_file()
        require(pretrained, "clip", f"names {self.clip}, which holds no config.json; name a CLIP's folder")
        library = not self.clip or find_spec("transformers")
        require(library, "clip", 'needs the transformers library: `.venv/bin/pip install transformers`, or set ""')


class Params(Section):
    """What every study reads: params.yaml at the top. A study adds its sections (studies/*/code/settings.py)."""

    profile: Name
    """names the folders of results"""
    seed: Seed
    """of every training and sampling run"""
    threads: Annotated[int, Field(ge=1, le=256)]
    """cores that a stage may use; results are exact only at the same number"""
    data: DataParams
    scenes: ScenesParams
    text: TextParams
    clip: ClipParams
    reader: ReaderParams
    tokenizer: TokenizersParams
    encode: EncodeParams
    evaluation: EvaluationParams
    notebooks: Entries[Entries[Any]]
    """notebook name → its parameters; lib.run checks them against the notebook"""

    def check(self) -> None:
        for name, values in self.notebooks.items():
            for key, value in values.items():
                good = isinstance(value, str | bool) or (type(value) is int and 0 < value < 2**31)
                good |= isinstance(value, float) and 0 <= value < math.inf
                expected = "a text, true, false, a whole number above 0 or a fraction that is not negative"
                require(good, f"notebooks.{name}.{key}", f"is {value!r}, must be {expected}")
        for name in ("fine", "coarse"):
            require(
                self.pictures("train", name) >= 1,
                f"tokenizer.{name}.leave_out",
                "leaves none of the backgrounds that scenes.backgrounds draws, or too few pictures",
            )
            for size in (64, 128):
                there = self.pictures("test", size=size)
                measured = self.pictures("test", name, size, most=self.evaluation.pictures)
                require(
                    not there or measured >= FEWEST,
                    "evaluation.pictures",
                    f"and scenes leave too few test pictures of {size}×{size} pixels to measure tokenizer.{name} on",
                )

    def pictures(self, split: str, tokenizer: str = "", size: int = 64, most: float = math.inf) -> float:
        """How many pictures of a split there are, at least: all but one data set in a million have as many.

        Args:
            tokenizer: without the backgrounds that it leaves out.
            most: only so many, the first ones, are looked at.

        Returns:
            Infinity for data that are not drawn here: nobody knows before they are read.
        """
        if self.data.source != "scenes":
            return math.inf if size in self.data.image_sizes else 0
        count = min(getattr(self.scenes, split), most, self.scenes.large if size > GRID else most)
        weights, left_out = self.scenes.backgrounds, getattr(self.tokenizer, tokenizer).leave_out if tokenizer else ()
        share = sum(weight for kind, weight in weights.items() if kind not in left_out) / sum(weights.values())
        return max(0.0, count * share - 5 * math.sqrt(count * share * (1 - share)))

    def require_pictures(self, wanted: int, key: str, split: str, tokenizer: str = "", size: int = 64) -> None:
        """Refuses `key`, which wants so many encoded pictures of a split, if the drawn data may have fewer."""
        drawn = self.data.source == "scenes" or size in self.data.image_sizes
        require(drawn, key, f"asks for pictures of {size}×{size} pixels; add {size} to data.image_sizes")
        there = self.pictures(split, tokenizer, size, self.encode.pictures)
        require(
            wanted <= there,
            key,
            f"asks for {wanted} pictures of {size}×{size} pixels, but as scenes, encode and tokenizer stand, split "
            f"{split} is only sure to have {there:.0f}",
        )

    def require_languages(self, wanted: tuple[str, ...], key: str) -> None:
        """Refuses `key` if it asks for captions in other languages than the drawn ones."""
        drawn = self.data.source != "scenes" or set(wanted) <= set(LANGUAGES)
        require(drawn, key, f"is {', '.join(wanted)}, but captions are in {', '.join(LANGUAGES)}")

    def require_prompts(self, wanted: int, key: str) -> None:
        """Refuses `key` if it asks for more prompts of a category than the drawn data have."""
        there = self.scenes.prompts_per_category if self.data.source == "scenes" else math.inf
        require(wanted <= there, key, f"is {wanted}, but scenes.prompts_per_category = {there}")

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
    """Checks the configuration of a study, from trees as read from `where`, and freezes it.

    Raises:
        EaselError: all that is wrong with it, one a line.
    """
    tree = trees[""] if not study else joined(trees[""], trees[study], where)
    return config_tree.read(tree, kind(study), where)


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

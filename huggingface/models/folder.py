"""A model's folder: looked at first, loaded then.

Everything that can be told from the configuration and from the heads of the weights' files is told before a weight is
read: a download that broke off, another class, pickled weights, no image vocabulary, a newer version. Weights come from
safetensors alone, and no code from the folder is run.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from packaging.version import InvalidVersion, Version
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from huggingface.models.families import family_of
from huggingface.models.family import Family
from huggingface.models.files import read_json, require_finite, require_same_shapes, shapes_of
from huggingface.models.layout import Layout
from huggingface.models.levels import NoiseLevels, noise_levels
from lib.errors import EaselError, naming, shortened

NEWEST = Version("5.24")  # whose files and caches this code knows
CONFIG = "config.json"


@dataclass(frozen=True)
class Checked:
    """A folder that holds what it should.

    Attributes:
        layout: of its pictures.
        tuned: the noise levels that it was tuned to read; None if it was not.
    """

    folder: Path
    config: PreTrainedConfig
    class_name: str
    family: type[Family]
    layout: Layout
    tuned: NoiseLevels | None


def check(folder: Path | str, size: tuple[int, int] | None = None) -> Checked:
    """Looks at a folder as `save_pretrained` makes them, without loading a weight.

    Args:
        size: rows and columns of pictures; None for the model's own.

    Raises:
        EaselError: one sentence on what is missing or wrong, which names the folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EaselError(f"there is no folder {folder}; --model names one that save_pretrained has made.")
    tree = read_json(folder / CONFIG)
    names = tree.get("architectures") or ["no class"]
    _require_known_version(folder, tree)
    with _about(folder):
        family = family_of(names[0])
    config = _config(folder, names[0])
    with _about(folder):
        family.image_tokens(config)
        layout = family.layout(config, size)
        tuned = noise_levels(config)
    shapes = shapes_of(folder)
    require_same_shapes(folder, shapes, outline(config, names[0]))
    return Checked(folder, config, names[0], family, layout, tuned)


def outline(config: PreTrainedConfig, class_name: str) -> PreTrainedModel:
    """The model on PyTorch's meta device: names and shapes, no weights."""
    with torch.device("meta"):
        return getattr(transformers, class_name)(config)


def load(checked: Checked, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Family:
    """The model with its adapter.

    Raises:
        EaselError: the files lack a weight that the class needs, or one is NaN or infinite.
    """
    kind = getattr(transformers, checked.class_name)
    model, found = kind.from_pretrained(
        checked.folder,
        config=checked.config,
        dtype=dtype,
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if missing := sorted(found["missing_keys"]):
        rest = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise EaselError(f"{checked.folder} lacks weights of {checked.class_name}: {', '.join(missing[:3])}{rest}.")
    require_finite(checked.folder, model)
    return checked.family(model.eval().to(device))


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Raises EaselError: there is none that needs no other package."""
    if not (folder / "tokenizer.json").is_file():
        raise EaselError(f"{folder} has no tokenizer.json, which prompts are read with; fetch it too.")
    with naming(folder / "tokenizer.json", "tokenizer"):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@contextmanager
def _about(folder: Path) -> Iterator[None]:
    """Puts the folder before what is said of it."""
    try:
        yield
    except EaselError as error:
        raise EaselError(f"{folder}: {error}") from None


def _require_known_version(folder: Path, tree: Mapping) -> None:
    written = str(tree.get("transformers_version") or "0")
    try:
        version = Version(written)
    except InvalidVersion:
        raise EaselError(f"{folder / CONFIG} is of transformers {written!r}, which is no version.") from None
    if version.release[:2] > NEWEST.release:
        raise EaselError(
            f"{folder / CONFIG} was written by transformers {written}, newer than {NEWEST}, the newest known here "
            f"({transformers.__version__} is installed); export the model with that version or an earlier one."
        )


def _config(folder: Path, class_name: str) -> PreTrainedConfig:
    """As the class reads it."""
    wanted = getattr(transformers, class_name).config_class
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a configuration of another version makes of it
        raise EaselError(
            f"{folder / CONFIG} is none that transformers {transformers.__version__} reads as {wanted.__name__}: "
            f"{shortened(str(error))}"
        ) from error
    if not isinstance(config, wanted):
        raise EaselError(
            f"{folder / CONFIG} names the class {class_name}, but model_type {config.model_type!r}, which is not its "
            "own."
        )
    return config

"""Local folders in the layout of `DiffusionPipeline.save_pretrained`: looked through first, then loaded.

Kolors, AuraFlow, Stable Diffusion and whatever else the pinned diffusers draws pictures from words with. Nothing is
fetched, only safetensors are read, and no code of the folder is run. Names and shapes of all weights are compared with
the configurations' before the first is read; diffusers itself would leave what is missing at random values, with a
warning.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline, ModelMixin
from packaging.version import InvalidVersion, Version
from torch import nn
from transformers import PreTrainedModel

from huggingface.models.files import read_json, require_finite, require_same_shapes, require_weights, shapes_of
from lib.errors import EaselError, naming

INDEX = "model_index.json"
LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
# What drawing from words needs. A class with these and no further required argument is called alike.
ARGUMENTS = {"prompt", "num_inference_steps", "guidance_scale", "height", "width", "generator", "output_type"}
# What a pipeline may have beside them: not used here. A safety checker would paint pictures black.
LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")
VARIANTS = ("", "fp16", "bf16")  # of weights' files, the first that is there
# Names that releases before 0.18 gave the products of a VAE's attention; loading knows them.
OLD = re.compile(r"(?<=\.attentions\.\d\.)(query|key|value|proj_attn)(?=\.)")
NEW = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True)
class Network:
    """A part that has weights.

    Attributes:
        variant: of its files, such as fp16; "" for plain ones.
        parameters: how many.
    """

    kind: type[nn.Module]
    variant: str
    parameters: int


@dataclass(frozen=True)
class Checked:
    """A folder that holds what it should.

    Attributes:
        kind: of the pipeline.
        networks: by name.
        others: parts without weights: tokenizers and the scheduler, ready for use.
    """

    folder: Path
    kind: type[DiffusionPipeline]
    networks: dict[str, Network]
    others: dict[str, Any]

    @property
    def parameters(self) -> int:
        """Weights of all networks."""
        return sum(network.parameters for network in self.networks.values())


def check(folder: Path | str) -> Checked:
    """Looks through a folder without loading a weight.

    Raises:
        EaselError: one sentence on what is missing or wrong, which names the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EaselError(f"there is no folder {folder}; --model names one that diffusers' save_pretrained has made.")
    index = read_json(folder / INDEX)
    _require_known_version(folder, index)
    kind = _pipeline(folder, index.get("_class_name"))
    optional = set(kind._optional_components)
    networks, others = {}, {}
    for name in _parts(kind):
        library, class_name = _entry(folder, index, name)
        if name in optional and (name in LEFT_OUT or library is None):
            continue
        if library is None:
            raise EaselError(f"{folder / INDEX} has no {name}, which {kind.__name__} needs; fetch the whole folder.")
        part = _class(folder, library, class_name)
        if not (folder / name).is_dir():
            raise EaselError(f"{folder} has no folder {name}: it is no whole pipeline, or its download broke off.")
        if issubclass(part, nn.Module):
            networks[name] = _look_at(folder / name, part)
        else:
            with naming(folder / name, part.__name__):
                others[name] = part.from_pretrained(folder / name, local_files_only=True)
    return Checked(folder, kind, networks, others)


def load(checked: Checked, dtype: torch.dtype = torch.float32, device: str = "cpu") -> DiffusionPipeline:
    """The pipeline, silent.

    Raises:
        EaselError: the files lack a weight that a class needs, or one is NaN or infinite.
    """
    networks = {name: _load(checked.folder / name, network, dtype) for name, network in checked.networks.items()}
    absent = {name: None for name in _parts(checked.kind) if name not in networks | checked.others}
    silent = {"requires_safety_checker": False} if "safety_checker" in absent else {}
    pipeline = checked.kind.from_pretrained(
        checked.folder, local_files_only=True, **networks, **checked.others, **absent, **silent
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _require_known_version(folder: Path, index: Mapping[str, Any]) -> None:
    written, here = str(index.get("_diffusers_version") or "0"), Version(diffusers.__version__)
    try:
        version = Version(written)
    except InvalidVersion:
        raise EaselError(f"{folder / INDEX} is of diffusers {written!r}, which is no version.") from None
    if version.release[:2] > here.release[:2]:
        raise EaselError(
            f"{folder / INDEX} was written by diffusers {written}, newer than {here}, which is installed; save the "
            "pipeline with that version or an earlier one."
        )


def _pipeline(folder: Path, name: Any) -> type[DiffusionPipeline]:
    """The class of a pipeline that draws pictures from words."""
    kind = getattr(diffusers, str(name), None)
    if kind is not None and (packages := getattr(kind, "_backends", None)):
        raise EaselError(f"{folder} is a {name}, which needs the packages {', '.join(packages)}; install what lacks.")
    if not (isinstance(kind, type) and issubclass(kind, DiffusionPipeline)):
        raise EaselError(f"{folder / INDEX} names the class {name}, which diffusers {diffusers.__version__} has not.")
    given = inspect.signature(kind.__call__).parameters
    needed = {key for key, one in given.items() if one.default is one.empty and key not in ("self", "kwargs")}
    if ARGUMENTS - given.keys() or needed - ARGUMENTS or "image" in given:
        raise EaselError(f"{folder} is a {name}, which does not draw pictures from words alone; name one that does.")
    return kind


def _parts(kind: type[DiffusionPipeline]) -> list[str]:
    """The names of a pipeline's parts: arguments of its class that are no plain settings."""
    given = list(inspect.signature(kind.__init__).parameters.values())[1:]
    optional = kind._optional_components
    return [one.name for one in given if one.default is one.empty or one.name in optional]


def _entry(folder: Path, index: Mapping[str, Any], name: str) -> tuple[str | None, str | None]:
    """Library and class of a part, both None where there is none."""
    entry = index.get(name) or [None, None]
    if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(one, str | None) for one in entry)):
        raise EaselError(f"{folder / INDEX}: {name} must be a library and a class, not {entry!r}.")
    return entry[0], entry[1]


def _class(folder: Path, library: str, name: str | None) -> type:
    """A class of diffusers or transformers, or one that comes with a pipeline of diffusers'."""
    if library in LIBRARIES:
        home = LIBRARIES[library]
    elif re.fullmatch(r"[a-z]\w*", library) and hasattr(diffusers.pipelines, library):
        home = import_module(f"diffusers.pipelines.{library}")
    else:
        raise EaselError(f"{folder / INDEX} takes {name} from {library!r}; only diffusers and transformers are read.")
    found = getattr(home, str(name), None)
    if not isinstance(found, type) or getattr(found, "_backends", None):
        version = LIBRARIES.get(library, diffusers).__version__
        raise EaselError(f"{folder / INDEX} names the class {name}, which {library} {version} has not, or not here.")
    return found


def _look_at(folder: Path, kind: type[nn.Module]) -> Network:
    """Compares the heads of a network's files with its configuration."""
    settings = read_json(folder / "config.json")
    own = issubclass(kind, ModelMixin)
    if own and settings.get("_class_name") != kind.__name__:
        raise EaselError(
            f"{folder / 'config.json'} is of a {settings.get('_class_name')}, but {INDEX} says {kind.__name__}; take "
            "both from one place."
        )
    if not own and settings.get("model_type") != kind.config_class.model_type:
        raise EaselError(
            f"{folder / 'config.json'} is of a model {settings.get('model_type')!r}, which is no {kind.__name__}; take "
            f"it and {INDEX} from one place."
        )
    with naming(folder / "config.json", f"configuration of {kind.__name__}"), torch.device("meta"):
        # Kolors' text encoder asks for its device, and takes the CPU without.
        place = {"device": "meta"} if "device" in inspect.signature(kind.__init__).parameters else {}
        network = kind.from_config(settings) if own else kind(kind.config_class.from_dict(settings), **place)
    stem = "diffusion_pytorch_model" if own else "model"
    variant = next((one for one in VARIANTS if _has(folder, stem, one)), "")
    shapes = shapes_of(folder, stem, variant)
    if own:
        require_weights(
            folder, {OLD.sub(lambda old: NEW[old[0]], key): shape for key, shape in shapes.items()}, network
        )
    else:  # whose loading knows names of earlier versions, and reports what is missing
        require_same_shapes(folder, shapes, network)
    return Network(kind, variant, sum(weight.numel() for weight in network.parameters()))


def _has(folder: Path, stem: str, variant: str) -> bool:
    middle = variant and f".{variant}"
    names = (f"{stem}{middle}.safetensors", f"{stem}.safetensors.index{middle}.json")
    return any((folder / name).is_file() for name in names)


def _load(folder: Path, network: Network, dtype: torch.dtype) -> nn.Module:
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "variant": network.variant or None}
    if issubclass(network.kind, PreTrainedModel):
        found, about = network.kind.from_pretrained(folder, dtype=dtype, output_loading_info=True, **options)
        if missing := sorted(about["missing_keys"]):
            raise EaselError(f"{folder} lacks weights of {network.kind.__name__}, {missing[0]} first; fetch it again.")
    else:
        found = network.kind.from_pretrained(folder, torch_dtype=dtype, **options)
    require_finite(folder, found)
    return found.eval().requires_grad_(False)

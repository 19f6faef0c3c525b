"""Our own networks as folders, written and read as users of transformers expect:

    save_pretrained(model, "my-model")
    model = from_pretrained("my-model")

A folder has config.json (the class and its sizes), model.safetensors and a model card, README.md. The weights' file is
the one that the networks' own `save` writes, so what reads those reads these. Nothing in a folder is run: there is no
pickle and no code. DALL·E Mini keeps its original's layout (lib/models/dalle_mini_original.py).
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file
from torch import nn

from huggingface.models.files import read_json, shapes_of
from lib.errors import EaselError, naming
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.models.muse import Muse, MuseConfig, MuseSuperResolution, SuperResolutionConfig
from lib.models.parti import Parti
from lib.models.unet import UNet, UNetConfig
from lib.models.var import Var, VarConfig
from lib.weights import checkpoint
from lib.weights.torch_state import load_module, module_arrays

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
CLASSES = "architectures"  # the key of config.json, as transformers has it
EXAMPLE = """```python
from huggingface.pretrained import from_pretrained

model = from_pretrained("path/to/this/folder")
```"""
FEATURES = "Reads captions through the features of a frozen text network, which is not in this folder."


@dataclass(frozen=True)
class Kind:
    """A class of networks.

    Attributes:
        network: takes a configuration and a generator.
        what: it is, for the card.
        needs: what stands outside of the folder, for the card.
    """

    network: type[nn.Module]
    config: type
    what: str
    needs: str


KINDS = {
    kind.network.__name__: kind
    for kind in (
        Kind(
            Autoregressive,
            AutoregressiveConfig,
            "A decoder-only transformer over a caption and the image tokens after it.",
            "Captions become tokens by the text tokenizer that it was trained with, which is not in this folder.",
        ),
        Kind(Parti, MuseConfig, "An autoregressive transformer of image tokens, in the manner of Parti.", FEATURES),
        Kind(Muse, MuseConfig, "A masked transformer of image tokens, in the manner of Muse.", FEATURES),
        Kind(
            MuseSuperResolution,
            SuperResolutionConfig,
            "A masked transformer that draws the tokens of a large picture from those of a small one, as Muse does.",
            FEATURES,
        ),
        Kind(UNet, UNetConfig, "A U-Net that takes noise out of grids of numbers: diffusion or flow.", FEATURES),
        Kind(
            MMDiT, MMDiTConfig, "A transformer of two streams that takes noise out of grids, AuraFlow's kind.", FEATURES
        ),
        Kind(
            Var,
            VarConfig,
            "A transformer that draws one scale of a picture after the other, VAR's kind.",
            FEATURES + " Nor is the tokenizer of all scales, whose codes it draws.",
        ),
    )
}


def save_pretrained(model: nn.Module, folder: Path | str, about: str = "") -> None:
    """Writes a network's folder.

    Args:
        about: of the card: data, training, measurements; Markdown.

    Raises:
        EaselError: a class that is not in `KINDS`, or a weight that is NaN or infinite.
    """
    folder, name = Path(folder), type(model).__name__
    kind = _kind(name, "save_pretrained")
    arrays, sizes = module_arrays(model), asdict(model.config)
    checkpoint.require_finite(folder / WEIGHTS, arrays)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(folder / WEIGHTS, arrays, {"config": sizes})
    _put(folder / CARD, card(kind, sizes, sum(weight.numel() for weight in model.parameters()), about))
    _put(folder / CONFIG, json.dumps({CLASSES: [name], **sizes}, indent=2) + "\n")


def from_pretrained(folder: Path | str) -> nn.Module:
    """The network that `save_pretrained` wrote, in evaluation mode.

    Raises:
        EaselError: one sentence that names the folder: no such folder; a file missing, cut off or a pickle; an unknown
            class; sizes that are not of it; weights that are not of these sizes, or NaN or infinite.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EaselError(f"there is no folder {folder}; name one that save_pretrained has made.")
    tree = read_json(folder / CONFIG)
    names = tree.pop(CLASSES, None) or ["none"]
    kind = _kind(str(names[0]), str(folder / CONFIG))
    with naming(folder / CONFIG, f"configuration of {names[0]}"):
        try:
            model = kind.network(_config(kind, tree), torch.Generator())
        except EaselError as error:
            raise ValueError(error) from error  # so that it is said of this file
    found, wanted = shapes_of(folder), {name: list(value.shape) for name, value in model.state_dict().items()}
    if wrong := sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)):
        name = wrong[0]
        raise EaselError(
            f"{folder}: {name} is {found.get(name, 'absent')} in {WEIGHTS} and {wanted.get(name, 'absent')} by "
            f"{CONFIG}; they are not of the same network."
        )
    with naming(folder / WEIGHTS, "safetensors file"):
        arrays = load_file(folder / WEIGHTS)
    checkpoint.require_finite(folder / WEIGHTS, arrays)
    load_module(model, arrays)
    return model.eval()


def card(kind: Kind, sizes: dict[str, Any], parameters: int, about: str = "") -> str:
    """The model card, Markdown with the head that model hubs read."""
    name = kind.network.__name__
    rows = "\n".join(
        f"| {key} | {', '.join(map(str, value)) if isinstance(value, tuple | list) else value} |"
        for key, value in sizes.items()
    )
    parts = [
        "---\nlibrary_name: easel\npipeline_tag: text-to-image\nlicense: apache-2.0\n---",
        f"# {name}",
        f"{kind.what} {parameters:,} parameters.",
        about.strip(),
        f"{kind.needs} Trained small and on drawn pictures, as all networks of Easel unless it is said above, it is of "
        "no use for pictures of people or things.",
        EXAMPLE,
        f"| size | |\n|---|---|\n{rows}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _kind(name: str, where: str) -> Kind:
    if name not in KINDS:
        raise EaselError(f"{where}: the class {name} is none of ours; known are {', '.join(KINDS)}.")
    return KINDS[name]


def _config(kind: Kind, sizes: dict[str, Any]) -> Any:
    """Sizes as JSON gives them back, tuples as lists."""
    return kind.config(**{name: tuple(value) if isinstance(value, list) else value for name, value in sizes.items()})


def _put(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with naming(path):
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)

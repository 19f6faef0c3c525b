"""Local folders in the layout of `AmusedPipeline.save_pretrained`: looked through first, then loaded.

Nothing is fetched. Only safetensors are read: unpickling a checkpoint runs whatever code is in it. Names and shapes of
all weights are compared with the configuration's before the first is read; diffusers itself would leave what is missing
at random values, with a warning.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.vq_model import VQModel
from diffusers.models.unets.uvit_2d import UVit2DModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from huggingface.models.amused import Amused
from huggingface.models.files import read_json, require_weights, shapes_of
from lib.errors import EaselError, naming
from lib.weights.checkpoint import require_finite

VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # either will do


def load(folder: Path | str) -> Amused:
    """The networks of a folder, in evaluation mode and without gradients of their own.

    Raises:
        EaselError: as of `check`; or a weight is NaN or infinite, or the tokenizer is another encoder's.
    """
    folder = Path(folder)
    mask_id = check(folder)
    options = {"local_files_only": True, "use_safetensors": True}
    networks = {
        "transformer": UVit2DModel.from_pretrained(folder / "transformer", **options),
        "vqvae": VQModel.from_pretrained(folder / "vqvae", **options),
        "text_encoder": CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder", **options),
    }
    with naming(folder / "tokenizer", "CLIP tokenizer"):
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    room = networks["text_encoder"].config.vocab_size
    if len(tokenizer) > room:
        raise EaselError(
            f"{folder}: the tokenizer has {len(tokenizer)} ids but the text encoder reads {room}; take both from one "
            "place."
        )
    for name, network in networks.items():
        network.eval().requires_grad_(False)
        require_finite(folder / name, {key: array.float().numpy() for key, array in network.state_dict().items()})
    return Amused(**networks, tokenizer=tokenizer, mask_id=mask_id)


def check(folder: Path) -> int:
    """Looks through a folder without loading a weight; gives the id of masked tokens.

    Raises:
        EaselError: a file is missing, damaged, pickled or of another class, weights are not those of their
            configuration, or the networks do not belong together. One sentence names the file and what to do.
    """
    pipeline = read_json(folder / "model_index.json").get("_class_name")
    if pipeline != "AmusedPipeline":
        raise EaselError(f"{folder} is a {pipeline}, not an AmusedPipeline; name a folder of aMUSEd.")
    transformer = skeleton(folder / "transformer", UVit2DModel)
    vqvae = skeleton(folder / "vqvae", VQModel)
    text = skeleton(folder / "text_encoder", CLIPTextModelWithProjection)
    if not any(all((folder / "tokenizer" / name).is_file() for name in names) for names in VOCABULARIES):
        raise EaselError(f"{folder / 'tokenizer'} has no tokenizer.json, nor vocab.json and merges.txt; fetch them.")
    require_weights(folder / "transformer", shapes_of(folder / "transformer", "diffusion_pytorch_model"), transformer)
    require_weights(folder / "vqvae", shapes_of(folder / "vqvae", "diffusion_pytorch_model"), vqvae)
    require_weights(folder / "text_encoder", shapes_of(folder / "text_encoder", "model"), text)
    mask_id = read_json(folder / "scheduler" / "scheduler_config.json").get("mask_token_id")
    check_together(folder, transformer.config, vqvae.config, text.config, mask_id)
    return mask_id


def skeleton(folder: Path, kind: type[nn.Module]) -> nn.Module:
    """The network that a configuration describes, on the meta device: names and shapes, no weights.

    Raises:
        EaselError: another class, or settings that it does not take.
    """
    path = folder / "config.json"
    settings = read_json(path)
    named = settings.get("_class_name") or next(iter(settings.get("architectures") or ()), None)
    if named != kind.__name__:
        raise EaselError(f"{path} is of a {named}, not of a {kind.__name__}; name a folder of aMUSEd.")
    with naming(path, f"configuration of {kind.__name__}"), torch.device("meta"):
        if kind is CLIPTextModelWithProjection:
            return kind(CLIPTextConfig(**settings))
        return kind.from_config(settings)


def check_together(
    folder: Path, transformer: Mapping[str, Any], vqvae: Mapping[str, Any], text: CLIPTextConfig, mask_id: Any
) -> None:
    """Refuses configurations of networks that cannot work together. Raises EaselError."""
    codes, vocabulary = transformer["codebook_size"], transformer["vocab_size"]
    agreements = {
        "the transformer's codebook_size": (codes, "the VQ-VAE's num_vq_embeddings", vqvae["num_vq_embeddings"]),
        "the transformer's encoder_hidden_size": (
            transformer["encoder_hidden_size"],
            "the text encoder's hidden_size",
            text.hidden_size,
        ),
        "the transformer's cond_embed_dim": (
            transformer["cond_embed_dim"],
            "the text encoder's projection_dim",
            text.projection_dim,
        ),
    }
    for ours, (value, theirs, other) in agreements.items():
        if value != other:
            raise EaselError(f"{folder}: {ours} is {value} but {theirs} is {other}; take both from one place.")
    if not vqvae["lookup_from_codebook"]:
        raise EaselError(f"{folder}: the VQ-VAE's lookup_from_codebook is false, but it has to decode tokens; set it.")
    if type(mask_id) is not int or not codes <= mask_id < vocabulary:
        raise EaselError(
            f"{folder}: the scheduler's mask_token_id is {mask_id}, must be {codes} … {vocabulary - 1}, one of the "
            "transformer's ids that is no code."
        )

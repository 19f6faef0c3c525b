"""Folders of aMUSEd: loaded when whole, refused in one sentence before a weight is read when not."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from huggingface.models import amused_folder
from huggingface.models.amused import Amused, AmusedPredictor
from lib.decoding.masked import decode
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models.masked_predictor import Guidance
from tests.huggingface.models.tiny_amused import CAPTIONS, CODES, MASK, folder, pipeline, text_encoder, vq_vae

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("amused") / "whole")


@pytest.fixture
def spoiled(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "amused")


def test_a_whole_folder_draws_what_its_networks_draw(whole):
    loaded, built = amused_folder.load(whole), pipeline()
    fresh = Amused(built.transformer, built.vqvae, built.text_encoder, built.tokenizer, MASK)
    assert loaded.mask_id == MASK and loaded.codes == CODES
    for network in (loaded.transformer, loaded.vqvae, loaded.text_encoder):
        assert not network.training and not any(p.requires_grad for p in network.parameters())
    drawn = [
        decode(AmusedPredictor(model, model.read(CAPTIONS), Guidance(3.0)), RowRandom([1, 2]), steps=4).tokens
        for model in (loaded, fresh)
    ]
    assert torch.equal(*drawn)
    assert (loaded.decode(drawn[0]) == fresh.decode(drawn[0])).all()


def edit(name, **settings):
    """Changes settings of a JSON file; those that become None go."""

    def apply(path):
        content = json.loads((path / name).read_text()) | settings
        (path / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return apply


def drop(name):
    return lambda path: (path / name).unlink()


def write(name, text):
    return lambda path: (path / name).write_text(text)


def pickled(path):
    torch.save(load_file(path / TRANSFORMER), path / TRANSFORMER.replace("safetensors", "bin"))
    (path / TRANSFORMER).unlink()


def weights(change):
    """Changes the arrays of the transformer's file."""

    def apply(path):
        arrays = load_file(path / TRANSFORMER)
        change(arrays)
        save_file(arrays, path / TRANSFORMER)

    return apply


FAULTS = {
    "no folder": (shutil.rmtree, "has no model_index.json"),
    "no index": (drop("model_index.json"), "has no model_index.json"),
    "another pipeline": (
        edit("model_index.json", _class_name="StableDiffusionPipeline"),
        "is a StableDiffusionPipeline, not an AmusedPipeline",
    ),
    "an index that is no JSON": (write("model_index.json", "{"), "model_index.json is not valid JSON"),
    "an index that is a list": (write("model_index.json", "[]"), "must be a mapping of keys to values"),
    "no configuration": (drop("vqvae/config.json"), "vqvae has no config.json"),
    "another class": (
        edit("transformer/config.json", _class_name="UNet2DConditionModel"),
        "transformer/config.json is of a UNet2DConditionModel, not of a UVit2DModel",
    ),
    "a text encoder without its projection": (
        edit("text_encoder/config.json", architectures=["CLIPTextModel"]),
        "is of a CLIPTextModel, not of a CLIPTextModelWithProjection",
    ),
    "no class": (edit("vqvae/config.json", _class_name=None), "is of a None, not of a VQModel"),
    "settings that cannot be": (
        edit("transformer/config.json", hidden_size="wide"),
        "config.json is not valid configuration of UVit2DModel",
    ),
    "no weights": (drop(TRANSFORMER), "transformer has no diffusion_pytorch_model.safetensors"),
    "pickled weights": (
        pickled,
        r"has its weights as a pickle only \(diffusion_pytorch_model.bin\), which can run any code",
    ),
    "cut weights": (
        lambda path: (path / TRANSFORMER).write_bytes((path / TRANSFORMER).read_bytes()[:2000]),
        f"{TRANSFORMER} is no whole safetensors file|{TRANSFORMER} has 2,000 bytes",
    ),
    "a weight less": (
        weights(lambda arrays: arrays.pop("mlm_layer.conv2.weight")),
        r"beside them: 1 missing \(mlm_layer.conv2.weight\)",
    ),
    "a weight more": (weights(lambda arrays: arrays.update(more=torch.zeros(2))), r"beside them: 1 unknown \(more\)"),
    "more layers than weights": (
        edit("transformer/config.json", num_hidden_layers=2),
        r"beside them: \d+ missing \(transformer_layers.1[^)]*, …\)",
    ),
    "another codebook": (
        edit("transformer/config.json", codebook_size=CODES - 1),
        r"beside them: 1 of another shape \(mlm_layer.conv2.weight\)",
    ),
    "no tokenizer": (drop("tokenizer/tokenizer.json"), "tokenizer has no tokenizer.json, nor vocab.json"),
    "no scheduler": (drop("scheduler/scheduler_config.json"), "scheduler has no scheduler_config.json"),
    "a mask that is a code": (
        edit("scheduler/scheduler_config.json", mask_token_id=CODES - 1),
        "mask_token_id is 28, must be 29 … 31",
    ),
    "no mask": (edit("scheduler/scheduler_config.json", mask_token_id=None), "mask_token_id is None, must be 29 … 31"),
    "a VQ-VAE that quantizes vectors": (
        edit("vqvae/config.json", lookup_from_codebook=False),
        "lookup_from_codebook is false",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_not_whole_is_refused_before_anything_is_loaded(spoiled, fault, monkeypatch):
    spoil, message = FAULTS[fault]
    spoil(spoiled)

    def loads(*arguments, **options):
        raise AssertionError("weights were loaded")

    for kind in (amused_folder.UVit2DModel, amused_folder.VQModel, amused_folder.CLIPTextModelWithProjection):
        monkeypatch.setattr(kind, "from_pretrained", loads)
    with pytest.raises(EaselError, match=message) as refused:
        amused_folder.load(spoiled)
    assert str(spoiled) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "part, other, message",
    [
        ("vqvae", lambda: vq_vae(16), "codebook_size is 29 but the VQ-VAE's num_vq_embeddings is 16"),
        (
            "text_encoder",
            lambda: text_encoder(hidden_size=8),
            "encoder_hidden_size is 12 but the text encoder's hidden_size is 8",
        ),
        (
            "text_encoder",
            lambda: text_encoder(projection_dim=5),
            "cond_embed_dim is 6 but the text encoder's projection_dim is 5",
        ),
    ],
)
def test_networks_that_do_not_belong_together_are_refused(spoiled, part, other, message):
    other().save_pretrained(spoiled / part, safe_serialization=True)
    with pytest.raises(EaselError, match=message):
        amused_folder.load(spoiled)


def test_weights_that_diverged_are_refused(spoiled):
    weights(lambda arrays: arrays["mlm_layer.conv2.weight"].view(-1)[3:4].fill_(float("nan")))(spoiled)
    with pytest.raises(
        EaselError, match=r"transformer holds weights that are NaN or infinite, in mlm_layer.conv2.weight"
    ):
        amused_folder.load(spoiled)


def test_a_tokenizer_of_another_text_encoder_is_refused(spoiled):
    text_encoder(vocab_size=53).save_pretrained(spoiled / "text_encoder", safe_serialization=True)
    with pytest.raises(EaselError, match="the tokenizer has 54 ids but the text encoder reads 53"):
        amused_folder.load(spoiled)


def test_all_networks_move(whole):
    moved = amused_folder.load(whole).to("meta")
    networks = (moved.transformer, moved.vqvae, moved.text_encoder)
    assert all(parameter.is_meta for network in networks for parameter in network.parameters())


def test_positions_that_older_files_hold_are_passed_over(spoiled):
    path = spoiled / "text_encoder/model.safetensors"
    arrays = load_file(path) | {"text_model.embeddings.position_ids": torch.arange(12)[None]}
    save_file(arrays, path, {"format": "pt"})
    amused_folder.load(spoiled)

"""Folders of diffusers: what is whole is loaded as it is, everything else refused in one sentence before a weight is
read."""

import json
import re
import shutil

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from huggingface.models import pipeline_folder
from lib.errors import EaselError
from tests.huggingface.models import tiny_pipelines as tiny

PROMPTS = ["a red star", "红色的星"]
SMALL = {"num_inference_steps": 2, "guidance_scale": 3.0, "height": 16, "width": 16}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """An AuraFlow that no test may change, and what it draws."""
    pipeline = tiny.aura_flow()
    return tiny.folder(pipeline, tmp_path_factory.mktemp("aura") / "whole"), tiny.own(
        pipeline, PROMPTS, [1, 2], **SMALL
    )


@pytest.fixture
def spoilt(sound, tmp_path):
    return shutil.copytree(sound[0], tmp_path / "spoilt")


def edit(path, **changes):
    tree = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in (tree | changes).items() if value != "gone"}))


def test_aura_flow_draws_what_its_class_draws(sound):
    folder, expected = sound
    checked = pipeline_folder.check(folder)
    loaded = pipeline_folder.load(checked)
    assert np.array_equal(tiny.own(loaded, PROMPTS, [1, 2], **SMALL), expected) and expected.std() > 1
    assert set(checked.networks) == {"text_encoder", "vae", "transformer"}
    networks = [getattr(loaded, name) for name in checked.networks]
    assert checked.parameters == sum(weight.numel() for one in networks for weight in one.parameters())
    assert not any(weight.requires_grad for one in networks for weight in one.parameters())


def test_kolors_draws_what_its_class_draws(tmp_path, monkeypatch):
    tiny.with_sentencepiece(monkeypatch)
    pipeline = tiny.kolors(tmp_path)
    folder = tiny.folder(pipeline, tmp_path / "kolors")
    expected = tiny.own(pipeline, PROMPTS, [1, 2], **SMALL)
    loaded = pipeline_folder.load(pipeline_folder.check(folder))
    assert np.array_equal(tiny.own(loaded, PROMPTS, [1, 2], **SMALL), expected) and expected.std() > 1


def test_kolors_without_sentencepiece_is_refused(tmp_path):
    if getattr(diffusers.KolorsPipeline, "_backends", None) is None:
        pytest.skip("sentencepiece is installed")
    (tmp_path / "model_index.json").write_text('{"_class_name": "KolorsPipeline"}')
    with pytest.raises(EaselError, match=r"is a KolorsPipeline, which needs the packages .*sentencepiece; install"):
        pipeline_folder.check(tmp_path)


def test_stable_diffusion_has_no_safety_checker(tmp_path):
    """It would paint black what it does not like, and is not even looked at."""
    pipeline = tiny.stable_diffusion()
    expected = tiny.own(pipeline, ["a", "b"], [1, 2], **SMALL)
    folder = tiny.folder(pipeline, tmp_path / "sd")
    edit(folder / "model_index.json", safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    loaded = pipeline_folder.load(pipeline_folder.check(folder))
    assert loaded.safety_checker is None
    assert np.array_equal(tiny.own(loaded, ["a", "b"], [1, 2], **SMALL), expected)


def test_half_precision_files_and_old_names_are_read(spoilt):
    """As Kolors and AuraFlow are published: fp16 variants; and a VAE of a release before 0.18."""
    vae = spoilt / "vae"
    whole = load_file(vae / "diffusion_pytorch_model.safetensors")
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for name, value in whole.items():
        for new, before in names.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")
        old[name] = value.half()
    assert old.keys() != whole.keys()
    (vae / "diffusion_pytorch_model.safetensors").unlink()
    save_file(old, vae / "diffusion_pytorch_model.fp16.safetensors", {"format": "pt"})
    loaded = pipeline_folder.load(pipeline_folder.check(spoilt), torch.float32)
    for name, value in loaded.vae.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, whole[name].half().float())


def index_of(folder, **changes):
    edit(folder / "model_index.json", **changes)


def shard(folder):
    """The transformer in two files, one of which did not come."""
    place = folder / "transformer"
    weights = load_file(place / "diffusion_pytorch_model.safetensors")
    (place / "diffusion_pytorch_model.safetensors").unlink()
    halves = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    places = {name: halves[number % 2] for number, name in enumerate(weights)}
    save_file({name: value for name, value in weights.items() if places[name] == halves[0]}, place / halves[0])
    (place / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def pickled(folder):
    (folder / "vae/diffusion_pytorch_model.safetensors").rename(folder / "vae/diffusion_pytorch_model.bin")


def cut(folder):
    path = folder / "text_encoder/model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def without(folder, name, key):
    path = folder / name
    weights = load_file(path)
    del weights[key]
    save_file(weights, path, {"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: shutil.rmtree(f), "there is no folder"),
        (lambda f: (f / "model_index.json").unlink(), "has no model_index.json"),
        (lambda f: index_of(f, _class_name="LlamaForCausalLM"), "names the class LlamaForCausalLM, which diffusers"),
        (lambda f: index_of(f, _class_name="ConfigMixin"), "names the class ConfigMixin, which diffusers"),
        (
            lambda f: index_of(f, _class_name="StableDiffusionImg2ImgPipeline"),
            "does not draw pictures from words alone",
        ),
        (lambda f: index_of(f, _class_name="DDPMPipeline"), "does not draw pictures from words alone"),
        (lambda f: index_of(f, _diffusers_version="9.1.0"), r"was written by diffusers 9\.1\.0, newer than"),
        (lambda f: index_of(f, _diffusers_version="new"), "diffusers 'new', which is no version"),
        (lambda f: index_of(f, vae="gone"), "has no vae, which AuraFlowPipeline needs"),
        (lambda f: index_of(f, vae="AutoencoderKL"), "vae must be a library and a class"),
        (lambda f: index_of(f, vae=["my_code", "Vae"]), "takes Vae from 'my_code'; only diffusers and transformers"),
        (lambda f: index_of(f, vae=["os", "system"]), "takes system from 'os'; only diffusers"),
        (lambda f: index_of(f, vae=["diffusers", "AutoencoderXL"]), "names the class AutoencoderXL, which diffusers"),
        (lambda f: shutil.rmtree(f / "vae"), "has no folder vae"),
        (lambda f: edit(f / "vae/config.json", _class_name="VQModel"), "is of a VQModel, but model_index.json says"),
        (lambda f: edit(f / "vae/config.json", block_out_channels=[4, 8]), "of another shape|missing"),
        (lambda f: edit(f / "text_encoder/config.json", model_type="t5"), "a model 't5', which is no UMT5EncoderModel"),
        (
            lambda f: edit(f / "text_encoder/config.json", d_ff=12),
            r"is \[.*\] in the weights and \[.*\] by config.json",
        ),
        (lambda f: (f / "tokenizer/tokenizer.json").write_text("{"), "tokenizer is not valid"),
        (lambda f: without(f, "vae/diffusion_pytorch_model.safetensors", "decoder.conv_in.bias"), "1 missing"),
        (shard, "lacks 1 of 2 files of weights"),
        (pickled, "as a pickle only"),
        (cut, "fetch it again"),
    ],
)
def test_what_is_wrong_is_said_before_a_weight_is_read(spoilt, monkeypatch, spoil, message):
    spoil(spoilt)
    for kind in (diffusers.ModelMixin, pipeline_folder.PreTrainedModel, diffusers.DiffusionPipeline):
        monkeypatch.setattr(kind, "from_pretrained", None)
    with pytest.raises(EaselError, match=message) as caught:
        pipeline_folder.check(spoilt)
    assert str(spoilt) in str(caught.value) and not re.search(r"\n", str(caught.value))


def test_missing_and_infinite_weights_are_refused_when_they_are_read(spoilt):
    without(spoilt, "text_encoder/model.safetensors", "encoder.final_layer_norm.weight")
    checked = pipeline_folder.check(spoilt)
    with pytest.raises(EaselError, match=r"lacks weights of UMT5EncoderModel, encoder\.final_layer_norm\.weight first"):
        pipeline_folder.load(checked)
    path = spoilt / "vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["decoder.conv_in.bias"][0] = float("nan")
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(EaselError, match=r"NaN or infinite, in decoder\.conv_in\.bias"):
        pipeline_folder._load(spoilt / "vae", checked.networks["vae"], torch.float32)

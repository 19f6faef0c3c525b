"""Our networks as folders: bit for bit what was saved, and one sentence for what is no such folder."""

import json

import pytest
import torch

from huggingface.pretrained import CONFIG, KINDS, WEIGHTS, from_pretrained, save_pretrained
from lib.errors import EaselError
from lib.models import autoregressive, unet
from lib.models.autoregressive import Autoregressive
from lib.models.parti import Parti
from lib.weights.torch_state import generator
from tests.models import tiny_var
from tests.models.tiny_autoregressive import NETWORK, shaken
from tests.models.tiny_mmdit import PATCHES, mmdit
from tests.models.tiny_muse import BEFORE, base, large
from tests.models.tiny_unet import ENLARGING
from tests.models.tiny_unet import unet as tiny_unet

MODELS = {
    "Autoregressive": lambda: shaken(Autoregressive(NETWORK, generator(0))),
    "Parti": lambda: shaken(Parti(BEFORE, generator(0))),
    "Muse": base,
    "MuseSuperResolution": large,
    "UNet": lambda: tiny_unet(ENLARGING),
    "MMDiT": lambda: mmdit(PATCHES),
    "Var": tiny_var.model,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_folder_gives_the_network_back_bit_for_bit(name, tmp_path):
    model = MODELS[name]()
    save_pretrained(model, tmp_path / "a", about="Trained on *nothing*.")
    again = from_pretrained(tmp_path / "a")
    assert type(again) is type(model) and again.config == model.config and not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    save_pretrained(again, tmp_path / "b", about="Trained on *nothing*.")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["README.md", "config.json", "model.safetensors"]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    card = (tmp_path / "a" / "README.md").read_text(encoding="utf-8")
    assert "Trained on *nothing*." in card and f"{sum(p.numel() for p in model.parameters()):,} parameters" in card


def test_the_networks_own_loaders_read_it(tmp_path):
    for name, module in (("Autoregressive", autoregressive), ("UNet", unet)):
        model = MODELS[name]()
        save_pretrained(model, tmp_path / name)
        again = module.load(tmp_path / name).state_dict()
        assert all(torch.equal(value, again[key]) for key, value in model.state_dict().items())


def edited(folder, **changes):
    path = folder / CONFIG
    tree = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in tree.items() if value is not None}))


def pickled(folder):
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


REFUSED = {
    "no config": (lambda folder: (folder / CONFIG).unlink(), "has no config.json"),
    "another's class": (
        lambda folder: edited(folder, architectures=["LlamaForCausalLM"]),
        "LlamaForCausalLM is none of",
    ),
    "no class": (lambda folder: edited(folder, architectures=None), "class none is none of ours"),
    "a size too many": (lambda folder: edited(folder, depth=3), "depth"),
    "a size missing": (lambda folder: edited(folder, layers=None), "layers"),
    "a size that cannot be": (lambda folder: edited(folder, heads=3), "3 heads"),
    "a word for a size": (lambda folder: edited(folder, layers="two"), "configuration of Autoregressive"),
    "other sizes": (lambda folder: edited(folder, codes=9), "not of the same network"),
    "pickles": (pickled, "pickle"),
    "cut off": (lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-8]), "fetch it again"),
}


@pytest.mark.parametrize(("spoil", "said"), REFUSED.values(), ids=REFUSED)
def test_folders_that_are_none_are_refused(spoil, said, tmp_path):
    save_pretrained(MODELS["Autoregressive"](), tmp_path / "model")
    spoil(tmp_path / "model")
    with pytest.raises(EaselError, match=said) as error:
        from_pretrained(tmp_path / "model")
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    model = MODELS["Autoregressive"]()
    save_pretrained(model, tmp_path / "model")
    model.norm.weight[0] = torch.nan
    with pytest.raises(EaselError, match=r"NaN or infinite, in norm.weight"):
        save_pretrained(model, tmp_path / "model")
    assert from_pretrained(tmp_path / "model").norm.weight.isfinite().all()  # what was there is still there
    autoregressive.save(model, tmp_path / "model")
    with pytest.raises(EaselError, match=r"NaN or infinite, in norm.weight"):
        from_pretrained(tmp_path / "model")


def test_what_is_no_network_of_ours_is_refused(tmp_path):
    with pytest.raises(EaselError, match="Linear is none of ours"):
        save_pretrained(torch.nn.Linear(2, 2), tmp_path)
    with pytest.raises(EaselError, match="there is no folder"):
        from_pretrained(tmp_path / "nowhere")

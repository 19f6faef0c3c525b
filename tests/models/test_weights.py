"""No network is loaded whose weights are NaN or infinite, whatever network it is."""

import importlib
import pkgutil
from pathlib import Path

import msgpack
import numpy as np
import pytest
import torch
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import models
from lib.errors import EaselError
from lib.models import (
    autoregressive,
    clip,
    dalle_mini,
    dalle_mini_original,
    drafters,
    mmdit,
    multi_scale_vqgan,
    muse,
    reader,
    text_encoder,
    unet,
    var,
    vqgan,
)
from lib.weights import checkpoint
from lib.weights.torch_state import generator
from tests.models import tiny_autoregressive, tiny_dalle_mini, tiny_mmdit, tiny_muse, tiny_unet, tiny_var


def save_dalle_mini(folder):
    config = tiny_dalle_mini.NETWORK
    dalle_mini.save(folder / "model.safetensors", config, dalle_mini.create(config, 0)[1])


def save_original(folder):
    dalle_mini_original.save(folder, *dalle_mini.create(tiny_dalle_mini.NETWORK, 0))


def save_clip(folder):
    config = clip.ClipConfig(vocabulary=9, length=4, width=4, embedding=6, text_width=8, text_layers=1, text_heads=2)
    clip.save(clip.Clip(config, generator(0)), folder)


def save_eagle(folder):
    drafters.save(drafters.Eagle(tiny_autoregressive.NETWORK, generator(0)), folder)


def save_medusa(folder):
    drafters.save(drafters.Medusa(tiny_autoregressive.NETWORK, 2), folder)


def save_text_encoder(folder):
    config = text_encoder.TextConfig(
        vocabulary=9, length=4, padding=0, width=8, layers=1, heads=1, feed_forward=8, marks=1
    )
    text_encoder.save(text_encoder.TextEncoder(config, generator(0)), folder)


def tiny_vqgan():
    return vqgan.VQGAN(width=16, codes=8, code_width=4, ema_decay=0.9, stride=4, generator=generator(0))


# What writes a network of each kind.
NETWORKS = {
    "autoregressive": (
        autoregressive,
        lambda folder: autoregressive.save(
            autoregressive.Autoregressive(tiny_autoregressive.NETWORK, generator(0)), folder
        ),
    ),
    "clip": (clip, save_clip),
    "dalle_mini": (dalle_mini, save_dalle_mini),
    "dalle_mini_original": (dalle_mini_original, save_original),
    "eagle": (drafters, save_eagle),
    "medusa": (drafters, save_medusa),
    "mmdit": (mmdit, lambda folder: mmdit.save(tiny_mmdit.mmdit(), folder)),
    "muse": (muse, lambda folder: muse.save(tiny_muse.base(), folder)),
    "muse_super_resolution": (muse, lambda folder: muse.save(tiny_muse.large(), folder)),
    "reader": (reader, lambda folder: reader.save(reader.Reader(reader.ReaderConfig(4), generator(0)), folder)),
    "text_encoder": (text_encoder, save_text_encoder),
    "unet": (unet, lambda folder: unet.save(tiny_unet.unet(), folder)),
    "var": (var, lambda folder: var.save(tiny_var.model(), folder)),
    "multi_scale_vqgan": (
        multi_scale_vqgan,
        lambda folder: vqgan.save(multi_scale_vqgan.MultiScaleVQGAN.of(tiny_vqgan(), (1, 2), 4, 0.9), folder),
    ),
    "vqgan": (vqgan, lambda folder: vqgan.save(tiny_vqgan(), folder)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def saved(request, tmp_path_factory):
    """The module of a network, and a folder that one lies in."""
    module, save = NETWORKS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    save(folder)
    return module, folder


def read_weights(folder):
    """The file, its arrays by name, and what writes other arrays in their place."""
    path = folder / "model.safetensors"
    if path.is_file():
        arrays, meta = checkpoint.load(path)
        return path, arrays, lambda changed: checkpoint.save(path, changed, meta)
    path = folder / "flax_model.msgpack"
    arrays = {
        "/".join(name): leaf for name, leaf in flatten_dict(serialization.msgpack_restore(path.read_bytes())).items()
    }

    def write(changed):
        path.write_bytes(serialization.msgpack_serialize(unflatten_dict(changed, sep="/")))

    return path, arrays, write


@given(data=st.data(), value=st.sampled_from([np.nan, np.inf, -np.inf]))
@settings(deadline=None, max_examples=10)
def test_one_weight_that_is_no_number_is_refused_by_its_name(saved, data, value):
    module, folder = saved
    path, arrays, write = read_weights(folder)
    name = data.draw(st.sampled_from([key for key in arrays if np.issubdtype(arrays[key].dtype, np.floating)]))
    poisoned = np.array(arrays[name])
    poisoned.flat[data.draw(st.integers(0, poisoned.size - 1))] = value
    try:
        write(arrays | {name: poisoned})
        with pytest.raises(EaselError) as caught:
            module.load(folder)
    finally:
        write(arrays)
    assert f"{path} holds weights that are NaN or infinite, in {name}:" in str(caught.value)
    module.load(folder)


def test_every_module_that_loads_a_network_is_tested():
    found = set()
    for entry in pkgutil.iter_modules(models.__path__):
        module = importlib.import_module(f"lib.models.{entry.name}")
        if getattr(getattr(module, "load", None), "__module__", None) == module.__name__:
            found.add(module)
    assert found == {module for module, _ in NETWORKS.values()}


# An array as Flax writes it: shape, type, bytes.
ARRAY = msgpack.ExtType(1, msgpack.packb(((2,), "float32", bytes(8))))
KEYS = st.one_of(st.integers(-3, 3), st.booleans(), st.none(), st.binary(max_size=3), st.text(max_size=3))
TREES = st.recursive(
    st.one_of(st.just(ARRAY), st.integers(-(2**63), 2**64 - 1), st.text(max_size=3), st.none()),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


def refused(folder, content):
    (folder / "flax_model.msgpack").write_bytes(content)
    with pytest.raises(EaselError, match=r"flax_model\.msgpack"):
        dalle_mini_original.load(folder)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    save_original(folder)
    return folder


@given(tree=TREES)
@settings(deadline=None, max_examples=100)
def test_whatever_else_a_flax_checkpoint_holds_is_refused_in_a_sentence(original, tree):
    refused(original, msgpack.packb(tree))


@given(tree=st.dictionaries(st.integers(-9, 2**40), st.just(np.ones(1, np.float32)), min_size=1))
@settings(deadline=None, max_examples=10)
def test_numbers_for_names_are_shown(original, tree):
    (original / "flax_model.msgpack").write_bytes(serialization.msgpack_serialize({"model": tree}))
    with pytest.raises(EaselError, match=r"flax_model\.msgpack has -?\d+ where a name should be"):
        dalle_mini_original.load(original)


@pytest.mark.parametrize("depth", [3, 400, 900, 5000])
def test_deeply_nested_checkpoints_are_refused_in_a_sentence(original, depth):
    packed = b"\x81\xa1a" * depth + b"\x01"  # {"a": {"a": … 1}}
    refused(original, packed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A Flax checkpoint that nothing is wrong with."""
    folder = tmp_path_factory.mktemp("whole")
    save_original(folder)
    return (folder / "flax_model.msgpack").read_bytes()


@given(share=st.floats(0, 0.999))
@settings(deadline=None, max_examples=30)
def test_cut_checkpoints_are_refused_in_a_sentence(original, whole, share):
    refused(original, whole[: int(share * len(whole))])


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "{", "[]", "\x00"])
def test_damaged_settings_are_refused_in_a_sentence(tmp_path, content):
    Path(tmp_path / "config.json").write_text(content)
    with pytest.raises(EaselError, match=r"config\.json is"):
        dalle_mini_original.load(tmp_path)


def test_a_networks_own_file_with_metadata_nested_deeply_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.ones(1)}, tmp_path / "model.safetensors", {"meta": "[" * 100_000})
    with pytest.raises(EaselError, match="is damaged"):
        reader.load(tmp_path)

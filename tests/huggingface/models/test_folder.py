"""Folders that are not what they should be: one sentence that names them, before a weight is loaded."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from huggingface.models import folder as folders
from huggingface.models.predictor import HFPredictor
from lib.errors import EaselError
from tests.huggingface.models.tiny import MODELS, layout_of, prompts, tiny


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Whole folders by family, the llama's in several files."""
    top = tmp_path_factory.mktemp("models")
    for kind in MODELS:
        tiny(kind).model.save_pretrained(top / kind, max_shard_size="20KB" if kind == "llama" else "1GB")
    return top


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of one of them, to be broken."""
    return lambda kind: shutil.copytree(saved / kind, tmp_path / kind)


def edit(name, **changes):
    def change(folder):
        tree = json.loads((folder / name).read_text())
        (folder / name).write_text(
            json.dumps({key: value for key, value in (tree | changes).items() if value is not None})
        )

    return change


def edit_within(section, **changes):
    def change(folder):
        tree = json.loads((folder / "config.json").read_text())
        tree[section] |= changes
        (folder / "config.json").write_text(json.dumps(tree))

    return change


def remove(pattern):
    return lambda folder: sorted(folder.glob(pattern))[-1].unlink()


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def swapped(folder):
    """The index promises a weight in the wrong file."""
    path = folder / "model.safetensors.index.json"
    tree = json.loads(path.read_text())
    files = sorted(set(tree["weight_map"].values()))
    key = next(key for key, name in tree["weight_map"].items() if name == files[0])
    tree["weight_map"][key] = files[1]
    path.write_text(json.dumps(tree))


BROKEN = [
    ("emu3", shutil.rmtree, "there is no folder"),
    ("emu3", remove("config.json"), "has no config.json"),
    ("emu3", write("config.json", b"{"), "is not valid JSON"),
    ("emu3", write("config.json", b"[]"), "must be a mapping"),
    ("emu3", write("config.json", bytes(range(256))), "config.json is not valid JSON"),
    ("emu3", edit("config.json", architectures=["GPT2LMHeadModel"]), "do not know the class 'GPT2LMHeadModel'"),
    ("emu3", edit("config.json", architectures=None), "do not know the class 'no class'"),
    ("emu3", edit("config.json", model_type="llama"), "names the class Emu3.*, but model_type 'llama'"),
    ("emu3", edit("config.json", model_type="unheard_of"), "is none that transformers .* reads as Emu3Config"),
    ("emu3", edit("config.json", text_config=7), "is none that transformers .* reads as Emu3Config"),
    ("emu3", edit("config.json", transformers_version="6.1.0"), "written by transformers 6.1.0, newer than 5.24"),
    ("emu3", edit("config.json", transformers_version="new"), "'new', which is no version"),
    ("emu3", edit("config.json", vocabulary_map={"<image>": 5}), "no image vocabulary"),
    ("emu3", edit("config.json", vocabulary_map=None), "no image vocabulary"),
    ("chameleon", edit("config.json", vocabulary_map={"<image>": 5}), "no image vocabulary"),
    ("glm_image", edit_within("vq_config", num_embeddings=19), "head has 18 outputs, fewer than the 19"),
    ("janus", edit_within("vision_config", num_image_tokens=15), "15 image tokens, but .* 4 × 4"),
    ("llama", edit("config.json", image_vocabulary=None), "no section image_vocabulary"),
    ("llama", edit_within("image_vocabulary", codes="many"), r"image_vocabulary of config.json: codes is 'many'"),
    ("llama", edit_within("image_vocabulary", colour=1), "unknown key 'colour'"),
    ("llama", edit_within("image_vocabulary", codes=60), "20 … 79 are outside the vocabulary of 64"),
    ("llama", edit("config.json", vocab_size=80), r"is \[64, 32\] in the weights and \[80, 32\] by config.json"),
    ("emu3", remove("model.safetensors"), "has no model.safetensors and no model.safetensors.index.json"),
    ("emu3", pickled, "as a pickle only .pytorch_model.bin"),
    ("emu3", cut, r"model.safetensors has [\d,]+ bytes and should have [\d,]+"),
    ("emu3", write("model.safetensors", b""), "no whole safetensors file"),
    ("emu3", write("model.safetensors", bytes(range(256)) * 9), "no whole safetensors file"),
    ("emu3", write("model.safetensors", b"\x02\0\0\0\0\0\0\0[]"), "no whole safetensors file"),
    ("emu3", write("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"), "a pointer of Git LFS"),
    ("llama", remove("model-*.safetensors"), r"lacks 1 of \d+ files of weights, model-\d+-of-\d+.safetensors first"),
    ("llama", edit("model.safetensors.index.json", weight_map=None), "has no weight_map"),
    ("llama", write("model.safetensors.index.json", b"{"), "is not valid JSON"),
    ("llama", swapped, "which the index promises"),
]


@pytest.mark.parametrize(
    ("kind", "breaks", "message"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_it_is_refused_in_one_sentence(copied, monkeypatch, kind, breaks, message):
    folder = copied(kind)
    breaks(folder)
    monkeypatch.setattr(torch, "load", None)  # whatever would unpickle
    with pytest.raises(EaselError, match=message) as refused:
        folders.check(folder)
    said = str(refused.value)
    assert str(folder) in said and "\n" not in said


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_whole_is_loaded(saved, kind):
    checked = folders.check(saved / kind)
    family, made = folders.load(checked), tiny(kind)
    assert type(family) is checked.family is type(made)
    layout, given = layout_of(kind, made), prompts(2)
    inputs, start = torch.tensor([[16, 1, 2]] * 2), torch.zeros(2, dtype=torch.int64)
    found, expected = (HFPredictor(one, given, layout).predict(inputs, start) for one in (family, made))
    torch.testing.assert_close(found, expected)


def test_a_missing_weight_is_not_drawn_at_random(copied):
    folder = copied("llama")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    del index["weight_map"]["model.layers.1.self_attn.q_proj.weight"]
    tensors = {}
    for name in set(index["weight_map"].values()):
        tensors |= load_file(folder / name)
    (folder / "model.safetensors.index.json").unlink()
    save_file({key: tensors[key] for key in index["weight_map"]}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EaselError, match=r"lacks weights of LlamaForCausalLM: model.layers.1.self_attn.q_proj.weight"):
        folders.load(folders.check(folder))


def test_weights_that_are_no_numbers_are_refused(copied):
    folder = copied("emu3")
    tensors = load_file(folder / "model.safetensors")
    next(weight for name, weight in tensors.items() if name.endswith("lm_head.weight"))[3, 4] = torch.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EaselError, match=r"NaN or infinite, in lm_head.weight"):
        folders.load(folders.check(folder))


def test_another_size(saved):
    assert folders.check(saved / "emu3", (2, 5)).layout.grids == ((2, 5),)
    with pytest.raises(EaselError, match="4 × 4 tokens only, not 2 × 5"):
        folders.check(saved / "janus", (2, 5))


def test_prompts_need_a_tokenizer(saved):
    with pytest.raises(EaselError, match=r"has no tokenizer.json"):
        folders.load_tokenizer(saved / "emu3")

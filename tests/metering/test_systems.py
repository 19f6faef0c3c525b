"""Sizes of the papers' systems: the committed table, counts made by other means, and memory as it is allocated."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import torch
from diffusers import AuraFlowTransformer2DModel, SD3Transformer2DModel
from transformers import BartConfig, ChameleonConfig, Emu3TextConfig, LlamaConfig, T5Config, UMT5Config
from transformers.models.bart.modeling_bart import BartDecoder
from transformers.models.chameleon.modeling_chameleon import ChameleonForConditionalGeneration
from transformers.models.emu3.modeling_emu3 import Emu3ForCausalLM
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.models.t5.modeling_t5 import T5EncoderModel
from transformers.models.umt5.modeling_umt5 import UMT5EncoderModel

from lib.errors import EaselError
from lib.evidence import provenance
from lib.metering import systems
from lib.metering.systems import Module, Part, build, count, count_network, count_part, printed, row
from lib.models import dalle_mini
from studies.dalle_mini.code import dalle
from tests.house import REPOSITORY
from tests.models.tiny_dalle_mini import NETWORK

COMMITTED = REPOSITORY / "results/systems"


@pytest.fixture(scope="module")
def described():
    return systems.systems(REPOSITORY / "lib/metering/systems.yaml").systems


def part(described, system, name="transformer", **changes):
    """A part, its only network's configuration changed."""
    found = described[system][name]
    return Part(modules=(changed(found.modules[0], **changes),), source=found.source) if changes else found


def changed(module, **config):
    return module.model_copy(update={"config": dict(module.config) | config})


# --- The table ---


def test_the_committed_table_is_what_the_code_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    written = systems.write(tmp_path / "systems")
    for path in written:
        if path.suffix != ".json":  # the sidecar holds the lock file's hash too
            assert path.read_bytes() == (COMMITTED / path.name).read_bytes(), path.name
    provenance.check_all(COMMITTED)


def test_of_the_published_sizes_janus_pro_alone_is_another(described):
    """The name says one billion, and the file holds a pooling head that transformers' class lacks."""
    lines = [line.split("|") for line in (COMMITTED / "systems.md").read_text(encoding="utf-8").splitlines()]
    disagree = {cells[1].strip() for cells in lines if any(cell.strip() == "no" for cell in cells)}
    assert disagree == {"Janus-Pro-1B"}
    saved = count(described["Janus-Pro-1B"]["all networks"].modules[0]).saved
    width, inner = 1024, 4096
    head = width + 4 * (width * width + width) + 2 * width + 2 * width * inner + width + inner
    assert head == 12_595_200 and round(2 * (saved + head) / 1e9, 2) == 4.18


def test_parts_add_up():
    rows = [line.split(",") for line in (COMMITTED / "systems.csv").read_text(encoding="utf-8").splitlines()[1:]]
    kolors = {name: int(count) for system, name, count, *_ in rows if system == "Kolors"}
    assert kolors.pop("all parts") == sum(kolors.values()) and len(kolors) == 3
    assert not any(name == "all parts" for system, name, *_ in rows if system == "Lumina-mGPT 7B")


def test_nothing_is_allocated(described):
    network = build(described["AuraFlow v0.1"]["transformer"].modules[0])
    assert all(array.is_meta for array in network.state_dict().values())


# --- Counts made by other means ---


def test_auraflow_by_its_blocks(described):
    """Joint blocks have two streams; the feed-forward is 2/3 · 4 d, rounded up to a multiple of 256."""
    d, text, positions, patch = 3072, 2048, 4096, 2 * 2 * 4
    single = 4 * d * d + 3 * d * 8192 + 6 * d * d
    assert [round(blocks / 1e6, 1) for blocks in (single, 2 * single)] == [169.9, 339.7]
    time = 256 * d + d + d * d + d
    ends = positions * d + patch * d + d + text * d + 8 * d + time + 2 * d * d + d * patch
    module = described["AuraFlow v0.1"]["transformer"].modules[0]
    assert count(module).parameters == 32 * single + 4 * 2 * single + ends
    assert count(changed(module, pos_embed_max_size=1024)).parameters == 6_833_439_744


@pytest.mark.parametrize(
    "system, vocabulary, inner, layers, width, key_width, normed",
    [
        ("Emu3", 184622, 14336, 32, 4096, 1024, 0),
        ("Lumina-mGPT 7B", 65536, 11008, 32, 4096, 4096, 128 * 32 * 2 * 2),  # norms of queries and keys, with biases
    ],
)
def test_language_models_by_their_matrices(described, system, vocabulary, inner, layers, width, key_width, normed):
    layer = 2 * width * width + 2 * width * key_width + 3 * width * inner + 2 * width + normed
    expected = 2 * vocabulary * width + layers * layer + width
    assert count(part(described, system).modules[0]).parameters == expected


def test_dalle_mini_by_the_studys_counts(described):
    first = count_part(part(described, "DALL·E Mini 2021"))
    assert first.parameters == sum(dalle.first_mini_parameters(dalle.FirstMiniConfig()).values())
    later = [count(part(described, f"DALL·E {name} 2022").modules[0]).parameters for name in ("Mini", "Mega")]
    assert later == [437_929_984, 2_587_521_024]  # of results/laptop/compare_dalle.json


def test_janus_language_model(described):
    """Of “Janus-Pro-1B”, which has no billion of anything."""
    network = build(described["Janus-Pro-1B"]["all networks"].modules[0])
    language = count_network(network.model.language_model).parameters + network.lm_head.weight.numel()
    layer = 4 * 2048 * 2048 + 3 * 2048 * 5632 + 2 * 2048
    assert language == 2 * 102400 * 2048 + 24 * layer + 2048 == 1_652_656_128


# --- What agrees ---


@pytest.mark.parametrize(
    "text, value, unit",
    [("6.8B", 6.8e9, 1e8), ("860M", 860e6, 1e6), ("2B", 2e9, 1e9), ("4.18 GB", 4.18e9, 1e7), ("585 MB", 585e6, 1e6)],
)
def test_printed_numbers(text, value, unit):
    assert printed(text) == (pytest.approx(value), pytest.approx(unit))


def line(module, published=None, files=()):
    """Of the table, for a network of which something was published."""
    listed = {"files": files, "bytes": 2, "listed": "a list"} if files else {}
    told = Part(modules=(module,), source="a page", published=published, where=published and "a page", **listed)
    return row("system", "part", count(module), told)


@pytest.mark.parametrize(
    "published, agrees", [("860M", True), ("859M", True), ("861M", False), ("0.9B", True), ("1B", True)]
)
def test_a_number_agrees_within_a_unit_of_its_last_digit(described, published, agrees):
    unet = described["Stable Diffusion 1.5"]["U-Net"].modules[0]  # 859,520,964
    assert line(unet, published)["agrees"] is agrees


def test_the_press_articles_auraflow_does_not_agree(described):
    found = line(described["AuraFlow v0.1"]["transformer"].modules[0], "0.88B")
    assert found["agrees"] is False and 600 < found["difference"].value < 700


@pytest.mark.parametrize(
    "changes, agrees", [({}, True), ({"num_layers": 23}, False), ({"pos_embed_max_size": 96}, False)]
)
def test_a_file_agrees_to_the_digits_that_are_listed(described, changes, agrees):
    """A layer less shows, and so does a smaller table of positions, which are saved though not trained."""
    module = changed(described["Stable Diffusion 3 medium"]["transformer"].modules[0], **changes)
    assert line(module, files=("4.17 GB",))["file agrees"] is agrees


def test_what_was_not_published_is_not_compared(described):
    found = line(described["aMUSEd-256"]["transformer"].modules[0])
    assert [found[key] for key in ("published", "difference", "agrees", "file, listed", "file agrees")] == [None] * 5


# --- Memory ---


def allocated(arrays):
    """Bytes of the storages behind arrays, each once."""
    return sum({array.untyped_storage().data_ptr(): array.untyped_storage().nbytes() for array in arrays}.values())


SIZES = {
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "vocab_size": 20,
}
NETWORKS = {
    "grouped keys": lambda: Emu3ForCausalLM(Emu3TextConfig(**SIZES, num_attention_heads=4, num_key_value_heads=2)),
    "tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, num_attention_heads=2, tie_word_embeddings=True)),
    "norms of keys": lambda: ChameleonForConditionalGeneration(
        ChameleonConfig(**SIZES, num_attention_heads=2, num_key_value_heads=2, vocabulary_map={"<image>": 8},
                        vq_config={"base_channels": 32, "channel_multiplier": [1], "num_res_blocks": 1,
                                   "embed_dim": 4, "latent_channels": 4, "num_embeddings": 4, "resolution": 8})
    ),
    "shared embedding": lambda: T5EncoderModel(T5Config(d_model=16, d_kv=4, d_ff=24, num_layers=2, vocab_size=20)),
    "own positions in every layer": lambda: UMT5EncoderModel(
        UMT5Config(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=2, vocab_size=20)
    ),
    "fixed positions": lambda: SD3Transformer2DModel(
        sample_size=4, num_layers=2, num_attention_heads=2, attention_head_dim=8, joint_attention_dim=16,
        caption_projection_dim=16, pooled_projection_dim=8, pos_embed_max_size=4,
    ),
    "joint and single blocks": lambda: AuraFlowTransformer2DModel(
        sample_size=4, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=8, caption_projection_dim=16, pos_embed_max_size=16,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_in_bfloat16_take_what_was_planned(name):
    with torch.device("meta"):
        planned = count_network(NETWORKS[name]())
    network = NETWORKS[name]().to(torch.bfloat16)
    assert allocated([*network.parameters(), *network.buffers()]) == planned.allocated
    assert planned.allocated >= 2 * planned.saved >= 2 * planned.parameters


@pytest.mark.parametrize("name", ["tied", "fixed positions"])
def test_adamw_takes_what_was_planned(name):
    network = NETWORKS[name]()
    optimizer = torch.optim.AdamW(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    arrays = [array for state in optimizer.state.values() for array in state.values()]
    counters = 4 * len(optimizer.state)
    assert allocated(arrays) == count_network(network).optimizer() + counters


@pytest.mark.parametrize("name", ["grouped keys", "tied", "norms of keys"])
def test_keys_and_values_take_what_was_planned(name):
    network = NETWORKS[name]().to(torch.bfloat16).eval()
    with torch.no_grad():
        cache = network(input_ids=torch.full((1, 10), 3), use_cache=True).past_key_values
    held = allocated([array for layer in cache.layers for array in (layer.keys, layer.values)])
    assert held == count_network(network, systems.cached(network.config)).cache(10)


def test_keys_and_values_of_bart_and_dalle_mini():
    config = BartConfig(
        d_model=16, decoder_layers=2, encoder_layers=2, decoder_attention_heads=2, encoder_attention_heads=2,
        decoder_ffn_dim=24, vocab_size=20, max_position_embeddings=12,
    )  # fmt: skip
    decoder = BartDecoder(config).to(torch.bfloat16).eval()
    with torch.no_grad():
        cache = decoder(input_ids=torch.full((1, 10), 3), use_cache=True).past_key_values.self_attention_cache
    held = allocated([array for layer in cache.layers for array in (layer.keys, layer.values)])
    assert held == count_network(decoder, systems.cached(config)).cache(10)

    model, ids = dalle_mini.DalleMini(NETWORK), jax.ShapeDtypeStruct((1, NETWORK.text_length), jnp.int32)
    begun = jax.eval_shape(lambda *given: model.apply(*given, method="start"), dalle_mini.shapes(NETWORK), ids)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(begun.own))
    assert numbers == systems.cached(NETWORK) * NETWORK.image_length


# --- What is refused ---


@pytest.mark.parametrize(
    "module, message",
    [
        ({"kind": "diffusers.AuraFlow", "config": {}}, "not valid configuration of diffusers.AuraFlow: .*AuraFlow"),
        ({"kind": "torch.nn.Linear", "config": {"inputs": 3}}, "not valid configuration of torch.nn.Linear: .*inputs"),
        (
            {"kind": "torch.nn.Linear", "config": {"in_features": 1, "out_features": 1}, "without": ["model.vq"]},
            "not valid configuration of torch.nn.Linear: .*model",
        ),
        ({"kind": "dalle_mini", "config": {"size": "giga"}}, "no size 'giga'"),
        ({"kind": "dalle_mini", "config": {"width": 3}}, "not valid size of DALL·E Mini: .*width"),
    ],
)
def test_networks_that_cannot_be_built(module, message):
    with pytest.raises(EaselError, match=message):
        count(Module(**module))


@pytest.mark.parametrize(
    "text, message",
    [
        ("published: 6.8B", "where says who published the number"),
        ("published: 6,8B\n      where: a page", "published"),
        ("files: [4 GB]\n      bytes: 2", "files needs bytes and listed"),
        ("bytes: 3", "bytes"),
        ("publisher: me", "publisher"),
    ],
)
def test_descriptions_with_a_fault(tmp_path, text, message):
    path = Path(tmp_path / "systems.yaml")
    module = "{kind: torch.nn.Linear, config: {}}"
    path.write_text(
        f"systems:\n  A:\n    b:\n      modules: [{module}]\n      source: a page\n      {text}\nnotes: []\n"
    )
    with pytest.raises(EaselError, match=message):
        systems.systems(path)


def test_the_command_takes_nothing():
    assert systems.main(["out"]) == 2

"""Checkpoints of the original are written here by hand, name by name, apart from the code that reads them."""

import dataclasses
import json
import tempfile
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict

from lib.decoding.autoregressive_jax import row_keys, sample
from lib.errors import EaselError
from lib.models import dalle_mini
from lib.models.bart_attention import NEVER
from lib.models.dalle_mini import DalleMini
from lib.models.dalle_mini_original import (
    count_parameters,
    load,
    original_config,
    read_config,
    save,
    scan_layers,
    unscan_layers,
    write_config,
)
from lib.models.dalle_mini_original_config import DEFAULTS, LAYOUT_KEYS
from lib.models.layout import Layout

WIDTH, INNER, TEXT, IMAGE, WORDS, CODES, PADDED = 8, 12, 4, 4, 15, 10, 3
CONFIG = {
    "model_type": "dallebart",
    "d_model": WIDTH,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": INNER,
    "decoder_ffn_dim": INNER,
    "encoder_vocab_size": WORDS,
    "image_vocab_size": CODES + PADDED,
    "decoder_start_token_id": CODES,
    "max_text_length": TEXT,
    "image_length": IMAGE,
    "dropout": 0.0,
    "gradient_checkpointing": False,
    "use_scan": False,
    "transformers_version": "4.20.0",
    "_name_or_path": "somewhere",
    "bos_token_id": 16385,
    "normalize_text": True,
}
KERNELS = ("q_proj", "k_proj", "v_proj", "out_proj")


def outside_layers(final_norm: bool) -> dict[str, tuple[int, ...]]:
    rows = CODES + PADDED + 1
    shapes = {"lm_head/kernel": (WIDTH, rows)}
    for side, ids, length in (("encoder", WORDS, TEXT), ("decoder", rows, IMAGE)):
        shapes[f"model/{side}/embed_tokens/embedding"] = (ids, WIDTH)
        shapes[f"model/{side}/embed_positions/embedding"] = (length, WIDTH)
        shapes[f"model/{side}/layernorm_embedding/scale"] = (WIDTH,)
        shapes[f"model/{side}/layernorm_embedding/bias"] = (WIDTH,)
        if final_norm:
            shapes[f"model/{side}/final_ln/bias"] = (WIDTH,)
    return shapes


def attention(index: int) -> dict[str, tuple[int, ...]]:
    return {f"FlaxBartAttention_{index}/{name}/kernel": (WIDTH, WIDTH) for name in KERNELS}


def normformer(side: str) -> dict[str, tuple[int, ...]]:
    """One layer, GLU."""
    shapes = {
        "LayerNorm_0/bias": (WIDTH,),
        "LayerNorm_1/scale": (WIDTH,),
        "LayerNorm_1/bias": (WIDTH,),
        "GLU_0/LayerNorm_0/bias": (WIDTH,),
        "GLU_0/Dense_0/kernel": (WIDTH, INNER),
        "GLU_0/Dense_1/kernel": (WIDTH, INNER),
        "GLU_0/LayerNorm_1/bias": (INNER,),
        "GLU_0/Dense_2/kernel": (INNER, WIDTH),
    } | attention(0)
    if side == "decoder":
        shapes |= {"LayerNorm_2/bias": (WIDTH,), "LayerNorm_3/scale": (WIDTH,), "LayerNorm_3/bias": (WIDTH,)}
        shapes |= attention(1)
    return shapes


def postln(side: str, last: bool) -> dict[str, tuple[int, ...]]:
    """One layer, without gate, with biases and head scales; the norm after the last layer has no scale."""
    shapes = {
        "FFN_0/Dense_0/kernel": (WIDTH, INNER),
        "FFN_0/Dense_0/bias": (INNER,),
        "FFN_0/Dense_1/kernel": (INNER, WIDTH),
        "FFN_0/Dense_1/bias": (WIDTH,),
    }
    norms = 2 if side == "encoder" else 3
    for index in range(norms):
        shapes[f"LayerNorm_{index}/bias"] = (WIDTH,)
        if not (last and index == norms - 1):
            shapes[f"LayerNorm_{index}/scale"] = (WIDTH,)
    for index in range(norms - 1):
        shapes |= attention(index) | {f"FlaxBartAttention_{index}/head_scale": (1, 1, 2, 1)}
        shapes |= {f"FlaxBartAttention_{index}/{name}/bias": (WIDTH,) for name in KERNELS}
    return shapes


def name_of(side: str) -> str:
    return f"model/{side}/layers/FlaxBart{side.capitalize()}Layer"


def case(kind: str) -> tuple[dict, dict[str, tuple[int, ...]]]:
    """config.json and the tree of one checkpoint of the original."""
    if kind == "normformer":
        shapes = outside_layers(final_norm=True)
        for side in ("encoder", "decoder"):
            shapes |= {f"{name_of(side)}_0/{name}": shape for name, shape in normformer(side).items()}
        return CONFIG, shapes
    if kind == "scanned":
        shapes = outside_layers(final_norm=True)
        for side, layers in (("encoder", 2), ("decoder", 1)):
            shapes |= {f"{name_of(side)}s/{name}": (layers, *shape) for name, shape in normformer(side).items()}
        return CONFIG | {"encoder_layers": 2, "decoder_layers": 1, "use_scan": True}, shapes
    shapes = outside_layers(final_norm=False)
    for side, index, last in (("encoder", 0, True), ("decoder", 0, False), ("decoder", 1, True)):
        shapes |= {f"{name_of(side)}_{index}/{name}": shape for name, shape in postln(side, last).items()}
    switches = {"ln_positions": "deepnet", "use_glu": False, "use_bias": True, "use_head_scale": True}
    return CONFIG | switches | {"decoder_layers": 2}, shapes


def arrays_of(shapes: dict[str, tuple[int, ...]], dtype=np.float32) -> dict[str, np.ndarray]:
    """Random numbers under sorted names, which is how trees come out of a jitted training step."""
    generator = np.random.default_rng(0)
    return {name: (0.3 * generator.standard_normal(shapes[name])).astype(dtype) for name in sorted(shapes)}


def write(folder, config, arrays):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    tree = unflatten_dict({tuple(name.split("/")): array for name, array in arrays.items()})
    (folder / "flax_model.msgpack").write_bytes(serialization.msgpack_serialize(tree))
    return folder


CAPTIONS = np.array([[3, 5, 1, 1], [7, 2, 9, 1]], np.int32)  # padded with 1


def run(model: DalleMini, params: dict) -> np.ndarray:
    """Logits of two pictures."""
    image = np.array([[1, 9, 4, 0], [2, 2, 8, 6]], np.int32)
    # Compiled once, run once: not worth optimising.
    apply = jax.jit(model.apply, compiler_options={"xla_backend_optimization_level": 0})
    return np.asarray(apply(params, CAPTIONS, image))


@cache
def loaded(kind: str) -> tuple[DalleMini, dict]:
    config, shapes = case(kind)
    with tempfile.TemporaryDirectory() as folder:
        return load(write(Path(folder), config, arrays_of(shapes)))


@cache
def logits(kind: str) -> np.ndarray:
    return run(*loaded(kind))


@pytest.mark.parametrize("kind", ["normformer", "scanned", "postln"])
def test_a_checkpoint_of_the_original_loads_runs_and_is_written_again_byte_for_byte(kind, tmp_path):
    config, shapes = case(kind)
    folder = write(tmp_path / "original", config, arrays_of(shapes))
    model, params = loaded(kind)
    got = flatten_dict(params["params"], sep="/")
    assert list(got) == sorted(shapes)
    for name, array in arrays_of(shapes).items():
        np.testing.assert_array_equal(got[name], array)
    out = logits(kind)
    assert out.shape == (2, IMAGE, CODES + PADDED + 1)
    assert np.isfinite(out).all() and np.ptp(out[..., :CODES]) > 0.1
    save(tmp_path / "again", model, params)
    assert (tmp_path / "again/flax_model.msgpack").read_bytes() == (folder / "flax_model.msgpack").read_bytes()
    assert load(tmp_path / "again")[0].config == model.config


def test_how_layers_are_stacked_is_read_from_the_parameters(tmp_path):
    config, shapes = case("scanned")
    del config["use_scan"]
    model, _ = load(write(tmp_path / "unsaid", config, arrays_of(shapes)))
    assert model.config.layout.scan
    config, shapes = case("normformer")
    model, _ = load(write(tmp_path / "wrong", config | {"use_scan": True}, arrays_of(shapes)))
    assert not model.config.layout.scan


def test_half_precision_becomes_float32(tmp_path):
    config, shapes = case("normformer")
    _, params = load(write(tmp_path, config, arrays_of(shapes, np.float16)))
    name = "model/decoder/embed_tokens/embedding"
    got = flatten_dict(params["params"], sep="/")[name]
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, arrays_of(shapes, np.float16)[name].astype(np.float32))


def test_one_error_lists_all_that_differs(tmp_path):
    config, shapes = case("normformer")
    arrays = arrays_of(shapes)
    del arrays["lm_head/kernel"]
    arrays["model/encoder/final_ln/scale"] = np.ones(WIDTH, np.float32)
    arrays["model/decoder/embed_positions/embedding"] = np.ones((IMAGE + 1, WIDTH), np.float32)
    arrays["model/encoder/layernorm_embedding/bias"] = np.ones(WIDTH, np.int32)
    with pytest.raises(EaselError) as caught:
        load(write(tmp_path, config, arrays))
    message = str(caught.value)
    assert "1 missing: lm_head/kernel" in message
    assert "1 unexpected: model/encoder/final_ln/scale" in message
    assert "2 of another shape or type: model/decoder/embed_positions/embedding is [5, 8], must be [4, 8]" in message
    assert "model/encoder/layernorm_embedding/bias is of int32" in message


def test_long_lists_are_shortened(tmp_path):
    config, shapes = case("normformer")
    with pytest.raises(EaselError, match=r"\d+ missing: .*; and \d+ more\. 25 unexpected: .*; and 5 more") as caught:
        load(write(tmp_path, config, {f"x{index:02}": np.ones(1, np.float32) for index in range(25)}))
    assert "x19" in str(caught.value) and "x20" not in str(caught.value)
    assert f"{len(shapes)} missing" in str(caught.value)


def test_files_that_are_missing_or_damaged_are_named(tmp_path):
    config, shapes = case("normformer")
    with pytest.raises(EaselError, match=r"config\.json cannot be read"):
        load(tmp_path)
    folder = write(tmp_path, config, arrays_of(shapes))
    content = (folder / "flax_model.msgpack").read_bytes()
    (folder / "flax_model.msgpack").write_bytes(content[: len(content) // 2])
    with pytest.raises(EaselError, match=r"flax_model\.msgpack is not a Flax checkpoint, or is damaged"):
        load(folder)
    (folder / "flax_model.msgpack").unlink()
    with pytest.raises(EaselError, match=r"flax_model\.msgpack cannot be read"):
        load(folder)
    (folder / "config.json").write_text("version https://git-lfs")
    with pytest.raises(EaselError, match="is not JSON"):
        load(folder)


def test_save_refuses_parameters_of_another_model(tmp_path):
    config, shapes = case("normformer")
    params = {"params": unflatten_dict({tuple(name.split("/")): x for name, x in arrays_of(shapes).items()})}
    other = DalleMini(read_config(config | {"use_bias": True}))
    with pytest.raises(EaselError, match=r"the tree of parameters does not belong .* missing: .*q_proj/bias"):
        save(tmp_path / "new", other, params)
    assert not (tmp_path / "new").exists()


def test_padding_of_the_image_vocabulary_is_never_sampled(tmp_path):
    config, shapes = case("normformer")
    arrays = arrays_of(shapes)
    arrays["model/decoder/final_ln/bias"][:] = 1
    arrays["lm_head/kernel"][:, CODES:] = 9  # what is not a code would win every draw
    model, params = load(write(tmp_path, config, arrays))
    assert (logits("normformer")[..., CODES:] == NEVER).all()
    start, predict = dalle_mini.sampling_functions(model)
    text = np.repeat(CAPTIONS, 2, axis=0)  # conditional and unconditional rows
    keys = row_keys(np.arange(2), np.arange(2))
    codes = sample(predict, params, start(params, text), CODES, IMAGE, keys, temperature=50.0, guidance=3.0)
    assert codes.shape == (2, IMAGE)
    assert (codes < CODES).all()


@pytest.mark.parametrize("kind", ["scanned", "postln"])
def test_stacked_layers_and_separate_ones_are_the_same_network(kind):
    model, params = loaded(kind)
    there, back = (unscan_layers, scan_layers) if kind == "scanned" else (scan_layers, unscan_layers)
    other_config, other = there(model.config, params)
    assert other_config.layout.scan is not model.config.layout.scan
    np.testing.assert_allclose(run(DalleMini(other_config), other), logits(kind), rtol=1e-5, atol=1e-5)
    config_again, again = back(other_config, other)
    assert config_again == model.config
    assert jax.tree.structure(again) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_layers_that_cannot_be_restacked_are_refused():
    model, params = loaded("postln")
    stacked_config, stacked = scan_layers(model.config, params)
    stacked["params"]["model"]["encoder"]["layers"]["FlaxBartEncoderLayers"]["LayerNorm_1"]["scale"] += 1
    with pytest.raises(EaselError, match=r"LayerNorm_1/scale of the last layer is not 1"):
        unscan_layers(stacked_config, stacked)
    swin = read_config(CONFIG | {"ln_positions": "swinv2"})
    with pytest.raises(EaselError, match="swinv2"):
        scan_layers(swin, {"params": {}})


def test_the_published_sizes_have_exactly_their_parameters():
    counts = {size: count_parameters(read_config(original_config(size))) for size in ("mini", "mini_glu", "mega")}
    assert counts == {"mini": 437_929_984, "mini_glu": 437_833_712, "mega": 2_587_521_024}
    gated = read_config(original_config("mini") | {"use_glu": True})
    assert count_parameters(gated) == 538_593_280
    with pytest.raises(EaselError, match="no size 'maxi'"):
        original_config("maxi")


def test_a_configuration_survives_being_written():
    other = {
        "use_bias": True,
        "ln_type": "rmsnorm",
        "ln_positions": "swinv2",
        "use_head_scale": True,
        "use_cosine_attention": True,
        "tau_init": 0.1,
        "use_absolute_position_embeddings": False,
        "use_swin_position_embeddings": True,
        "use_deepnet_scaling": True,
        "use_glu": False,
        "sinkhorn_iters": 3,
        "use_final_ln_encoder": False,
        "use_final_ln_decoder": False,
        "force_ln_scale": True,
        "dropout": 0.2,
        "attention_dropout": 0.3,
        "activation_dropout": 0.4,
        "init_std": 0.01,
        "gradient_checkpointing": True,
        "activation_function": "smelu",
        "scale_embedding": True,
        "text_padding": 0,
    }
    config = read_config(CONFIG | other)
    assert read_config(write_config(config)) == config
    assert (config.codes, config.padded_codes, config.text_padding) == (CODES, PADDED, 0)
    assert config.layout.activation == "smelu_original"  # theirs is faulty, and a checkpoint was trained with it
    for field, key in LAYOUT_KEYS.items():
        assert getattr(config.layout, field) == other.get(key, DEFAULTS[key]), field


def test_what_config_json_leaves_out_has_the_originals_defaults():
    config = read_config({})
    assert (config.width, config.heads, config.feed_forward, config.encoder_layers) == (1024, 16, 4096, 12)
    assert (config.codes, config.padded_codes, config.text_padding) == (16384, 0, 1)
    assert config.layout.gated and config.layout.scan and config.layout.remat and config.layout.dropout == 0.1
    assert not read_config({"ln_positions": "swinv2"}).layout.scan
    assert read_config({"image_vocab_size": 100}).codes == 100


# Another value than the default for every setting of the original's configuration class, dalle-mini 0.1.5.
OTHER_VALUES = {
    "encoder_vocab_size": 21,
    "image_vocab_size": 77,
    "image_length": 9,
    "max_text_length": 5,
    "encoder_layers": 3,
    "encoder_ffn_dim": 24,
    "encoder_attention_heads": 4,
    "decoder_layers": 3,
    "decoder_ffn_dim": 24,
    "decoder_attention_heads": 4,
    "activation_function": "quick_gelu",
    "d_model": 64,
    "dropout": 0.3,
    "attention_dropout": 0.3,
    "activation_dropout": 0.3,
    "init_std": 0.5,
    "scale_embedding": True,
    "gradient_checkpointing": False,
    "use_scan": False,
    "is_encoder_decoder": False,
    "tie_word_embeddings": True,
    "use_bias": True,
    "ln_type": "rmsnorm",
    "ln_positions": "cogview",
    "use_head_scale": True,
    "use_cosine_attention": True,
    "tau_init": 0.3,
    "use_absolute_position_embeddings": False,
    "use_swin_position_embeddings": True,
    "use_deepnet_scaling": True,
    "use_subln_init": True,
    "use_glu": False,
    "use_alibi": True,
    "sinkhorn_iters": 3,
    "use_final_ln_encoder": False,
    "use_final_ln_decoder": False,
    "force_ln_scale": True,
}
NOT_THE_NETWORK = {"normalize_text": True, "use_cache": False, "forced_eos_token_id": 3, "do_sample": False}


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_no_setting_of_the_original_is_passed_over(name):
    """Each of them gives another network, or is refused by its name."""
    try:
        config = read_config({name: OTHER_VALUES[name]})
    except EaselError as error:
        assert name in str(error)
    else:
        assert config != read_config({})
        assert read_config(write_config(config)) == config


def test_settings_that_are_not_the_networks_are_passed_over():
    assert read_config(NOT_THE_NETWORK) == read_config({})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_alibi": True}, "use_alibi is True, only False is supported"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings is True"),
        ({"scale_embedding": 2}, "scale_embedding is 2, must be true or false"),
        ({"model_type": "bart"}, "model_type is 'bart', only 'dallebart'"),
        ({"decoder_ffn_dim": 24}, "encoder_ffn_dim is 12 but decoder_ffn_dim 24"),
        ({"decoder_attention_heads": 4}, "encoder_attention_heads is 2 but decoder_attention_heads 4"),
        ({"activation_function": "tanh"}, "activation_function is 'tanh', must be one of gelu, gelu_new, quick_gelu"),
        ({"sinkhorn_iters": 0}, "sinkhorn_iters is 0, must be a whole number above 0"),
        ({"head_scale": True}, "unknown settings: head_scale"),  # of a version before 0.1
        ({"decoder_start_token_id": CODES + PADDED + 1}, "decoder_start_token_id is 14, must lie in 1 to 13"),
        ({"d_model": "8"}, "d_model is '8', must be a whole number above 0"),
        ({"decoder_layers": 0}, "decoder_layers is 0, must be a whole number above 0"),
        ({"dropout": True}, "dropout is True, must be a number"),
        ({"ln_positions": "nowhere"}, "norm_placement is 'nowhere'"),
        ({"zeta": 1, "alpha": 2}, "unknown settings: alpha, zeta"),
        ({"use_alibi": True, "zeta": 1}, "use_alibi is True, only False is supported; unknown settings: zeta"),
    ],
)
def test_settings_that_cannot_be_followed_are_named(change, message):
    with pytest.raises(EaselError, match=message):
        read_config(CONFIG | change)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "smelu"}, "no activation 'smelu', only"),
        ({"sinkhorn_iterations": 3}, "normalises columns over padding too, and this network's does not"),
    ],
)
def test_what_the_original_lacks_cannot_be_written(changes, message):
    config = dataclasses.replace(read_config(CONFIG), layout=Layout(**changes))
    with pytest.raises(EaselError, match=message):
        write_config(config)


def test_a_loaded_network_has_the_sinkhorn_attention_of_the_original():
    assert read_config({"sinkhorn_iters": 3}).layout.sinkhorn_padding
    assert not read_config({}).layout.sinkhorn_padding

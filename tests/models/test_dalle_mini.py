import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.decoding.autoregressive_jax import row_keys, sample
from lib.errors import EaselError
from lib.models import dalle_mini
from lib.models.dalle_mini import DalleMiniConfig, Layout
from tests.models.tiny_dalle_mini import NETWORK as CONFIG


@cache
def built():
    """A model whose weights are far enough from 0 for every part to matter."""
    model, params = dalle_mini.create(CONFIG, seed=0)
    leaves, structure = jax.tree.flatten(params)
    generator = np.random.default_rng(1)
    leaves = [jnp.asarray(leaf + 0.3 * generator.standard_normal(leaf.shape), jnp.float32) for leaf in leaves]
    return model, jax.tree.unflatten(structure, leaves)


@cache
def compiled():
    return jax.jit(built()[0].apply)


def logits_of(params, text, image):
    return np.asarray(compiled()(params, text, image))


@cache
def batch():
    generator = np.random.default_rng(2)
    text = generator.integers(1, 20, (3, 6)).astype(np.int32)
    text[0, 3:] = text[1, 5:] = 0
    return text, generator.integers(0, 11, (3, 9)).astype(np.int32)


def test_cached_steps_equal_the_teacher_forced_pass():
    model, params = built()
    text, image = batch()
    expected = logits_of(params, text, image)
    start, predict = dalle_mini.sampling_functions(model)
    state, previous, logits, step = start(params, text), np.full(3, CONFIG.codes), [], jax.jit(predict)
    for position in range(CONFIG.image_length):
        one, state = step(params, state, previous, position)
        logits.append(one)
        previous = image[:, position]
    np.testing.assert_allclose(np.stack(logits, axis=1), expected, atol=1e-4)
    assert np.ptp(expected[..., :-1]) > 1  # the comparison is not one of zeros


def test_later_tokens_leave_earlier_logits_unchanged():
    _, params = built()
    text, image = batch()
    changed = image.copy()
    changed[:, 4] = (changed[:, 4] + 1) % CONFIG.codes
    before, after = logits_of(params, text, image), logits_of(params, text, changed)
    np.testing.assert_array_equal(before[:, :5], after[:, :5])  # token 4 is first read at position 5
    assert (np.abs(before - after).max(axis=(0, 2))[5:] > 1e-3).all()


def test_padding_of_captions_does_not_matter_and_their_words_do():
    _, params = built()
    text, image = batch()
    padded = np.tile(text[0], (3, 1))  # three words, three times padding
    np.testing.assert_allclose(logits_of(params, padded, image), logits_of(params, padded[:, :3], image), atol=1e-4)
    other = padded.copy()
    other[:, 1] += 1
    assert np.abs(logits_of(params, padded, image) - logits_of(params, other, image)).max() > 1e-3


def test_first_input_is_bos():
    _, params = built()
    text, image = batch()
    before = logits_of(params, text, image)[:, 0]
    moved = jax.tree.map(lambda leaf: leaf, params)
    table = moved["params"]["model"]["decoder"]["embed_tokens"]["embedding"]
    assert table.shape[0] == CONFIG.codes + 1
    moved["params"]["model"]["decoder"]["embed_tokens"]["embedding"] = table.at[: CONFIG.codes].add(1.0)
    np.testing.assert_array_equal(logits_of(moved, text, image)[:, 0], before)


def test_bos_is_never_sampled_even_when_its_weights_ask_for_it():
    model, params = built()
    params = jax.tree.map(lambda leaf: leaf, params)
    head = params["params"]["lm_head"]["kernel"]
    params["params"]["lm_head"]["kernel"] = head.at[:, CONFIG.codes].set(10 * jnp.abs(head).max())
    start, predict = dalle_mini.sampling_functions(model)
    text = np.tile(batch()[0][:2], (128, 1))  # two captions in turn, as if the second were the empty one
    keys = row_keys(np.zeros(128), np.arange(128))
    drawn = sample(predict, params, start(params, text), CONFIG.codes, 9, keys, temperature=2.0, guidance=5.0)
    assert drawn.shape == (128, 9) and drawn.min() == 0 and drawn.max() == CONFIG.codes - 1


def test_greedy_sampling_takes_the_argmax_of_the_teacher_forced_pass():
    model, params = built()
    text, _ = batch()
    start, predict = dalle_mini.sampling_functions(model)
    keys = row_keys(np.zeros(3), np.arange(3))
    drawn = sample(predict, params, start(params, text), CONFIG.codes, 9, keys, temperature=0.0)
    np.testing.assert_array_equal(logits_of(params, text, drawn).argmax(axis=-1), drawn)


def test_parameter_count():
    width, inner = CONFIG.width, CONFIG.feed_forward
    glu = 3 * width * inner + width + inner  # three products, two LayerNorms without scale
    attention = 4 * width**2 + width + 2 * width  # norm before without scale, norm after with
    encoder = (CONFIG.text_vocabulary + CONFIG.text_length) * width + 2 * width + (attention + glu) + width
    decoder = (CONFIG.codes + 1 + CONFIG.image_length) * width + 2 * width + 2 * (2 * attention + glu) + width
    count = encoder + decoder + width * (CONFIG.codes + 1)
    assert dalle_mini.parameter_count(built()[1]) == dalle_mini.parameter_count(dalle_mini.shapes(CONFIG)) == count


def test_padded_codes_have_rows_but_are_never_drawn():
    config = dataclasses.replace(CONFIG, padded_codes=4)
    tree = dalle_mini.shapes(config)["params"]
    assert tree["lm_head"]["kernel"].shape == (CONFIG.width, 16)
    assert tree["model"]["decoder"]["embed_tokens"]["embedding"].shape == (16, CONFIG.width)
    params = built()[1]["params"]
    model = params["model"]
    table = jnp.pad(model["decoder"]["embed_tokens"]["embedding"], ((0, 4), (0, 0)), constant_values=3.0)
    decoder = model["decoder"] | {"embed_tokens": {"embedding": table}}
    head = {"kernel": jnp.pad(params["lm_head"]["kernel"], ((0, 0), (0, 4)), constant_values=3.0)}
    padded = {"params": {"model": model | {"decoder": decoder}, "lm_head": head}}
    logits = np.asarray(jax.jit(dalle_mini.DalleMini(config).apply)(padded, *batch()))
    np.testing.assert_allclose(logits[..., :12], logits_of(built()[1], *batch()), atol=1e-5)
    assert (logits[..., 11:] < -1e8).all()


def test_parameter_tree_has_the_names_of_the_original():
    tree = built()[1]["params"]
    layer = tree["model"]["decoder"]["layers"]["FlaxBartDecoderLayer_1"]
    assert set(tree["model"]["encoder"]["layers"]["FlaxBartEncoderLayer_0"]) == {
        "FlaxBartAttention_0", "GLU_0", "LayerNorm_0", "LayerNorm_1"
    }  # fmt: skip
    assert set(layer["FlaxBartAttention_1"]) == {"q_proj", "k_proj", "v_proj", "out_proj"}
    assert set(layer["GLU_0"]) == {"Dense_0", "Dense_1", "Dense_2", "LayerNorm_0", "LayerNorm_1"}
    assert set(layer["LayerNorm_0"]) == {"bias"} and set(layer["LayerNorm_1"]) == {"bias", "scale"}
    assert set(tree["model"]["encoder"]) == {
        "embed_tokens", "embed_positions", "layernorm_embedding", "layers", "final_ln"
    }  # fmt: skip


def test_save_and_load_give_the_same_logits_and_configuration(tmp_path):
    _, params = built()
    layout = Layout(dropout=0.1, remat=True)  # neither shows in the parameters
    config = dataclasses.replace(CONFIG, layout=layout)
    dalle_mini.save(tmp_path / "model.safetensors", config, params)
    again, loaded = dalle_mini.load(tmp_path)
    assert again.config == config and again.config.layout == layout
    np.testing.assert_array_equal(logits_of(loaded, *batch()), logits_of(params, *batch()))


def test_a_file_that_names_no_layout_has_the_default_one():
    fields = CONFIG.as_dict()
    del fields["layout"], fields["padded_codes"]
    assert DalleMiniConfig.from_dict(fields) == CONFIG


def test_bad_shapes_are_refused(tmp_path):
    model, params = built()
    text, image = batch()
    with pytest.raises(EaselError, match=r"1 to 6 tokens.*\(3, 7\)"):
        model.apply(params, np.ones((3, 7), np.int32), image)
    with pytest.raises(EaselError, match=r"1 to 9\], not \(3, 3, 3\)"):
        model.apply(params, text, image.reshape(3, 3, 3))
    with pytest.raises(EaselError, match="3 captions but 2 pictures"):
        model.apply(params, text, image[:2])
    with pytest.raises(EaselError, match="3 heads do not divide a width of 16"):
        DalleMiniConfig(20, 6, 0, 11, 9, 16, 1, 1, 3, 24)
    with pytest.raises(EaselError, match="padded_codes is -1"):
        dataclasses.replace(CONFIG, padded_codes=-1)
    with pytest.raises(EaselError, match="does not exist"):
        dalle_mini.load(tmp_path)

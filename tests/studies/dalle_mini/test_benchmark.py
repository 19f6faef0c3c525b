"""Operation counts against a hand count and XLA's own, and one benchmark of a tiny network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from lib.metering.flops import forward_flops, training_flops
from lib.models import dalle_mini
from lib.models.layout import DalleMiniConfig, Layout
from lib.text import TextTokenizer
from lib.training.dalle_mini import mean_loss
from studies.dalle_mini.code import benchmark as bench
from tests import house

TINY = DalleMiniConfig(
    text_vocabulary=9,
    text_length=3,
    text_padding=0,
    codes=6,
    image_length=4,
    width=8,
    encoder_layers=1,
    decoder_layers=1,
    heads=2,
    feed_forward=5,
)


def test_operations_equal_a_hand_count():
    encoder = 3 * 4 * 8 * 8 + 2 * 3 * 3 * 8 + 3 * 3 * 8 * 5  # four projections, scores and sums, three matrices
    own = 4 * 4 * 8 * 8 + 2 * 4 * 4 * 8
    cross = 2 * 4 * 8 * 8 + 2 * 3 * 8 * 8 + 2 * 4 * 3 * 8
    decoder = own + cross + 3 * 4 * 8 * 5
    assert forward_flops(TINY) == 2 * (encoder + decoder + 4 * 8 * 7)
    assert training_flops(TINY) == 3 * forward_flops(TINY)
    plain = dataclasses.replace(TINY, layout=Layout(gated=False))
    assert forward_flops(TINY) - forward_flops(plain) == 2 * (3 + 4) * 8 * 5


def test_operations_agree_with_xla():
    # Wide enough that norms, softmax and activations, which XLA counts as well, come to a few per cent; short enough
    # that causal attention is one block, and so computes every score. Nothing is compiled or run.
    wide = dataclasses.replace(
        TINY, width=256, heads=2, feed_forward=684, codes=511, image_length=48, text_length=16, decoder_layers=2
    )
    ids = jax.ShapeDtypeStruct((1, 16), jnp.int32), jax.ShapeDtypeStruct((1, 48), jnp.int32)
    model, params = dalle_mini.DalleMini(wide), dalle_mini.shapes(wide)
    forward = jax.jit(model.apply).lower(params, *ids).cost_analysis()["flops"]
    assert 1 <= forward / forward_flops(wide) < 1.05
    key = jax.eval_shape(lambda: jax.random.key(0))
    loss = jax.jit(jax.grad(mean_loss), static_argnums=1)
    training = loss.lower(params, model, *ids, key).cost_analysis()["flops"]
    assert 1 <= training / training_flops(wide) < 1.05


def test_sizes_follow_the_configuration():
    params = house.params("dalle_mini")
    own, wide = bench.sizes(params)
    assert own.config.width == params.dalle_mini.width and own.batch == params.dalle_mini.batch_size
    assert wide.config.width == 512 and wide.config.layout == own.config.layout


def test_the_trained_tokenizer_sets_the_vocabulary(tmp_path, monkeypatch):
    params = house.params("dalle_mini")
    monkeypatch.setattr(bench, "TEXT", tmp_path / "tokenizer.json")
    assert bench.vocabulary(params)[0] == bench.sizes(params)[0].config.text_vocabulary == params.text.vocabulary
    text = TextTokenizer.train(["a red star", "a red circle"], params.text.vocabulary)
    text.save(tmp_path / "tokenizer.json")
    count, source = bench.vocabulary(params)
    assert count == bench.sizes(params)[0].config.text_vocabulary == text.vocabulary < params.text.vocabulary
    assert source.startswith("the trained tokenizer")


def test_a_tiny_network_is_measured_and_written(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "GEMM", 16)
    size = bench.Size("tiny", TINY, "adamw", batch=2, drawn=2)
    times = bench.measure(size, repetitions=2, step_seconds=0.01)
    paths = bench.write(tmp_path / "speed", {size: times}, 9, "this test")
    assert [path.suffix for path in paths] == [".csv", ".md", ".tex", ".json"]
    assert "Text tokens: 9, from this test." in paths[1].read_text()
    row = pd.read_csv(paths[0]).iloc[0]
    assert row["optimizer"] == "AdamW"
    assert row["share of GEMM low (%)"] <= row["share of GEMM (%)"] <= row["share of GEMM high (%)"]
    assert row["guided (images/s)"] > 0 and np.isfinite(row["compile training (s)"])
    share = times.training[0] * training_flops(TINY) / TINY.image_length / times.gemm[0]
    assert 100 * share in (pytest.approx(row[f"share of GEMM {end} (%)"]) for end in ("low", "high"))


def test_arguments_are_refused(capsys):
    assert bench.main(["fast"]) == 2
    assert "usage: python -m studies.dalle_mini.code.benchmark" in capsys.readouterr().err

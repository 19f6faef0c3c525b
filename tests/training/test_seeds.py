import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.errors import EaselError
from lib.models import dalle_mini
from lib.models.layout import BLOCKS, DalleMiniConfig, Layout, matched_width
from lib.training import seeds as paired
from lib.training.loop import fit
from lib.weights import jax_state

SEEDS = [3, 8]
RECIPE = paired.Recipe(steps=4, batch_size=4, learning_rate=1e-2, warmup=0.25, decay=0.5, averaging=0.5)


def network(block="relu", width=16, inner=24):
    gated, activation = BLOCKS[block]
    return DalleMiniConfig(
        text_vocabulary=12,
        text_length=3,
        text_padding=0,
        codes=9,
        image_length=4,
        width=width,
        encoder_layers=1,
        decoder_layers=1,
        heads=2,
        feed_forward=matched_width(inner) if gated else inner,
        layout=Layout(gated=gated, activation=activation, norm_placement="preln"),
    )


class Echo:
    """Inputs that depend on the items and on the generator; targets that follow from the inputs."""

    def __len__(self):
        return 20

    def draw(self, indices, generator):
        inputs = np.stack([indices % 11 + 1, indices % 7 + 1, generator.integers(1, 12, len(indices))], axis=1)
        return inputs.astype(np.int32), np.repeat(inputs[:, :1] % 9, 4, axis=1).astype(np.int32)


class Recorded(Echo):
    def __init__(self):
        self.seen = []

    def draw(self, indices, generator):
        batch = super().draw(indices, generator)
        self.seen.append((indices.tolist(), batch[0].tolist()))
        return batch


HELD_OUT = Echo().draw(np.arange(6), np.random.default_rng(0))


class Tiny:
    """Logits of nine codes at four places: what a trainee needs of a network, and little to compile."""

    def apply(self, params, inputs, targets):
        hidden = jnp.tanh(params["table"][inputs].sum(axis=1))  # [B, 8]
        return (hidden @ params["out"]).reshape(len(targets), 4, 9)


TINY = Tiny()


def started(seeds):
    """Random parameters that differ between seeds; those of a seed do not depend on the others."""
    generators = [np.random.default_rng(seed) for seed in seeds]
    trees = [{"table": g.standard_normal((12, 8)), "out": g.standard_normal((8, 36))} for g in generators]
    return jax.tree.map(lambda *leaves: np.stack(leaves).astype(np.float32), *trees)


def trained(tmp_path, seeds, steps=RECIPE.steps):
    trainee = paired.SeedsTrainee(TINY, started(seeds), seeds, Echo(), RECIPE, HELD_OUT, points=2)
    order = paired.SeedOrders(20, 4, seeds)
    path = tmp_path / f"{seeds}.safetensors"
    fit(trainee, name="t", steps=steps, order=order, checkpoint=path, fingerprint="f")
    return trainee


def equal(left, right, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), left, right)


def test_blocks_start_from_the_same_shared_weights_bit_for_bit():
    plain, gated = (jax_state.flatten(paired.create(network(block), SEEDS)[1]) for block in ("relu", "geglu"))
    shared = {name for name in plain if name in gated and plain[name].shape == gated[name].shape}
    assert {name for name in plain if "FFN" not in name} == {name for name in gated if "GLU" not in name} == shared
    for name in shared:
        np.testing.assert_array_equal(plain[name], gated[name])
    assert not np.array_equal(*plain["params/model/encoder/embed_tokens/embedding"]), "the seeds must differ"


def test_seeds_together_train_as_each_alone(tmp_path):
    together = trained(tmp_path, SEEDS)
    for number, seed in enumerate(SEEDS):
        alone = trained(tmp_path, [seed])
        equal(jax.tree.map(lambda leaf, n=number: leaf[n : n + 1], together.average), alone.average, atol=2e-5)
        np.testing.assert_allclose(together.losses[:, number : number + 1], alone.losses, atol=1e-5)
        np.testing.assert_allclose(together.curve[:, number : number + 1], alone.curve, atol=1e-5)
    assert np.abs(together.losses[:, 0] - together.losses[:, 1]).min() > 1e-4, "the seeds must differ"


def test_blocks_see_the_same_batches_in_the_same_order(monkeypatch):
    monkeypatch.setattr(paired, "update", lambda state, *_: (state, np.zeros(len(SEEDS))))  # as if trained
    tasks = [Recorded(), Recorded()]
    for block, task in zip(("relu", "geglu"), tasks, strict=True):
        model = dalle_mini.DalleMini(network(block))
        params = jax.tree.map(lambda leaf: np.zeros((2, *leaf.shape), leaf.dtype), dalle_mini.shapes(model.config))
        trainee = paired.SeedsTrainee(model, params, SEEDS, task, RECIPE)
        for step in range(RECIPE.steps):
            trainee.step(step, paired.SeedOrders(20, 4, SEEDS).indices(step))
    assert tasks[0].seen == tasks[1].seen and len(tasks[0].seen) == RECIPE.steps * len(SEEDS)
    assert tasks[0].seen[0] != tasks[0].seen[1], "each seed has an order of its own"


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    whole = trained(tmp_path / "a", SEEDS)
    trained(tmp_path / "b", SEEDS, steps=2)
    resumed = trained(tmp_path / "b", SEEDS)
    np.testing.assert_array_equal(whole.losses, resumed.losses)
    np.testing.assert_array_equal(whole.curve, resumed.curve)
    equal(whole.train_state, resumed.train_state, rtol=0, atol=0)


def test_the_held_out_curve_is_that_of_the_averaged_weights(tmp_path):
    trainee = trained(tmp_path, SEEDS)
    assert trainee.measured.tolist() == [2, 4]
    for number in range(len(SEEDS)):
        one = jax.tree.map(lambda leaf, n=number: leaf[n], trainee.average)
        logits = np.asarray(TINY.apply(one, *HELD_OUT), np.float64)
        logits -= logits.max(-1, keepdims=True)
        shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        nats = -np.log(np.take_along_axis(shares, HELD_OUT[1][..., None], -1)).mean()
        np.testing.assert_allclose(trainee.curve[-1, number], nats, rtol=1e-5)
    np.testing.assert_allclose(paired.evaluate(TINY, trainee.average, HELD_OUT, 4), trainee.curve[-1], rtol=1e-6)
    assert not np.allclose(trainee.curve[-1], paired.evaluate(TINY, started(SEEDS), HELD_OUT, 4), rtol=1e-3)


def test_without_averaging_the_average_is_the_weights_themselves():
    still = dataclasses.replace(RECIPE, averaging=0.0)
    assert still.memory() == 0 and RECIPE.memory() == pytest.approx(1 - 1 / (0.5 * 4))


def test_the_long_training_has_a_schedule_of_its_own():
    short, long = RECIPE.rates(), dataclasses.replace(RECIPE, steps=16).rates()
    assert len(short) == 4 and len(long) == 16
    np.testing.assert_allclose(short, long.reshape(4, 4).mean(axis=1), rtol=1e-5)
    assert short[0] > 0 and long[-1] < long[6] == np.float32(1e-2)


def test_a_loss_that_is_no_number_is_counted_not_fatal(tmp_path):
    broken = jax.tree.map(lambda leaf: np.concatenate([leaf[:1], np.full_like(leaf[1:], np.nan)]), started(SEEDS))
    trainee = paired.SeedsTrainee(TINY, broken, SEEDS, Echo(), RECIPE)
    logged = trainee.step(0, paired.SeedOrders(20, 4, SEEDS).indices(0))
    assert np.isnan(trainee.losses[0, 1]) and np.isfinite(trainee.losses[0, 0])
    assert logged["loss"] == pytest.approx((trainee.losses[0, 0] + paired.DIVERGED) / 2)


def test_seeds_must_differ():
    with pytest.raises(EaselError, match="not all different"):
        paired.create(network(), [1, 1])

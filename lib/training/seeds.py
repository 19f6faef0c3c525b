"""Training one network from several seeds at once: paired runs for a comparison of networks, one compiled program.

A seed decides everything that is random in its run: initial parameters, the order of the data and whatever a batch
draws. None of it depends on the network's feed-forward block, so two networks trained with the same seed see the same
batches in the same order, and parameters that both have, in the same shape, start out equal, bit for bit.

Seeds are split between the devices, where each trains its own: there is no traffic between them. Learning rate and
averaging come as numbers with each step, so trainings of any length share one compiled program.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lib.errors import EaselError
from lib.hardware import devices_that_divide
from lib.models.dalle_mini import DalleMini
from lib.models.layout import DalleMiniConfig
from lib.training.optimizers import ADAM_B2, CLIP, schedule
from lib.training.order import BatchOrder
from lib.weights import jax_state

SEEDS = PartitionSpec("seeds")  # every array that a run owns has the seeds on axis 0
MEASURED = ("losses", "curve")  # what a trainee keeps of its way
DIVERGED = 100.0  # nats; stands in the logged mean for a loss that is larger, infinite or NaN


Batch = tuple[np.ndarray, np.ndarray]  # inputs int32 [B, S] and targets int32 [B, T]


class Task(Protocol):
    """What is learned: captions to image tokens, or a text with gaps to what was in them."""

    def __len__(self) -> int:
        """Number of items."""

    def draw(self, indices: np.ndarray, generator: np.random.Generator) -> Batch:
        """A batch of the items `indices`, int64 [B]; whatever is random in it comes from `generator`."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train; AdamW without weight decay, gradients clipped to a global norm of 1.

    Attributes:
        warmup, decay: shares of `steps`; see `lib.training.optimizers.schedule`.
        averaging: horizon of the moving average of the weights, as a share of `steps`; 0 for none.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup: float
    decay: float
    averaging: float

    def rates(self) -> np.ndarray:
        """The learning rate of every step, float32 [steps]."""
        rate = schedule(self.learning_rate, round(self.warmup * self.steps), self.steps, self.decay)
        return np.asarray(jax.vmap(rate)(jnp.arange(self.steps) + 0.5), np.float32)  # in the middle of each step

    def memory(self) -> np.float32:
        """The share of the average that a step keeps."""
        return np.float32(max(0.0, 1 - 1 / (self.averaging * self.steps)) if self.averaging else 0.0)


class SeedOrders:
    """The order of the data for every seed: what `lib.training.loop.fit` takes as `order`."""

    def __init__(self, items: int, batch_size: int, seeds: Sequence[int]):
        self.orders = [BatchOrder(items, batch_size, seed) for seed in seeds]

    def indices(self, step: int) -> np.ndarray:
        """Indices of batch `step` of every seed, int64 [seeds, batch_size]."""
        return np.stack([order.indices(step) for order in self.orders])


def seed_mesh(seeds: int) -> Mesh:
    """The most devices that divide the number of seeds evenly."""
    return Mesh(np.array(jax.devices()[: devices_that_divide(jax.device_count(), seeds)]), ("seeds",))


def create(config: DalleMiniConfig, seeds: Sequence[int]) -> tuple[DalleMini, dict]:
    """A model and its initial parameters for every seed, each leaf [seeds, ...]; as `lib.models.dalle_mini.create`."""
    if len(set(seeds)) != len(seeds):
        raise EaselError(f"seeds {list(seeds)} are not all different.")
    model = DalleMini(config)
    ids = np.zeros((1, 1), np.int32)
    trees = [_initial(model, jax.random.key(seed), ids) for seed in seeds]
    return model, jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@partial(jax.jit, static_argnums=0)
def _initial(model, key, ids):
    # At the top level, so that trainings of one network in one process compile it once.
    return model.init(key, ids, ids)


class SeedsTrainee:
    """What `lib.training.loop.fit` trains: the same network from every seed, each on batches of its own.

    Args:
        params: initial parameters, each leaf [seeds, ...], as `create` makes them.
        held_out: a batch on which the averaged weights are measured at `points` evenly spaced steps, the last step
            among them.

    Attributes:
        losses: float32 [steps, seeds], the loss of every batch before its update; NaN where not yet trained.
        curve: float32 [points, seeds], nats a target on `held_out`.
    """

    def __init__(
        self,
        model: DalleMini,
        params: dict,
        seeds: Sequence[int],
        task: Task,
        recipe: Recipe,
        held_out: Batch | None = None,
        points: int = 0,
    ):
        self.model, self.seeds, self.task, self.recipe = model, list(seeds), task, recipe
        self.held_out = held_out
        self.rates, self.memory = recipe.rates(), recipe.memory()
        self.measured = np.unique(np.linspace(0, recipe.steps, points + 1).round().astype(int)[1:])
        self.losses = np.full((recipe.steps, len(seeds)), np.nan, np.float32)
        self.curve = np.full((len(self.measured), len(seeds)), np.nan, np.float32)
        self.mesh = seed_mesh(len(seeds))
        # Copies: donation, by which an update writes the new state over the old one, would end the caller's arrays.
        params = jax.tree.map(np.array, params)
        average = jax.tree.map(np.array, params)
        self.train_state = self._place((params, jax.vmap(adam().init)(params), average))

    @property
    def params(self) -> dict:
        """The weights after the last step, each leaf [seeds, ...]."""
        return self.train_state[0]

    @property
    def average(self) -> dict:
        """The moving average of the weights, each leaf [seeds, ...]; without averaging the weights themselves."""
        return self.train_state[2]

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update of every seed on its items, int64 [seeds, batch]."""
        draws = [
            self.task.draw(own, np.random.Generator(np.random.PCG64([seed, step])))
            for seed, own in zip(self.seeds, indices, strict=True)
        ]
        batch = self._place(tuple(np.stack(parts) for parts in zip(*draws, strict=True)))
        self.train_state, losses = update(self.train_state, batch, self.rates[step], self.memory, self.model, self.mesh)
        self.losses[step] = losses
        (point,) = np.nonzero(self.measured == step + 1)
        if point.size:
            self.curve[point[0]] = evaluate(self.model, self.average, self.held_out, self.recipe.batch_size)
        seen = np.nan_to_num(self.losses[step], nan=DIVERGED, posinf=DIVERGED)
        return {"loss": float(np.minimum(seen, DIVERGED).mean())}

    def state(self) -> dict[str, np.ndarray]:
        """Parameters, optimizer state and average of every seed, and what was measured on the way."""
        return jax_state.flatten(self.train_state) | {name: getattr(self, name) for name in MEASURED}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""
        arrays = dict(arrays)
        for name in MEASURED:
            setattr(self, name, np.array(arrays.pop(name)))
        self.train_state = self._place(jax_state.restore(self.train_state, arrays))

    def _place(self, tree):
        return jax.device_put(tree, NamedSharding(self.mesh, SEEDS))


def each_seed(function: Callable) -> Callable:
    """`function` for all seeds of a device; its arguments and results have the seeds on axis 0.

    On a CPU one seed after another: the working memory of one network stays in the cache, and products are large
    enough by themselves. Elsewhere all at once, so that small networks fill the device.
    """
    if jax.default_backend() == "cpu":
        return lambda *arguments: jax.lax.map(lambda own: function(*own), arguments)
    return jax.vmap(function)


def adam() -> optax.GradientTransformation:
    """AdamW's direction, of length 1: the learning rate comes later."""
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.scale_by_adam(b2=ADAM_B2))


@partial(jax.jit, static_argnums=(4, 5), donate_argnums=0)
def update(train_state, batch, rate, memory, model, mesh):
    """One update of (params, optimizer state, average) of every seed; returns the new ones and losses [seeds]."""

    def one(train_state, batch):
        params, optimizer_state, average = train_state
        loss, gradients = jax.value_and_grad(lambda params: row_losses(params, model, *batch).mean())(params)
        direction, optimizer_state = adam().update(gradients, optimizer_state)
        params = jax.tree.map(lambda old, change: old - rate * change, params, direction)
        average = jax.tree.map(lambda old, new: memory * old + (1 - memory) * new, average, params)
        return (params, optimizer_state, average), loss

    split = jax.shard_map(each_seed(one), mesh=mesh, in_specs=SEEDS, out_specs=SEEDS)
    return split(train_state, batch)


def row_losses(params, model, inputs, targets):
    """Cross-entropy in nats, averaged over the targets of each row: [B]."""
    logits = model.apply(params, inputs, targets)  # [B, T, image_ids]
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean(axis=1)


def evaluate(model: DalleMini, params: dict, batch: Batch, batch_size: int) -> np.ndarray:
    """Mean nats a target on the same rows for every seed, float64 [seeds].

    Args:
        params: each leaf [seeds, ...].
        batch_size: rows that are computed at once.
    """
    inputs, targets = batch
    mesh = seed_mesh(len(jax.tree.leaves(params)[0]))
    rows = []
    for start in range(0, len(inputs), batch_size):
        # The last batch wraps around to the first rows, so that all have one shape and compile once.
        part = (start + np.arange(batch_size)) % len(inputs)
        rows.append(np.asarray(_measure(params, inputs[part], targets[part], model, mesh), np.float64))  # [seeds, B]
    return np.concatenate(rows, axis=1)[:, : len(inputs)].mean(axis=1)


@partial(jax.jit, static_argnums=(3, 4))
def _measure(params, inputs, targets, model, mesh):
    """[seeds, B]"""

    def own(params, inputs, targets):
        return each_seed(lambda params: row_losses(params, model, inputs, targets))(params)

    shared = PartitionSpec()
    return jax.shard_map(own, mesh=mesh, in_specs=(SEEDS, shared, shared), out_specs=SEEDS)(params, inputs, targets)

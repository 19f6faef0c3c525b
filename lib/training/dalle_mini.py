"""Training DALL·E Mini: mean cross-entropy over the image tokens, one jitted update with donated state, on any mesh."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lib.data.captions import Captions, check_tokens
from lib.errors import EaselError
from lib.models.dalle_mini import DalleMini
from lib.training.mesh import copied, gather, make_mesh, own_rows, place, shardings, split_rows
from lib.weights import jax_state


class DalleMiniTrainee:
    """What `lib.training.loop.fit` trains, data- and model-parallel over a mesh, in one process or many.

    Where the model's layout has dropout, it acts; its masks, like the caption draws, follow from (seed, step) alone,
    whatever the mesh.

    Args:
        params: initial parameters, the same in every process.
        tokens: integer [pictures, image_length], codes in reading order.
        optimizer: any optax transformation whose state is a pytree of arrays.
        caption_dropout: share of captions replaced by the empty one.
        seed: of the caption draws and the dropout; step `n` draws from (seed, n) alone.
        mesh: from `lib.training.mesh.make_mesh`; None splits batches over all devices. Parts of a batch that are
            computed at the same time must have a multiple of its "data" size of rows.
        accumulation: parts of a batch that are computed one after another, to save memory; the update is that of the
            whole batch.

    Raises:
        EaselError: tokens of the wrong shape or outside the model's codes, or not one per caption list.
    """

    def __init__(
        self,
        model: DalleMini,
        params: dict,
        captions: Captions,
        tokens: np.ndarray,
        optimizer: optax.GradientTransformation,
        caption_dropout: float,
        seed: int,
        mesh: Mesh | None = None,
        accumulation: int = 1,
    ):
        check_tokens(tokens, len(captions), model.config.image_length, model.config.codes)
        self.model, self.optimizer = model, optimizer
        self.captions, self.tokens = captions, tokens
        self.caption_dropout, self.seed = caption_dropout, seed
        self.mesh, self.accumulation = mesh or make_mesh(), accumulation
        # A copy: donation, by which an update writes the new state over the old one, would end the caller's arrays.
        params = jax.tree.map(np.array, params)
        self.train_state = self._place((params, optimizer.init(params)))

    @property
    def params(self) -> dict:
        return self.train_state[0]

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the pictures `indices`, int64 [batch], the same in every process.

        Raises:
            EaselError: the batch cannot be split evenly over accumulation and mesh.
        """
        batch, parts = len(indices), self.accumulation * self.mesh.shape["data"]
        if batch % parts:
            raise EaselError(
                f"a batch of {batch} cannot be split evenly over accumulation × data = "
                f"{self.accumulation} × {self.mesh.shape['data']}; make it a multiple of {parts}."
            )
        generator = np.random.Generator(np.random.PCG64([self.seed, step]))
        text_ids = self.captions.draw(indices, self.caption_dropout, generator)
        own = own_rows(self.mesh, batch)
        text_ids = split_rows(self.mesh, batch, text_ids[own])
        image_ids = split_rows(self.mesh, batch, self.tokens[indices[own]].astype(np.int32))
        seed_step = np.array([self.seed, step], np.uint32)
        self.train_state, loss = update(
            self.train_state, text_ids, image_ids, seed_step, self.model, self.optimizer, self.mesh, self.accumulation
        )
        return {"loss": float(loss)}

    def state(self) -> dict[str, np.ndarray]:
        """Parameters and optimizer state, whole; of several processes, all must call it at the same step."""
        return jax_state.flatten(gather(self.train_state))

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave, on this mesh or another."""
        self.train_state = self._place(jax_state.restore(self.train_state, arrays))

    def _place(self, train_state: tuple) -> tuple:
        return place(train_state, shardings(self.mesh, train_state[0], train_state))


@partial(jax.jit, static_argnums=(4, 5, 6, 7), donate_argnums=0)
def update(train_state, text_ids, image_ids, seed_step, model, optimizer, mesh, accumulation):
    """One update of (params, optimizer state), which it overwrites; returns the new ones and the loss before it."""
    params, optimizer_state = train_state
    placement = shardings(mesh, params, train_state)
    key = jax.random.fold_in(jax.random.key(seed_step[0]), seed_step[1])
    loss, gradients = loss_and_gradients(params, model, text_ids, image_ids, key, mesh, accumulation)
    changes, optimizer_state = optimizer.update(gradients, optimizer_state, params)
    train_state = optax.apply_updates(params, changes), optimizer_state
    return jax.lax.with_sharding_constraint((train_state, loss), (placement, copied(mesh)))


def loss_and_gradients(params, model, text_ids, image_ids, key, mesh, accumulation):
    """The mean loss of a batch and its gradients, from `accumulation` parts one after another."""
    value_and_grad = jax.value_and_grad(mean_loss)
    if accumulation == 1:
        return value_and_grad(params, model, text_ids, image_ids, key)

    def parts(ids):
        # Part n takes every row n of accumulation: so each device computes, in every part, rows that it holds.
        ids = ids.reshape(-1, accumulation, ids.shape[-1]).swapaxes(0, 1)  # [B, T] → [parts, B / parts, T]
        return jax.lax.with_sharding_constraint(ids, NamedSharding(mesh, PartitionSpec(None, "data")))

    def add(total, part):
        text_ids, image_ids, number = part
        new = value_and_grad(params, model, text_ids, image_ids, jax.random.fold_in(key, number))
        return jax.tree.map(lambda old, new: old + new / accumulation, total, new), None

    zero = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
    return jax.lax.scan(add, zero, (parts(text_ids), parts(image_ids), jnp.arange(accumulation)))[0]


def mean_loss(params: dict, model: DalleMini, text_ids: jax.Array, image_ids: jax.Array, key: jax.Array) -> jax.Array:
    """Cross-entropy in nats, averaged over all image tokens of the batch; there is no padding among them.

    `key` is that of the layout's dropout.
    """
    logits = model.apply(params, text_ids, image_ids, deterministic=False, rngs={"dropout": key})  # [B, T, image_ids]
    return optax.softmax_cross_entropy_with_integer_labels(logits, image_ids).mean()


def evaluate(
    model: DalleMini,
    params: dict,
    text_ids: np.ndarray,
    tokens: np.ndarray,
    batch_size: int,
    mesh: Mesh | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean nats a token and share of tokens that are the most likely one, for every picture: both float [N].

    Args:
        batch_size: a multiple of the mesh's "data" size.
        mesh: that of the trainee; None splits batches over all devices.
    """
    mesh = mesh or make_mesh()
    params = place(params, shardings(mesh, params, params))
    own = own_rows(mesh, batch_size)
    results = []
    for start in range(0, len(tokens), batch_size):
        # The last batch wraps around to the first rows, so that all have one shape and compile once.
        rows = (start + own) % len(tokens)
        texts = split_rows(mesh, batch_size, text_ids[rows])
        images = split_rows(mesh, batch_size, tokens[rows].astype(np.int32))
        results.append(np.asarray(_measure(params, texts, images, model, mesh)))  # [B, 2]
    nats, hits = np.concatenate(results)[: len(tokens)].T
    return nats, hits


@partial(jax.jit, static_argnums=(3, 4))
def _measure(params, text_ids, image_ids, model, mesh):
    logits = model.apply(params, text_ids, image_ids)  # [B, T, image_ids]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, image_ids)
    hits = logits.argmax(axis=-1) == image_ids
    return jax.lax.with_sharding_constraint(jnp.stack([losses.mean(axis=1), hits.mean(axis=1)], axis=1), copied(mesh))

"""Training DALL·E Mini: mean cross-entropy over the image tokens, one jitted update with donated state."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lib.errors import EaselError
from lib.models.dalle_mini import DalleMini
from lib.training import jax_state
from lib.training.jax_devices import shardings


class Captions:
    """The captions of a split, tokenised up front, from which every update draws.

    Args:
        captions: one dict per picture, language → its captions.
        encode: list of captions → int [len, text_length], padded.
    """

    def __init__(self, captions: Sequence[dict[str, list[str]]], encode: Callable[[list[str]], np.ndarray]):
        groups = [list(entry.values()) for entry in captions]
        flat = [caption for entry in groups for group in entry for caption in group]
        self.ids = np.asarray(encode(flat), np.int32)  # [captions, text_length]
        self.empty = np.asarray(encode([""]), np.int32)[0]  # [text_length]
        languages = max(map(len, groups))
        self.counts = np.zeros((len(groups), languages), np.int64)  # [pictures, languages]
        for row, entry in zip(self.counts, groups, strict=True):
            row[: len(entry)] = [len(group) for group in entry]
        if not self.counts[:, 0].all():
            raise EaselError(f"picture {int(np.argmin(self.counts[:, 0]))} has no caption.")
        self.starts = (np.cumsum(self.counts) - self.counts.ravel()).reshape(self.counts.shape)

    def __len__(self) -> int:
        return len(self.counts)

    def draw(self, indices: np.ndarray, dropout: float, generator: np.random.Generator) -> np.ndarray:
        """For each picture a random language, then a random caption in it; with probability `dropout` the empty one.

        Returns:
            int32 [len(indices), text_length].
        """
        counts, starts = self.counts[indices], self.starts[indices]  # [B, languages]
        rows = np.arange(len(indices))
        language = generator.integers((counts > 0).sum(axis=1))  # [B]
        chosen = starts[rows, language] + generator.integers(counts[rows, language])
        kept = generator.random(len(indices)) >= dropout
        return np.where(kept[:, None], self.ids[chosen], self.empty)

    def first(self) -> np.ndarray:
        """The first caption of the first language of every picture, int32 [pictures, text_length]."""
        return self.ids[self.starts[:, 0]]


def schedule(peak: float, warmup: int, steps: int) -> optax.Schedule:
    """Learning rate: linear warm-up to `peak` over `warmup` steps, constant, then linear to 0 over the second half."""
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, peak, warmup),
            optax.constant_schedule(peak),
            optax.linear_schedule(peak, 0.0, steps - max(warmup, steps // 2)),
        ],
        [warmup, max(warmup, steps // 2)],
    )


class DalleMiniTrainee:
    """What `lib.training.loop.fit` trains, data-parallel over the devices: they must divide the batch.

    Args:
        params: initial parameters.
        tokens: integer [pictures, image_length], codes in reading order.
        optimizer: any optax transformation whose state is a pytree of arrays.
        caption_dropout: share of captions replaced by the empty one.
        seed: of the caption draws; step `n` draws from (seed, n) alone.

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
    ):
        check_tokens(tokens, model, len(captions))
        self.model, self.optimizer = model, optimizer
        self.captions, self.tokens = captions, tokens
        self.caption_dropout, self.seed = caption_dropout, seed
        self._copied, self._split = shardings()
        # A copy: donation, by which an update writes the new state over the old one, would end the caller's arrays.
        params = jax.tree.map(np.array, params)
        self.train_state = jax.device_put((params, optimizer.init(params)), self._copied)

    @property
    def params(self) -> dict:
        return self.train_state[0]

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        generator = np.random.Generator(np.random.PCG64([self.seed, step]))
        text_ids = self.captions.draw(indices, self.caption_dropout, generator)
        batch = jax.device_put((text_ids, self.tokens[indices].astype(np.int32)), self._split)
        self.train_state, loss = update(self.train_state, *batch, self.model, self.optimizer, self._copied)
        return {"loss": float(loss)}

    def state(self) -> dict[str, np.ndarray]:
        return jax_state.flatten(self.train_state)

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        self.train_state = jax.device_put(jax_state.restore(self.train_state, arrays), self._copied)


@partial(jax.jit, static_argnums=(3, 4, 5), donate_argnums=0)
def update(train_state, text_ids, image_ids, model, optimizer, copied):
    """One update of (params, optimizer state), which it overwrites; returns the new ones and the loss before it."""
    params, optimizer_state = train_state
    loss, gradients = jax.value_and_grad(mean_loss)(params, model, text_ids, image_ids)
    changes, optimizer_state = optimizer.update(gradients, optimizer_state, params)
    train_state = optax.apply_updates(params, changes), optimizer_state
    return jax.lax.with_sharding_constraint(train_state, copied), loss


def mean_loss(params: dict, model: DalleMini, text_ids: jax.Array, image_ids: jax.Array) -> jax.Array:
    """Cross-entropy in nats, averaged over all image tokens of the batch; there is no padding among them."""
    logits = model.apply(params, text_ids, image_ids)  # [B, T, codes + 1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, image_ids).mean()


def check_tokens(tokens: np.ndarray, model: DalleMini, pictures: int) -> None:
    """Raises EaselError unless `tokens` is [pictures, image_length] of the model's codes."""
    length, codes = model.config.image_length, model.config.codes
    if tokens.shape != (pictures, length):
        raise EaselError(f"image tokens have the shape {list(tokens.shape)}, must be [{pictures} pictures, {length}].")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < codes:
        raise EaselError(
            f"image tokens run from {tokens.min()} to {tokens.max()}, but the model has codes 0 to {codes - 1}; "
            "encode the pictures again with this image tokenizer."
        )


def adamw(peak: float, warmup: int, steps: int) -> optax.GradientTransformation:
    """AdamW with gradients clipped to a global norm of 1 and the learning rate of `schedule`."""
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule(peak, warmup, steps), b2=0.98, weight_decay=0.0),
    )


def evaluate(
    model: DalleMini, params: dict, text_ids: np.ndarray, tokens: np.ndarray, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean nats a token and share of tokens that are the most likely one, for every picture: both float [N].

    `batch_size` must be a multiple of the number of devices.
    """
    copied, split = shardings()
    params = jax.device_put(params, copied)
    results = []
    for start in range(0, len(tokens), batch_size):
        # The last batch wraps around to the first rows, so that all have one shape and compile once.
        rows = (start + np.arange(batch_size)) % len(tokens)
        batch = jax.device_put((text_ids[rows], tokens[rows].astype(np.int32)), split)
        results.append(np.asarray(_measure(params, *batch, model)))  # [B, 2]
    nats, hits = np.concatenate(results)[: len(tokens)].T
    return nats, hits


@partial(jax.jit, static_argnums=3)
def _measure(params, text_ids, image_ids, model):
    logits = model.apply(params, text_ids, image_ids)  # [B, T, codes + 1]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, image_ids)
    hits = logits.argmax(axis=-1) == image_ids
    return jnp.stack([losses.mean(axis=1), hits.mean(axis=1)], axis=1)

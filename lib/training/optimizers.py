"""Optimizers and learning rates for DALL·E Mini, put together from optax.

Distributed Shampoo, which DALL·E Mega was trained with, is in no library that is kept up. Muon is its nearest
relative: Shampoo without accumulation.
"""

import jax
import optax
from jax.sharding import Mesh
from jax.tree_util import DictKey, KeyPath, tree_map_with_path

from lib.errors import EaselError
from lib.training.muon_jax import scale_by_muon

NAMES = ("adamw", "adafactor", "muon")
CLIP = 1.0  # global norm of the gradients of AdamW and Muon; Adafactor clips every array's update by itself
ADAM_B2 = 0.98
MUON_BETA = 0.95
SCANNED = ("FlaxBartEncoderLayers", "FlaxBartDecoderLayers")  # parameters below these stack all layers on axis 0


def schedule(peak: float, warmup: int, steps: int, decay: float) -> optax.Schedule:
    """Learning rate: linear warm-up, constant, linear to 0.

    It is 0 at step 0, `peak` from step `warmup` on, and 0 again at step `steps`. With `decay` = 0 it stays at
    `peak`, as for DALL·E Mega.

    Args:
        warmup: steps, 0 for none.
        steps: of the whole training.
        decay: share of `steps`, the last ones, over which the rate falls; never before the warm-up is over.

    Raises:
        EaselError: a warm-up as long as the training, or a share outside [0, 1].
    """
    if not 0 <= warmup < steps:
        raise EaselError(f"a warm-up of {warmup} steps does not fit a training of {steps}; lower warmup.")
    if not 0 <= decay <= 1:
        raise EaselError(f"the learning rate cannot decay over a share of {decay} of the steps; set 0 to 1.")
    parts, ends = [optax.constant_schedule(peak)], []
    if warmup:
        parts, ends = [optax.linear_schedule(0.0, peak, warmup), *parts], [warmup]
    falling = min(round(decay * steps), steps - warmup)
    if falling:
        parts, ends = [*parts, optax.linear_schedule(peak, 0.0, falling)], [*ends, steps - falling]
    return optax.join_schedules(parts, ends)


def optimizer(
    name: str,
    learning_rate: float,
    warmup: int,
    steps: int,
    decay: float,
    adam_learning_rate: float | None = None,
    mesh: Mesh | None = None,
) -> optax.GradientTransformation:
    """An optimizer by name; all its learning rates follow `schedule`.

    - "adamw": β₂ 0.98, no weight decay, gradients clipped to a global norm of 1.
    - "adafactor" (Shazeer & Stern, arXiv:1804.04235), which trained the first DALL·E Mini: optax's usual settings, so
      a step is relative to the size of a parameter, and a good learning rate is larger than AdamW's.
    - "muon" (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): Muon with β 0.95 for the matrices of
      `muon_matrices`, AdamW with `adam_learning_rate` and Nesterov momentum for all else; gradients clipped as for
      AdamW.

    In a scanned model, where one array stacks a kind of matrix of all layers, each layer is updated as if it stood
    alone (but for rounding).

    Args:
        learning_rate: peak. For Muon that of the matrices.
        adam_learning_rate: peak, of Muon's AdamW part; for Muon only.
        mesh: whose devices share Muon's products; without one each device computes them all.

    Raises:
        EaselError: an unknown name, a learning rate too many or too few, or what `schedule` refuses.
    """
    if name not in NAMES:
        raise EaselError(f"there is no optimizer {name!r}; choose one of {', '.join(NAMES)}.")
    if (name == "muon") != (adam_learning_rate is not None):
        raise EaselError("adam_learning_rate belongs to the optimizer muon, which needs it, and to no other.")
    rate = schedule(learning_rate, warmup, steps, decay)
    if name == "adafactor":
        return per_layer(optax.adafactor(rate))
    if name == "adamw":
        rule = optax.adamw(rate, b2=ADAM_B2, weight_decay=0.0)
    else:
        adam_rate = schedule(adam_learning_rate, warmup, steps, decay)
        rules = {
            "muon": optax.chain(scale_by_muon(MUON_BETA, mesh), optax.scale_by_learning_rate(rate)),
            "adamw": optax.adamw(adam_rate, b2=ADAM_B2, weight_decay=0.0, nesterov=True),
        }
        rule = optax.partition(rules, muon_matrices)
    return optax.chain(optax.clip_by_global_norm(CLIP), rule)


def muon_matrices(params: dict) -> dict:
    """Which rule takes a parameter: "muon" hidden `kernel`s, [in, out] or stacked [layers, in, out], "adamw" all else.

    Embeddings, norms and the output layer (`lm_head`) are left to AdamW, as Muon's author recommends.
    """

    def rule(path: KeyPath, _: jax.Array) -> str:
        names = _names(path)
        return "muon" if names[-1] == "kernel" and "lm_head" not in names else "adamw"

    return tree_map_with_path(rule, params)


def per_layer(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """`rule`, applied to every layer of a scanned model by itself.

    For rules that read more than one element at a time (Adafactor: rows, columns and sizes of an array).
    """

    def label(path: KeyPath, _: jax.Array) -> str:
        return next((name for name in SCANNED if name in _names(path)), "single")

    # Encoder and decoder apart: they may differ in their number of layers.
    stacked = optax.GradientTransformation(_over_layers(rule.init), _over_layers(rule.update))
    rules = {"single": rule} | dict.fromkeys(SCANNED, stacked)
    return optax.partition(rules, lambda params: tree_map_with_path(label, params))


def _over_layers(function):
    def mapped(first, *others):
        # A model that is not scanned has nothing here to map over.
        return (jax.vmap(function) if jax.tree.leaves(first) else function)(first, *others)

    return mapped


def _names(path: KeyPath) -> list[str]:
    return [key.key for key in path if isinstance(key, DictKey)]

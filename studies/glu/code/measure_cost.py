"""Stage glu/measure_cost: time, memory and operations of every feed-forward block → build/glu/cost.json.

Cost does not depend on what is learned, so weights, captions and pictures are random. Memory and operations of every
block are counted with the parameters of the ungated ones, and those of GEGLU at their inner width as well. ReLU and
GEGLU, which claims are about, are timed in turn, round after round: what slows the machine for a while slows both.

Times are no function of the configuration; they hold for the machine that the report names.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from lib.decoding.autoregressive_jax import row_keys
from lib.hardware import keep_freed_memory, machine
from lib.metering.flops import forward_flops, training_flops
from lib.models import dalle_mini
from lib.models.layout import DalleMiniConfig
from lib.painter.dalle_mini import Sampler
from lib.progress import Progress
from lib.text import TextTokenizer
from lib.training import seeds as paired
from studies.glu.code import reports
from studies.glu.code.comparison import FAVOURITE
from studies.glu.code.settings import NEEDED, GluSetting, Params, changed
from studies.glu.code.training import PICTURE, TEXT, network_of

OUT = Path("build/glu/cost.json")


def run(params: Params) -> None:
    """Measures every size in turn."""
    keep_freed_memory()
    costs, text, sizes = params.glu_cost, TextTokenizer.load(TEXT), {}
    for name, changes in costs.sizes.items():
        setting = changed(params.glu_setting, changes)
        networks = networks_of(params, setting, text)
        blocks, steppers, drawers = {}, {}, {}
        progress = Progress(f"glu/measure_cost {name}, compiling", len(networks))
        for done, (key, network) in enumerate(networks.items()):
            blocks[key] = counted(network, setting.batch_size)
            if key in NEEDED:
                steppers[key], drawers[key] = stepper(network, setting), drawer(network, costs.drawn)
                steppers[key](), drawers[key]()
            progress.update(done + 1)
        training, drawing = timed(params, name, steppers, drawers)
        for key in NEEDED:
            blocks[key] |= {"step_seconds": training[key], "picture_seconds": drawing[key]}
        sizes[name] = reports.SizeCost(
            setting=setting,
            batch_size=setting.batch_size,
            drawn=costs.drawn,
            blocks={key: reports.BlockCost(**block) for key, block in blocks.items()},
        )
    reports.Cost(machine=machine(), threads=params.threads, repetitions=costs.repetitions, sizes=sizes).write(OUT)


def networks_of(params: Params, setting: GluSetting, text: TextTokenizer) -> dict[str, DalleMiniConfig]:
    """One network a block, parameters matched, and `geglu, equal width`, DALL·E Mini's block without the two thirds."""
    tokenizer = getattr(params.tokenizer, params.glu_cost.tokens)
    length = (PICTURE // tokenizer.stride) ** 2
    networks = {
        block: network_of(setting, block, text, params.text.length, tokenizer.codes, length)
        for block in params.glu_variants.variants
    }
    wide = dataclasses.replace(networks[FAVOURITE], feed_forward=setting.feed_forward)
    return networks | {f"{FAVOURITE}, equal width": wide}


def counted(network: DalleMiniConfig, batch_size: int) -> dict[str, float]:
    """What needs no clock: parameters, operations, and the memory of forward and backward pass as XLA plans it.

    Returns:
        parameters, inner width; flops_forward and flops_training: products of one picture, counted by hand;
        xla_flops: of forward and backward pass over a batch, as XLA counts its own program (activations included);
        peak_bytes: working memory of that program at its fullest, parameters and gradients included.
    """
    model, shapes = dalle_mini.DalleMini(network), dalle_mini.shapes(network)
    inputs = jax.ShapeDtypeStruct((batch_size, network.text_length), np.int32)
    targets = jax.ShapeDtypeStruct((batch_size, network.image_length), np.int32)

    def loss(params, inputs, targets):
        return paired.row_losses(params, model, inputs, targets).mean()

    program = jax.jit(jax.value_and_grad(loss)).lower(shapes, inputs, targets).compile()
    memory = program.memory_analysis()
    sizes = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return {
        "parameters": dalle_mini.parameter_count(shapes),
        "inner": network.feed_forward,
        "flops_forward": forward_flops(network),
        "flops_training": training_flops(network),
        "xla_flops": float(program.cost_analysis()["flops"]),
        "peak_bytes": int(sizes),
        "working_bytes": int(memory.temp_size_in_bytes),
    }


def timed(
    params: Params, name: str, steppers: dict[str, Callable], drawers: dict[str, Callable]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of a training step and of a drawn picture for every network, one value a repetition.

    Args:
        steppers, drawers: by network, already compiled.
    """
    costs = params.glu_cost
    count = max(1, round(costs.step_seconds / seconds(next(iter(steppers.values())))))
    training = {key: [] for key in steppers}
    drawing = {key: [] for key in steppers}
    progress = Progress(f"glu/measure_cost {name}", costs.repetitions)
    for repetition in range(costs.repetitions):
        # Forwards and backwards in turn, so that a machine that warms up or slows down favours nobody.
        order = list(steppers) if repetition % 2 == 0 else list(steppers)[::-1]
        for key in order:
            training[key].append(seconds(steppers[key], count))
            drawing[key].append(seconds(drawers[key]) / costs.drawn)
        progress.update(repetition + 1)
    return training, drawing


def weights(network: DalleMiniConfig) -> dict:
    """Random weights in the shapes of the network's, drawn here: initialising them would cost a compilation."""
    random = np.random.Generator(np.random.PCG64(0))
    scale = network.layout.init_std
    return jax.tree.map(
        lambda leaf: (scale * random.standard_normal(leaf.shape)).astype(leaf.dtype), dalle_mini.shapes(network)
    )


def stepper(network: DalleMiniConfig, setting: GluSetting) -> Callable[[], object]:
    """One training step of the network from one seed, on random data."""
    initial = jax.tree.map(lambda leaf: leaf[None], weights(network))  # [...] → [1 seed, ...]
    recipe = paired.Recipe(1, setting.batch_size, 1e-3, 0.0, 0.0, 0.0)  # at any rate
    trainee = paired.SeedsTrainee(dalle_mini.DalleMini(network), initial, [0], RandomTask(network), recipe)
    indices = np.arange(setting.batch_size)[None]
    return lambda: trainee.step(0, indices)


class RandomTask:
    """One batch of random ids, whatever is asked for."""

    def __init__(self, network: DalleMiniConfig):
        self.network = network

    def __len__(self) -> int:
        return 1

    def draw(self, indices: np.ndarray, generator: np.random.Generator) -> paired.Batch:
        network = self.network
        inputs = generator.integers(0, network.text_vocabulary, (len(indices), network.text_length))
        targets = generator.integers(0, network.codes, (len(indices), network.image_length))
        return inputs.astype(np.int32), targets.astype(np.int32)


def drawer(network: DalleMiniConfig, drawn: int) -> Callable[[], object]:
    """One batch of unguided pictures from initial weights and one caption each."""
    random = np.random.Generator(np.random.PCG64(0))
    captions = random.integers(0, network.text_vocabulary, (drawn, network.text_length)).astype(np.int32)
    keys = row_keys(np.zeros(drawn), np.arange(drawn))[:, None]  # [P, 1]
    sampler = Sampler(dalle_mini.DalleMini(network), weights(network), captions[0], drawn)
    return lambda: sampler(captions, keys)


def seconds(call: Callable[[], object], count: int = 1) -> float:
    """Seconds of one call, averaged over `count`; every call ends with numbers on the host."""
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count

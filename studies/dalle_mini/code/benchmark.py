"""How fast DALL·E Mini trains and draws on this machine: `make bench-dalle-mini` → results/benchmarks/dalle_mini.*.

Not a stage of the pipeline: timings are no function of the configuration. Speed does not depend on what is learned or
drawn, so weights are initial ones, captions and pictures random.
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np

from lib import config
from lib.decoding.autoregressive_jax import row_keys
from lib.errors import EaselError, command_line
from lib.evidence import tables
from lib.evidence.tables import Number
from lib.hardware import machine, use_cores, use_jax_devices
from lib.metering.flops import training_flops
from lib.models import dalle_mini
from lib.models.layout import DalleMiniConfig
from lib.painter.dalle_mini import Sampler
from lib.text import TextTokenizer
from lib.training.dalle_mini import Captions, DalleMiniTrainee
from lib.training.mesh import copied, make_mesh, rows
from lib.training.optimizers import optimizer
from studies.dalle_mini.code.settings import Params
from studies.dalle_mini.code.train import TEXT, model_config

OUT = Path("results/benchmarks/dalle_mini")
PICTURE = 64  # pixels a side
WIDE_LENGTH = 256  # tokens, as many as the original's
GEMM = 1024  # rows per device, inner and outer size of the product that sets the machine's rate
REPETITIONS = 5
STEP_SECONDS = 1.5  # of training in one repetition
OPTIMIZERS = {"adamw": "AdamW", "adafactor": "Adafactor", "muon": "Muon"}


@dataclass(frozen=True)
class Size:
    """One network and how it is run.

    Attributes:
        batch: pictures of an update.
        drawn: pictures drawn at once; a guided draw computes twice as many rows.
    """

    name: str
    config: DalleMiniConfig
    optimizer: str
    batch: int
    drawn: int


@dataclass(frozen=True)
class Times:
    """What was measured of one size; lists have one entry a repetition.

    Attributes:
        compile_training: seconds until the first update is done, less those of a later one.
        compile_sampling: likewise of one unguided draw.
        training: tokens of pictures a second.
        gemm: operations a second of a large fp32 product, measured beside each entry of `training`.
        unguided, guided: pictures drawn a second.
    """

    parameters: int
    compile_training: float
    compile_sampling: float
    training: list[float]
    gemm: list[float]
    unguided: list[float]
    guided: list[float]


@command_line
def main(arguments: list[str]) -> None:
    """Measures both sizes and writes the table."""
    if arguments:
        raise EaselError("usage: python -m studies.dalle_mini.code.benchmark")
    params = config.load("dalle_mini")
    use_cores(params.threads)
    use_jax_devices(params.threads)
    measured = {size: measure(size, REPETITIONS, STEP_SECONDS) for size in sizes(params)}
    for path in write(OUT, measured, *vocabulary(params)):
        print(path)


def sizes(params: Params) -> list[Size]:
    """The network of params.yaml, for captions of `vocabulary`, and a width-512 one of the same layout."""
    settings = params.dalle_mini
    tokenizer = getattr(params.tokenizer, settings.tokens)
    texts, _ = vocabulary(params)
    own = model_config(params, texts, padding=0, image_length=(PICTURE // tokenizer.stride) ** 2)
    wide = dataclasses.replace(
        own, image_length=WIDE_LENGTH, width=512, encoder_layers=2, decoder_layers=4, heads=8, feed_forward=1365
    )
    return [
        Size(f"profile {params.profile}", own, settings.optimizer, settings.batch_size, params.sampling.batch_size),
        # AdamW: a Muon update costs products of its own, which a batch as small as fits here would not hide.
        Size("wide", wide, "adamw", 4 * params.threads, 8 * params.threads),
    ]


def vocabulary(params: Params) -> tuple[int, str]:
    """Text tokens of the networks, and where their number is from: the trained tokenizer, if there is one.

    Training finds fewer than are configured where the captions offer no more.
    """
    if TEXT.is_file():
        return TextTokenizer.load(TEXT).vocabulary, f"the trained tokenizer, {TEXT}"
    return params.text.vocabulary, "params.yaml, which a trained tokenizer may not reach"


def measure(size: Size, repetitions: int, step_seconds: float) -> Times:
    """Trains and draws with `size`, on all devices of this process.

    A repetition trains for at least one step and about `step_seconds`, and draws one batch unguided and one guided.
    """
    network = size.config
    random = np.random.Generator(np.random.PCG64(0))
    model, params = dalle_mini.create(network, seed=0)
    texts = random.integers(1, network.text_vocabulary, (size.batch, network.text_length)).astype(np.int32)
    pictures = random.integers(0, network.codes, (size.batch, network.image_length)).astype(np.uint16)
    captions = Captions([{"en": ["any"]}] * size.batch, lambda asked: texts[np.arange(len(asked)) % size.batch])
    adam_rate = 1e-3 if size.optimizer == "muon" else None
    steps = optimizer(size.optimizer, 1e-3, 1, 1000, 0.0, adam_rate, make_mesh())
    trainee = DalleMiniTrainee(model, params, captions, pictures, steps, caption_dropout=0.0, seed=0)
    update = partial(trainee.step, 0, np.arange(size.batch))
    compile_training = first_call(update)
    count = max(1, round(step_seconds / seconds(update)))

    sampler = Sampler(model, params, texts[0], size.drawn)
    keys = row_keys(np.zeros(size.drawn), np.arange(size.drawn))[:, None]  # [P, 1]
    drawn = texts[np.arange(size.drawn) % size.batch]
    unguided, guided = partial(sampler, drawn, keys, 1.0), partial(sampler, drawn, keys, 3.0)
    compile_sampling = first_call(unguided)
    first_call(guided)

    gemm = gemm_rate()
    times = Times(dalle_mini.parameter_count(params), compile_training, compile_sampling, [], [], [], [])
    tokens = count * size.batch * network.image_length
    for _ in range(repetitions):
        # The machine's own rate before and after the updates: what else runs here slows both.
        before = gemm()
        times.training.append(tokens / seconds(update, count))
        times.gemm.append((before + gemm()) / 2)
        times.unguided.append(size.drawn / seconds(unguided))
        times.guided.append(size.drawn / seconds(guided))
    return times


def gemm_rate() -> Callable[[], float]:
    """A function that measures the machine: operations a second of large fp32 products, one on each device."""
    mesh = make_mesh()
    count = GEMM * jax.device_count()
    left = jax.device_put(np.ones((count, GEMM), np.float32), rows(mesh))
    right = jax.device_put(np.ones((GEMM, GEMM), np.float32), copied(mesh))
    multiply = jax.jit(jax.numpy.matmul)
    jax.block_until_ready(multiply(left, right))

    def rate() -> float:
        best = min(seconds(lambda: jax.block_until_ready(multiply(left, right))) for _ in range(10))
        return 2 * count * GEMM * GEMM / best

    return rate


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Wall-clock seconds of calling `work` so many times; `work` must wait for its result."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - start


def first_call(work: Callable[[], object]) -> float:
    """Seconds by which the first call, which compiles, is slower than the faster of two later ones."""
    return seconds(work) - min(seconds(work), seconds(work))


def write(path: Path, measured: dict[Size, Times], texts: int, texts_from: str) -> list[Path]:
    """The table: medians, with the slowest and fastest repetition as interval.

    Args:
        texts, texts_from: see `vocabulary`.
    """

    def spread(values: list[float], digits: int, scale: float = 1.0) -> Number:
        low, middle, high = min(values), statistics.median(values), max(values)
        return Number(scale * middle, scale * low, scale * high, digits)

    table = []
    for size, times in measured.items():
        shares = [
            tokens * training_flops(size.config) / size.config.image_length / gemm
            for tokens, gemm in zip(times.training, times.gemm, strict=True)
        ]
        network = size.config
        table.append(
            {
                "size": size.name,
                "width": network.width,
                "layers": f"{network.encoder_layers} + {network.decoder_layers}",
                "parameters": Number(times.parameters / 1e6, digits=2),
                "optimizer": OPTIMIZERS[size.optimizer],
                "batch": size.batch,
                "compile training": Number(times.compile_training, digits=1),
                "training": spread(times.training, 0),
                "fp32 GEMM": spread(times.gemm, 0, 1e-9),
                "share of GEMM": spread(shares, 1, 100),
                "compile sampling": Number(times.compile_sampling, digits=1),
                "drawn at once": size.drawn,
                "unguided": spread(times.unguided, 2),
                "guided": spread(times.guided, 2),
            }
        )
    here = machine()
    return tables.write(
        path,
        table,
        caption="Speed of DALL·E Mini: training, and drawing without and with super-conditioning.",
        source=f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB of memory, GPU: {here['gpu'] or 'none'}.",
        units={
            "parameters": "M",
            "compile training": "s",
            "training": "image tokens/s",
            "fp32 GEMM": "GFLOP/s",
            "share of GEMM": "%",
            "compile sampling": "s",
            "unguided": "images/s",
            "guided": "images/s",
        },
        notes=[
            f"Medians of {len(times.training)} repetitions [slowest, fastest]. The share is 3 × the operations of the "
            "forward pass's products, causal attention counted in full, over the rate of one large product measured "
            f"beside each repetition with the same cores. Text tokens: {texts}, from {texts_from}."
        ],
        stage="none: `make bench-dalle-mini`",
        sources=["studies/dalle_mini/code/benchmark.py", "lib/metering/flops.py"],
        parameters={size.name: vars(size) | {"config": size.config.as_dict()} for size in measured},
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

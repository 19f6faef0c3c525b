"""What one GPU does with this repository's networks, in ten minutes: `benchmarks/gpu.sh` → results/benchmarks/gpu.*.

Training: updates a second of the autoregressive model, of its tuning for SJD2 and of Muse, as model FLOPs utilization
(Chowdhery et al. 2022, arXiv:2204.02311, appendix B). Then, with the networks just trained, the latency of one picture
with guidance: autoregressive sampling, speculative Jacobi decoding, SJD2, Jacobi decoding with shared noise, Muse's
masked decoding; each with its network's kernels launched one by one, and as CUDA graphs.

Pictures are of a made-up law, nine of ten tokens copies of a neighbour, so that nothing has to be fetched or drawn
first. So seconds a pass are the networks'; how many passes there are depends on the law and on how far the training
came, and is not what a real model needs. Without a GPU the same runs at a tiny size, as a rehearsal whose numbers mean
nothing.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.data.captions import Captions
from lib.data.store import write_json
from lib.decoding import decoders, masked, noise_levels
from lib.decoding.noise import RowRandom
from lib.errors import EaselError, command_line
from lib.evidence import tables
from lib.evidence.tables import Number
from lib.hardware import machine
from lib.metering.replay import Replayed
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.models.masked_predictor import Guidance, MusePredictor
from lib.models.muse import Muse, MuseConfig
from lib.models.text_encoder import TextFeatures
from lib.training.autoregressive import AutoregressiveTrainee
from lib.training.masked_settings import MaskedTrainingParams
from lib.training.muse import MaskedBatches, MuseTrainee
from lib.training.settings import DescentParams, Sjd2Params
from lib.training.sjd2 import Sjd2Trainee
from lib.training.trainee import DescentTrainee
from lib.weights.torch_state import generator

OUT, REHEARSAL = Path("results/benchmarks/gpu"), Path("build/benchmarks/gpu")
# Dense bf16 products a second by NVIDIA's data sheets, of the parts whose name says which they are.
DATA_SHEET = {
    "H200": 989e12,
    "H100 80GB HBM3": 989e12,
    "H100 PCIe": 756e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}
TRAINING = {"autoregressive": 0.25, "SJD2's tuning": 0.15, "Muse": 0.15}  # shares of the time
DECODING = 0.4
WARM = 3  # updates, and pictures, before the clock counts
PICTURES = 512  # to train on
COPIED, CAPTIONS, PALETTE = 0.9, 64, 16  # of the law: share of copies, number of captions, codes that each leads to
PRECISION = "Training computes in bf16, decoding in float32 with TF32 products. "
GUIDANCE, STEPS = 3.0, 8  # of every decoder; denoising steps of SJD2
FIRST = "autoregressive"  # which the others are compared with
# Decoder and options: as in the papers where they say so.
LATENCIES: dict[str, tuple[str, dict[str, Any]]] = {
    FIRST: ("autoregressive", {}),
    "SJD": ("sjd", {"window": 16}),
    "SJD2": ("sjd2", {"window": 96}),
    "Jacobi, shared noise": ("jacobi", {"window": 32, "noise": "shared", "initial": "above"}),
}
MUSE = "Muse, masked decoding"
MUSE_STEPS = 24  # of the base model (section 2.8)


@dataclass(frozen=True)
class Size:
    """Networks and their trainings.

    Attributes:
        side: tokens of a picture's side.
        batch: pictures of an update.
        gemm: side of the square product that sets the machine's rate.
        compiled: whether the autoregressive model's training is compiled.
    """

    width: int
    layers: int
    heads: int
    feed_forward: int
    side: int
    codes: int
    text_length: int
    batch: int
    gemm: int
    compiled: bool


FULL = Size(1024, 24, 16, 2730, side=32, codes=4096, text_length=16, batch=32, gemm=8192, compiled=True)
TINY = Size(16, 1, 2, 24, side=4, codes=32, text_length=3, batch=4, gemm=64, compiled=False)


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        calls: updates timed, or passes of a picture.
        seconds: of each repetition, per call.
        operations: of one call.
        picture: seconds of one picture of each repetition; empty for training.
    """

    name: str
    graphs: bool | None
    parameters: int
    batch: int
    calls: float
    seconds: list[float]
    operations: int
    picture: list[float]


class Clock:
    """Seconds after all work on the device."""

    def __init__(self, device: torch.device):
        self.device = device

    def __call__(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class Bench:
    """One run of everything.

    Args:
        seconds: for all of it, about; what is begun is ended.
    """

    def __init__(self, size: Size, device: torch.device, seconds: float):
        self.size, self.device, self.seconds, self.clock = size, device, seconds, Clock(device)
        self.random = np.random.Generator(np.random.PCG64(0))
        self.text = self.random.integers(1, CAPTIONS, (CAPTIONS, size.text_length)).astype(np.int32)  # 0 is padding
        which = self.random.integers(0, CAPTIONS, PICTURES)
        self.tokens = pictures(self.random, which, size)
        self.captions = Captions([{"en": [f"{number}"]} for number in which], self.encode)
        # A frozen text network's features, of which only the shape matters.
        self.table = torch.randn(CAPTIONS, size.width, generator=generator(1)).to(device)

    def encode(self, texts: list[str]) -> np.ndarray:
        """Captions → int32 [len(texts), text_length]; the empty one, for guidance, is all of id 1."""
        return np.stack([self.text[int(text)] if text else np.ones_like(self.text[0]) for text in texts])

    def features(self, ids: torch.Tensor) -> TextFeatures:
        """Ids [B, S] → features [B, S, D], all of them present."""
        return TextFeatures(self.table[ids], torch.ones_like(ids, dtype=torch.bool))

    def gemm(self) -> float:
        """Operations a second of a large bf16 product."""
        side = self.size.gemm
        a, b = (torch.randn(side, side, device=self.device).bfloat16() for _ in range(2))
        times = []
        for _ in range(WARM + 10):
            started = self.clock()
            a @ b
            times.append(self.clock() - started)
        return 2 * side**3 / float(np.median(times[WARM:]))

    def run(self) -> Iterator[Line]:
        """Line after line, each as soon as it is measured."""
        size, times = self.size, noise_levels.levels(STEPS, "karras")[1:]
        config = AutoregressiveConfig(
            CAPTIONS, size.text_length, 0, size.codes, size.side, size.side, size.width, size.layers, size.heads,
            size.feed_forward,
        )  # fmt: skip
        descent = dict(steps=10**6, batch_size=size.batch, learning_rate=0.01, adam_learning_rate=1e-3, warmup=20)
        descent = DescentParams(**descent, decay=0.0, caption_dropout=0.1)
        model = Autoregressive(config, generator(0)).to(self.device)
        trainee = AutoregressiveTrainee(model, self.captions, self.tokens, descent, seed=0)
        yield self.trained("autoregressive", trainee, size.compiled)
        tuning = Sjd2Params(
            model="", levels="token", standardize=True, statistics="live", table_deviation=0.0, spacing="karras",
            denoising_steps=(STEPS,), noisy_run=(min(16, config.length), min(128, config.length)), clean_share=0.8,
            jumps=0.3, training=descent,
        )  # fmt: skip
        tuned = Sjd2Trainee(model, self.captions, self.tokens, tuning, seed=0)
        yield self.trained("SJD2's tuning", tuned)
        muse_config = MuseConfig(
            size.codes, size.side, size.side, size.width, 0, size.width, size.layers, size.heads, size.feed_forward
        )
        muse = Muse(muse_config, generator(0)).to(self.device)
        params = MaskedTrainingParams(rate="arccos", least_rate=0.0, average=0.99, training=descent)
        batches = MaskedBatches(muse, self.captions, self.tokens, self.features, params, seed=0)
        yield self.trained("Muse", MuseTrainee(muse, batches, params))

        for network in (tuned.model, muse):
            network.eval().requires_grad_(False)
        ids = torch.from_numpy(self.text[:1].astype(np.int64)).to(self.device)  # [1, S]
        empty, share = torch.ones_like(ids[0]), self.seconds * DECODING / (2 * (len(LATENCIES) + 1))

        def predictor(graphs: bool) -> AutoregressivePredictor:
            found = AutoregressivePredictor(tuned.model, ids, empty, Sampling(GUIDANCE), times)
            if graphs:
                found.run = Replayed(found.run)
            return found

        def masked_predictor(graphs: bool) -> MusePredictor:
            found = MusePredictor(muse, self.features(ids), Guidance(GUIDANCE))
            if graphs:
                found.model = Graphed(found.model)
            return found

        for graphs in (True, False):
            for name, (decoder, options) in LATENCIES.items():
                window = min(options.get("window", 1), config.length)
                slots = torch.zeros(1, window, dtype=torch.int64, device=self.device)
                vectors = torch.zeros(1, window, size.width, device=self.device)
                work = partial(one_pass, vectors, slots, slots if decoder == "sjd2" else None)
                draw = partial(decoders.run, decoder, options=options, columns=size.side)
                yield self.decoded(name, graphs, predictor, draw, work, tuned.model, share)
            draw = partial(masked.decode, steps=min(MUSE_STEPS, muse_config.length), columns=size.side)
            work = partial(one_masked_pass, torch.full((1, muse_config.length), size.codes, device=self.device))
            yield self.decoded(MUSE, graphs, masked_predictor, draw, work, muse, share)

    def trained(self, name: str, trainee: DescentTrainee, compiled: bool = False) -> Line:
        """Updates for this training's share of the time; forward and backward pass are three times the forward one."""
        few = self.random.permutation(PICTURES)[: min(self.size.batch, 8)]
        forward = operations(partial(trainee.loss, 0, few)) * self.size.batch // len(few)
        if compiled:
            trainee.model.compile()
        end, times = time.perf_counter() + self.seconds * TRAINING[name], []
        while len(times) < WARM + 2 or time.perf_counter() < end:
            started = self.clock()
            loss = trainee.step(len(times), self.random.permutation(PICTURES)[: self.size.batch])["loss"]
            times.append(self.clock() - started)
        if not np.isfinite(loss):
            raise EaselError(f"{name}: the loss became {loss}, so there is no network to decode; change the rates.")
        return Line(name, None, weights(trainee.model), self.size.batch, len(times), times[WARM:], 3 * forward, [])

    def decoded(
        self,
        name: str,
        graphs: bool,
        predictor: Callable[[bool], Any],
        draw: Callable[[Any, RowRandom], Any],
        work: Callable[[Any], Any],
        network: torch.nn.Module,
        seconds: float,
    ) -> Line:
        """Pictures of one caption, one after another, for so long; at least two after the first, which warms up.

        Args:
            work: one pass with a predictor, whose operations are counted.
        """
        end, passes, times = time.perf_counter() + seconds, [], []
        given = predictor(graphs)  # serves for all pictures: what it keeps of the one before is masked
        draw(given, RowRandom([0], self.device))
        while len(times) < 2 or time.perf_counter() < end:
            random = RowRandom([1 + len(times)], self.device)
            started = self.clock()
            found = draw(given, random)
            times.append(self.clock() - started)
            passes.append(int(found.passes[0]))
        each = [took / count for took, count in zip(times, passes, strict=True)]
        counted = operations(partial(work, predictor(False)))
        return Line(name, graphs, weights(network), 1, float(np.mean(passes)), each, counted, times)


class Graphed:
    """Stands for a Muse model in its predictor: features by CUDA graphs."""

    def __init__(self, model: Muse):
        self.config, self.head, self.features = model.config, model.head, Replayed(model.features)


def one_pass(
    vectors: torch.Tensor, slots: torch.Tensor, levels: torch.Tensor | None, predictor: AutoregressivePredictor
) -> torch.Tensor:
    """The network over a window, as a decoder's pass runs it."""
    return predictor.model.head(predictor.run(vectors, slots, levels))


def one_masked_pass(tokens: torch.Tensor, predictor: MusePredictor) -> torch.Tensor:
    """The network over a picture of masks alone."""
    return predictor.predict(tokens, torch.ones(1))


def operations(work: Callable[[], Any]) -> int:
    """Of the products in a call, counted by PyTorch. Attention is computed plainly meanwhile, so that all of it counts,
    what the mask removes included."""
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        work()
    return counter.get_total_flops()


def weights(network: torch.nn.Module) -> int:
    """How many it has."""
    return sum(weight.numel() for weight in network.parameters())


def pictures(random: np.random.Generator, captions: np.ndarray, size: Size) -> np.ndarray:
    """Tokens of the made-up law, int64 [N, side²]: `COPIED` of them are the left or the upper neighbour's, the others
    one of the codes that the caption, int [N], leads to."""
    count, side = len(captions), size.side
    palettes = random.integers(0, size.codes, (CAPTIONS, PALETTE))
    fresh = palettes[captions[:, None, None], random.integers(0, PALETTE, (count, side, side))]  # [N, side, side]
    chance, found = random.random((count, side, side)), fresh.copy()
    for row in range(side):
        for column in range(side):
            left, above = found[:, row, column - 1], found[:, row - 1, column]
            if column == 0:
                left = above if row else fresh[:, row, column]
            if row == 0:
                above = left
            copy = np.where(chance[:, row, column] < COPIED / 2, left, above)
            found[:, row, column] = np.where(chance[:, row, column] < COPIED, copy, fresh[:, row, column])
    return found.reshape(count, -1)


def row(line: Line, plain: float, gemm: float, data_sheet: float | None, recorded: bool) -> dict[str, Any]:
    """A line of the table.

    Args:
        recorded: whether there was a device whose kernels could be.
        plain: seconds of an autoregressive picture with the same way of launching kernels; NaN if not known.
        gemm: operations a second of a large product.
    """
    rate = line.operations / float(np.median(line.seconds))
    return {
        "what": line.name if line.picture else f"training: {line.name}",
        "CUDA graphs": "buffers alone" if line.graphs and not recorded else line.graphs,
        "parameters": Number(line.parameters / 1e6, digits=1),
        "batch": line.batch,
        "updates or passes": Number(line.calls, digits=1),
        "each": spread([1e3 * value for value in line.seconds], 3),
        "rate": Number(rate / 1e12, digits=2),
        "MFU": data_sheet and Number(100 * rate / data_sheet, digits=1),
        "share of a product's": Number(100 * rate / gemm, digits=1),
        "a picture": spread(line.picture, 4) if line.picture else None,
        "times faster": Number(plain / float(np.median(line.picture)), digits=2) if line.picture else None,
    }


def peak(gpu: str | None) -> float | None:
    """Dense bf16 products a second by the data sheet of a card; None if this code does not know it."""
    return next((rate for name, rate in DATA_SHEET.items() if gpu and re.search(rf"{name}\b", gpu)), None)


def spread(values: Sequence[float], digits: int) -> Number:
    """Median, least and most."""
    return Number(float(np.median(values)), min(values), max(values), digits=digits)


def write(out: Path, lines: Sequence[Line], gemm: float, device: torch.device, size: Size) -> list[Path]:
    """The table and gpu.json, of what there is so far."""
    here = machine()
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    data_sheet = peak(gpu)
    plain = {line.graphs: float(np.median(line.picture)) for line in lines if line.picture and line.name == FIRST}
    rows = [row(line, plain.get(line.graphs, float("nan")), gemm, data_sheet, gpu is not None) for line in lines]
    where = f"{gpu}, " if gpu else "A rehearsal on a CPU at a tiny size, whose numbers mean nothing: "
    told = {"gpu": gpu, "torch": torch.__version__, "cuda": torch.version.cuda, **here, "gemm": gemm}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        out.with_suffix(".json"), {"machine": told, "size": asdict(size), "lines": [asdict(one) for one in lines]}
    )
    known = f"{data_sheet / 1e12:.0f} TFLOP/s" if data_sheet else "not known here"
    return tables.write(
        out,
        rows,
        caption=f"Training and latency at batch 1 of this repository's networks on {'one GPU' if gpu else 'a CPU'}.",
        source=f"{where}{here['cpu']}, {here['cores']} cores; PyTorch {torch.__version__}.",
        units={
            "parameters": "M",
            "each": "ms",
            "rate": "TFLOP/s",
            "MFU": "%",
            "share of a product's": "%",
            "a picture": "s",
        },
        notes=[
            f"Medians [least, most]. A large bf16 product reached {gemm / 1e12:.3g} TFLOP/s; MFU is of the data "
            f"sheet's dense bf16 rate, {known}. Operations are those of matrix products, attention in full; of an "
            f"update, three times the forward pass. {PRECISION if gpu else ''}"
            f"Pictures of {size.side} × {size.side} tokens are of a made-up law in which {100 * COPIED:.0f} % of the "
            f"tokens copy a neighbour; passes depend on it. Guidance {GUIDANCE:g}; SJD2 with {STEPS} denoising steps.",
        ],
        stage="none: `benchmarks/gpu.sh`",
        sources=["lib/benchmark.py"],
        parameters=asdict(size),
    )


@command_line
def main(arguments: list[str]) -> None:
    """Command line: measures, and writes after every line what there is."""
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=480.0, help="for all of it, about; compiling comes on top")
    parser.add_argument("--out", type=Path, help=f"without suffix; {OUT}, and {REHEARSAL} without a GPU")
    given = parser.parse_args(arguments)
    if not 0 < given.seconds <= 86400:
        raise EaselError(f"--seconds {given.seconds:g}: name a time above 0, of a day at most.")
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    if cuda:
        torch.set_float32_matmul_precision("high")
    bench = Bench(FULL if cuda else TINY, device, given.seconds)
    out, lines, gemm = given.out or (OUT if cuda else REHEARSAL), [], bench.gemm()
    for line in bench.run():
        lines.append(line)
        paths = write(out, lines, gemm, device, bench.size)
        print(f"[benchmark] {line.name}: {1e3 * float(np.median(line.seconds)):.3f} ms each", flush=True)
    print(next(path for path in paths if path.suffix == ".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

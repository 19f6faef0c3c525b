"""The measurements: updates of trainings, then pictures drawn with the networks just trained."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.made_up import CAPTIONS, Size, pictures
from lib.data.captions import Captions
from lib.decoding import decoders, masked, noise_levels
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
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

TRAINING = {"autoregressive": 0.25, "SJD2's tuning": 0.15, "Muse": 0.15}  # shares of the time
DECODING = 0.4
WARM = 3  # updates, and pictures, before the clock counts
PICTURES = 512  # to train on
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
            size.codes,
            size.width,
            size.side,
            size.side,
            size.width,
            0,
            size.width,
            size.layers,
            size.heads,
            size.feed_forward,
            False,
        )
        muse = Muse(muse_config, generator(0)).to(self.device)
        params = MaskedTrainingParams(rate="arccos", least_rate=0.0, rise=0.0, average=0.99, training=descent)
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

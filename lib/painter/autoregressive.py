"""Captions → image tokens with an autoregressive model (PyTorch) and any decoder of lib/decoding/, and what it cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.decoding import decoders, noise_levels
from lib.decoding.history import accepted_lengths, added, changes
from lib.decoding.noise import RowRandom
from lib.metering.flops_autoregressive import eagle_flops, medusa_flops, predict_flops, prefix_flops
from lib.metering.meter import Meter
from lib.models import drafters, vqgan
from lib.models.autoregressive import Autoregressive
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.models.drafters import Eagle, EagleDrafter, Medusa, MedusaHeads


@dataclass(frozen=True)
class Drawn:
    """Pictures and what they cost.

    Attributes:
        tokens: int64 [R, length].
        passes: of every picture until it was complete, int64 [R].
        operations: likewise, int64 [R] (lib/metering/flops_autoregressive.py).
        accepted: in how many passes 0, 1, 2, … tokens were fixed, int64 [most + 1].
        changes, looked_at: of drafts, int64 [trace slots] (`lib.decoding.history.changes`); None without a trace.
        seconds: of all batches, captions read included; network_seconds: inside calls of the networks.
        cache_bytes: keys and values kept for one picture, all its copies, those of a drafter included.
    """

    tokens: np.ndarray
    passes: np.ndarray
    operations: np.ndarray
    accepted: np.ndarray
    changes: np.ndarray | None
    looked_at: np.ndarray | None
    seconds: float
    network_seconds: float
    cache_bytes: int


class Sampler:
    """One network, decoded in one way.

    Args:
        model: tuned for SJD2 or not, where it is to run.
        empty: the empty caption, int [S], which guidance needs.
        decoder: one of `lib.decoding.decoders.DECODERS`.
        options: of its `decode`; for LANTERN, `near` is how many neighbours a code has.
        steps: of denoising, for SJD2 (0 else); spacing: of the noise levels that the model was tuned for.
        trained: the folder of the trained drafters.
        tokenizer: the folder of the image tokenizer, whose codes LANTERN compares.

    Raises:
        EaselError: a network that is not there, or an option that the decoder refuses.
    """

    def __init__(
        self,
        model: Autoregressive,
        empty: np.ndarray,
        sampling: Sampling,
        decoder: str,
        options: Mapping[str, Any],
        steps: int = 0,
        spacing: noise_levels.Spacing = "karras",
        trained: Path = Path("build/drafters"),
        tokenizer: Path = Path("build/tokenizer/fine"),
    ):
        config, self.device = model.config, model.head.weight.device
        decoders.check(decoder, options, config.length, config.columns, steps)
        self.model, self.sampling, self.decoder, self.options = model, sampling, decoder, dict(options)
        self.empty = self._ids(empty)
        self.times = noise_levels.levels(steps, spacing)[1:] if steps else None
        kind = decoders.DRAFTERS.get(decoder)
        self.drafter = drafters.load(trained / kind).to(self.device) if kind else None
        if decoder == "lantern":
            codebook = vqgan.load(tokenizer).quantizer.codebook
            neighbours = import_module(decoders.DECODERS[decoder]).neighbours
            self.options["near"] = neighbours(codebook, options["near"]).to(self.device)

    def __call__(
        self,
        text_ids: np.ndarray,
        seeds: Sequence[int],
        batch_size: int,
        report: Callable[[int], None] | None = None,
    ) -> Drawn:
        """One picture for each caption, int [R, S], from its own seed: it does not depend on the others.

        Args:
            report: told after every batch how many pictures are done.

        Raises:
            EaselError: captions that the model cannot read.
        """
        batches = []
        for start in range(0, len(text_ids), batch_size):
            these = slice(start, start + batch_size)
            batches.append(self._batch(text_ids[these], seeds[these]))
            if report:
                report(min(start + batch_size, len(text_ids)))

        def of_all(name: str) -> list[Any]:
            return [getattr(batch, name) for batch in batches]

        arrays = {name: np.concatenate(of_all(name)) for name in ("tokens", "passes", "operations")}
        for name in ("changes", "looked_at"):
            arrays[name] = None if batches[0].changes is None else np.sum(of_all(name), axis=0)
        return Drawn(
            **arrays,
            accepted=added(of_all("accepted")),
            seconds=sum(of_all("seconds")),
            network_seconds=sum(of_all("network_seconds")),
            cache_bytes=batches[0].cache_bytes,
        )

    def _batch(self, text_ids: np.ndarray, seeds: Sequence[int]) -> Drawn:
        config, rows, meter = self.model.config, len(text_ids), Meter(self.device)
        started = meter.clock()
        predictor = meter.call(
            AutoregressivePredictor, self.model, self._ids(text_ids), self.empty, self.sampling, self.times
        )
        columns, copies = predictor.before + len(predictor.slots), self.sampling.copies  # columns of the cache
        meter.count(copies * prefix_flops(config, predictor.before, columns))

        def operations(inputs: Tensor, *_: Tensor) -> int:
            return copies * predict_flops(config, inputs.shape[1], columns)

        methods = ("predict", "predict_embedded", "predict_features", "predict_at")
        watched = meter.watch(predictor, dict.fromkeys(methods, operations), new_pass=True)
        drafter, caches = self._drafter(meter, rows), list(predictor.caches)
        if isinstance(self.drafter, Eagle):
            caches.append(drafter.cache)
        cache_bytes = sum(cache.keys.nbytes + cache.values.nbytes for cache in caches) // rows  # before any row leaves
        random = RowRandom(seeds, self.device)
        decoded = decoders.run(self.decoder, watched, random, self.options, config.columns, drafter)
        passes = decoded.passes.cpu().numpy()
        seconds = meter.clock() - started
        changed, looked_at = (None, None) if decoded.trace is None else changes(decoded)
        return Drawn(
            tokens=decoded.tokens.cpu().numpy(),
            passes=passes,
            operations=meter.operations(passes),
            accepted=accepted_lengths(decoded),
            changes=changed,
            looked_at=looked_at,
            seconds=seconds,
            network_seconds=meter.seconds,
            cache_bytes=cache_bytes,
        )

    def _drafter(self, meter: Meter, rows: int) -> Any:
        """What the decoder sees of the drafter."""
        config, copies = self.model.config, self.sampling.copies
        if isinstance(self.drafter, Eagle):
            eagle = EagleDrafter(self.drafter, self.model, rows, self.sampling)
            return meter.watch(eagle, {"predict": lambda inputs, *_: copies * eagle_flops(config, inputs.shape[1])})
        if isinstance(self.drafter, Medusa):
            heads = MedusaHeads(self.drafter, self.sampling)
            return meter.watch(heads, {"predict": lambda _: copies * medusa_flops(config, heads.heads)})
        return None

    def _ids(self, text_ids: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(text_ids, np.int64)).to(self.device)


def row_seeds(seed: int, items: Sequence[int]) -> list[int]:
    """What `RowRandom` takes for pictures numbered `items`: the same wherever a picture stands in a list."""
    return [int(np.random.SeedSequence([seed, item]).generate_state(1, np.uint32)[0]) for item in items]

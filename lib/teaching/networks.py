"""Networks of a few thousand weights that learn to draw thumbnails: Muse on their tokens, a U-Net on their pixels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lib.data.captions import Captions
from lib.decoding.masked import MaskedPredictor
from lib.models.muse import Muse, MuseConfig
from lib.models.unet import UNet, UNetConfig
from lib.progress import Progress
from lib.teaching.thumbnails import CODES, SIDE, WORDS, Thumbnails, features, word_ids
from lib.training.captioned import CaptionedTrainee
from lib.training.diffusion import DiffusionTrainee, NoisyBatches
from lib.training.diffusion_settings import DiffusionTrainingParams, NoiseParams
from lib.training.masked_settings import MaskedTrainingParams
from lib.training.muse import MaskedBatches, MuseTrainee
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams
from lib.weights.torch_state import generator

BATCH, AVERAGE = 16, 0.97


def train_muse(data: Thumbnails, steps: int, seed: int, width: int = 48, layers: int = 2) -> tuple[Muse, list[float]]:
    """Trains a base Muse model on the tokens; returns it with averaged weights, and the loss of every step."""
    config = MuseConfig(
        codes=CODES,
        code_width=CODES,
        rows=SIDE,
        columns=SIDE,
        text_width=len(WORDS),
        text_layers=0,
        width=width,
        layers=layers,
        heads=2,
        feed_forward=2 * width,
        neighbours=False,
    )
    model = Muse(config, generator(seed, 0), torch.eye(CODES))  # colours, none of which is like another
    params = MaskedTrainingParams(
        rate="arccos", least_rate=0.0, rise=0.0, average=AVERAGE, training=_descent(steps, caption_dropout=0.1)
    )
    batches = MaskedBatches(model, _captions(data), data.tokens, features, params, seed)
    return _fit(MuseTrainee(model, batches, params), "Muse", data, steps, seed)


def train_unet(data: Thumbnails, steps: int, seed: int, widths: Sequence[int] = (16, 32)) -> tuple[UNet, list[float]]:
    """Trains a rectified flow on the pixels, as `train_muse`."""
    config = UNetConfig(
        channels=3,
        rows=SIDE,
        columns=SIDE,
        text_width=len(WORDS),
        text_layers=0,
        widths=tuple(widths),
        blocks=1,
        attention=(len(widths) - 1,),
        head_width=16,
        feed_forward=2,
    )
    model = UNet(config, generator(seed, 0))
    noise = NoiseParams(kind="flow", steps=1000, betas=(), shift=1.0, zero_terminal_snr=False)
    params = DiffusionTrainingParams(
        noise=noise, target="flow", times="logit_normal", average=AVERAGE, training=_descent(steps, caption_dropout=0.1)
    )
    batches = NoisyBatches(model, _captions(data), data.pixels, features, params, seed)
    return _fit(DiffusionTrainee(model, batches, params), "U-Net", data, steps, seed)


def _descent(steps: int, caption_dropout: float) -> DescentParams:
    return DescentParams(
        steps=steps,
        batch_size=BATCH,
        learning_rate=0.02,
        adam_learning_rate=4e-3,
        warmup=min(10, steps - 1),
        decay=0.6,
        caption_dropout=caption_dropout,
    )


def _captions(data: Thumbnails) -> Captions:
    return Captions([{"en": [caption]} for caption in data.captions], word_ids)


def _fit(trainee: CaptionedTrainee, name: str, data: Thumbnails, steps: int, seed: int) -> tuple:
    order, progress, losses = BatchOrder(len(data), BATCH, seed), Progress(name, steps), []
    for step in range(steps):
        losses.append(trainee.step(step, order.indices(step))["loss"])
        progress.update(step + 1, loss=losses[-1])
    return trainee.average.network(), losses


class OnlyBefore:
    """A masked network that may look at earlier cells alone: an autoregressive `Predictor` for lib/decoding/filling.py.

    It takes one slot a call, and masks all that follow.
    """

    def __init__(self, predictor: MaskedPredictor):
        self.predictor = predictor
        self.length, self.codes, self.rows = predictor.length, predictor.codes, predictor.rows
        # Slot s is column s + 1; BOS, whose number is the mask's too, is never shown.
        self.tokens = torch.full((self.rows, 1 + self.length), self.codes)

    def predict(self, inputs: Tensor, start: Tensor) -> Tensor:
        slot = int(start[0])  # rows go at one pace here
        self.tokens[:, slot] = inputs[:, 0]
        shown = self.tokens[:, 1:].clone()
        shown[:, slot:] = self.codes
        return self.predictor.predict(shown, torch.ones(self.rows))[:, slot : slot + 1]  # [B, 1, V]


def share_right(found: Tensor, wanted: np.ndarray, where: np.ndarray) -> float:
    """Share of the cells at `where`, bool [N, 144], whose tokens int64 [N, 144] are the wanted ones."""
    return float((found.numpy() == wanted)[where].mean())

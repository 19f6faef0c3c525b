"""Training of the image tokenizer that quantizes residuals over scales, from a plain one: encoder and decoder know
their trade, the codebook is new.

The loss is the mean squared error of pictures in [−1, 1] and what VAR's code adds to it, means over the scales of the
squared distance between the encoder's vectors and the sum of the codes so far: once for the encoder (commitment, with a
weight), once for the smoothing. Codes have averages instead (lib/models/multi_scale_quantizer.py). There is neither a
perceptual term nor a discriminator.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.models.multi_scale_vqgan import MultiScaleVQGAN
from lib.models.vqgan import VQGAN, pixels_to_tensor
from lib.training.multi_scale_settings import MultiScaleParams
from lib.training.supervised import schedule
from lib.training.tokenizer import Descent, autocast
from lib.weights.torch_state import generator, load_module, module_arrays


class MultiScaleTrainee:
    """What `lib.training.loop.fit` trains.

    Args:
        plain: the tokenizer to start from.
        images: uint8 [P, S, S, 3]; read a batch at a time.
        seed: together with a step's number, of the draws within the step.
    """

    def __init__(self, params: MultiScaleParams, plain: VQGAN, images: np.ndarray, seed: int):
        self.params, self.images, self.seed = params, images, seed
        self.model = MultiScaleVQGAN.of(plain, params.scales, params.codes, params.ema_decay)
        self.descent = Descent(self.model, params)

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update of the tokenizer and its codebook on the pictures `indices`.

        Returns:
            the terms of the loss; `distance_<n>`, what the scales up to n × n leave of the vectors; `revived`.
        """
        params, model = self.params, self.model
        real = pixels_to_tensor(self.images[indices], model.device)  # [B, 3, S, S]
        with autocast(model.device):
            vectors = model.embed(real)  # [B, h, w, d]
        found = model.quantizer(vectors)
        with autocast(model.device):
            # The total's own value, with the gradient of both: to the encoder it passes straight through.
            fake = model.paint(found.totals[-1] + vectors - vectors.detach())
        distances = [distance(total, vectors.detach()) for total in found.totals]
        terms = {
            "squared_error": 4 * F.mse_loss(fake, real),
            "commitment": mean([distance(vectors, total.detach()) for total in found.totals]),
        }
        loss = terms["squared_error"] + params.commitment * terms["commitment"] + mean(distances)
        self.descent.step(loss, schedule(step, params.steps))
        model.quantizer.update(found)
        revived = model.quantizer.revive(found, generator(self.seed, step))
        terms |= {f"distance_{side}": term for side, term in zip(params.scales, distances, strict=True)}
        return {name: term.item() for name, term in terms.items()} | {"revived": float(revived)}

    def state(self) -> dict[str, np.ndarray]:
        """Weights, codebook and its averages, moments of the optimizers."""
        return module_arrays(self.model, "model.") | self.descent.state("descent.")

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""
        load_module(self.model, arrays, "model.")
        self.descent.load_state(arrays, "descent.")


def distance(here: Tensor, there: Tensor) -> Tensor:
    """Mean squared distance of vectors [..., d]."""
    return (here - there).square().sum(dim=-1).mean()


def mean(terms: list[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(terms).mean()

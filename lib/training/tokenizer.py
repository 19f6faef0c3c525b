"""Training of the image tokenizer: losses, codebook, optimizers."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.config import TokenizerParams
from lib.hardware import has_fast_bf16
from lib.models.discriminator import PatchDiscriminator, fooling_loss, hinge_loss
from lib.models.vqgan import VQGAN, pixels_to_tensor
from lib.training.muon import Muon
from lib.training.supervised import schedule
from lib.weights.torch_state import generator, load_module, load_optimizer, module_arrays, optimizer_arrays

Extractor = Callable[[Tensor], list[Tensor]]  # pictures [B, 3, S, S] in [0, 1] → maps [B, C, h, w], shallow ones first

PERCEIVED = 4  # every fourth picture of a batch is seen by the extractor, which costs more than the tokenizer itself
FOOLING_START = 0.3  # share of the steps that the discriminator trains before it is listened to


class TokenizerTrainee:
    """What `lib.training.loop.fit` trains: the tokenizer and, if it has a weight, a patch discriminator.

    The loss is the mean squared error of pictures in [−1, 1] plus, each with its weight, the commitment term, the
    perceptual term and the score that the discriminator gives the reconstruction, negated. There is no absolute error:
    it would spend codes on the exact shade of wide backgrounds instead of on small objects.

    Args:
        params: the section `tokenizer`.
        seed: of the initial weights and, together with a step's number, of the draws within the step.
        images: uint8 [N, S, S, 3]; read a batch at a time.
        extractor: feature maps for the perceptual term; needed only if that has a weight.
        device: where to train.
    """

    def __init__(
        self,
        params: TokenizerParams,
        seed: int,
        images: np.ndarray,
        extractor: Extractor | None = None,
        device: str = "cpu",
    ):
        self.params, self.seed, self.images = params, seed, images
        self.extractor = extractor if params.perceptual_weight > 0 else None
        random = generator(seed, 0)
        sizes = params.width, params.codes, params.code_width, params.ema_decay, params.stride
        self.model = VQGAN(*sizes, random).to(device)
        self.descent = Descent(self.model, params)
        self.discriminator = None
        if params.discriminator_weight > 0:
            self.discriminator = PatchDiscriminator(params.width // 2, generator(seed, 1)).to(device)
            self.judge_descent = Descent(self.discriminator, params)

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update of the tokenizer, its codebook and the discriminator on the pictures `indices`."""
        params, model = self.params, self.model
        rate = schedule(step, params.steps)
        real = pixels_to_tensor(self.images[indices], model.device)  # [B, 3, S, S]
        with autocast(model.device):
            vectors = model.embed(real)  # [B, h, w, d]
        flat = vectors.detach().flatten(0, 2)  # → [B·h·w, d]
        revived = model.quantizer.revive(flat, generator(self.seed, 2, step))
        codes, tokens, commitment = model.quantizer(vectors)
        with autocast(model.device):
            fake = model.paint(codes)
        terms = {"squared_error": 4 * F.mse_loss(fake, real), "commitment": commitment}
        loss = terms["squared_error"] + params.commitment * commitment
        if self.extractor is not None:
            with autocast(model.device):
                terms["perceptual"] = perceptual_loss(self.extractor, real[::PERCEIVED], fake[::PERCEIVED])
            loss = loss + params.perceptual_weight * terms["perceptual"]
        if self.discriminator is not None and step >= FOOLING_START * params.steps:
            with autocast(model.device):
                terms["fooling"] = fooling_loss(self.discriminator(fake))
            loss = loss + params.discriminator_weight * terms["fooling"]
        self.descent.step(loss, rate)
        model.quantizer.update(flat, tokens.flatten())
        if self.discriminator is not None:
            with autocast(model.device):
                terms["discriminator"] = hinge_loss(self.discriminator(real), self.discriminator(fake.detach()))
            self.judge_descent.step(terms["discriminator"], rate)
        return {name: term.item() for name, term in terms.items()} | {"revived": float(revived)}

    def state(self) -> dict[str, np.ndarray]:
        """Weights, codebook and its averages, moments of the optimizers."""
        arrays = module_arrays(self.model, "model.") | self.descent.state("descent.")
        if self.discriminator is not None:
            arrays |= module_arrays(self.discriminator, "judge.") | self.judge_descent.state("judge_descent.")
        return arrays

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""
        load_module(self.model, arrays, "model.")
        self.descent.load_state(arrays, "descent.")
        if self.discriminator is not None:
            load_module(self.discriminator, arrays, "judge.")
            self.judge_descent.load_state(arrays, "judge_descent.")


def perceptual_loss(extractor: Extractor, real: Tensor, fake: Tensor) -> Tensor:
    """Mean squared distance of feature maps whose vectors are scaled to length one, averaged over the maps.

    The distance of LPIPS (Zhang et al. 2018, arXiv:1801.03924, equation 1) without its learned weights of channels.
    """
    with torch.no_grad():
        wanted = extractor(real)
    found = extractor(fake)
    distances = [
        (F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)).square().sum(dim=1).mean()
        for a, b in zip(wanted, found, strict=True)
    ]
    return torch.stack(distances).mean()


class Descent:
    """Descends a module's losses: Muon moves its convolution kernels, AdamW biases and norms."""

    def __init__(self, module: nn.Module, params: TokenizerParams):
        self.parameters = list(module.parameters())
        kernels = [p for p in self.parameters if p.ndim == 4]
        others = [p for p in self.parameters if p.ndim < 4]
        # Each optimizer with the peak of its learning rate.
        self.optimizers = {
            "muon": (Muon(kernels, params.kernel_learning_rate), params.kernel_learning_rate),
            "adam": (
                torch.optim.AdamW(others, params.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
                params.learning_rate,
            ),
        }

    def step(self, loss: Tensor, share: float) -> None:
        """One update of the module's parameters, and of nothing else, at `share` of the peak learning rates."""
        gradients = torch.autograd.grad(loss, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer, peak in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.step()

    def state(self, prefix: str) -> dict[str, np.ndarray]:
        """The optimizers' moments."""
        arrays = {}
        for name, (optimizer, _) in self.optimizers.items():
            arrays |= optimizer_arrays(optimizer, f"{prefix}{name}.")
        return arrays

    def load_state(self, arrays: dict[str, np.ndarray], prefix: str) -> None:
        """Takes back what `state` gave."""
        for name, (optimizer, _) in self.optimizers.items():
            load_optimizer(optimizer, arrays, f"{prefix}{name}.")


def autocast(device: torch.device) -> torch.autocast:
    """bf16 inside convolutions where the machine is fast at it; otherwise nothing changes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or has_fast_bf16())

"""Muon: momentum whose update of a matrix is made nearly orthogonal."""

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration; they trade exactness for speed
ROUNDS = 5
MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for convolution kernels.

    A kernel [O, I, h, w] is updated as the matrix [O, I·h·w]; PyTorch's own class takes matrices only. All singular
    values of an update become about 1, so that rare directions are learned as fast as frequent ones.
    """

    def __init__(self, kernels, lr: float):
        super().__init__(kernels, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """One update against the kernels' gradients."""
        for group in self.param_groups:
            for kernel in group["params"]:
                state = self.state[kernel]
                if not state:
                    state["momentum"] = torch.zeros_like(kernel)
                state["momentum"].lerp_(kernel.grad, 1 - MOMENTUM)
                update = kernel.grad.lerp(state["momentum"], MOMENTUM).flatten(1)  # [O, I, h, w] → [O, I·h·w]
                rows, columns = update.shape
                # With the root, an update changes a layer's outputs by the same amount whatever the layer's shape.
                scale = max(1.0, rows / columns) ** 0.5
                kernel.add_(orthogonalise(update).view(kernel.shape), alpha=-group["lr"] * scale)


def orthogonalise(matrix: Tensor) -> Tensor:
    """U·V of the singular value decomposition U·S·V, roughly: the singular values come to lie between 0.7 and 1.2."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x

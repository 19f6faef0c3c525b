"""The optimizer of convolution kernels."""

import pytest
import torch

from lib.training.muon import MOMENTUM, Muon, orthogonalise
from lib.weights.torch_state import generator


@pytest.mark.parametrize("shape", [(6, 6), (4, 30), (30, 4)])
def test_an_update_keeps_its_directions_and_evens_out_their_strengths(shape):
    left, _, right = torch.linalg.svd(torch.randn(*shape, generator=generator(0)), full_matrices=False)
    strengths = torch.logspace(0, -1, min(shape))
    found = left.T @ orthogonalise(left @ torch.diag(strengths) @ right) @ right.T  # diagonal if directions stay
    torch.testing.assert_close(found, torch.diag(found.diagonal()), atol=1e-4, rtol=0)
    assert found.diagonal().min() > 0.65 and found.diagonal().max() < 1.25


def test_a_step_follows_the_averaged_gradient_whatever_its_size():
    moved = []
    for size in (1.0, 1e-3):
        kernel = torch.nn.Parameter(torch.zeros(4, 2, 3, 3))
        optimizer = Muon([kernel], lr=0.1)
        gradients = [torch.randn(4, 2, 3, 3, generator=generator(step)) * size for step in (0, 1)]
        for gradient in gradients:
            kernel.grad = gradient
            optimizer.step()
        moved.append(kernel.detach().clone())
    torch.testing.assert_close(*moved, atol=1e-4, rtol=1e-3)

    momentum = (1 - MOMENTUM) * gradients[0]
    expected = -0.1 * orthogonalise(((1 - MOMENTUM) * gradients[0] + MOMENTUM * momentum).flatten(1))
    momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradients[1]
    expected -= 0.1 * orthogonalise(((1 - MOMENTUM) * gradients[1] + MOMENTUM * momentum).flatten(1))
    torch.testing.assert_close(moved[1].flatten(1), expected, atol=1e-5, rtol=1e-4)


def test_a_tall_kernel_moves_further():
    kernel = torch.nn.Parameter(torch.zeros(16, 4, 1, 1))
    kernel.grad = torch.randn(16, 4, 1, 1, generator=generator(0))
    Muon([kernel], lr=0.1).step()
    # Singular values of about 1, times the root of 16 / 4.
    assert torch.linalg.svdvals(kernel.detach().flatten(1)).mean().item() == pytest.approx(0.1 * 2, rel=0.25)


def test_memory_layout_makes_no_difference():
    kernels = [torch.nn.Parameter(torch.zeros(4, 2, 3, 3).contiguous(memory_format=layout))
               for layout in (torch.contiguous_format, torch.channels_last)]  # fmt: skip
    for kernel in kernels:
        kernel.grad = torch.randn(4, 2, 3, 3, generator=generator(0))
        Muon([kernel], lr=0.1).step()
    assert torch.equal(*kernels)

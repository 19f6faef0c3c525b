"""In which precision the small networks of captioned pictures are trained."""

import torch


def autocast(device: torch.device) -> torch.autocast:
    """bf16 inside products on a GPU; on a CPU float32, whatever it is fast at.

    In networks this small products take a third of a step, and PyTorch's backward pass of attention in bf16 takes five
    times as long on a CPU as in float32: measured on one with AVX-512 and AMX, a step took 1.3 times as long in bf16.
    And so a training gives the same on CPUs with bf16 and without.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")

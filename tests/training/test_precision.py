"""In what precision networks of captioned pictures are trained."""

import torch

from lib.training import descent, precision


def test_a_cpu_multiplies_in_float32_however_fast_it_is_at_half_of_it(monkeypatch):
    monkeypatch.setattr(descent, "has_fast_bf16", lambda: True)
    cpu, one = torch.device("cpu"), torch.ones(2, 2)
    with descent.autocast(cpu):  # that of other trainings
        assert (one @ one).dtype is torch.bfloat16
    with precision.autocast(cpu):
        assert (one @ one).dtype is torch.float32

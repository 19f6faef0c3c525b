"""Metering of network calls, and operations against a count by PyTorch."""

import time

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.metering.flops_autoregressive import eagle_flops, medusa_flops, predict_flops, prefix_flops
from lib.metering.meter import Meter
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.models.drafters import Eagle, EagleDrafter, Medusa, MedusaHeads
from lib.weights.torch_state import generator

CONFIG = AutoregressiveConfig(
    text_vocabulary=12,
    text_length=4,
    text_padding=0,
    codes=8,
    rows=2,
    columns=3,
    width=16,
    layers=2,
    heads=2,
    feed_forward=24,
    levels="token",
)
GUIDED = Sampling(guidance=2.0)


class Slow:
    length = 7

    def predict(self, inputs, start):
        time.sleep(0.01)
        return inputs + start

    def embed(self, tokens):
        return -tokens


def test_named_methods_are_metered_and_the_rest_is_as_it_was():
    meter = Meter(torch.device("cpu"))
    meter.count(100)
    watched = meter.watch(Slow(), {"predict": lambda inputs, start: 10 * inputs}, new_pass=True)
    drafter = meter.watch(Slow(), {"predict": lambda inputs, start: inputs})
    assert watched.predict(1, 2) == 3 and drafter.predict(5, 0) == 5 and watched.predict(2, 2) == 4
    assert watched.length == 7 and watched.embed(3) == -3
    assert 0.03 <= meter.seconds < 0.3
    assert meter.operations(np.array([0, 1, 2])).tolist() == [100, 115, 135]
    with pytest.raises(AttributeError, match="heads"):
        watched.heads  # noqa: B018


def counted(work):
    """Operations of the products in `work`, as PyTorch counts them, which counts attention in its plain form alone."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as mode:
        work()
    return mode.get_total_flops()


def test_operations_are_those_that_pytorch_counts():
    model = Autoregressive(CONFIG, generator(0)).requires_grad_(False)
    text, empty, times = torch.ones(3, 4, dtype=torch.int64), torch.ones(4, dtype=torch.int64), torch.ones(5)
    found = {}

    def make():
        found["predictor"] = AutoregressivePredictor(model, text, empty, GUIDED, times)

    # 5 level tokens and 4 of the caption; 6 slots and one past the end
    assert counted(make) == 3 * 2 * prefix_flops(CONFIG, 9, 16)
    start, inputs = torch.zeros(3, dtype=torch.int64), torch.zeros(3, 5, dtype=torch.int64)
    predictor = found["predictor"]
    assert counted(lambda: predictor.predict(inputs, start)) == 3 * 2 * predict_flops(CONFIG, 5, 16)

    _, features = predictor.predict_features(inputs, start)  # [3, 5, 2, D]
    eagle = EagleDrafter(Eagle(CONFIG, generator(1)), model, 3, GUIDED)
    assert counted(lambda: eagle.predict(inputs, features, start + 1)) == 3 * 2 * eagle_flops(CONFIG, 5)
    medusa = MedusaHeads(Medusa(CONFIG, 4), GUIDED)
    assert counted(lambda: medusa.predict(features[:, 0])) == 3 * 2 * medusa_flops(CONFIG, 4)

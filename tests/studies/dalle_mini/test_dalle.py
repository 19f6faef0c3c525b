"""Counts of DALL·E and of the first DALL·E Mini, against torch's own layers and against masks drawn out."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.errors import EaselError
from studies.dalle_mini.code import dalle
from studies.dalle_mini.code.dalle import DalleConfig, FirstMiniConfig

TINY = DalleConfig(layers=3, heads=2, head_width=4, text_vocabulary=11, text_length=5, codes=7, image_side=4, kernel=3)
TINY_MINI = FirstMiniConfig(
    layers=2, width=8, feed_forward=20, text_vocabulary=13, text_length=6, text_positions=9, codes=10, image_length=4
)


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_dalle_is_a_stack_of_torch_layers_between_tables():
    width = TINY.width
    layers = [nn.TransformerEncoderLayer(width, TINY.heads, 4 * width, device="meta") for _ in range(TINY.layers)]
    vectors = (11 + 1) + 5 + 5 + (7 + 1) + 4 + 4 + (11 + 7)
    assert sum(dalle.dalle_parameters(TINY).values()) == count(*layers, nn.LayerNorm(width)) + vectors * width


def test_the_first_mini_is_a_torch_encoder_and_decoder_between_tables():
    config, width = TINY_MINI, TINY_MINI.width
    encoder = [nn.TransformerEncoderLayer(width, 2, config.feed_forward, device="meta") for _ in range(config.layers)]
    decoder = [nn.TransformerDecoderLayer(width, 2, config.feed_forward, device="meta") for _ in range(config.layers)]
    tables = [nn.Embedding(rows, width) for rows in (13, 9 + 2, 10 + 1, 4 + 1 + 2)]
    head = nn.Linear(width, 10 + 1)
    expected = count(*encoder, *decoder, *tables, head, nn.LayerNorm(width), nn.LayerNorm(width))
    assert sum(dalle.first_mini_parameters(config).values()) == expected


def test_the_papers_shapes_give_the_papers_sizes():
    config = DalleConfig()
    assert (config.width, config.image_length) == (3968, 1024)
    total = sum(dalle.dalle_parameters(config).values())
    assert total == 12_292_816_384
    # "27 times smaller" with the printed 12 billion, 28 as counted.
    first = sum(dalle.first_mini_parameters(FirstMiniConfig()).values())
    assert first == 439_077_889
    assert round(config.printed_parameters / first) == 27 and round(total / first) == 28


def test_what_the_paper_leaves_open_hardly_counts():
    config = DalleConfig()
    parts = dalle.dalle_parameters(config)
    biases = config.layers * 9 * config.width  # 3 + 1 in attention, 4 + 1 in the feed-forward
    assert biases + parts["norms"] < 0.001 * sum(parts.values())


@pytest.mark.parametrize("layer", [1, 2, 3, 4, 5, 6, 7, 8])
def test_masks_drawn_out_allow_as_many_pairs(layer):
    config = DalleConfig(layers=8, heads=1, head_width=2, text_length=6, image_side=4, kernel=3)
    side, length, text = 4, 16, 6
    mask = np.tri(text + length, dtype=bool)
    for query in range(length):
        for key in range(query + 1):
            if layer == 8:  # a 3 × 3 patch, wrapped around the sides
                allowed = any(query - key == 4 * up + left for up in (0, 1) for left in (-1, 0, 1))
            elif layer in (2, 6):
                allowed = query % side == key % side
            else:  # figure 11a: five tokens, itself and back to the same column of the row above
                allowed = query - key <= 4
            mask[text + query, text + key] = allowed
    assert dalle.attended(config, layer) == mask.sum()


def test_dalle_operations_of_one_dense_layer():
    """With a patch as large as the picture, the only layer is causal and dense, which can be counted by hand."""
    config = DalleConfig(
        layers=1, heads=1, head_width=2, text_vocabulary=7, text_length=3, codes=5, image_side=2, kernel=5
    )
    assert dalle.attended(config, 1) == 7 * 8 // 2
    products = 7 * (4 * 4 + 2 * 2 * 8) + 2 * (7 * 8 // 2) * 2 + 3 * 2 * 7 + 4 * 2 * 5
    assert dalle.dalle_forward_flops(config) == 2 * products


def test_first_mini_operations_are_those_that_torch_counts():
    config, width = TINY_MINI, TINY_MINI.width
    options = {"dropout": 0.0, "batch_first": True}
    encoder = nn.ModuleList(nn.TransformerEncoderLayer(width, 2, config.feed_forward, **options) for _ in range(2))
    decoder = nn.ModuleList(nn.TransformerDecoderLayer(width, 2, config.feed_forward, **options) for _ in range(2))
    head = nn.Linear(width, config.codes + 1)
    # The counter knows matrix products, but not the CPU's fused attention.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        text, image = torch.zeros(1, config.text_length, width), torch.zeros(1, config.image_length, width)
        for layer in encoder:
            text = layer(text)
        for layer in decoder:
            image = layer(image, text)
        head(image)
    assert dalle.first_mini_forward_flops(config) == counter.get_total_flops()


def test_a_patch_needs_a_middle():
    with pytest.raises(EaselError, match="odd kernel, not 4"):
        DalleConfig(kernel=4)

import numpy as np
import pytest
import torch

from lib.models.cross_attention import (
    CrossBlock,
    MultiAxisAttention,
    block_order,
    block_weights,
    grid,
    initialise,
    line,
    turns_of,
)
from lib.models.transformer import Attention, Block, GridRotary
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken

WIDTH, HEADS, INNER = 16, 4, 24
ROWS, COLUMNS, SIDE = 4, 6, 2
CELLS = ROWS * COLUMNS
EVERYTHING = torch.ones(1, CELLS, dtype=torch.bool)


def block(kind):
    attention = Attention(WIDTH, HEADS) if kind == "full" else MultiAxisAttention(WIDTH, HEADS, CELLS // SIDE**2)
    return CrossBlock(WIDTH, HEADS, INNER, attention)


def inputs():
    random = generator(3)
    return torch.randn(2, CELLS, WIDTH, generator=random), torch.randn(2, 5, WIDTH, generator=random)


def seen():
    return torch.tensor([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)[:, None, None]


# The reference: numpy, float64, loops over rows and heads, multi-axis attention as a mask on all pairs of cells.


def norm(x, scale=1.0):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + np.finfo(np.float32).eps) * scale


def turned(x, cells):
    """Vectors [T, d] at cells [T, 2]: pairs of neighbours, the first half of them by the row."""
    count = x.shape[1] // 4
    speeds = 100.0 ** -(np.arange(count) / count)
    angles = np.concatenate([cells[:, :1] * speeds, cells[:, 1:] * speeds], axis=1)
    first, second = x[:, 0::2], x[:, 1::2]
    turned = np.empty_like(x)
    turned[:, 0::2] = first * np.cos(angles) - second * np.sin(angles)
    turned[:, 1::2] = first * np.sin(angles) + second * np.cos(angles)
    return turned


def attend(queries, keys, values, allowed):
    scores = np.where(allowed, queries @ keys.T / np.sqrt(queries.shape[1]), -np.inf)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True) @ values


def reference(weights, x, context, seen, cells, allowed):
    """One row: x [T, D], context [K, D], seen [K], cells [T, 2], allowed [H, T, T]."""
    size = WIDTH // HEADS

    def head(values, number):
        return values[:, number * size : (number + 1) * size]

    qkv = norm(x, weights["attention_norm.weight"]) @ weights["attention.qkv.weight"].T
    q, k, v = np.split(qkv, 3, axis=1)
    scales = weights["attention.norm"]
    parts = [
        attend(
            turned(norm(head(q, h), scales[0]), cells),
            turned(norm(head(k, h), scales[1]), cells),
            head(v, h),
            allowed[h],
        )
        for h in range(HEADS)
    ]
    x = x + np.concatenate(parts, axis=1) @ weights["attention.out.weight"].T
    q = norm(x, weights["cross_norm.weight"]) @ weights["cross.query.weight"].T
    k, v = np.split(context @ weights["cross.keys_values.weight"].T, 2, axis=1)
    scales = weights["cross.norm"]
    parts = [
        attend(norm(head(q, h), scales[0]), norm(head(k, h), scales[1]), head(v, h), seen[None]) for h in range(HEADS)
    ]
    x = x + np.concatenate(parts, axis=1) @ weights["cross.out.weight"].T
    gate, value = np.split(
        norm(x, weights["feed_forward_norm.weight"]) @ weights["feed_forward.both.weight"].T, 2, axis=1
    )
    return x + (gate / (1 + np.exp(-gate)) * value) @ weights["feed_forward.out.weight"].T


def axes():
    """Which cells see which in multi-axis attention, by head: bool [H, cells, cells], reading order."""
    cells = grid(ROWS, COLUMNS).numpy()
    blocks, places = cells // SIDE, cells % SIDE
    inside = (blocks[:, None] == blocks).all(-1)
    across = (places[:, None] == places).all(-1)
    return np.stack([inside] * (HEADS // 2) + [across] * (HEADS // 2))


@pytest.mark.parametrize("kind", ["full", "multi-axis"])
def test_a_block_is_what_the_equations_say(kind):
    network, (x, context), cells = shaken(block(kind)), inputs(), grid(ROWS, COLUMNS)
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}
    memory = network.cross.read(context, seen())
    if kind == "full":
        allowed = np.ones((HEADS, CELLS, CELLS), bool)
        found = network(x, turns_of(cells, WIDTH // HEADS), EVERYTHING, memory)
    else:
        allowed, order = axes(), block_order(ROWS, COLUMNS, SIDE)
        found = network(x[:, order], turns_of(cells[order], WIDTH // HEADS), None, memory)[:, order.argsort()]
    for row in range(2):
        arrays = (x[row].double().numpy(), context[row].double().numpy(), seen()[row, 0, 0].numpy(), cells.numpy())
        np.testing.assert_allclose(found[row].numpy(), reference(weights, *arrays, allowed), atol=2e-4, rtol=1e-4)


def test_multi_axis_attention_sees_its_block_and_its_place_in_every_block():
    network, order = shaken(MultiAxisAttention(WIDTH, HEADS, CELLS // SIDE**2)), block_order(ROWS, COLUMNS, SIDE)
    x = inputs()[0][:1].requires_grad_()
    turns = turns_of(grid(ROWS, COLUMNS)[order], WIDTH // HEADS)
    found = network(x[:, order], turns)[:, order.argsort()]
    patterns = []
    for cell in range(CELLS):
        gradient = torch.autograd.grad(found[0, cell].square().sum(), x, retain_graph=True)[0]
        patterns.append(gradient[0].abs().sum(1).numpy() > 1e-7)
    np.testing.assert_array_equal(np.stack(patterns), axes().any(0))
    assert (np.stack(patterns).sum(1) == SIDE**2 + CELLS // SIDE**2 - 1).all()


def test_blocks_follow_one_another_and_are_square():
    assert block_order(2, 4, 2).tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    assert sorted(block_order(4, 6, 2).tolist()) == list(range(24))


@pytest.mark.parametrize("kind", ["full", "multi-axis"])
def test_an_untrained_block_is_the_identity(kind):
    network, (x, context) = block(kind), inputs()
    initialise(network, generator(0))
    turns = turns_of(grid(ROWS, COLUMNS), WIDTH // HEADS)
    found = network(x, turns, EVERYTHING if kind == "full" else None, network.cross.read(context, seen()))
    assert torch.equal(found, x)


def test_turns_are_those_of_the_other_transformers():
    whole = GridRotary(8, text_length=5, rows=ROWS, columns=COLUMNS)
    keys = whole(torch.arange(6, 6 + CELLS))[1]  # of inputs that hold the tokens 0 … 23
    torch.testing.assert_close(turns_of(grid(ROWS, COLUMNS), 8), keys)
    text = whole(torch.arange(5))[1]
    torch.testing.assert_close(turns_of(line(5) - 6, 8), text)


def test_weights_are_counted():
    assert sum(p.numel() for p in block("multi-axis").parameters()) == block_weights(WIDTH, HEADS, INNER, crossed=True)
    plain = Block(WIDTH, HEADS, INNER)
    assert sum(p.numel() for p in plain.parameters()) == block_weights(WIDTH, HEADS, INNER, crossed=False)

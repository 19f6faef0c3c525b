"""Floating-point operations of the autoregressive model and of its drafters, counted from their configuration.

A product of [m, k] and [k, n] counts 2·m·k·n. All is for one picture without guidance; guidance computes everything
twice. Attention counts as it is computed: every input against every column of the static cache, those that the mask
removes included. Not counted, as usual: look-ups, norms, softmax, activations; nor what is computed once for all
pictures of a batch.
"""

from lib.models.autoregressive import AutoregressiveConfig


def blocks_flops(config: AutoregressiveConfig, inputs: int, columns: int, layers: int) -> int:
    """Transformer blocks over so many inputs, their keys among `columns`."""
    width, inner = config.width, config.feed_forward
    projections = 2 * inputs * 4 * width * width  # queries, keys, values, output
    attention = 2 * (2 * inputs * columns * width)  # scores and weighted sums, all heads together
    return layers * (projections + attention + 2 * inputs * 3 * width * inner)


def output_flops(config: AutoregressiveConfig, inputs: int) -> int:
    """The output layer."""
    return 2 * inputs * config.width * config.codes


def prefix_flops(config: AutoregressiveConfig, prefix: int, columns: int) -> int:
    """Level tokens and caption, which are run once a picture and predict nothing."""
    return blocks_flops(config, prefix, columns, config.layers)


def predict_flops(config: AutoregressiveConfig, inputs: int, columns: int) -> int:
    """One pass over so many slots."""
    return blocks_flops(config, inputs, columns, config.layers) + output_flops(config, inputs)


def eagle_flops(config: AutoregressiveConfig, inputs: int) -> int:
    """One call of the EAGLE-style drafter: features and tokens joined, one block, the model's output layer."""
    joined = 2 * inputs * 2 * config.width * config.width
    return joined + blocks_flops(config, inputs, config.length + 1, 1) + output_flops(config, inputs)


def medusa_flops(config: AutoregressiveConfig, heads: int) -> int:
    """One call of the Medusa-style heads: a residual layer and an output layer each, on one feature."""
    return heads * (2 * config.width * config.width + output_flops(config, 1))

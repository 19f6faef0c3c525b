"""Floating-point operations of DALL·E Mini, counted from its configuration."""

from lib.models.layout import DalleMiniConfig

BACKWARD = 2  # the backward pass of a product is two products of its size


def forward_flops(config: DalleMiniConfig) -> int:
    """Operations of the products of one teacher-forced pass over one caption and one picture, both at full length.

    A product of [m, k] and [k, n] counts 2·m·k·n. Attention counts as a plain implementation computes it, with all
    scores, also those that the causal mask or padding removes. Not counted, as usual: embeddings (look-ups), norms,
    softmax, activations, biases, the optimizer, the rows that a model pads its vocabulary with.
    """
    width, text, image = config.width, config.text_length, config.image_length

    def product(rows: int, inputs: int, outputs: int) -> int:
        return 2 * rows * inputs * outputs

    def attention(queries: int, keys: int) -> int:
        """Queries, output, keys, values; then scores and weighted sums, all heads together."""
        projections = 2 * product(queries, width, width) + 2 * product(keys, width, width)
        return projections + 2 * product(queries, width, keys)

    def feed_forward(rows: int) -> int:
        matrices = 3 if config.layout.gated else 2
        return matrices * product(rows, width, config.feed_forward)

    encoder = attention(text, text) + feed_forward(text)
    decoder = attention(image, image) + attention(image, text) + feed_forward(image)
    logits = product(image, width, config.codes + 1)
    return config.encoder_layers * encoder + config.decoder_layers * decoder + logits


def training_flops(config: DalleMiniConfig) -> int:
    """Operations of forward and backward pass over one caption and one picture, without recomputation."""
    return (1 + BACKWARD) * forward_flops(config)

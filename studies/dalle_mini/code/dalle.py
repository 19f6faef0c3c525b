"""Shapes of DALL·E and of the first DALL·E Mini: exact counts of parameters and operations, no networks.

Sources: DALL·E is Ramesh et al., "Zero-Shot Text-to-Image Generation", arXiv:2102.12092 (sections 2.2 and 2.3,
appendices B.1 and E.1, figures 10 and 11). The first DALL·E Mini (July 2021) is the one of "trained on a single TPU
v3-8 for only 3 days"; its layout is `dalle_mini/model.py` and `dev/seq2seq/run_seq2seq_flax.py` of
github.com/borisdayma/dalle-mini around a Hugging Face BART of the shape of `facebook/bart-large-cnn`. It is not the
model of 2022 with NormFormer placement, of which `lib.models.dalle_mini` is an implementation.

An operation (FLOP) is a multiplication or an addition, so a matrix product of [m, k] and [k, n] costs 2·m·k·n; what is
not a matrix product (softmax, norms, activations) is left out, as usual.
"""

from dataclasses import dataclass

from lib.errors import EaselError


@dataclass(frozen=True)
class DalleConfig:
    """DALL·E as the paper states it: one decoder-only stream of text, then image.

    Stated in the paper: every number here; a feed-forward of 4 × width and the matrices of a layer (Table 2:
    12 · width² in all); separate embeddings and "unembeddings", gains and biases (appendix E); a padding embedding for
    each text position (2.2); row and column embeddings for the image, start-of-text and start-of-image embeddings
    (figure 10).
    """

    layers: int = 64
    heads: int = 62
    head_width: int = 64
    feed_forward_multiple: int = 4
    text_vocabulary: int = 16_384
    text_length: int = 256
    codes: int = 8_192
    image_side: int = 32  # tokens; the picture has 256 × 256 pixels
    kernel: int = 11  # side of the convolutional attention pattern of the last layer
    text_reading: str = "left to right"
    training_pairs: int = 250_000_000
    printed_parameters: float = 12e9

    def __post_init__(self):
        if self.kernel % 2 == 0:
            raise EaselError(f"DALL·E: a convolutional pattern needs an odd kernel, not {self.kernel}.")

    @property
    def width(self) -> int:
        return self.heads * self.head_width

    @property
    def image_length(self) -> int:
        return self.image_side**2


@dataclass(frozen=True)
class FirstMiniConfig:
    """DALL·E Mini of July 2021: BART-large with an image vocabulary of its own on the decoder's side.

    text_positions, offset: BART's table of positions has 2 rows more than it has positions. text_length is
    `--max_source_length 128` of the July 2021 scripts (captions are padded to it). The image vocabulary and the image
    positions each have one row more, for BOS.
    """

    layers: int = 12  # in the encoder, and again in the decoder
    width: int = 1_024
    feed_forward: int = 4_096
    text_vocabulary: int = 50_264
    text_length: int = 128
    text_positions: int = 1_024
    offset: int = 2
    codes: int = 16_384
    image_length: int = 256
    text_reading: str = "both ways"
    training_pairs: int = 15_000_000


def dalle_parameters(config: DalleConfig) -> dict[str, int]:
    """Parameters of DALL·E by part; their sum is the model's.

    Assumed, since the paper does not say: biases in every dense layer but the output, a pre-LayerNorm with gain and
    bias before each half of a layer and one before the output (as in GPT-2 and the sparse transformer that the paper
    builds on), and one output matrix for the two vocabularies together. All of it is 0.1 % of the total.
    """
    width, inner = config.width, config.feed_forward_multiple * config.width
    layer = {
        "attention": 4 * (width * width + width),
        "feed-forward": 2 * width * inner + inner + width,
        "norms": 2 * 2 * width,
    }
    vectors = {
        "text embedding": config.text_vocabulary + 1,  # and start of text
        "text padding embedding": config.text_length,
        "text positions": config.text_length,
        "image embedding": config.codes + 1,  # and start of image
        "image rows and columns": 2 * config.image_side,
        "output": config.text_vocabulary + config.codes,
    }
    counts = {part: config.layers * count for part, count in layer.items()}
    counts["norms"] += 2 * width
    return counts | {part: count * width for part, count in vectors.items()}


def first_mini_parameters(config: FirstMiniConfig) -> dict[str, int]:
    """Parameters of the first DALL·E Mini by part; biases, post-LayerNorm and embedding norms are BART's."""
    width, norm = config.width, 2 * config.width
    attention = 4 * (width * width + width)
    feed_forward = 2 * width * config.feed_forward + config.feed_forward + width
    return {
        "text embedding": config.text_vocabulary * width,
        "text positions": (config.text_positions + config.offset) * width,
        "image embedding": (config.codes + 1) * width,
        "image positions": (config.image_length + 1 + config.offset) * width,
        "encoder": config.layers * (attention + feed_forward + 2 * norm) + norm,
        "decoder": config.layers * (2 * attention + feed_forward + 3 * norm) + norm,
        "output": (config.codes + 1) * (width + 1),
    }


def attended(config: DalleConfig, layer: int) -> int:
    """Pairs (query, key) that the mask of a layer (1 … layers) allows over the whole stream.

    Text sees earlier text and itself; every image token sees the whole text and itself, and of the earlier image: in
    row layers, the `image_side` tokens before it (figure 11a); in column layers, every fourth from the second on, those
    above it in its column; in the last layer, the causal half of a kernel × kernel patch (figure 11d). Rows and patches
    wrap around the sides, so that they are distances in raster order.
    """
    side, length, reach = config.image_side, config.image_length, config.kernel // 2
    if layer == config.layers:
        patch = {side * up + left for up in range(reach + 1) for left in range(-reach, reach + 1)}
        distances = {distance for distance in patch if 0 <= distance < length}
        image = sum(length - distance for distance in distances)
    elif layer % 4 == 2:
        image = side * (side * (side + 1) // 2)
    else:
        image = sum(length - distance for distance in range(side + 1))
    return config.text_length * (config.text_length + 1) // 2 + config.text_length * length + image


def dalle_forward_flops(config: DalleConfig) -> float:
    """Operations of one forward pass over one padded pair; attention counts the pairs that the masks allow.

    The output is counted as each position needs it: text positions predict text, image positions image.
    """
    width = config.width
    matrices = config.layers * (4 + 2 * config.feed_forward_multiple) * width * width
    output = width * (config.text_length * config.text_vocabulary + config.image_length * config.codes)
    pairs = sum(attended(config, layer) for layer in range(1, config.layers + 1))
    # Scores and weighted values: two products for each pair.
    return 2.0 * (matrices * (config.text_length + config.image_length) + output + 2 * pairs * width)


def first_mini_forward_flops(config: FirstMiniConfig) -> float:
    """Operations of one forward pass over one padded pair: [text_length] through the encoder, [image_length] beyond.

    Attention is dense, as BART computes it: masked scores cost what the others do.
    """
    width, text, image = config.width, config.text_length, config.image_length
    square, feed_forward = width * width, 2 * width * config.feed_forward
    encoder = text * (4 * square + feed_forward) + 2 * text * text * width
    own = image * 4 * square + 2 * image * image * width
    cross = (2 * image + 2 * text) * square + 2 * image * text * width
    decoder = own + cross + image * feed_forward
    return 2.0 * (config.layers * (encoder + decoder) + image * width * (config.codes + 1))

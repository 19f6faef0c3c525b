"""Image tokens in and out of a transformer, by what they look like: beside a vector of its own, a code has the vector
that its tokenizer gave it, so that codes of similar patches begin as similar ones.

VAR reads codes so (Tian et al. 2024, arXiv:2404.02905, whose `word_embed` is a linear map of the codebook). Here the
output layer does too, and both add what the network learns of each code alone. And what a cell takes in of the cells
around it, before attention has learned where those are. PyTorch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import EaselError

OWN = 0.1  # deviation of a code's own first vector, where the tokenizer's has 1
SHARPNESS = 4.0  # of the tokenizer's vectors in the output layer, whose distances are small


class CodeEmbedding(nn.Module):
    """Tokens 0 … codes − 1, and one more, such as the mask, which has no code → vectors.

    Args:
        vectors: the tokenizer's codebook, float [codes, K], of length about 1.
        width: of the network, D.
        generator: source of the first weights.
    """

    def __init__(self, vectors: Tensor, width: int, generator: torch.Generator):
        super().__init__()
        codes, depth = vectors.shape
        self.register_buffer("vectors", vectors.clone())
        self.own = nn.Parameter(torch.empty(codes + 1, width))
        self.project = nn.Linear(depth, width, bias=False)
        nn.init.normal_(self.own[:codes].data, std=OWN, generator=generator)
        nn.init.normal_(self.own[codes:].data, generator=generator)
        nn.init.normal_(self.project.weight, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 [...] → [..., D]."""
        return F.embedding(tokens, self.own + F.pad(self.project(self.vectors), (0, 0, 0, 1)))


class CodeHead(nn.Module):
    """Features → logits of codes; untrained, all are equal.

    Args:
        vectors: as of `CodeEmbedding`.
        width: of the features, D.
    """

    def __init__(self, vectors: Tensor, width: int):
        super().__init__()
        codes, depth = vectors.shape
        self.register_buffer("vectors", vectors.clone())
        self.weight = nn.Parameter(torch.zeros(codes, width))  # a code's own
        self.project = nn.Parameter(torch.zeros(depth, width))
        self.bias = nn.Parameter(torch.zeros(codes))

    def forward(self, features: Tensor) -> Tensor:
        """[..., D] → [..., codes]."""
        return F.linear(features, self.weight + SHARPNESS * self.vectors @ self.project, self.bias)


def codebook(vectors: Tensor | None, codes: int, depth: int) -> Tensor:
    """A tokenizer's codebook, checked; None: zeros in its place, until weights are loaded.

    Raises:
        EaselError: one of another shape than [codes, depth].
    """
    if vectors is None:
        return torch.zeros(codes, depth)
    if vectors.shape != (codes, depth):
        raise EaselError(f"the codebook has the shape {list(vectors.shape)}, must be [{codes}, {depth}].")
    return vectors


def code_weights(codes: int, depth: int, width: int) -> int:
    """Parameters of an embedding and a head together."""
    return (2 * codes + 1) * width + 2 * depth * width + codes


class Neighbours(nn.Module):
    """What a cell takes in of the 3 × 3 cells around it and itself, nothing beyond the edge: a convolution over a grid.

    Attention has to learn first where a cell's neighbours are. (Convolutions that tell a transformer of places: Chu et
    al. 2021, arXiv:2102.10882.)

    Args:
        width: of the cells, D.
        rows, columns: of the grid.
        generator: source of the first weights.
    """

    def __init__(self, width: int, rows: int, columns: int, generator: torch.Generator):
        super().__init__()
        self.rows, self.columns = rows, columns
        self.near = nn.Linear(9 * width, width, bias=False)
        nn.init.normal_(self.near.weight, std=(9 * width) ** -0.5, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Cells in reading order, [B, N, D] → [B, N, D]."""
        framed = F.pad(x.unflatten(1, (self.rows, self.columns)), (0, 0, 1, 1, 1, 1))  # → [B, h + 2, w + 2, D]
        around = framed.unfold(1, self.rows, 1).unfold(2, self.columns, 1)  # → [B, 3, 3, D, h, w]
        return self.near(around.permute(0, 4, 5, 1, 2, 3).flatten(3).flatten(1, 2))  # → [B, N, 9D] → [B, N, D]


def neighbour_weights(width: int) -> int:
    """Parameters of a `Neighbours`."""
    return 9 * width * width

"""Vector quantizer: codes on the unit sphere, moved by exponential averages instead of a loss.

The straight-through estimator and the commitment term are those of VQ-VAE (van den Oord et al. 2017,
arXiv:1711.00937, equation 3, with the averages of its appendix A.1), low-dimensional codes of length one those of
ViT-VQGAN (Yu et al. 2021, arXiv:2110.04627, section 3.2).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Quantizer(nn.Module):
    """A codebook of `codes` unit vectors in `width` dimensions.

    Args:
        codes: size of the vocabulary of image tokens.
        width: dimensions of a code.
        decay: of the averages; what a code was taught n updates ago counts decay**n.
        dead_share: a code drawn fewer than this share of the average number of times counts as dead.
    """

    def __init__(self, codes: int, width: int, decay: float = 0.99, dead_share: float = 0.1):
        super().__init__()
        self.decay, self.dead_share = decay, dead_share
        # Nothing has been counted yet, so every code is dead and the first update takes all of them from the data.
        self.register_buffer("codebook", F.normalize(torch.ones(codes, width), dim=1))
        self.register_buffer("counts", torch.zeros(codes))  # average number of vectors an update assigns to the code
        self.register_buffer("sums", torch.zeros(codes, width))  # average sum of those vectors

    def nearest(self, vectors: Tensor) -> Tensor:
        """Index of the code closest to each unit vector: float [..., width] → int64 [...]."""
        cosines = vectors.detach() @ self.codebook.T  # → [..., codes]; the closest on the sphere has the largest
        if cosines.device.type == "cpu":  # where NumPy finds it three times as fast as torch
            return torch.from_numpy(cosines.numpy().argmax(axis=-1))
        return cosines.argmax(dim=-1)

    def lookup(self, tokens: Tensor) -> Tensor:
        """Codes of tokens: int64 [...] → float [..., width]."""
        return F.embedding(tokens, self.codebook)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Replaces unit vectors, float [..., width], by their codes.

        Returns:
            The codes, float [..., width], whose gradient passes to `vectors` unchanged; the tokens, int64 [...]; the
            commitment term, a scalar, the mean squared distance of a vector to its code, which moves `vectors` alone.
        """
        tokens = self.nearest(vectors)
        codes = self.lookup(tokens)
        commitment = (vectors - codes).square().sum(dim=-1).mean()
        return vectors + (codes - vectors).detach(), tokens, commitment

    @torch.no_grad()
    def update(self, vectors: Tensor, tokens: Tensor) -> None:
        """Moves the codes towards the unit vectors [n, width] that were assigned to them, int64 [n]."""
        self.counts.lerp_(torch.bincount(tokens, minlength=len(self.counts)).to(self.counts), 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, tokens, vectors), 1 - self.decay)
        moved = F.normalize(self.sums, dim=1)
        # A code that has not been used at all keeps its place: its sum is zero and points nowhere.
        self.codebook.copy_(torch.where(self.sums.norm(dim=1, keepdim=True) > 1e-8, moved, self.codebook))

    @torch.no_grad()
    def revive(self, vectors: Tensor, generator: torch.Generator) -> int:
        """Puts each dead code on one of the unit vectors [n, width], and returns how many there were.

        The vectors are drawn as k-means++ draws its centres (Arthur and Vassilvitskii 2007): with a chance in
        proportion to their squared distance to the nearest code that lives, so that codes go where they are missing.
        """
        share = len(vectors) / len(self.counts)
        dead = self.counts < self.dead_share * share
        number = int(dead.sum())
        if number == 0:
            return 0
        chance = torch.ones(len(vectors))
        if number < len(self.counts):
            chance = (1 - (vectors @ self.codebook[~dead].T).amax(dim=1)).clamp_min(1e-6).cpu()
        drawn = vectors[torch.multinomial(chance, number, replacement=True, generator=generator).to(vectors.device)]
        self.codebook[dead] = drawn
        # As if the code had been in use at twice the limit: an update or many of grace, according to how useful it is.
        self.counts[dead] = 2 * self.dead_share * share
        self.sums[dead] = 2 * self.dead_share * share * drawn
        return number


def usage(tokens: np.ndarray, codes: int) -> dict[str, float]:
    """How much of a vocabulary of `codes` the tokens (integers, any shape) use.

    Returns:
        `code_use`, the share of codes that occur at all; `entropy_bits` of the distribution of single tokens;
        `perplexity`, 2 to that power: the number of equally frequent codes with the same entropy.
    """
    counts = np.bincount(tokens.ravel(), minlength=codes)
    shares = counts[counts > 0] / tokens.size
    entropy = float(-(shares * np.log2(shares)).sum())
    return {"code_use": float((counts > 0).mean()), "entropy_bits": entropy, "perplexity": 2**entropy}

"""Residual quantisation over scales: a grid of vectors as token maps, from one token for all of it to one a cell (VAR,
Tian et al. 2024, arXiv:2404.02905, section 3.2, algorithms 1 and 2).

At every scale the grid's residual, what the coarser scales have left of it, is averaged over the cells of the scale,
each average replaced by its nearest code, and the codes, enlarged and smoothed, are taken from the residual. Their sum
over the scales is what a decoder sees. One codebook serves all scales.

As in VAR's code, codes may have any length (a residual says how much is missing, not only where; next to nothing is a
code as well), and the smoothing is φ(h) = h / 2 + convolution(h) / 2. What is done otherwise here:

- Codes are moved by exponential averages, as those of lib/models/quantizer.py are, instead of a loss. A vector of a
  scale of n × n cells weighs 1 / n², so that all scales have the same say, as they have in VAR's loss.
- Use is counted by scale, and a code is dead if it is at every one of them: one that the coarsest scale alone needs is
  drawn once a picture, and would not live beside those that the finest draws dozens of times.
- φ has a convolution for each scale, which starts as the identity; VAR's ten scales share four.
- The pixels' gradient reaches φ as well; VAR's stops at the sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import EaselError
from lib.models.quantizer import usage


@dataclass(frozen=True)
class Quantized:
    """A batch of grids and what became of it, scale by scale.

    Attributes:
        maps: tokens, int64 [B, n, n] of every scale.
        residuals: what each of them stands for, float [B, n, n, d], without a gradient.
        totals: sums of the codes up to and with each scale, float [B, h, w, d]; their gradient reaches φ alone.
    """

    maps: list[Tensor]
    residuals: list[Tensor]
    totals: list[Tensor]


class MultiScaleQuantizer(nn.Module):
    """A codebook of `codes` vectors in `width` dimensions, and the way between grids and token maps.

    Tokens of a picture stand in one row, scale after scale, each in reading order.

    Args:
        scales: cells of a token map in each direction, rising from 1; the last one's are those of the grid.
        codes: size of the vocabulary.
        width: dimensions of a code.
        decay: of the averages; what a code was taught n updates ago counts decay**n.
        dead_share: a code drawn at every scale fewer than this share of the average number of times counts as dead.

    Raises:
        EaselError: scales that do not rise from 1.
    """

    def __init__(self, scales: Sequence[int], codes: int, width: int, decay: float = 0.99, dead_share: float = 0.1):
        super().__init__()
        self.scales, self.decay, self.dead_share = check_scales(scales), decay, dead_share
        # Nothing has been counted yet, so every code is dead and the first revival takes all of them from the data.
        self.register_buffer("codebook", torch.zeros(codes, width))
        # Average number of vectors that an update assigns to the code, by scale, each with its weight.
        self.register_buffer("counts", torch.zeros(len(self.scales), codes))
        self.register_buffer("sums", torch.zeros(codes, width))  # average sum of those vectors
        self.smoothing = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in self.scales)
        for convolution in self.smoothing:
            nn.init.dirac_(convolution.weight)
            nn.init.zeros_(convolution.bias)

    @property
    def side(self) -> int:
        """Cells of the grid in each direction."""
        return self.scales[-1]

    def nearest(self, vectors: Tensor) -> Tensor:
        """Index of the code closest to each vector: float [..., width] → int64 [...]."""
        lengths = self.codebook.square().sum(dim=1)  # [codes]
        closeness = torch.addmm(-lengths / 2, vectors.detach().flatten(0, -2), self.codebook.T)  # [n, codes]
        if closeness.device.type == "cpu":  # where NumPy finds it three times as fast as torch
            return torch.from_numpy(closeness.numpy().argmax(axis=1)).view(vectors.shape[:-1])
        return closeness.argmax(dim=1).view(vectors.shape[:-1])

    def enlarged(self, tokens: Tensor, scale: int) -> Tensor:
        """What the codes of a token map [B, n, n], number `scale`, add to the grid: float [B, d, h, w]."""
        codes = F.embedding(tokens, self.codebook).permute(0, 3, 1, 2)  # → [B, d, n, n]
        if tokens.shape[1] < self.side:
            codes = F.interpolate(codes, size=(self.side, self.side), mode="bicubic")  # → [B, d, h, w]
        return (codes + self.smoothing[scale](codes)) / 2

    def forward(self, vectors: Tensor) -> Quantized:
        """Quantizes grids of vectors, float [B, h, w, d].

        Raises:
            EaselError: grids of another size.
        """
        self._check_grid(vectors)
        target = vectors.detach().permute(0, 3, 1, 2)  # → [B, d, h, w]
        total, maps, residuals, totals = torch.zeros_like(target), [], [], []
        for scale, side in enumerate(self.scales):
            residual = shrunk(target - total.detach(), side)  # [B, n, n, d]
            tokens = self.nearest(residual)
            total = total + self.enlarged(tokens, scale)
            maps.append(tokens)
            residuals.append(residual)
            totals.append(total.permute(0, 2, 3, 1))
        return Quantized(maps, residuals, totals)

    @torch.no_grad()
    def encode(self, vectors: Tensor) -> list[Tensor]:
        """Token maps of grids float [B, h, w, d]: int64 [B, n, n] for every scale."""
        return self(vectors).maps

    def totals(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Sums of the codes up to and with each of the first token maps, int64 [B, n, n]: float [B, d, h, w]."""
        found: list[Tensor] = []
        for scale, tokens in enumerate(maps):
            added = self.enlarged(tokens, scale)
            found.append(found[-1] + added if found else added)
        return found

    @torch.no_grad()
    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """The grid that the first token maps stand for, one or more of them: int64 [B, n, n] → float [B, h, w, d]."""
        return self.totals(maps)[-1].permute(0, 2, 3, 1)

    @torch.no_grad()
    def inputs(self, tokens: Tensor) -> Tensor:
        """What a next-scale model is shown for every scale but the first: the sum of all coarser ones, averaged over
        the cells of the scale.

        Args:
            tokens: of the first scales, int64 [B, n]; of all but the last for a whole picture.

        Returns:
            float [B, N, d], of the second scale, the third, …, the one that follows the tokens.
        """
        found = [
            shrunk(total, self.scales[scale + 1]).flatten(1, 2)  # [B, n, n, d] → [B, n², d]
            for scale, total in enumerate(self.totals(split_scales(tokens, self.scales)))
        ]
        return torch.cat(found, dim=1) if found else self.codebook.new_zeros(len(tokens), 0, self.codebook.shape[1])

    @torch.no_grad()
    def known_tokens(self, vectors: Tensor, known: Tensor, tokens: Tensor, least: float = 0.5) -> Tensor:
        """Tokens of the next scale of a picture of which some cells are known: in- and outpainting without training
        for it.

        A token stands for what its known cells still lack, given the coarser tokens as they were drawn. So nothing of
        the hidden cells is told, as the tokens of the whole picture would, and what is known comes out right whatever
        was drawn before.

        Args:
            vectors: of the picture, float [B, h, w, d]; what they are in hidden cells has no effect.
            known: bool [B, h, w].
            tokens: of the coarser scales, int64 [B, n].
            least: share of a token's cells that must be known, above 0; a token with fewer is not known.

        Returns:
            int64 [B, n²], −1 for tokens that are to be drawn.
        """
        self._check_grid(vectors)
        maps = split_scales(tokens, self.scales)
        missing = vectors - self.decode(maps) if maps else vectors
        seen = known.unsqueeze(3).to(vectors)  # [B, h, w, 1]
        side = self.scales[len(maps)]
        both = torch.cat([torch.where(known.unsqueeze(3), missing, 0), seen], dim=3).permute(0, 3, 1, 2)
        sums, share = shrunk(both, side).split([vectors.shape[3], 1], dim=3)  # [B, n, n, d], [B, n, n, 1]
        found = self.nearest(sums / share.clamp(min=1e-6))
        return torch.where(share[..., 0] >= least, found, -1).flatten(1)

    @torch.no_grad()
    def update(self, found: Quantized) -> None:
        """Moves the codes towards the vectors that were assigned to them."""
        codes, sums = len(self.codebook), torch.zeros_like(self.sums)
        for count, tokens, residual, side in zip(self.counts, found.maps, found.residuals, self.scales, strict=True):
            count.lerp_(torch.bincount(tokens.flatten(), minlength=codes).to(count) / side**2, 1 - self.decay)
            sums.index_add_(0, tokens.flatten(), residual.flatten(0, 2) / side**2)
        self.sums.lerp_(sums, 1 - self.decay)
        total = self.counts.sum(dim=0).unsqueeze(1)  # [codes, 1]
        # A code that has not been used at all keeps its place.
        self.codebook.copy_(torch.where(total > 1e-8, self.sums / total, self.codebook))

    @torch.no_grad()
    def revive(self, found: Quantized, generator: torch.Generator) -> int:
        """Puts each dead code on one of the residuals, and returns how many there were.

        They are drawn as lib/models/quantizer.py draws its vectors, and every scale with the same chance.
        """
        limit = self.dead_share * len(found.maps[0]) / len(self.codebook)
        dead = (self.counts < limit).all(dim=0)
        number = int(dead.sum())
        if number == 0:
            return 0
        vectors = torch.cat([residual.flatten(0, 2) for residual in found.residuals])  # [n, d]
        scale = torch.cat([torch.full((tokens.numel(),), k) for k, tokens in enumerate(found.maps)])  # [n]
        chance = torch.tensor(self.scales, dtype=torch.float)[scale] ** -2
        if number < len(self.codebook):
            living = self.codebook[~dead]
            chance = chance * torch.cdist(vectors, living).amin(dim=1).square().clamp_min(1e-6).cpu()
        drawn = torch.multinomial(chance, number, replacement=True, generator=generator)
        self.codebook[dead] = vectors[drawn.to(vectors.device)]
        # As if the code had been in use at twice the limit, at the scale of its vector: updates of grace.
        self.counts[:, dead] = 2 * limit * F.one_hot(scale[drawn], len(self.scales)).T.to(self.counts)
        self.sums[dead] = 2 * limit * self.codebook[dead]
        return number

    def _check_grid(self, vectors: Tensor) -> None:
        if vectors.shape[1:3] != (self.side, self.side):
            rows, columns = vectors.shape[1:3]
            raise EaselError(
                f"a grid of {rows}×{columns} vectors cannot be quantized; the finest scale has {self.side}×{self.side}."
            )


def check_scales(scales: Sequence[int]) -> tuple[int, ...]:
    """Scales as they should be: two or more, rising from 1. Raises EaselError."""
    if len(scales) < 2 or scales[0] != 1 or any(here >= there for here, there in pairwise(scales)):
        raise EaselError(f"scales must be two or more, rising from 1, not {', '.join(map(str, scales))}.")
    return tuple(scales)


def shrunk(grid: Tensor, side: int) -> Tensor:
    """Averages of a grid [B, d, h, w] over the cells of a coarser one: [B, n, n, d]."""
    return F.adaptive_avg_pool2d(grid, side).permute(0, 2, 3, 1)


def split_scales(tokens: Tensor, scales: Sequence[int]) -> list[Tensor]:
    """A row of tokens of the first scales, int64 [B, n], as token maps [B, n, n].

    Raises:
        EaselError: tokens that do not end with a scale.
    """
    sizes = [side**2 for side in scales]
    count = next((count for count in range(len(sizes) + 1) if sum(sizes[:count]) == tokens.shape[1]), None)
    if count is None:
        raise EaselError(f"{tokens.shape[1]} tokens do not end with a scale; scales have {', '.join(map(str, sizes))}.")
    parts = tokens.split(sizes[:count], dim=1)
    return [part.unflatten(1, (side, side)) for part, side in zip(parts, scales, strict=False)]


def join_scales(maps: Sequence[Tensor]) -> Tensor:
    """Token maps [B, n, n] as one row of tokens [B, n]."""
    return torch.cat([tokens.flatten(1) for tokens in maps], dim=1)


def usage_by_scale(tokens: np.ndarray, scales: Sequence[int], codes: int) -> list[dict[str, float]]:
    """How much of the vocabulary each scale uses: `usage` of tokens, integers [pictures, N]."""
    ends = np.cumsum(np.square(scales))
    return [usage(part, codes) for part in np.split(tokens, ends[:-1], axis=1)]

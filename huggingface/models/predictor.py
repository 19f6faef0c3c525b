"""What decoders see of an autoregressive image model of transformers: the interface `Predictor` and, for SJD2 and
drafters, `EmbeddedPredictor` and `FeaturePredictor` of lib/decoding/predictor.py.

The class's own `forward` and `generate` are passed by: its backbone is called with embeddings, positions, a mask and a
cache of ours. So a pass looks at as many slots as it likes, rows have their own pace, and guidance is one batch.
"""

import math
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from huggingface.models.cache import WindowCache, cache_argument
from huggingface.models.family import Family
from huggingface.models.layout import Layout
from huggingface.models.levels import level_tokens, spread
from huggingface.models.prompts import Prompts, seen_among
from lib.errors import EaselError
from lib.models.autoregressive_predictor import Sampling, by_row


class HFPredictor:
    """`Predictor` of one batch of prompts.

    End-of-line tokens are read in the pass that reads the token before them: the window's inputs go into the network
    with the line ends among them behind, each at its own place, and a slot that begins a line is predicted from the
    line end. What is seen follows from places alone: a query sees the prompt and all places up to its own. So what an
    earlier call left further right has no effect, and a row rolls back by calling again with a smaller start.

    The cache has a column for every level token (huggingface/models/levels.py) and for every token of the prompt but
    the last, then one for every place before the last slot, and one for inputs past the end, which no other input sees.
    Rows that are complete leave.

    Args:
        prompts: of the pictures; the last token of each is the decoders' BOS.
        unconditional: what guidance is away from; only guidance reads it.
        layout: of a picture.
        times: of the noise levels 1 … T, float [T], for SJD2; None where no input is noisy. A model that was tuned to
            read noise is told them by level tokens.

    Attributes:
        present: int64 [P], which of the `rows` have not left.

    Raises:
        EaselError: guidance with no unconditional prompts, or not as many.
    """

    def __init__(
        self,
        family: Family,
        prompts: Prompts,
        layout: Layout,
        sampling: Sampling | None = None,
        unconditional: Prompts | None = None,
        times: Tensor | None = None,
    ):
        self.family, self.layout, self.sampling = family, layout, sampling or Sampling()
        self.rows, self.length, self.codes = len(prompts.ids), layout.length, len(family.ids)
        if self.sampling.copies == 2:
            if unconditional is None or len(unconditional.ids) != self.rows:
                given = "none" if unconditional is None else len(unconditional.ids)
                raise EaselError(
                    f"guidance {self.sampling.guidance:g} needs an unconditional prompt a picture: {self.rows}, not "
                    f"{given}."
                )
            prompts = prompts.above(unconditional)
        device = family.table().device
        self.times = None if times is None else times.to(device)
        self.present = torch.arange(self.rows, device=device)
        self._tables(device)
        self._fill(prompts.to(device))

    @torch.no_grad()
    def _tables(self, device: torch.device) -> None:
        """What follows from layout and weights."""
        layout = self.layout
        slots, starts, ends = (table.to(device) for table in (layout.slots, layout.line_starts, layout.line_ends))
        # Of the input that predicts each slot: slot s − 1, or BOS at place 0. The last slot is no input, its place that
        # of inputs past the end.
        self.input_places = F.pad(slots, (1, 0))  # [length + 1]
        self.past = int(slots[-1])
        self.line_starts, self.line_ends = F.pad(starts, (0, 1), value=2**40), F.pad(ends, (0, 1), value=self.past)
        self.begins_line = torch.zeros(self.length + 1, dtype=torch.bool, device=device)
        self.begins_line[starts] = True
        self.offsets = self.family.offsets(layout).to(device)  # [axes, places]
        self.head = self.family.head()
        self.table = self.family.codes()  # [V, D]

    @torch.no_grad()
    def _fill(self, prompts: Prompts) -> None:
        """Reads the prompts but for their last tokens."""
        vectors = F.embedding(prompts.ids, self.family.table())  # [R, P, D]
        self.bos, self.count = vectors[:, -1:], prompts.real.sum(dim=1)  # [R, 1, D], [R]
        self.real = prompts.real[:, :-1]  # [R, prompt columns]
        told = self.times is not None and self.family.tuned is not None
        levels = level_tokens(self.times, *self._spread).to(vectors.dtype) if told else vectors[0, :0]  # [T, D]
        self.levels = torch.arange(1, len(levels) + 1, device=vectors.device)  # [T]
        self.before = len(levels) + self.real.shape[1]
        self.places = torch.arange(self.past + 1, device=vectors.device)
        self.cache = WindowCache(self.before + len(self.places))
        if self.before:
            order = torch.arange(self.before, device=vectors.device)
            rows, count = len(vectors), len(levels)
            vectors = torch.cat([levels.expand(rows, -1, -1), vectors[:, :-1]], dim=1)  # [R, T + prompt, D]
            seen = F.pad(seen_among(self.real, count), (0, len(self.places)))  # [R, T + prompt, columns]
            positions = torch.cat([self.count[:, None].expand(-1, count) - 1, prompts.positions()[:, :-1]], dim=1)
            self._forward(vectors, positions.expand(len(self.offsets), -1, -1), seen, order.expand(rows, -1))

    @torch.no_grad()
    def predict(self, inputs: Tensor, start: Tensor) -> Tensor:
        """Log-probabilities of the codes at slots start … start + W − 1, sampling settings applied.

        Args:
            inputs: int64 [B, W], the codes at slots start − 1 … start + W − 2, BOS at slot −1.
            start: int64 [B]; `length` or more for a row that is complete, now and in every later call.

        Returns:
            float32 [B, W, codes]. Slots past the end are meaningless.
        """
        return self.predict_features(inputs, start)[0]

    @torch.no_grad()
    def predict_features(self, inputs: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """As `predict`, and what the head read: [B, W, copies, D], with guidance the conditional copy first."""
        self._leave(start)
        vectors = F.embedding(inputs[self.present].clamp(max=self.codes - 1), self.table)
        features = self._run(vectors, start[self.present])
        log_p = self.sampling(self.head(features))
        return self._of_all(log_p, -math.log(self.codes)), self._of_all(by_row(features, self.sampling.copies), 0.0)

    @torch.no_grad()
    def predict_embedded(self, inputs: Tensor, start: Tensor, levels: Tensor) -> Tensor:
        """As `predict`, from standardized embeddings float [B, W, D] at noise levels int64 [B, W], 0 for clean."""
        self._leave(start)
        deviation, mean = self._spread
        vectors = (inputs[self.present] * deviation + mean).to(self.table.dtype)
        features = self._run(vectors, start[self.present], levels[self.present])
        return self._of_all(self.sampling(self.head(features)), -math.log(self.codes))

    @cached_property
    def _spread(self) -> tuple[Tensor, Tensor]:
        """Deviation and mean of the codes' embeddings, float32 [D] each."""
        return spread(self.table)

    @cached_property
    def embeddings(self) -> Tensor:
        """Standardized embeddings of all codes and BOS, float32 [V + 1, D]; made when SJD2 asks for them.

        BOS is another token in every prompt: whatever embedding it is given here, `_run` puts in its own.
        """
        deviation, mean = self._spread
        return F.pad((self.table.float() - mean) / deviation, (0, 0, 0, 1))

    def embed(self, tokens: Tensor) -> Tensor:
        """Standardized embeddings of codes [B, …], BOS among them → float32 [B, …, D]: each dimension has mean 0 and
        deviation 1 over the codes (SJD2, arXiv:2510.08994, equation 4)."""
        return F.embedding(tokens, self.embeddings)

    def nearest(self, vectors: Tensor) -> Tensor:
        """The codes whose standardized embeddings point most nearly where vectors [..., D] do, by cosine as in SJD2
        (section 4.2): int64 [...]. BOS is not among them."""
        return (vectors @ F.normalize(self.embeddings[: self.codes], dim=1).T).argmax(dim=-1)

    def _run(self, vectors: Tensor, start: Tensor, levels: Tensor | None = None) -> Tensor:
        """The network but for its head, [copies · P, W, D], all conditional rows first; fills the cache.

        Of the P rows that are present.

        Args:
            vectors: embeddings m of the inputs, [P, W, D].
            start: of the slots that they predict, int64 [P].
            levels: noise levels of the inputs, int64 [P, W]; None if all are clean.
        """
        copies, width = self.sampling.copies, vectors.shape[1]
        slots = (start[:, None] + torch.arange(width, device=start.device)).clamp(max=self.length)  # [P, W]
        places, read_at = self.input_places[slots], torch.arange(width, device=start.device).expand_as(slots)
        levels = torch.zeros_like(slots) if levels is None else levels
        vectors = vectors.repeat(copies, 1, 1)  # [R, W, D]
        vectors = torch.where((places == 0).repeat(copies, 1)[..., None], self.bos, vectors)
        if lines := self._lines(width):
            first = torch.searchsorted(self.line_starts, start)[:, None]  # [P, 1], first line that may begin here
            line = (first + torch.arange(lines, device=start.device)).clamp(max=len(self.line_starts) - 1)  # [P, E]
            begins = self.line_starts[line] < start[:, None] + width
            places = torch.cat([places, torch.where(begins, self.line_ends[line], self.past)], dim=1)  # [P, W + E]
            own = width + torch.searchsorted(self.line_starts, slots) - first
            read_at = torch.where(self.begins_line[slots], own, read_at)
            line_end = self.family.table()[self.layout.end_of_line]
            vectors = torch.cat([vectors, line_end.expand(len(vectors), lines, -1)], dim=1)  # [R, W + E, D]
            levels = F.pad(levels, (0, lines))  # [P, W + E]
        places, read_at = places.repeat(copies, 1), read_at.repeat(copies, 1)
        own_level = levels.repeat(copies, 1)[..., None] == self.levels  # [R, W + E, T]
        visible = self.places <= places[..., None]  # [R, W + E, place columns]
        seen = torch.cat([own_level, self.real[:, None].expand(-1, places.shape[1], -1), visible], dim=-1)
        positions = self.count[:, None] + self.offsets[:, places]  # [axes, R, W + E]
        features = self._forward(vectors, positions, seen, self.before + places)
        return features.gather(1, read_at[..., None].expand(-1, -1, features.shape[-1]))  # [R, W, D]

    def _lines(self, width: int) -> int:
        """How many lines can begin within so many slots."""
        narrowest = min(columns for _, columns in self.layout.grids)
        return min(len(self.line_starts) - 1, -(-width // narrowest))

    def _forward(self, vectors: Tensor, positions: Tensor, seen: Tensor, columns: Tensor) -> Tensor:
        """The backbone on embeddings [R, Q, D] at positions [axes, R, Q]; what it wrote goes to cache `columns` [R, Q].

        Args:
            seen: bool [R, Q, columns]. Added to the scores, which every kind of attention here takes.
        """
        if not len(vectors):  # all rows have left, and attention cannot do with none
            return vectors
        self.cache.columns = columns
        mask = torch.zeros(seen.shape, dtype=vectors.dtype, device=seen.device)
        mask = mask.masked_fill_(~seen, torch.finfo(vectors.dtype).min)[:, None]  # [R, 1, Q, columns]
        backbone = self.family.backbone
        return backbone(
            inputs_embeds=vectors,
            position_ids=positions if len(positions) > 1 else positions[0],
            attention_mask=mask,
            use_cache=True,
            **{cache_argument(backbone): self.cache},
        ).last_hidden_state

    def _leave(self, start: Tensor) -> None:
        """Drops the rows that are complete according to `start`, int64 [B]. Waits for the device, once a pass."""
        stays = start[self.present] < self.length  # [P]
        if not stays.all():
            self.present = self.present[stays]
            kept = stays.repeat(self.sampling.copies).nonzero().squeeze(1)  # rows of the network
            self.bos, self.count, self.real = self.bos[kept], self.count[kept], self.real[kept]
            self.cache.keep(kept)

    def _of_all(self, values: Tensor, absent: float) -> Tensor:
        """Values of the rows that are present, [P, …] → [B, …], with `absent` for those that have left."""
        if len(values) == self.rows:
            return values
        return values.new_full((self.rows, *values.shape[1:]), absent).index_copy_(0, self.present, values)

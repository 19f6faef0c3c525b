"""What decoders see of an autoregressive model: windows of tokens in, log-probabilities out.

Caption, guidance, temperature, top-k and the cache of keys and values are in here. The interface is `Predictor` of
lib/decoding/predictor.py.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import EaselError
from lib.models.autoregressive import Autoregressive
from lib.models.transformer import Cache


class Sampling:
    """From logits to the distribution that is drawn from, in this order:

    1. classifier-free guidance on logits: uncond + guidance · (cond − uncond);
    2. division by the temperature; 0 leaves only the most likely token, the first of several;
    3. top-k; tokens exactly as likely as the least likely one that stays, stay too.

    Args:
        guidance: 1 needs no unconditional logits.
        top_k: 0 switches it off.

    Raises:
        EaselError: a setting outside its range.
    """

    def __init__(self, guidance: float = 1.0, temperature: float = 1.0, top_k: int = 0):
        if not (guidance >= 0 and temperature >= 0 and top_k >= 0 and top_k == int(top_k)):
            raise EaselError(
                "sampling needs guidance ≥ 0, temperature ≥ 0 and a whole top_k ≥ 0 (0: off), "
                f"not {guidance}, {temperature} and {top_k}."
            )
        self.guidance, self.temperature, self.top_k = guidance, temperature, int(top_k)

    @property
    def copies(self) -> int:
        """Rows of the network for each picture: 2 with guidance."""
        return 1 if self.guidance == 1 else 2

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits [copies · B, …, codes], all conditional rows before the unconditional → log-probabilities float32
        [B, …, codes]."""
        logits = logits.float()
        if self.copies == 2:
            conditional, unconditional = logits.chunk(2)
            logits = unconditional + self.guidance * (conditional - unconditional)
        if self.temperature == 0:
            return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).float().log()
        logits = logits / self.temperature
        if 0 < self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[..., -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        return logits.log_softmax(dim=-1)


class AutoregressivePredictor:
    """`Predictor` of one batch of captions, and what SJD2 and drafters need besides.

    The cache has one column for each level token, caption token and image input, and one for inputs past the end of a
    picture, which no other input sees. A query sees the image columns up to its own, so what an earlier call left
    further right, a draft that was given up, has no effect: a row rolls back by calling again with a smaller start.

    Rows that are complete leave: once a call gives one a start of `length` or more, the network does not compute it and
    the cache does not hold it any longer.

    Args:
        text_ids: captions, int64 [B, S], padded at the end.
        empty: the empty caption, int64 [S]; only guidance reads it.
        times: of the noise levels 1 … T, float [T], as `lib.decoding.noise_levels.levels` gives them without its first;
            None for a model that sees no noise.

    Attributes:
        present: int64 [P], which of the `rows` have not left.
        text_ids: captions of those that are present, int64 [copies · P, S], all conditional rows first.

    Raises:
        EaselError: captions longer than the model was made for, or one that is padding alone.
    """

    def __init__(
        self,
        model: Autoregressive,
        text_ids: Tensor,
        empty: Tensor,
        sampling: Sampling | None = None,
        times: Tensor | None = None,
    ):
        config, self.model, self.sampling = model.config, model, sampling or Sampling()
        if text_ids.shape[1] > config.text_length:
            raise EaselError(f"the model reads captions of up to {config.text_length} tokens, got {text_ids.shape[1]}.")
        if self.sampling.copies == 2:
            text_ids = torch.cat([text_ids, empty.expand_as(text_ids)])  # [B, S] → [2B, S]
        if bool((text_ids == config.text_padding).all(dim=1).any()):
            raise EaselError("the model was given a caption without a token (padding alone).")
        device = model.head.weight.device
        self.text_ids = text_ids.to(device)
        self.times = None if times is None else times.to(device)
        self.length, self.codes = config.length, config.codes
        self.rows = len(text_ids) // self.sampling.copies
        self.present = torch.arange(self.rows, device=device)
        self._fill()

    @torch.no_grad()
    def _fill(self) -> None:
        """What is the same for all calls: standardized embeddings; keys and values of level tokens and caption."""
        model, config = self.model, self.model.config
        self.embeddings = model.standardize(model.image_tokens.weight)  # [codes + 1, D]
        x, turns, mask = model.prefix(self.text_ids, self.times)
        rows, self.before = x.shape[:2]
        self.slots = torch.arange(self.length + 1, device=x.device)  # the last one is for inputs past the end
        count = self.before + len(self.slots)
        self.caches = [Cache(rows, config.heads, count, config.width // config.heads, x) for _ in model.blocks]
        mask = F.pad(mask, (0, len(self.slots)))
        columns = torch.arange(self.before, device=x.device).expand(rows, -1)  # [R, P]
        for block, cache in zip(model.blocks, self.caches, strict=True):
            x = block(x, turns, mask, cache, columns)

    @torch.no_grad()
    def predict(self, inputs: Tensor, start: Tensor) -> Tensor:
        """Log-probabilities of the tokens at slots start … start + W − 1, sampling settings applied.

        Args:
            inputs: int64 [B, W], the tokens at slots start − 1 … start + W − 2, BOS at slot −1.
            start: int64 [B]; `length` or more for a row that is complete, now and in every later call.

        Returns:
            float32 [B, W, codes]. Slots past the end are meaningless.
        """
        return self.predict_features(inputs, start)[0]

    @torch.no_grad()
    def predict_features(self, inputs: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """As `predict`, and what the output layer read: [B, W, copies, D], with guidance the conditional copy first."""
        self.leave(start)
        slots = self.window(start[self.present], inputs.shape[1])
        features = self.run(self.model.image_tokens(inputs[self.present]), slots)
        log_p = self.sampling(self.model.head(features))
        return self.of_all(log_p, -math.log(self.codes)), self.of_all(by_row(features, self.sampling.copies), 0.0)

    @torch.no_grad()
    def predict_embedded(self, inputs: Tensor, start: Tensor, levels: Tensor) -> Tensor:
        """As `predict`, from standardized embeddings [B, W, D] at noise levels int64 [B, W], 0 for clean."""
        self.leave(start)
        slots = self.window(start[self.present], inputs.shape[1])
        features = self.run(self.model.destandardize(inputs[self.present]), slots, levels[self.present])
        return self.of_all(self.sampling(self.model.head(features)), -math.log(self.codes))

    @torch.no_grad()
    def predict_at(self, inputs: Tensor, slots: Tensor, written: Tensor) -> Tensor:
        """Log-probabilities float32 [B, K, codes] of `slots` int64 [B, K], which need not follow one another.

        No row leaves: all of them take equally many passes.

        Args:
            inputs: int64 [B, K], the tokens at slots − 1, or what stands for one that is not known yet: that only the
                input itself sees.
            written: bool [B, length], which slots' tokens are known; the others are hidden from every input.
        """
        vectors = self.model.image_tokens(inputs)
        return self.sampling(self.model.head(self.run(vectors, slots, written=written)))

    def embed(self, tokens: Tensor) -> Tensor:
        """Standardized embeddings of tokens [B, …], BOS among them → [B, …, D]."""
        return F.embedding(tokens, self.embeddings)

    @torch.no_grad()
    def nearest(self, vectors: Tensor) -> Tensor:
        """The codes whose standardized embeddings point most nearly where vectors [..., D] do: int64 [...].

        By cosine, as in SJD2 (section 4.2). BOS is not among them.
        """
        return (vectors @ F.normalize(self.embeddings[: self.codes], dim=1).T).argmax(dim=-1)

    def leave(self, start: Tensor) -> None:
        """Drops the rows that are complete according to `start`, int64 [B].

        Waits for the device, once a pass. Where no row leaves nothing is copied.
        """
        stays = start[self.present] < self.length  # [P]
        if not stays.all():
            self.present = self.present[stays]
            kept = stays.repeat(self.sampling.copies).nonzero().squeeze(1)  # rows of the network
            self.text_ids = self.text_ids[kept]
            for cache in self.caches:
                cache.keep(kept)

    def of_all(self, values: Tensor, absent: float) -> Tensor:
        """Values of the rows that are present, [P, …] → [B, …], with `absent` for those that have left."""
        if len(values) == self.rows:
            return values
        return values.new_full((self.rows, *values.shape[1:]), absent).index_copy_(0, self.present, values)

    def window(self, start: Tensor, count: int) -> Tensor:
        """The slots that `count` inputs from `start` int64 [B] on predict, [B, count]; past the end, all the same."""
        return (start[:, None] + torch.arange(count, device=start.device)).clamp(max=self.length)

    def run(
        self, vectors: Tensor, slots: Tensor, levels: Tensor | None = None, written: Tensor | None = None
    ) -> Tensor:
        """The network but for its output layer, [copies · P, W, D], all conditional rows first; fills the cache.

        Of the P rows that are present.

        Args:
            vectors: embeddings m of the inputs, [P, W, D].
            slots: that they predict, int64 [P, W].
            levels: their noise levels, int64 [P, W]; None if all are clean.
            written: bool [P, length], slots whose tokens may be seen; None for all.
        """
        model, copies = self.model, self.sampling.copies
        own = slots[:, :, None]  # [P, W, 1]
        visible = self.slots <= own  # [P, W, columns]
        if written is not None:
            known = F.pad(written, (1, 0), value=True)[:, None]  # [P, 1, columns]: an input holds the token before
            visible = visible & (known | (self.slots == own))
        vectors, slots = vectors.repeat(copies, 1, 1), slots.repeat(copies, 1)  # [R, W, D], [R, W]
        if levels is not None:
            levels = levels.repeat(copies, 1)
        x = model.inputs(vectors, slots, levels, self.times)
        turns = model.rotary(model.config.text_length + slots)
        prefix = model.prefix_seen(self.text_ids, levels, self.times, slots.shape[1])
        mask = torch.cat([prefix, visible.repeat(copies, 1, 1)[:, None]], dim=-1)  # [R, 1, W, prefix + columns]
        columns = self.before + slots
        for block, cache in zip(model.blocks, self.caches, strict=True):
            x = block(x, turns, mask, cache, columns)
        return model.norm(x)


def by_row(features: Tensor, copies: int) -> Tensor:
    """Features as the network has them, all rows of one copy together, [copies · B, W, D] → [B, W, copies, D]."""
    return features.unflatten(0, (copies, -1)).movedim(0, 2)


def in_copies(features: Tensor) -> Tensor:
    """Back: [B, W, copies, D] → [copies · B, W, D]."""
    return features.movedim(2, 0).flatten(0, 1)

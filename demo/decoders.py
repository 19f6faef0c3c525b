"""Autoregressive models of the painter, drawn with a decoder of the page's choice."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from lib.decoding import decoders
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.painter.model import Drawn
from lib.painter.parti import Autoregressive, AutoregressiveSampling

ALONE = "autoregressive"
# Name → what the page calls it, the decoder, its options. Those whose predictor shows log-probabilities of a window of
# slots and nothing else: SJD2 wants a network that was tuned to read noise, EAGLE, Medusa and LANTERN trained drafters,
# ZipAR slots that do not follow one another.
DECODERS = {
    ALONE: ("one token a pass", "autoregressive", {}),
    "jacobi_shared": ("Jacobi, shared noise: the same picture", "jacobi", {"noise": "shared"}),
    "jacobi": ("Jacobi, new noise in every pass", "jacobi", {}),
    "sjd": ("SJD", "sjd", {}),
    "sjdpp": ("SJD++, which keeps drafts: not the model's own law", "sjdpp", {}),
}
TITLES = {name: title for name, (title, _, _) in DECODERS.items()}
DecoderName = Literal["autoregressive", "jacobi_shared", "jacobi", "sjd", "sjdpp"]
Window = Annotated[int, Field(ge=1, le=64)]


class DecodedSampling(AutoregressiveSampling):
    """What tokens are drawn from, and how."""

    decoder: DecoderName = ALONE
    """one of `DECODERS`"""
    window: Window = 16
    """slots that a pass looks at, of all but the first decoder"""


class Decoded(Autoregressive):
    """A model that was loaded, with a decoder among its settings."""

    settings = DecodedSampling

    def __init__(self, model: Autoregressive):
        self.meta, self.encoder, self.tokenizer, self.base = model.meta, model.encoder, model.tokenizer, model.base
        self.network, self.sampling = model.network, DecodedSampling(**dict(model.sampling))

    def draw(self, ids: Tensor, random: RowRandom, sampling: DecodedSampling) -> Drawn:
        _, decoder, options = DECODERS[sampling.decoder]
        if decoder != ALONE:
            options = options | {"window": sampling.window}
        predictor = self._seen(ids, AutoregressiveSampling(**_without_decoder(sampling)))
        found = decoders.run(decoder, predictor, random, options, self.grid[1])
        return Drawn(found.tokens, found.passes)

    def fill(self, ids: Tensor, random: RowRandom, sampling: DecodedSampling, known: Tensor) -> Drawn:
        """As of `Autoregressive`. Raises EaselError: another decoder than one token a pass."""
        if sampling.decoder != ALONE:
            raise EaselError("gaps are filled one token a pass; no other decoder knows of tokens that stand already.")
        return super().fill(ids, random, AutoregressiveSampling(**_without_decoder(sampling)), known)


def _without_decoder(sampling: DecodedSampling) -> dict[str, float]:
    return {name: value for name, value in dict(sampling).items() if name in AutoregressiveSampling.model_fields}

"""The decoders that run on transformers' models, by the names by which people ask for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from huggingface.models.layout import Layout
from huggingface.models.levels import NoiseLevels
from huggingface.models.predictor import HFPredictor
from lib.decoding import decoders, noise_levels
from lib.decoding.noise import RowRandom
from lib.decoding.noise_levels import Spacing
from lib.decoding.predictor import Decoded
from lib.errors import EaselError

# Name → decoder of lib/decoding/decoders.py, and what it is told. All but sjdpp and sjd2 are lossless: sjd2 is with
# keep=Infinity, too.
DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "autoregressive": ("autoregressive", {}),
    "jacobi": ("jacobi", {"noise": "fresh"}),
    "shared": ("jacobi", {"noise": "shared"}),
    "sjd": ("sjd", {}),
    "sjd_gumbel": ("sjd", {"coupling": "gumbel"}),
    "sjd_maximal": ("sjd", {"coupling": "maximal"}),
    "sjdpp": ("sjdpp", {}),
    "sjd2": ("sjd2", {}),
}
UNTUNED = NoiseLevels(spacing="karras", denoising_steps=(5,))  # of SJD2, where nothing else is said


class Decoding:
    """A decoder with its options.

    Args:
        name: a key of `DECODERS`.
        options: of its `decode`, by name.
        steps, spacing: noise levels (lib/decoding/noise_levels.py); of sjd2 alone, whose models are tuned for them.
        tuned: what the model was tuned with; its first number of steps and its spacing are taken where none is given.

    Attributes:
        times: of noise levels 1 … steps, float [steps]; None for other decoders.

    Raises:
        EaselError: an unknown name, or steps that the decoder does not take.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        steps: int | None = None,
        spacing: Spacing | None = None,
        tuned: NoiseLevels | None = None,
    ):
        if name not in DECODERS:
            raise EaselError(f"there is no decoder {name!r}; choose one of {', '.join(DECODERS)}.")
        self.decoder, settled = DECODERS[name]
        if wrong := sorted(set(settled) & set(options or {})):
            raise EaselError(f"the decoder {name} has {wrong[0]} = {settled[wrong[0]]!r}; leave {wrong[0]} out.")
        if steps is not None and self.decoder != "sjd2":
            raise EaselError(f"the decoder {name} has no denoising steps; leave them out.")
        self.name, self.options = name, settled | dict(options or {})
        self.times: Tensor | None = None
        if self.decoder == "sjd2":
            tuned = tuned or UNTUNED
            self.times = noise_levels.levels(
                tuned.denoising_steps[0] if steps is None else steps, spacing or tuned.spacing
            )[1:]

    def check(self, layout: Layout) -> None:
        """Refuses what the decoder would refuse for such pictures, before any network runs. Raises EaselError."""
        steps = 0 if self.times is None else len(self.times)
        decoders.check(self.decoder, self.options, layout.length, layout.columns, steps)

    def run(self, predictor: HFPredictor, seeds: Sequence[int]) -> Decoded:
        """Draws the predictor's pictures, each from its seed."""
        random = RowRandom(seeds, predictor.present.device)
        return decoders.run(self.decoder, predictor, random, self.options, predictor.layout.columns)

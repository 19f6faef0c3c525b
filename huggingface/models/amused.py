"""aMUSEd (Patil et al. 2024, arXiv:2401.01808), the open relative of Muse, in diffusers' classes: a CLIP text encoder,
a masked transformer (`UVit2DModel`) and a VQ-VAE (`VQModel`), drawn from by the decoders here.

    model = load("path/of/amused-256")                                      # huggingface/models/amused_folder.py
    predictor = AmusedPredictor(model, model.read(["a red star"]), Guidance(10.0, ramp=True))
    tokens = decode(predictor, RowRandom([7]), steps=12).tokens             # lib/decoding/masked.py
    pictures = model.decode(tokens)

Where the rules of `decode` and of diffusers' `AmusedScheduler` are the same, so are the tokens, pass by pass: the
cosine or the straight schedule, the order of confidence, and `noise=confidence_noise(2.0, steps)`. They differ in what
follows; tests/huggingface/models/test_amused_scheduler.py shows each.

- The scheduler counts masks in float32, where cos(π/3) is a little below 1/2: after two thirds of the passes it leaves
  127 of 256 tokens masked and not 128. Twelve passes, the default, have such a pass.
- Of equal confidences it fixes all that lie at the cut or above it, and not as many as the schedule says.
- It takes as many passes as it was told, also with fewer unknown tokens; some then fix nothing.
- When it inpaints, all pictures of a batch have the schedule of their mean share of unknown tokens.
- A temperature that is one number, and not (start, 0), ends at 0.01 and not at 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.models.autoencoders.vq_model import VQModel
from diffusers.models.unets.uvit_2d import UVit2DModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from lib.errors import EaselError
from lib.models.autoregressive_predictor import Sampling
from lib.models.masked_predictor import Guidance, guided

AESTHETIC_SCORE = 6.0  # of the pictures that are asked for: the pipeline's default


def confidence_noise(start: float, steps: int) -> float:
    """The `noise` of lib/decoding/masked.py that is the scheduler's temperature (start, 0), 2 by default.

    Its temperature falls from `start` in the first of T passes to 0 in the last, start · (T − 1 − i) / (T − 1), and the
    decoder's c · (T − 1 − i) / T. A single pass uses neither.
    """
    return start * steps / (steps - 1) if steps > 1 else 0.0


@dataclass(frozen=True)
class Captions:
    """What the transformer sees of B captions.

    Attributes:
        features: float [B, S, D], the text encoder's last hidden states but one.
        pooled: float [B, P], its projected summary.
    """

    features: Tensor
    pooled: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def then(self, other: "Captions") -> "Captions":
        """These captions and after them others."""
        return Captions(torch.cat([self.features, other.features]), torch.cat([self.pooled, other.pooled]))

    def of(self, rows: Tensor) -> "Captions":
        """Those of some rows, int64 [R]."""
        return Captions(self.features[rows], self.pooled[rows])


@dataclass(frozen=True)
class Amused:
    """The networks of one folder, in evaluation mode.

    Attributes:
        mask_id: the transformer's id of a masked token; it has unused ids between the codes and this one.
    """

    transformer: UVit2DModel
    vqvae: VQModel
    text_encoder: CLIPTextModelWithProjection
    tokenizer: CLIPTokenizer
    mask_id: int

    @property
    def codes(self) -> int:
        """Tokens are 0 … codes − 1; a masked one is `codes` outside this class."""
        return self.transformer.config.codebook_size

    @property
    def side(self) -> int:
        """Rows and columns of tokens."""
        return self.transformer.config.sample_size

    @property
    def stride(self) -> int:
        """Pixels of a token's side."""
        return 2 ** (len(self.vqvae.config.block_out_channels) - 1)

    def to(self, device: torch.device | str) -> "Amused":
        """Moves all networks to a device; gives them back."""
        for network in (self.transformer, self.vqvae, self.text_encoder):
            network.to(device)
        return self

    @torch.no_grad()
    def read(self, captions: Sequence[str]) -> Captions:
        """Captions as the transformer sees them; of each, what the text encoder has no room for (77 tokens) is cut."""
        room = self.text_encoder.config.max_position_embeddings
        padded = self.tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=room, return_tensors="pt"
        )
        ids = padded.input_ids  # [B, room]
        seen = self.text_encoder(ids.to(self.text_encoder.device), output_hidden_states=True)
        return Captions(seen.hidden_states[-2], seen.text_embeds)

    def conditions(self, crop: tuple[int, int], aesthetic_score: float) -> Tensor:
        """Micro-conditions of a picture, float [5]: width and height in pixels, the crop's corner, an aesthetic score.

        Width comes first, unlike in SDXL (Podell et al. 2023, arXiv:2307.01952), from whom they are.
        """
        pixels = self.side * self.stride
        return torch.tensor([pixels, pixels, *crop, aesthetic_score], device=self.transformer.device)

    @torch.no_grad()
    def logits(self, tokens: Tensor, captions: Captions, conditions: Tensor) -> Tensor:
        """Logits float32 [R, N, codes] of all tokens.

        Args:
            tokens: int64 [R, N] in reading order, `codes` where one is masked.
            conditions: float [5], as `conditions` gives them.
        """
        ids = torch.where(tokens == self.codes, self.mask_id, tokens)
        logits = self.transformer(
            ids.unflatten(1, (self.side, self.side)),  # [R, N] -> [R, rows, columns]
            encoder_hidden_states=captions.features,
            pooled_text_emb=captions.pooled,
            micro_conds=conditions.to(captions.features.dtype).expand(len(tokens), -1),
        )
        return logits.float().flatten(2).transpose(1, 2)  # [R, codes, rows, columns] -> [R, N, codes]

    @torch.no_grad()
    def encode(self, images: np.ndarray) -> Tensor:
        """Tokens of pictures, uint8 [B, H, W, 3] → int64 [B, N]: what inpainting and editing begin with.

        Raises:
            EaselError: pictures of another size.
        """
        pixels = self.side * self.stride
        if images.shape[1:] != (pixels, pixels, 3):
            raise EaselError(f"pictures must be {pixels}×{pixels} in RGB here, not {images.shape[1:]}; resize them.")
        scaled = torch.from_numpy(np.array(images)).to(self.vqvae.device, self.vqvae.dtype) / 255
        latents = self.vqvae.encode(scaled.permute(0, 3, 1, 2)).latents  # -> [B, channels, rows, columns]
        _, _, (_, _, nearest) = self.vqvae.quantize(latents)
        return nearest.view(len(images), -1)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> np.ndarray:
        """Pictures of tokens, int64 [B, N] → uint8 [B, H, W, 3].

        Raises:
            EaselError: a picture of another number of tokens, or one in which a token is missing.
        """
        if tokens.shape[1:] != (self.side**2,) or ((tokens < 0) | (tokens >= self.codes)).any():
            raise EaselError(
                f"a picture here has {self.side**2} tokens of 0 … {self.codes - 1}, and not {tuple(tokens.shape[1:])} "
                "with some missing; decode all of them first."
            )
        width = self.vqvae.quantize.vq_embed_dim
        looked_up = self.vqvae.decode(
            tokens.to(self.vqvae.device), force_not_quantize=True, shape=(len(tokens), self.side, self.side, width)
        ).sample  # [B, 3, H, W] in 0 … 1, but for what the decoder overshoots
        levels = (looked_up.clamp(0, 1) * 255).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu().numpy()


class AmusedPredictor:
    """Predictions of one batch of captions, a `MaskedPredictor` of lib/decoding/masked.py.

    Args:
        captions: what `Amused.read` gives.
        guidance: the pipeline's is constant, 10 by default; here it may rise or begin late.
        negative: captions to lead away from, one for each of `captions`; None: the empty caption.
        temperature: 0 leaves only the most likely token.
        top_k: 0 switches it off.
        crop: the upper left corner of the part of a picture that is asked for, in pixels.
        aesthetic_score: of the pictures that are asked for, about 1 … 10.

    Attributes:
        length: tokens of a picture, N.
        codes: tokens are 0 … codes − 1; one that is not known is `codes`.
        rows: pictures decoded at once, B.

    Raises:
        EaselError: settings out of range, or not as many negative captions as captions.
    """

    def __init__(
        self,
        model: Amused,
        captions: Captions,
        guidance: Guidance | None = None,
        negative: Captions | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        crop: tuple[int, int] = (0, 0),
        aesthetic_score: float = AESTHETIC_SCORE,
    ):
        self.model, self.guidance = model, guidance or Guidance()
        self.sampling = Sampling(temperature=temperature, top_k=top_k)  # guidance is here, a number for each picture
        self.length, self.codes, self.rows = model.side**2, model.codes, len(captions)
        if negative is not None and len(negative) != self.rows:
            raise EaselError(f"there are {self.rows} captions, but {len(negative)} negative ones.")
        if self.guidance.scale != 1:
            captions = captions.then(model.read([""] * self.rows) if negative is None else negative)
        self.captions = captions  # [B] or [2B] rows
        self.conditions = model.conditions(crop, aesthetic_score)

    def predict(self, tokens: Tensor, progress: Tensor) -> Tensor:
        """Log-probabilities float32 [B, N, codes] of every token, those that are known too, each given all that are.

        Args:
            tokens: int64 [B, N], `codes` where one is not known.
            progress: float [B], share of a picture's passes that are done with this one: 1/T, …, 1. Only guidance reads
                it.
        """

        def logits_of(rows: Tensor) -> Tensor:
            return self.model.logits(tokens[rows % self.rows], self.captions.of(rows), self.conditions)

        return self.sampling(guided(self.guidance.at(progress.to(tokens.device)), logits_of))

"""CLIP score through torchmetrics (Hessel et al. 2021): how well pictures fit their captions.

100 · cos(picture, caption), with the project's own CLIP or a pretrained one from a local folder as the judge. Scores of
different judges have nothing to do with one another.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.models.clip import PAD, Clip, as_input
from lib.text import TextTokenizer
from lib.weights.checkpoint import require_finite

Processor = Callable[..., dict[str, Tensor]]


class Judge(nn.Module):
    """A CLIP with the two methods that torchmetrics calls; keeps the vectors that went through them.

    Args:
        processor: pictures or captions → the tensors that the two functions take.
        config: torchmetrics looks here for the longest caption, if there is a limit.
    """

    def __init__(
        self,
        image_features: Callable[[Tensor], Tensor],
        text_features: Callable[[Tensor, Tensor], Tensor],
        processor: Processor,
        config: Any,
    ):
        super().__init__()
        self.image_features, self.text_features = image_features, text_features
        self.processor, self.config = processor, config
        self.seen: dict[str, Tensor] = {}

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        self.seen["images"] = self.image_features(pixel_values)
        return self.seen["images"]

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        self.seen["texts"] = self.text_features(input_ids, attention_mask)
        return self.seen["texts"]


def own_judge(clip: Clip, tokenizer: TextTokenizer) -> Judge:
    """The project's CLIP, which reads every language of its training data."""

    def processor(images: list[Tensor] | None = None, text: list[str] | None = None, **_) -> dict[str, Tensor]:
        if images is not None:
            return {"pixel_values": as_input(torch.stack(images).permute(0, 2, 3, 1).numpy())}  # [B, 3, S, S] in 0…1
        ids = torch.from_numpy(tokenizer.encode(text, clip.config.length).astype(np.int64))  # [B, L]
        return {"input_ids": ids, "attention_mask": (ids != PAD).long()}

    return Judge(clip.image_embedding, lambda ids, mask: clip.text_embedding(ids), processor, SimpleNamespace())


def pretrained_judge(folder: Path | str) -> Judge:
    """A CLIP in a local folder, as the transformers library saves it; most read English only.

    Raises:
        EaselError: see `check_pretrained_clip`; or a weight is not finite.
    """
    check_pretrained_clip(folder)
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(folder, local_files_only=True).eval()
    require_finite(Path(folder), {name: value.float().numpy() for name, value in model.state_dict().items()})
    processor = CLIPProcessor.from_pretrained(folder, local_files_only=True)

    def vectors(output: Any) -> Tensor:
        # transformers 5 wraps what earlier versions return as it is.
        return output if isinstance(output, Tensor) else output.pooler_output

    return Judge(
        lambda pixels: vectors(model.get_image_features(pixels)),
        lambda ids, mask: vectors(model.get_text_features(ids, mask)),
        processor,
        model.config,
    )


def check_pretrained_clip(folder: Path | str) -> None:
    """Refuses a folder that `pretrained_judge` could not use.

    Raises:
        EaselError: no such folder, no CLIP in it, or transformers is not installed.
    """
    if not (Path(folder) / "config.json").is_file():
        raise EaselError(
            f'evaluation.clip names {folder}, which holds no config.json; name a CLIP\'s folder or set "".'
        )
    if find_spec("transformers") is None:
        raise EaselError(
            "evaluation.clip needs the transformers library, which is not installed: "
            '`.venv/bin/pip install transformers`, or set evaluation.clip to "".'
        )


def clip_score(
    images: np.ndarray,
    captions: list[str],
    judge: Judge,
    generator: np.random.Generator,
    resamples: int,
    batch_size: int = 64,
) -> tuple[dict, np.ndarray]:
    """CLIP score of pictures uint8 [N, S, S, 3] and their N captions.

    Returns:
        {"value", "low", "high", "n"}: torchmetrics' score (the mean, at least 0) with a 95 % bootstrap interval over
        the pictures; and 100 · cos of each pair, float64 [N], for re-ranking and paired comparisons.

    Raises:
        EaselError: numbers of pictures and captions differ, or there are none.
    """
    from torchmetrics.multimodal.clip_score import CLIPScore

    if len(images) != len(captions) or not captions:
        raise EaselError(f"CLIP score: {len(images)} pictures for {len(captions)} captions; each needs the other.")
    metric = CLIPScore(lambda: (judge, judge.processor))
    scores = []
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(np.array(images[start : start + batch_size])).permute(0, 3, 1, 2)  # [B, 3, S, S]
        with torch.no_grad():
            metric.update(batch, list(captions[start : start + batch_size]))
        # torchmetrics keeps only the sum; the same vectors give each pair's own score.
        scores.append(100 * functional.cosine_similarity(judge.seen["images"], judge.seen["texts"]).double())
    scores = torch.cat(scores).numpy()
    interval = bootstrap_mean(scores, generator, resamples=resamples)
    value = float(metric.compute())
    return {"value": value, "low": max(interval.low, 0.0), "high": max(interval.high, 0.0), "n": len(scores)}, scores

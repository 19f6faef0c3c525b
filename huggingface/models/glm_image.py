"""GLM-Image as `GlmImageForConditionalGeneration`: the head knows image tokens alone, which are the first of the
vocabulary. A small preview is drawn before the picture; positions have three axes, of which two are the row and the
column in a grid. No end-of-line tokens, one token at the end. Its decoder of pictures is a diffusion model in
diffusers' pipeline, not in the class."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from huggingface.models.family import Family, within
from huggingface.models.layout import Layout
from lib.errors import EaselError

SIZE = (36, 24)  # of the processor: 1152 × 768 pixels, 32 a token
PREVIEW = 16  # side of a square preview, in tokens


def preview(rows: int, columns: int) -> tuple[int, int]:
    """Its rows and columns: of the picture's proportions, about as many tokens whatever these are."""
    return int(math.sqrt(rows / columns) * PREVIEW), int(math.sqrt(columns / rows) * PREVIEW)


class GlmImage(Family):
    """GLM-Image."""

    CLASSES = ("GlmImageForConditionalGeneration",)

    @classmethod
    def image_tokens(cls, config: PreTrainedConfig) -> Sequence[int]:
        count, known = config.vq_config.num_embeddings, config.text_config.vision_vocab_size
        if count > known:
            raise EaselError(f"the head has {known} outputs, fewer than the {count} image tokens of config.json.")
        return within(config, range(count))

    @classmethod
    def layout(cls, config: PreTrainedConfig, size: tuple[int, int] | None = None) -> Layout:
        size = size or SIZE
        return Layout((preview(*size), size), ending=(config.image_end_token_id,))

    @classmethod
    def layout_of(cls, config: PreTrainedConfig, given: Mapping[str, Any]) -> Layout:
        """From `image_grid_thw`, as the processor makes it for text to image: every picture, then its preview."""
        if given.get("image_grid_thw") is None:
            return cls.layout(config)
        grids = [tuple(grid[1:]) for grid in given["image_grid_thw"].tolist()]
        counts = given.get("images_per_sample")
        count = len(grids) if counts is None else int(counts[0])
        if any(grids[first : first + count] != grids[:count] for first in range(0, len(grids), count)):
            raise EaselError("all pictures of a batch must have the same size; image_grid_thw has several.")
        return Layout(tuple(reversed(grids[:count])), ending=(config.image_end_token_id,))

    @classmethod
    def prompt(
        cls, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, text: str, layout: Layout
    ) -> list[int]:
        said = [{"role": "user", "content": [{"type": "text", "text": text}]}]
        text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        grids = [
            f"{tokenizer.grid_bos_token}{rows} {columns}{tokenizer.grid_eos_token}"
            for rows, columns in reversed(layout.grids)
        ]
        return tokenizer("".join([text, *grids, tokenizer.bos_token]), add_special_tokens=False).input_ids

    @property
    def backbone(self) -> nn.Module:
        return self.model.model.language_model

    def offsets(self, layout: Layout) -> Tensor:
        """A grid's first token is one place further than all before it, on all axes; its rows and columns count from
        there on the second and the third."""
        cells = layout.cells().T  # [3, length]: grid, row, column
        starts = torch.tensor([0, *(max(grid) for grid in layout.grids)]).cumsum(0)
        slots = starts[cells[0]] + torch.stack([torch.zeros_like(cells[0]), cells[1], cells[2]])
        last_of_prompt, ending = torch.full((3, 1), -1), starts[-1].expand(3, len(layout.ending))
        return torch.cat([last_of_prompt, slots, ending], dim=1)  # [3, 1 + places]

"""Emu3 (Wang et al. 2024, arXiv:2409.18869) as `Emu3ForConditionalGeneration`: one vocabulary of words and image
tokens, an end-of-line token after every row, three tokens at the end. The class has the decoder of pictures."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from huggingface.models.family import Family, as_bytes, within
from huggingface.models.layout import Layout
from lib.errors import EaselError

SIZE = (90, 90)  # of the processor: 720 pixels, 8 a token
NAME = "<|visual token {:06d}|>"
END_OF_LINE, END_OF_FRAME, END_OF_IMAGE = "<|extra_200|>", "<|extra_201|>", "<|image end|>"


class Emu3(Family):
    """Emu3."""

    CLASSES = ("Emu3ForConditionalGeneration",)

    @classmethod
    def image_tokens(cls, config: PreTrainedConfig) -> list[int]:
        names = config.vocabulary_map or {}
        wanted = [NAME.format(code) for code in range(config.vq_config.codebook_size)]
        if END_OF_LINE not in names or not all(name in names for name in wanted):
            raise EaselError(
                f"vocabulary_map of config.json does not name all {len(wanted)} image tokens and {END_OF_LINE}: the "
                "model has no image vocabulary."
            )
        return within(config, [names[name] for name in wanted])

    @classmethod
    def layout(cls, config: PreTrainedConfig, size: tuple[int, int] | None = None) -> Layout:
        names, end = config.vocabulary_map, config.get_text_config().eos_token_id
        # Three in any case: the class's decode_image_tokens drops as many.
        ending = (names.get(END_OF_FRAME, end), names.get(END_OF_IMAGE, end), end)
        return Layout((size or SIZE,), names[END_OF_LINE], ending)

    @classmethod
    def layout_of(cls, config: PreTrainedConfig, given: Mapping[str, Any]) -> Layout:
        """From `image_sizes`, which the processor gives in tokens where it prepares for generation."""
        sizes = {tuple(map(int, size)) for size in given.get("image_sizes", ())}
        if len(sizes) > 1:
            raise EaselError("all pictures of a batch must have the same size; image_sizes has several.")
        return cls.layout(config, next(iter(sizes), None))

    @classmethod
    def prompt(
        cls, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, text: str, layout: Layout
    ) -> list[int]:
        rows, columns = layout.grids[0]
        frame = f"{tokenizer.boi_token}{rows}*{columns}{tokenizer.image_wrapper_token}"
        return tokenizer(f"{tokenizer.bos_token}{text}{frame}", add_special_tokens=False).input_ids

    @property
    def backbone(self) -> nn.Module:
        return self.model.model.text_model

    def pictures(self, codes: Tensor, layout: Layout) -> Tensor:
        grid = codes.unflatten(1, layout.grids[0])  # [B, N] → [B, h, w]
        return as_bytes(self.model.model.vqmodel.decode(grid))

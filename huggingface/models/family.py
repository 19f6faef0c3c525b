"""What a decoder has to know of a family of autoregressive image models in transformers; one adapter a family follows
it. This one is for Llama-shaped models whose own vocabulary has the image tokens (LlamaGen's and Lumina-mGPT's kind).

Such a class does not say which of its tokens are the picture's. A section of its config.json does:

    "image_vocabulary": {"first": 65, "codes": 16384, "rows": 24, "columns": 24,
                         "start": [64], "end_of_line": null, "ending": []}

Token `first` + k stands for code k; `start` follows the words of a prompt; the rest is as in `Layout`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from huggingface.models.layout import Layout
from huggingface.models.levels import noise_levels
from lib.config_tree import Amount, Count, Section, Several, read
from lib.errors import EaselError


class ImageVocabulary(Section):
    """The section `image_vocabulary` of a config.json."""

    first: Amount
    codes: Count
    rows: Count
    columns: Count
    start: Several[Amount] = ()
    end_of_line: Amount | None = None
    ending: Several[Amount] = ()


class Family:
    """An adapter: what the configuration says (class methods), and what the loaded model does.

    Args:
        model: of one of the classes in `CLASSES`.

    Attributes:
        ids: the model's own tokens of codes 0 … V − 1, int64 [V].
        tuned: the noise levels that it was tuned to read; None if it was not.

    Raises:
        EaselError: the configuration has no image vocabulary, or attention that cannot take a mask of our own.
    """

    CLASSES: tuple[str, ...] = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")

    def __init__(self, model: PreTrainedModel):
        kind = model.config.get_text_config()._attn_implementation
        if kind not in ("sdpa", "eager"):
            raise EaselError(
                f"rows at their own pace need a mask a row, which attention of the kind {kind!r} does not take; load "
                'the model with attn_implementation="sdpa".'
            )
        self.model, self.config, self.tuned = model, model.config, noise_levels(model.config)
        self.ids = torch.tensor(self.image_tokens(model.config), device=self.table().device)

    # --- what the configuration says

    @classmethod
    def image_tokens(cls, config: PreTrainedConfig) -> list[int]:
        """The model's own tokens of codes 0, 1, ….

        Raises:
            EaselError: there are none, or the vocabulary does not have them.
        """
        if getattr(config, "sliding_window", None):
            raise EaselError("its attention has a sliding window, which these decoders do not follow.")
        section = cls.section(config)
        return within(config, range(section.first, section.first + section.codes))

    @classmethod
    def section(cls, config: PreTrainedConfig) -> ImageVocabulary:
        """`image_vocabulary` of the configuration. Raises EaselError if it has none, or a wrong one."""
        tree = getattr(config, "image_vocabulary", None)
        if tree is None:
            raise EaselError("config.json has no section image_vocabulary, which says which tokens are the picture's.")
        return read(tree, ImageVocabulary, "image_vocabulary of config.json")

    @classmethod
    def layout(cls, config: PreTrainedConfig, size: tuple[int, int] | None = None) -> Layout:
        """The tokens of a picture of `size` = rows, columns; None for the model's own size.

        Raises:
            EaselError: the model cannot draw that size.
        """
        section = cls.section(config)
        return Layout((size or (section.rows, section.columns),), section.end_of_line, section.ending)

    @classmethod
    def layout_of(cls, config: PreTrainedConfig, given: Mapping[str, Any]) -> Layout:
        """The layout that the arguments of `generate` ask for, where the family has one that says the size."""
        return cls.layout(config)

    # --- words

    @classmethod
    def prompt(
        cls, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, text: str, layout: Layout
    ) -> list[int]:
        """The model's own tokens before those of the picture."""
        return [*tokenizer(text).input_ids, *cls.section(config).start]

    def unconditional(self, ids: Tensor, real: Tensor) -> tuple[Tensor, Tensor] | None:
        """What guidance is away from, where the family makes that from the prompt, [B, P]; None for other words."""
        return None

    # --- the network

    @property
    def backbone(self) -> nn.Module:
        """From embeddings to what the head reads."""
        return self.model.model

    def table(self) -> Tensor:
        """Embeddings of the model's own tokens, [vocabulary, D]."""
        return self.model.get_input_embeddings().weight

    def codes(self) -> Tensor:
        """Embeddings of all codes as inputs, [V, D]."""
        return rows(self.table(), self.ids)

    def head(self) -> Callable[[Tensor], Tensor]:
        """From features [..., D] to logits [..., V] of the codes alone: the image vocabulary is cut out beforehand."""
        return partial(F.linear, weight=rows(self.model.get_output_embeddings().weight, self.ids))

    def drawing(self) -> list[nn.Module]:
        """All modules that draw. Others read pictures, or make them of codes."""
        tables = [self.model.get_input_embeddings(), self.model.get_output_embeddings()]
        return [self.backbone.layers, self.backbone.norm, *tables]

    def offsets(self, layout: Layout) -> Tensor:
        """The position of every place, less the number of the prompt's tokens: int64 [axes, places]; usually of one
        axis, −1, 0, 1, …."""
        return torch.arange(-1, len(layout.forced)).unsqueeze(0)

    def pictures(self, codes: Tensor, layout: Layout) -> Tensor | None:
        """Codes int64 [B, length] → uint8 [B, H, W, 3]; None where the class has no decoder of pictures."""
        return None


def rows(table: Tensor, numbers: Tensor) -> Tensor:
    """Rows of a table, int64 [n]: a view where they follow one another, since image vocabularies are large."""
    first, last = int(numbers[0]), int(numbers[-1])
    return table[first : last + 1] if bool((numbers.diff() == 1).all()) else table[numbers]


def within(config: PreTrainedConfig, tokens: Sequence[int]) -> list[int]:
    """The tokens, once it is certain that the vocabulary has them and that there are some."""
    count = config.get_text_config().vocab_size
    if not tokens:
        raise EaselError("config.json names no image tokens: the model has no image vocabulary.")
    if not 0 <= min(tokens) <= max(tokens) < count:
        raise EaselError(f"image tokens {min(tokens)} … {max(tokens)} are outside the vocabulary of {count} tokens.")
    return list(tokens)


def as_bytes(pictures: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] from −1 to 1 → uint8 [B, H, W, 3]."""
    return ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)

"""Janus and Janus-Pro (arXiv:2410.13848, arXiv:2501.17811) as `JanusForConditionalGeneration`: image tokens have an
embedding and a head of their own, apart from the vocabulary of words. No forced tokens. The class has the decoder of
pictures, and its own `generate(generation_mode="image")`, whose guidance is away from the prompt with all words made
padding."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from huggingface.models.family import Family, as_bytes
from huggingface.models.layout import Layout
from lib.errors import EaselError


class Janus(Family):
    """Janus and Janus-Pro."""

    CLASSES = ("JanusForConditionalGeneration",)

    @classmethod
    def image_tokens(cls, config: PreTrainedConfig) -> Sequence[int]:
        return range(config.vq_config.num_embeddings)

    @classmethod
    def layout(cls, config: PreTrainedConfig, size: tuple[int, int] | None = None) -> Layout:
        side = config.vq_config.num_patches
        if side**2 != config.vision_config.num_image_tokens:
            raise EaselError(
                f"config.json has {config.vision_config.num_image_tokens} image tokens, but its decoder of pictures "
                f"reads {side} × {side}."
            )
        if size not in (None, (side, side)):
            raise EaselError(f"Janus draws pictures of {side} × {side} tokens only, not {size[0]} × {size[1]}.")
        return Layout(((side, side),))

    @classmethod
    def prompt(
        cls, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, text: str, layout: Layout
    ) -> list[int]:
        if tokenizer.chat_template:
            said = [{"role": "user", "content": [{"type": "text", "text": text}]}]
            text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        return tokenizer(f"{text}{tokenizer.boi_token}").input_ids

    def unconditional(self, ids: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        settings = self.model.generation_config
        start = (getattr(settings, "generation_kwargs", None) or {}).get("boi_token_id")
        if start is None or settings.bos_token_id is None or settings.pad_token_id is None:
            raise EaselError(
                "guidance of Janus needs bos_token_id, pad_token_id and generation_kwargs.boi_token_id in "
                "generation_config.json; put them there."
            )
        stays = (ids == settings.bos_token_id) | (ids == start)
        return torch.where(stays, ids, settings.pad_token_id), real

    @property
    def backbone(self) -> nn.Module:
        return self.model.model.language_model

    def codes(self) -> Tensor:
        return self.model.prepare_embeddings_for_image_generation(self.ids)

    def head(self) -> nn.Module:
        return self.model.model.generation_head

    def drawing(self) -> list[nn.Module]:
        model = self.model.model
        words = [self.backbone.layers, self.backbone.norm, self.model.get_input_embeddings()]
        return [*words, model.generation_embeddings, model.generation_aligner, model.generation_head]

    def pictures(self, codes: Tensor, layout: Layout) -> Tensor:
        return as_bytes(self.model.model.vqmodel.decode(codes))

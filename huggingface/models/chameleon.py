"""Chameleon (arXiv:2405.09818) and Anole (arXiv:2407.06135), its fine-tuned descendant that draws, as
`ChameleonForConditionalGeneration`.

The class takes image tokens out of its logits, so its backbone and head are called apart. It has no decoder of
pictures. Descendants with end-of-line tokens or other sizes (Lumina-mGPT's kind) say so in a section
`image_vocabulary`, as in family.py.
"""

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from huggingface.models.family import Family, within
from huggingface.models.layout import Layout
from lib.errors import EaselError

LETTERS = "ABCDEFGHIJ"  # for the digits of a code in the name of its token


def name(code: int) -> str:
    """Of the image token of a code."""
    return "IMGIMG" + "".join(LETTERS[int(digit)] for digit in str(code)) + "Z"


class Chameleon(Family):
    """Chameleon and Anole."""

    CLASSES = ("ChameleonForConditionalGeneration",)

    @classmethod
    def image_tokens(cls, config: PreTrainedConfig) -> list[int]:
        if hasattr(config, "image_vocabulary"):
            return super().image_tokens(config)
        names = config.vocabulary_map or {}
        wanted = [name(code) for code in range(config.vq_config.num_embeddings)]
        if not all(one in names for one in wanted):
            raise EaselError(
                f"vocabulary_map of config.json does not name all {len(wanted)} image tokens: the model has no image "
                "vocabulary."
            )
        return within(config, [names[one] for one in wanted])

    @classmethod
    def layout(cls, config: PreTrainedConfig, size: tuple[int, int] | None = None) -> Layout:
        if hasattr(config, "image_vocabulary"):
            return super().layout(config, size)
        side = config.vq_config.resolution // 2 ** (len(config.vq_config.channel_multiplier) - 1)
        return Layout((size or (side, side),))

    @classmethod
    def prompt(
        cls, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, text: str, layout: Layout
    ) -> list[int]:
        if hasattr(config, "image_vocabulary"):
            return super().prompt(config, tokenizer, text, layout)
        return [*tokenizer(text).input_ids, tokenizer.convert_tokens_to_ids(tokenizer.boi_token)]

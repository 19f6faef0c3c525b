"""A tokenizer of a few words for the tiny models, with the special tokens of all families."""

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

NAMED = {
    "boi_token": "<boi>",
    "image_wrapper_token": "<wrapper>",
    "grid_bos_token": "<grid>",
    "grid_eos_token": "</grid>",
}
WORDS = ["a", "red", "blue", "star", "on", "user", ":", "3", "4", "*", "2"]


def tokenizer(chat=False):
    """Words from 40 on, 63 for any other; the start of a picture is 6."""
    specials = {"<pad>": 0, "<s>": 1, "</s>": 2, "<boi>": 6, "<wrapper>": 7, "<grid>": 10, "</grid>": 11, "<unk>": 63}
    model = models.WordLevel(specials | {word: 40 + number for number, word in enumerate(WORDS)}, unk_token="<unk>")
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=NAMED,
        chat_template="{% for one in messages %}user : {{ one.content[0].text }}{% endfor %}" if chat else None,
    )

"""Words of a prompt → the families' own tokens, and codes → pictures."""

import pytest
import torch

from huggingface.models.prompts import Prompts
from lib.errors import EaselError
from tests.huggingface.models.tiny import MODELS, layout_of, prompts, tiny
from tests.huggingface.models.words import tokenizer

RED_STAR = [41, 43]


@pytest.mark.parametrize(
    ("kind", "chat", "expected"),
    [
        ("emu3", False, [1, *RED_STAR, 6, 47, 49, 48, 7]),
        ("llama", False, [*RED_STAR, 6]),
        ("chameleon", False, [*RED_STAR, 6]),
        ("janus", False, [*RED_STAR, 6]),
        ("janus", True, [45, 46, *RED_STAR, 6]),
        ("glm_image", True, [45, 46, *RED_STAR, 10, 47, 48, 11, 10, 50, 50, 11, 1]),
    ],
)
def test_prompts_are_framed_as_the_processors_do(kind, chat, expected):
    family = tiny(kind)
    found = family.prompt(family.config, tokenizer(chat), "red star", layout_of(kind, family))
    assert found == expected


@pytest.mark.parametrize("kind", MODELS)
def test_codes_become_pictures_where_the_class_can(kind):
    family = tiny(kind)
    layout = layout_of(kind, family)
    codes = torch.arange(2 * layout.length).remainder(16).view(2, -1)
    with torch.no_grad():
        found = family.pictures(codes, layout)
        if kind == "emu3":
            own = family.model.model.decode_image_tokens(layout.sequence(family.ids[codes]), *layout.grids[0])
            own = own.permute(0, 2, 3, 1)
        elif kind == "janus":
            own = family.model.decode_image_tokens(codes)
    if kind not in ("emu3", "janus"):
        assert found is None
        return
    assert (
        found.dtype == torch.uint8
        and found.shape == own.shape
        and found.shape[1:3] == tuple(2 * n for n in layout.grids[0])
    )
    torch.testing.assert_close(found.float(), (own.clamp(-1, 1) + 1) * 127.5, atol=0.5, rtol=0)


def test_unconditional_prompts_of_janus():
    family, given = tiny("janus"), prompts(2)
    ids, real = family.unconditional(given.ids, given.real)
    assert ids.tolist() == [[1, 0, 0, 0, 6], [0, 1, 0, 0, 6]] and torch.equal(real, given.real)
    family.model.generation_config.generation_kwargs = None
    with pytest.raises(EaselError, match=r"needs bos_token_id, pad_token_id and generation_kwargs.boi_token_id"):
        Prompts(*family.unconditional(given.ids, given.real))

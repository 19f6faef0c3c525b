"""Our decoders inside transformers' `generate`, called and loaded from a folder."""

import pytest
import torch
from transformers import dynamic_module_utils

from huggingface.custom import ImageOutput, generate_images
from huggingface.models.prompts import Prompts
from lib.errors import EaselError
from tests.house import REPOSITORY
from tests.huggingface.models.tiny import MODELS, codes_of, layout_of, own_greedy, prompts, tiny

FOLDER = REPOSITORY / "huggingface"


@pytest.fixture(autouse=True)
def modules_elsewhere(tmp_path, monkeypatch):
    """Where transformers copies code that it loads."""
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))


def called(kind, family, given, scale, others, way, **settings):
    """`generate` with our decoders, told the size and guidance in the family's own way."""
    settings = dict(do_sample=False, attention_mask=given.real.long(), pad_token_id=0, max_new_tokens=99) | settings
    if kind == "emu3":
        settings["image_sizes"] = torch.tensor([[3, 4]] * len(given.ids))
    elif kind == "glm_image":
        grids = torch.tensor([[1, 3, 4], [1, 2, 2]]).repeat(len(given.ids), 1)
        settings |= dict(image_grid_thw=grids, images_per_sample=torch.full((len(given.ids),), 2))
    elif kind == "chameleon":
        settings["size"] = (3, 4)
    if scale != 1:
        own = dict(guidance=scale) if kind == "janus" else dict(guidance_scale=scale, negative_prompt_ids=others.ids)
        settings |= own
    way = dict(custom_generate=str(FOLDER), trust_remote_code=True) if way == "folder" else dict(custom_generate=way)
    return family.model.generate(given.ids, **way, **settings)


@pytest.mark.parametrize("way", ["folder", generate_images], ids=["folder", "callable"])
@pytest.mark.parametrize("kind", MODELS)
def test_greedy_is_the_class_s_own(kind, way):
    family, rows, guidance = tiny(kind), 3, 3.0
    layout = layout_of(kind, family)
    given = prompts(rows, padded=kind != "glm_image")
    others = prompts(rows, 5 if kind == "glm_image" else 3, 9, padded=False)
    expected = own_greedy(kind, family, layout, given, guidance, others)
    for decoder, options in (("shared", {"window": 6}), ("sjd_maximal", {})):
        found = called(kind, family, given, guidance, others, way, decoder=decoder, options=options)
        assert torch.equal(found, torch.cat([given.ids, layout.sequence(family.ids[expected])], dim=1))


def test_sampling_settings_are_those_of_generate():
    family, given = tiny("emu3"), prompts(3)
    settings = dict(do_sample=True, temperature=0.7, top_k=4, seeds=[4, 5, 6], return_dict_in_generate=True)
    others = prompts(3, 3, 9, padded=False)

    def sampled(**more):
        return called("emu3", family, given, 2.0, others, generate_images, **settings | more)

    one = sampled(decoder="autoregressive")
    drawn = one.sequences[:, given.ids.shape[1] + layout_of("emu3", family).slots - 1]
    assert isinstance(one, ImageOutput) and torch.equal(one.codes, codes_of(family, drawn))
    assert one.forced == 6 and one.passes.tolist() == [12] * 3
    shared = sampled(decoder="shared")
    assert torch.equal(shared.sequences, one.sequences) and (shared.accepted.sum(dim=1) == 12).all()
    for changed in (dict(seeds=[4, 5, 7]), dict(temperature=3.0), dict(top_k=1)):
        assert not torch.equal(sampled(decoder="shared", **changed).codes, one.codes)
    # What was not said is drawn alike every time.
    again = [called("emu3", family, given, 1.0, None, generate_images, do_sample=True) for _ in range(2)]
    assert torch.equal(*again)


def test_a_prefix_function_is_not_asked():
    def never(row, so_far):
        raise AssertionError

    family, given = tiny("emu3"), prompts(1)
    called("emu3", family, given, 1.0, None, generate_images, prefix_allowed_tokens_fn=never)


def test_guidance_without_other_words_is_that_of_transformers():
    """Away from the last token of the prompt alone."""
    family, given = tiny("emu3"), prompts(2)
    expected = called("emu3", family, given, 3.0, Prompts(given.ids[:, -1:], given.real[:, -1:]), generate_images)
    sizes = torch.tensor([[3, 4]] * 2)
    mask = given.real.long()
    found = family.model.generate(
        given.ids,
        attention_mask=mask,
        image_sizes=sizes,
        guidance_scale=3.0,
        max_new_tokens=9,
        custom_generate=generate_images,
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("emu3", {"decoder": "sjd3"}, "no decoder 'sjd3'; choose one of autoregressive"),
        ("emu3", {"options": {"widow": 3}}, "unknown key 'widow'; did you mean 'window'"),
        ("emu3", {"options": {"noise": "fresh"}}, "the decoder shared has noise = 'shared'; leave noise out"),
        ("emu3", {"steps": 3}, "has no denoising steps"),
        ("emu3", {"decoder": "sjd2", "steps": 0}, "at least one step"),
        ("emu3", {"do_sample": True, "top_p": 0.9}, "leave out what TopPLogitsWarper does"),
        ("emu3", {"repetition_penalty": 1.2}, "leave out what RepetitionPenaltyLogitsProcessor does"),
        ("emu3", {"num_beams": 2}, "leave num_beams = 2 out"),
        ("emu3", {"guidance": 2.0}, "an argument for Janus"),
        ("emu3", {"seeds": [1]}, "2 pictures need a seed each, got 1 seeds"),
        ("emu3", {"size": (0, 3)}, "at least one row"),
        ("janus", {"size": (2, 3)}, "4 × 4 tokens only"),
        ("chameleon", {"pixel_values": torch.zeros(2, 3, 8, 8)}, "prompts of tokens alone"),
    ],
)
def test_what_these_decoders_do_not_do_is_refused(kind, settings, message):
    with pytest.raises(EaselError, match=message):
        called(kind, tiny(kind), prompts(2), 1.0, None, generate_images, **settings)


def test_pictures_of_different_sizes_are_refused():
    family, given = tiny("emu3"), prompts(2)
    way = dict(max_new_tokens=99, custom_generate=generate_images)
    with pytest.raises(EaselError, match="image_sizes has several"):
        family.model.generate(given.ids, image_sizes=torch.tensor([[3, 4], [4, 3]]), **way)
    family = tiny("glm_image")
    grids = torch.tensor([[1, 3, 4], [1, 2, 2], [1, 3, 3], [1, 2, 2]])
    with pytest.raises(EaselError, match="image_grid_thw has several"):
        family.model.generate(given.ids, image_grid_thw=grids, images_per_sample=torch.tensor([2, 2]), **way)

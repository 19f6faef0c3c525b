"""Tiny pictures: what their words say is what their cells have."""

import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.models.glu import matched_width
from lib.teaching import blocks, networks, thumbnails
from lib.teaching.thumbnails import CODES, COLOURS, SIDE, WORDS

DATA = thumbnails.thumbnails(40, seed=3)


def test_they_follow_from_the_seed_alone():
    again, other = thumbnails.thumbnails(40, seed=3), thumbnails.thumbnails(40, seed=4)
    assert DATA.captions == again.captions and np.array_equal(DATA.pixels, again.pixels)
    assert DATA.captions != other.captions


def test_words_tokens_and_captions_say_the_same():
    assert np.array_equal(thumbnails.word_ids(DATA.captions), DATA.words)
    grounds = DATA.words[:, 2] - len(COLOURS) - 8  # after eight shapes
    for tokens, colour, ground in zip(DATA.tokens, DATA.words[:, 0], grounds, strict=True):
        assert set(tokens) == {colour, len(COLOURS) + ground}
    assert thumbnails.share_as_asked(DATA.tokens, DATA.words) >= 0.9  # a few shapes look alike so small
    swapped = DATA.words.copy()
    swapped[:, 1] = len(COLOURS) + (swapped[:, 1] - len(COLOURS) + 1) % 8
    assert thumbnails.share_as_asked(DATA.tokens, swapped) <= 0.1
    for wrong in ("ultraviolet circle on white", "red circle"):
        with pytest.raises(EaselError, match=f"'{wrong}' is no caption"):
            thumbnails.word_ids([wrong])


def test_masked_cells_are_hatched_and_others_have_their_colour():
    tokens = DATA.tokens[:1].copy()
    tokens[0, 0], tokens[0, 1] = CODES, 0
    picture = thumbnails.painted(tokens)[0]
    assert picture.shape == (48, 48, 3) and len(np.unique(picture[:4, :4])) > 1
    assert (picture[:4, 4:8] == thumbnails.PALETTE[0]).all()


def test_a_cell_is_told_its_words_and_the_cells_before_it():
    told = blocks.contexts(DATA)
    assert told.shape == (40, SIDE**2, 9) and told.max() < blocks.IDS
    assert (told[:, :, :3] == DATA.words[:, None]).all()
    cells = told[:, :, 3:] - len(WORDS) - (CODES + 1) * np.arange(6)
    here = 5 * SIDE + 6
    for number, (up, left) in enumerate(blocks.NEIGHBOURS):
        assert (cells[:, here, number] == DATA.tokens[:, here - up * SIDE - left]).all()
    assert (cells[:, 0] == blocks.OUTSIDE).all()


def test_both_blocks_learn_with_equally_many_weights():
    found = {name: blocks.train(name, DATA, [0, 1], 12, 8, 12, 0.05) for name in ("relu", "geglu")}
    for one in found.values():
        assert one.losses.shape == (12, 2) and one.losses[-1].mean() < one.losses[0].mean() - 0.3
        assert blocks.held_out_nats(one, DATA).shape == (2,)
    inner = [
        one.params["params"][name]["Dense_0"]["kernel"].shape[-1]
        for one, name in zip(found.values(), ("FFN_0", "GLU_0"), strict=True)
    ]
    assert inner == [12, matched_width(12)]


def test_who_sees_only_what_is_before_is_told_nothing_else():
    class Counting:
        """Says how many cells it is shown."""

        length, codes, rows = 4, 5, 2

        def predict(self, tokens, progress):
            shown = (tokens < 5).sum(dim=1)  # [B]
            return torch.nn.functional.one_hot(shown, 5).float().log()[:, None].expand(-1, 4, -1)

    reader = networks.OnlyBefore(Counting())
    for slot in range(4):
        inputs = torch.full((2, 1), 5 if slot == 0 else 1)
        said = reader.predict(inputs, torch.tensor([slot, slot]))
        assert said.shape == (2, 1, 5) and (said.argmax(dim=2) == slot).all()


def test_muse_and_the_unet_learn_a_little():
    for train in (networks.train_muse, networks.train_unet):
        network, losses = train(DATA, 12, 0)
        assert len(losses) == 12 and np.mean(losses[-3:]) < losses[0] and not network.training

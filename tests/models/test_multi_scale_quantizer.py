"""Residual quantisation over scales, and the tokenizer around it."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from lib.errors import EaselError
from lib.models import multi_scale_vqgan, vqgan
from lib.models.multi_scale_quantizer import (
    MultiScaleQuantizer,
    join_scales,
    shrunk,
    split_scales,
    usage_by_scale,
)
from lib.models.multi_scale_vqgan import MultiScaleVQGAN
from lib.models.vqgan import VQGAN
from lib.weights.torch_state import generator
from tests.models.tiny_var import quantizer, vectors

SCALES = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def plain():
    return quantizer()


# ------------------------------------------------------------------------------------------------- quantizer


def looped(q, grid):
    """The reference: one grid [h, w, d] in numpy, cell by cell and code by code. Token maps, and the sum after each."""
    side, total, found = q.side, np.zeros(grid.shape), []
    codebook = q.codebook.numpy().astype(float)
    for number, cells in enumerate(q.scales):
        rest, tokens = grid.numpy() - total, np.zeros((cells, cells), int)
        for row in range(cells):
            for column in range(cells):
                # A coarse cell has every fine cell that it touches.
                top, bottom = row * side // cells, -(-(row + 1) * side // cells)
                left, right = column * side // cells, -(-(column + 1) * side // cells)
                average = rest[top:bottom, left:right].mean((0, 1))
                tokens[row, column] = np.argmin([((average - code) ** 2).sum() for code in codebook])
        codes = torch.from_numpy(codebook[tokens]).permute(2, 0, 1)[None].float()
        codes = interpolate(codes, size=(side, side), mode="bicubic")[0].numpy()  # [d, h, w]
        kernel, bias = q.smoothing[number].weight.numpy(), q.smoothing[number].bias.numpy()
        padded, smooth = np.pad(codes, ((0, 0), (1, 1), (1, 1))), np.zeros_like(codes)
        for row in range(side):
            for column in range(side):
                smooth[:, row, column] = np.einsum("oikl,ikl->o", kernel, padded[:, row : row + 3, column : column + 3])
        total = total + (0.5 * codes + 0.5 * (smooth + bias[:, None, None])).transpose(1, 2, 0)
        found.append((tokens, total))
    return found


def test_it_is_a_plain_loop_over_scales_cells_and_codes(plain):
    grids = vectors()
    found = plain(grids)
    for row, grid in enumerate(grids):
        for number, (tokens, total) in enumerate(looped(plain, grid)):
            np.testing.assert_array_equal(found.maps[number][row].numpy(), tokens)
            np.testing.assert_allclose(found.totals[number][row].numpy(), total, atol=1e-5)


def test_decoding_the_first_scales_gives_the_sum_up_to_there(plain):
    found = plain(vectors())
    for count in range(1, 5):
        torch.testing.assert_close(plain.decode(found.maps[:count]), found.totals[count - 1])


def test_residuals_are_what_the_coarser_scales_left(plain):
    grids, before = vectors(), torch.zeros(3, 4, 4, 5)
    found = plain(grids)
    for side, residual, total in zip(SCALES, found.residuals, found.totals, strict=True):
        torch.testing.assert_close(residual, shrunk((grids - before).permute(0, 3, 1, 2), side))
        before = total
    torch.testing.assert_close(found.residuals[0][:, 0, 0], grids.mean((1, 2)))


def test_rows_do_not_depend_on_their_batch(plain):
    maps = plain.encode(vectors())
    alone = plain.encode(vectors()[1:2])
    assert all(torch.equal(one[1:2], other) for one, other in zip(maps, alone, strict=True))


def test_inputs_are_the_sums_as_the_next_scale_sees_them(plain):
    found = plain(vectors())
    tokens = join_scales(found.maps)
    expected = [
        shrunk(total.permute(0, 3, 1, 2), side).flatten(1, 2)
        for total, side in zip(found.totals, SCALES[1:], strict=False)
    ]
    torch.testing.assert_close(plain.inputs(tokens[:, :14]), torch.cat(expected, dim=1))  # 1 + 4 + 9 tokens
    torch.testing.assert_close(plain.inputs(tokens[:, :1]), expected[0])
    assert plain.inputs(tokens[:, :0]).shape == (3, 0, 5)


def test_the_gradient_reaches_the_smoothing_alone():
    q = quantizer().requires_grad_(True)
    grids = vectors().requires_grad_()
    found = q(grids)
    found.totals[-1].square().sum().backward()
    assert grids.grad is None
    assert all(parameter.grad.abs().sum() > 0 for parameter in q.smoothing.parameters())
    assert not any(residual.requires_grad for residual in found.residuals)


def test_a_new_smoothing_changes_nothing():
    q = MultiScaleQuantizer(SCALES, 3, 5)
    q.codebook.copy_(torch.randn(3, 5, generator=generator(1)))
    tokens = torch.tensor([[[0, 1], [2, 0]]])
    codes = interpolate(q.codebook[tokens].permute(0, 3, 1, 2), size=(4, 4), mode="bicubic")
    torch.testing.assert_close(q.enlarged(tokens, 1), codes)


def test_tokens_of_all_scales_in_one_row_and_back():
    maps = [torch.randint(7, (2, side, side), generator=generator(side)) for side in SCALES]
    tokens = join_scales(maps)
    assert tokens.shape == (2, 30)
    assert tokens[0, 1:5].tolist() == maps[1][0].flatten().tolist()
    for count in range(5):
        ends = sum(side**2 for side in SCALES[:count])
        parts = split_scales(tokens[:, :ends], SCALES)
        assert len(parts) == count and all(torch.equal(*pair) for pair in zip(parts, maps, strict=False))
    with pytest.raises(EaselError, match="6 tokens do not end with a scale; scales have 1, 4, 9, 16"):
        split_scales(tokens[:, :6], SCALES)


# ------------------------------------------------------------------------------------------------- codebook


def taught(steps=60, codes=24, seed=0):
    """A quantizer that has seen the same grids again and again, and those grids."""
    q, grids = MultiScaleQuantizer(SCALES, codes, 5, decay=0.8), vectors(rows=16, seed=seed)
    for step in range(steps):
        found = q(grids)
        q.update(found)
        q.revive(found, generator(seed, step))
    return q.requires_grad_(False), grids


def test_the_error_falls_with_every_scale():
    q, grids = taught(codes=64)
    errors = [float((grids - total).square().mean()) for total in q(grids).totals]
    assert all(there < here for here, there in pairwise([float(grids.square().mean()), *errors]))
    assert errors[-1] < 0.2 * errors[0]


def test_the_moving_average_is_the_one_computed_by_hand():
    q = MultiScaleQuantizer((1, 2), 3, 2, decay=0.75)
    q.codebook.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    q.counts.copy_(torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, 0.5]]))
    q.sums.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]))
    grids = torch.zeros(1, 2, 2, 2)
    grids[0, :, :, 0] = 2.0
    grids[0, 0, 0] = torch.tensor([1.2, 1.2])
    found = q(grids)  # mean (1.8, 0.3) → code 0; left: (0.2, 1.2) → code 1, three times (1, 0) → code 0
    assert [tokens.flatten().tolist() for tokens in found.maps] == [[0], [1, 0, 0, 0]]
    q.update(found)
    # A token of the second scale weighs a quarter.
    torch.testing.assert_close(q.counts[0], torch.tensor([0.75 + 0.25, 0.0, 0.375]))
    torch.testing.assert_close(q.counts[1], torch.tensor([0.25 * 0.75, 0.25 * 0.25, 0.375]))
    first = torch.tensor([0.75 + 0.25 * (1.8 + 0.75), 0.25 * 0.3])
    torch.testing.assert_close(q.codebook[0], first / (1 + 0.25 * 0.75))
    torch.testing.assert_close(q.codebook[1], torch.tensor([0.2, 1.2]))
    torch.testing.assert_close(q.codebook[2], torch.tensor([-1.0, 0.0]))


def test_a_code_that_one_scale_uses_lives():
    q, grids = quantizer(codes=6), vectors(rows=8)
    found = q(grids)
    limit = 0.1 * 8 / 6
    q.counts.zero_()
    q.counts[0, 0] = q.counts[3, 1] = 1.01 * limit  # of the coarsest scale alone, of the finest alone
    q.counts[:, 2] = 0.99 * limit  # of all a little, but of none enough
    before = q.codebook.clone()
    assert q.revive(found, generator(0)) == 4
    assert torch.equal(q.codebook[:2], before[:2])
    vectors_of_all = torch.cat([residual.flatten(0, 2) for residual in found.residuals])
    assert all((vectors_of_all == code).all(dim=1).any() for code in q.codebook[2:])
    assert q.revive(found, generator(1)) == 0
    torch.testing.assert_close(q.counts[:, 2:].sum(0), torch.full((4,), 2 * limit))
    torch.testing.assert_close(q.sums[2:], 2 * limit * q.codebook[2:])


def test_a_new_codebook_is_taken_from_all_scales_alike():
    q, grids = MultiScaleQuantizer(SCALES, 4000, 5), vectors(rows=50)
    found = q(grids)
    assert q.revive(found, generator(0)) == 4000
    shares = (q.counts > 0).float().mean(dim=1)  # of each scale
    assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.03)


def test_dead_codes_come_back_far_from_the_living():
    q, grids = quantizer(codes=2), torch.zeros(20, 4, 4, 5)
    grids[:] = q.codebook[0]
    grids[0, 0, 0] += 30
    q.counts[:] = torch.tensor([[1.0], [0.0]]).T
    q.smoothing = MultiScaleQuantizer(SCALES, 2, 5).smoothing
    assert q.revive(q(grids), generator(0)) == 1
    assert q.codebook[1].norm() > 1


def test_use_is_counted_by_scale():
    tokens = np.array([[0, 0, 1, 2, 3], [1, 3, 3, 3, 3]])
    found = usage_by_scale(tokens, (1, 2), 4)
    assert [one["code_use"] for one in found] == [0.5, 1.0]
    assert found[0]["entropy_bits"] == 1.0 and found[1]["perplexity"] < 4


# ------------------------------------------------------------------------------------------------- known cells


def test_a_picture_that_is_known_has_its_own_tokens(plain):
    grids, tokens = vectors(), torch.empty(3, 0, dtype=torch.int64)
    known = partial(plain.known_tokens, grids, torch.ones(3, 4, 4, dtype=torch.bool))
    for _ in SCALES:
        tokens = torch.cat([tokens, known(tokens)], dim=1)
    assert torch.equal(tokens, join_scales(plain.encode(grids)))


def test_hidden_cells_tell_nothing(plain):
    grids, cells = vectors(), torch.ones(3, 4, 4, dtype=torch.bool)
    cells[:, 1:3, 1:3] = False
    other = grids.clone()
    other[:, 1:3, 1:3] = torch.nan
    for count in (0, 1, 5, 14):
        tokens = torch.randint(7, (3, count), generator=generator(count))
        found = plain.known_tokens(grids, cells, tokens)
        assert torch.equal(found, plain.known_tokens(other, cells, tokens))
        assert (found >= 0).any()


def test_tokens_of_too_few_known_cells_are_unknown(plain):
    cells = torch.zeros(3, 4, 4, dtype=torch.bool)
    cells[:, :, :2] = True
    tokens = join_scales(plain.encode(vectors()))
    cases = {1.0: [False, True, False, True, False], 0.5: [True, True, False, True, False]}
    for least, expected in cases.items():
        found = [plain.known_tokens(vectors(), cells, tokens[:, :count], least) >= 0 for count in (0, 1)]
        assert torch.cat(found, dim=1)[0].tolist() == expected
    last = plain.known_tokens(vectors(), cells, tokens[:, :14])
    assert torch.equal(last >= 0, cells.flatten(1))


def test_known_cells_mend_what_was_drawn_wrong():
    """Whatever the coarser tokens are, the finest ones bring the known cells near to what they were."""
    q, grids = taught(codes=64)
    cells = torch.ones(16, 4, 4, dtype=torch.bool)
    cells[:, :, 3] = False
    wrong = torch.randint(64, (16, 1), generator=generator(5))
    tokens = wrong
    for _ in SCALES[1:]:
        given = q.known_tokens(grids, cells, tokens, 0.3)
        tokens = torch.cat([tokens, given.clamp(min=0)], dim=1)
    error = (q.decode(split_scales(tokens, SCALES)) - grids).square().sum(-1)
    left = (q.decode([wrong.view(16, 1, 1)]) - grids).square().sum(-1)
    assert error[cells].mean() < 0.3 * left[cells].mean()


# ------------------------------------------------------------------------------------------------- tokenizer


def tokenizer():
    """A small one whose codebook has been taken from a few pictures."""
    plain = VQGAN(width=16, codes=9, code_width=4, ema_decay=0.9, stride=4, generator=generator(0))
    model = MultiScaleVQGAN.of(plain, (1, 2, 4), codes=32, ema_decay=0.8)
    images = pictures()
    for step in range(5):
        found = model.quantizer(model.embed(images).detach())
        model.quantizer.update(found)
        model.quantizer.revive(found, generator(0, step))
    return model


def pictures():
    return torch.rand(5, 3, 16, 16, generator=generator(1))


def test_it_starts_with_the_plain_tokenizers_networks():
    plain = VQGAN(width=16, codes=9, code_width=4, ema_decay=0.9, stride=4, generator=generator(0))
    model = MultiScaleVQGAN.of(plain, (1, 2, 4), codes=32, ema_decay=0.8)
    assert torch.equal(model.embed(pictures()), plain.embed(pictures()))
    codes = torch.randn(2, 4, 4, 4, generator=generator(2))
    assert torch.equal(model.paint(codes), plain.paint(codes))
    assert model.length == 21 and model.quantizer.codebook.shape == (32, 4)


def test_any_number_of_scales_is_a_picture():
    model = tokenizer()
    tokens = model.encode(pictures())
    assert tokens.shape == (5, 21) and tokens.dtype == torch.int64
    found = [model.decode(tokens[:, :count]) for count in (1, 5, 21)]
    assert all(images.shape == (5, 3, 16, 16) and torch.equal(images, images.clamp(0, 1)) for images in found)
    vectors = model.embed(pictures())
    torch.testing.assert_close(model.decode(tokens), model.paint(model.quantizer(vectors).totals[-1]).clamp(0, 1))


def test_batches_give_what_single_calls_give():
    model = tokenizer()
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    tokens = multi_scale_vqgan.encode_batches(model, images, batch=2)
    assert tokens.dtype == np.uint16 and tokens.shape == (5, 21)
    alone = model.encode(vqgan.pixels_to_tensor(images, model.device))
    np.testing.assert_array_equal(tokens, alone.numpy())
    for count in (1, 5, 21):
        rebuilt = multi_scale_vqgan.decode_batches(model, tokens[:, :count], batch=2)
        assert rebuilt.dtype == np.uint8 and rebuilt.shape == images.shape
        expected = model.decode(alone[:, :count]).permute(0, 2, 3, 1).numpy() * 255
        assert np.abs(rebuilt - expected).max() < 0.51


def test_saved_and_loaded_it_is_the_same(tmp_path):
    model = tokenizer()
    vqgan.save(model, tmp_path)
    loaded = multi_scale_vqgan.load(tmp_path)
    assert loaded.config == model.config and not loaded.training
    assert torch.equal(loaded.encode(pictures()), model.encode(pictures()))
    assert torch.equal(loaded.decode(model.encode(pictures())), model.decode(model.encode(pictures())))


def test_errors_say_what_is_wrong(plain):
    for scales in ((1,), (2, 4), (1, 3, 3)):
        with pytest.raises(EaselError, match="scales must be two or more, rising from 1, not "):
            MultiScaleQuantizer(scales, 4, 2)
    with pytest.raises(EaselError, match="a grid of 4×6 vectors cannot be quantized; the finest scale has 4×4"):
        plain(torch.zeros(1, 4, 6, 5))
    with pytest.raises(EaselError, match="tokens run from 0 to 32, but the model has codes 0 to 31"):
        multi_scale_vqgan.decode_batches(tokenizer(), np.array([[0, 32, 0, 0, 0]]))

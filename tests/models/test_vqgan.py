"""The tokenizer's network and its quantizer."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lib.errors import EaselError
from lib.models import vqgan
from lib.models.discriminator import PatchDiscriminator, fooling_loss, hinge_loss
from lib.models.quantizer import Quantizer, usage
from lib.models.vqgan import VQGAN
from lib.weights.torch_state import generator


def unit_vectors(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(count, width, generator=generator(seed)), dim=1)


def tiny(seed: int = 0) -> VQGAN:
    """A small network whose codebook has been taken from a few pictures."""
    model = VQGAN(width=16, codes=32, code_width=4, ema_decay=0.9, stride=4, generator=generator(seed))
    images = torch.rand(2, 3, 64, 64, generator=generator(seed, 1))
    model.quantizer.revive(model.embed(images).detach().flatten(0, 2), generator(seed, 2))
    return model


# ------------------------------------------------------------------------------------------------- quantizer


def quantizer(codes: torch.Tensor, decay: float = 0.9, counts: float = 1.0) -> Quantizer:
    """One whose codes are given, each in use."""
    result = Quantizer(len(codes), codes.shape[1], decay)
    result.codebook.copy_(codes)
    result.counts.fill_(counts)
    result.sums.copy_(counts * codes)
    return result


def test_each_vector_gets_the_code_at_the_smallest_distance():
    q, vectors = quantizer(unit_vectors(20, 4)), unit_vectors(100, 4, seed=1)
    assert torch.equal(q.nearest(vectors), torch.cdist(vectors, q.codebook).argmin(dim=1))


def test_the_gradient_passes_straight_through():
    q, vectors = quantizer(unit_vectors(5, 4)), unit_vectors(7, 4, seed=1).requires_grad_()
    codes, tokens, _ = q(vectors)
    slope = torch.randn(7, 4, generator=generator(3))
    (codes * slope).sum().backward()
    torch.testing.assert_close(codes.detach(), q.codebook[tokens])
    torch.testing.assert_close(vectors.grad, slope)


def test_the_commitment_term_pulls_vectors_to_their_codes_and_moves_no_code():
    q, vectors = quantizer(unit_vectors(5, 4)), unit_vectors(7, 4, seed=1).requires_grad_()
    before = {name: value.clone() for name, value in q.state_dict().items()}
    _, tokens, commitment = q(vectors)
    commitment.backward()
    torch.testing.assert_close(vectors.grad, 2 * (vectors.detach() - q.codebook[tokens]) / 7)
    assert not list(q.parameters())
    assert all(torch.equal(value, before[name]) for name, value in q.state_dict().items())


def test_the_moving_average_is_the_one_computed_by_hand():
    q = quantizer(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), decay=0.75, counts=2.0)
    vectors = torch.tensor([[0.6, 0.8], [0.8, 0.6], [0.0, 1.0]])
    q.update(vectors, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(q.counts, torch.tensor([0.75 * 2 + 0.25 * 2, 0.75 * 2 + 0.25, 1.5]))
    # Sum of code 0: 0.75 · (2, 0) + 0.25 · (1.4, 1.4) = (1.85, 0.35).
    torch.testing.assert_close(q.sums, torch.tensor([[1.85, 0.35], [0.0, 1.75], [-1.5, 0.0]]))
    length = (1.85**2 + 0.35**2) ** 0.5
    torch.testing.assert_close(q.codebook, torch.tensor([[1.85 / length, 0.35 / length], [0.0, 1.0], [-1.0, 0.0]]))


def test_a_dead_code_comes_back_where_codes_are_missing_and_the_others_stay():
    q = quantizer(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), counts=50.0)
    q.counts[2] = 0.01
    living = q.codebook[:2].clone()
    vectors = torch.cat([torch.tensor([1.0, 0.0]).expand(99, 2), torch.tensor([[0.0, -1.0]])])
    assert q.revive(vectors, generator(0)) == 1
    torch.testing.assert_close(q.codebook[2], torch.tensor([0.0, -1.0]))  # the one vector far from every living code
    assert torch.equal(q.codebook[:2], living)
    assert q.revive(vectors, generator(1)) == 0


def test_a_new_codebook_is_taken_from_the_first_vectors():
    vectors = unit_vectors(400, 4)
    first, second = Quantizer(8, 4), Quantizer(8, 4)
    assert first.revive(vectors, generator(0, 5)) == second.revive(vectors, generator(0, 5)) == 8
    assert torch.equal(first.codebook, second.codebook)
    assert all((vectors == code).all(dim=1).any() for code in first.codebook)


def test_a_revived_code_that_nobody_uses_dies_again():
    q = quantizer(unit_vectors(4, 4), decay=0.9, counts=25.0)
    q.counts[3] = 0.0
    vectors = q.codebook[0].expand(100, 4)
    q.revive(vectors, generator(0))
    updates = 0
    while q.revive(vectors, generator(1)) == 0:
        q.update(vectors, torch.zeros(100, dtype=torch.int64))
        updates += 1
    assert updates == 7  # 0.9⁷ < 1/2, the margin it was given


def test_use_of_the_codebook():
    assert usage(np.array([[0, 1], [2, 3]]), 8) == {"code_use": 0.5, "entropy_bits": 2.0, "perplexity": 4.0}
    assert usage(np.zeros((3, 4), np.uint16), 4) == {"code_use": 0.25, "entropy_bits": 0.0, "perplexity": 1.0}


# ------------------------------------------------------------------------------------------------- network


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 128), (32, 64)])
def test_four_by_four_pixels_are_one_token(height, width):
    model = tiny()
    tokens = model.encode(torch.rand(2, 3, height, width, generator=generator(1)))
    assert tokens.shape == (2, height // 4, width // 4)
    assert tokens.dtype == torch.int64 and set(tokens.unique().tolist()) <= set(range(32))
    images = model.decode(tokens)
    assert images.shape == (2, 3, height, width)
    assert images.dtype == torch.float32 and torch.equal(images, images.clamp(0, 1))


def test_a_token_depends_on_its_own_pixels_alone_and_on_all_of_them():
    model = tiny()
    image = torch.rand(1, 3, 64, 64, generator=generator(5))
    before = model.embed(image)
    for y, x in ((20, 40), (23, 43)):  # two corners of the patch of token (5, 10)
        changed = image.clone()
        changed[..., y, x] = 1 - changed[..., y, x]
        differs = (model.embed(changed) - before).abs().sum(dim=-1)[0] > 0  # [16, 16]
        assert differs.nonzero().tolist() == [[5, 10]]
    shifted = image.roll((4, 8), dims=(2, 3))
    assert torch.equal(model.encode(shifted), model.encode(image).roll((1, 2), dims=(1, 2)))


def test_a_part_of_a_large_picture_has_the_same_tokens_as_alone():
    model = tiny()
    image = torch.rand(1, 3, 128, 128, generator=generator(1))
    whole, part = model.embed(image), model.embed(image[:, :, 32:96, 32:96])
    torch.testing.assert_close(whole[:, 14:18, 14:18], part[:, 6:10, 6:10])


def test_the_reconstruction_error_reaches_every_weight_of_the_encoder():
    model = tiny()
    for part in model.modules():
        if isinstance(part, vqgan.ResidualBlock):  # zero to begin with, which would hide what lies before it
            torch.nn.init.normal_(part.conv2.weight, std=0.1, generator=generator(3))
    codes, _, _ = model.quantizer(model.embed(torch.rand(1, 3, 16, 16, generator=generator(1))))
    model.paint(codes).square().sum().backward()
    assert all(weights.grad.abs().sum() > 0 for weights in model.parameters())


def test_weights_follow_from_the_generator():
    first, same, other = (VQGAN(16, 32, 4, 0.9, 4, generator(seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_batches_give_what_single_calls_give():
    model = tiny()
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    done = []
    tokens = vqgan.encode_batches(model, images, batch=2, report=done.append)
    assert tokens.dtype == np.uint16 and tokens.shape == (5, 8, 8) and done == [2, 4, 5]
    alone = model.encode(vqgan.pixels_to_tensor(images, model.device))
    np.testing.assert_array_equal(tokens, alone.numpy())
    rebuilt = vqgan.decode_batches(model, tokens, batch=3)
    assert rebuilt.dtype == np.uint8 and rebuilt.shape == images.shape
    expected = model.decode(alone).permute(0, 2, 3, 1).numpy() * 255
    assert np.abs(rebuilt - expected).max() < 0.51


def test_saved_and_loaded_the_network_is_the_same(tmp_path):
    model = tiny()
    vqgan.save(model, tmp_path)
    loaded = vqgan.load(tmp_path)
    images = torch.rand(2, 3, 32, 32, generator=generator(4))
    assert loaded.config == model.config
    assert torch.equal(loaded.encode(images), model.encode(images))
    assert torch.equal(loaded.decode(model.encode(images)), model.decode(model.encode(images)))


def test_errors_say_what_is_wrong(tmp_path):
    model = tiny()
    with pytest.raises(EaselError, match="30×64 cannot be tokenized; both must be multiples of 4"):
        model.encode(torch.zeros(1, 3, 30, 64))
    with pytest.raises(EaselError, match="tokens from 0 to 32 cannot be decoded; there are 32 codes"):
        vqgan.decode_batches(model, np.array([[[0, 32]]]))
    with pytest.raises(EaselError, match="does not exist"):
        vqgan.load(tmp_path)


# ------------------------------------------------------------------------------------------------- discriminator


def test_the_hinge_loss_is_the_one_computed_by_hand():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert hinge_loss(real, fake).item() == pytest.approx(0.5 * (0.25 + 0.5))
    assert fooling_loss(fake).item() == pytest.approx(1.5)


def test_the_discriminator_judges_patches_of_22_pixels():
    judge = PatchDiscriminator(4, generator(0))
    image = torch.rand(1, 3, 64, 64, generator=generator(1)).requires_grad_()
    torch.nn.init.ones_(judge.layers[-1].weight)
    scores = judge(image)
    assert scores.shape == (1, 1, 15, 15)
    scores[0, 0, 7, 7].backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    assert seen.any(dim=0).sum() == seen.any(dim=1).sum() == 22

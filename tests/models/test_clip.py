import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.models import clip as clips
from lib.models.clip import Clip, ClipConfig, contrastive_loss

CONFIG = ClipConfig(vocabulary=20, length=8, width=4, embedding=6, text_width=8, text_layers=1, text_heads=2)


@pytest.fixture
def model():
    return Clip(CONFIG, torch.Generator().manual_seed(0)).eval()


def pictures(count, size=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_loss_of_different_captions_is_clips_own_computed_by_hand():
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    texts = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # logits = 2 · [[1, 0.6], [0, 0.8]]; rows are pictures.
    to_text = np.mean([np.log(1 + np.exp(1.2 - 2.0)), np.log(1 + np.exp(0.0 - 1.6))])
    to_image = np.mean([np.log(1 + np.exp(0.0 - 2.0)), np.log(1 + np.exp(1.2 - 1.6))])
    loss = contrastive_loss(images, texts, torch.tensor([[1, 2], [1, 3]]), torch.tensor(2.0))
    assert loss.item() == pytest.approx((to_text + to_image) / 2, rel=1e-6)


def test_equal_captions_are_each_others_positives():
    images = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    text = images[0]
    texts = torch.stack([text, text, images[2]])
    tokens = torch.tensor([[5, 6], [5, 6], [7, 0]])
    logits = (10 * images @ texts.T).double()
    target = torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1.0]], dtype=torch.float64)
    expected = -(target * logits.log_softmax(1)).sum(1).mean() - (target * logits.T.log_softmax(1)).sum(1).mean()
    loss = contrastive_loss(images, texts, tokens, torch.tensor(10.0))
    assert loss.item() == pytest.approx(expected.item() / 2, rel=1e-5)


def test_a_caption_shared_by_two_pictures_is_drawn_to_both_equally():
    images = torch.eye(3)[:2]
    text = torch.tensor([0.6, 0.6, 0.529], requires_grad=True)
    loss = contrastive_loss(images, torch.stack([text, text]), torch.tensor([[5, 6], [5, 6]]), torch.tensor(5.0))
    loss.backward()
    torch.testing.assert_close(text.grad, torch.zeros(3), atol=1e-6, rtol=0)  # halfway between both is the best place


@pytest.mark.parametrize("log_scale", [-1.0, 0.0, np.log(99.0), np.log(101.0), 9.0, 80.0])
def test_the_scale_is_the_exponential_and_at_most_100(model, log_scale):
    """From there on it stands still: a gradient that would raise it further is none."""
    with torch.no_grad():
        model.log_scale.fill_(log_scale)
    scale = model.scale
    scale.backward()
    expected = min(np.exp(log_scale), 100.0)
    assert scale.item() == pytest.approx(expected, rel=1e-5)
    assert model.log_scale.grad.item() == pytest.approx(expected if log_scale < np.log(100.0) else 0, rel=1e-5)


def test_padding_does_not_change_a_caption(model):
    short = torch.tensor([[1, 5, 6, 2]])
    padded = torch.tensor([[1, 5, 6, 2, 0, 0, 0, 0]])
    torch.testing.assert_close(model.text_embedding(short), model.text_embedding(padded))


def test_order_of_words_changes_a_caption(model):
    a, b = model.text_embedding(torch.tensor([[1, 5, 6, 2], [1, 6, 5, 2]]))
    assert not torch.allclose(a, b, atol=1e-4)


def test_embeddings_are_unit_vectors_of_the_stated_shape(model):
    images = clips.embed_images(model, pictures(5), batch_size=2)
    texts = clips.embed_texts(model, np.array([[1, 5, 2, 0], [1, 6, 7, 2]]))
    assert images.shape == (5, 6) and texts.shape == (2, 6)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)


def test_a_pictures_embedding_does_not_depend_on_its_batch(model):
    images = pictures(3)
    np.testing.assert_allclose(
        clips.embed_images(model, images)[:1], clips.embed_images(model, images[:1]), rtol=1e-4, atol=1e-5
    )


def test_feature_maps_have_strides_2_4_8_and_carry_gradients_to_the_picture(model):
    image = torch.rand(2, 3, 32, 32, requires_grad=True)
    maps = model.features(image)
    assert [tuple(m.shape) for m in maps] == [(2, 4, 16, 16), (2, 8, 8, 8), (2, 12, 4, 4)]
    sum(m.square().mean() for m in maps).backward()
    assert image.grad.abs().sum() > 0
    assert model.pooled(torch.rand(2, 3, 64, 64)).shape == (2, model.num_features)


def test_other_picture_sizes_are_brought_to_64():
    grey = np.full((1, 128, 128, 3), 51, np.uint8)
    small = clips.as_input(grey)
    assert small.shape == (1, 3, 64, 64)
    torch.testing.assert_close(small, torch.full((1, 3, 64, 64), 0.2))


def test_save_and_load_keep_weights_and_sizes(model, tmp_path):
    clips.save(model, tmp_path)
    again = clips.load(tmp_path)
    assert again.config == CONFIG and not again.training
    np.testing.assert_array_equal(clips.embed_images(model, pictures(2)), clips.embed_images(again, pictures(2)))


def test_the_same_generator_state_gives_the_same_first_weights():
    torch.manual_seed(1)
    a = Clip(CONFIG, torch.Generator().manual_seed(3)).state_dict()
    torch.manual_seed(2)
    b = Clip(CONFIG, torch.Generator().manual_seed(3)).state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_too_long_and_empty_captions_are_refused(model):
    with pytest.raises(EaselError, match="up to 8 tokens, got 9"):
        model.text_embedding(torch.ones(1, 9, dtype=torch.int64))
    with pytest.raises(EaselError, match="without a token"):
        model.text_embedding(torch.zeros(1, 4, dtype=torch.int64))


def test_heads_must_divide_the_width():
    with pytest.raises(EaselError, match=r"clip\.text_heads = 3 must divide clip\.text_width = 8"):
        ClipConfig(vocabulary=20, length=8, width=4, embedding=6, text_width=8, text_layers=1, text_heads=3)


def test_missing_weights_are_an_error(tmp_path):
    with pytest.raises(EaselError, match="does not exist"):
        clips.load(tmp_path)

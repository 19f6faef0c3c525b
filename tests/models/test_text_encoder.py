from dataclasses import asdict, replace

import pytest
import torch

from lib.errors import EaselError
from lib.models import text_encoder
from lib.models.clip import Clip, ClipConfig
from lib.models.text_encoder import (
    LanguageModel,
    SpanModel,
    TextConfig,
    TextEncoder,
    TextFeatures,
    caption_tower,
    load,
    save,
)
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken

CONFIG = TextConfig(vocabulary=12, length=8, padding=0, width=16, layers=2, heads=2, feed_forward=24, marks=3)
TEXT = torch.tensor([[1, 5, 2, 0, 0], [1, 6, 7, 8, 2], [1, 9, 9, 2, 0]])


@pytest.fixture(scope="module", params=[TextEncoder, LanguageModel])
def model(request):
    return shaken(request.param(CONFIG, generator(0)))


def test_weights_are_counted(model):
    head = CONFIG.ids * CONFIG.width if isinstance(model, LanguageModel) else 0
    assert sum(p.numel() for p in model.parameters()) == CONFIG.parameters + head


def test_an_encoder_sees_all_and_a_language_model_what_came_before(model):
    before = model(TEXT)[1]  # [5, D], without padding
    for place in range(5):
        changed = TEXT.clone()
        changed[1, place] += 1
        moved = (model(changed)[1] - before).abs().amax(1) > 1e-6
        expected = torch.arange(5) >= place if model.causal else torch.ones(5, dtype=torch.bool)
        assert torch.equal(moved, expected)


def test_padding_is_not_seen(model):
    padded = torch.nn.functional.pad(TEXT, (0, 3))
    found, before = model.features(padded), model.features(TEXT)
    assert torch.equal(found.present[:, :5], before.present) and not found.present[:, 5:].any()
    for row, length in enumerate((3, 5, 4)):
        torch.testing.assert_close(found.vectors[row, :length], before.vectors[row, :length])
        torch.testing.assert_close(model(TEXT[row : row + 1, :length])[0], before.vectors[row, :length])


def test_features_carry_no_gradient():
    assert not TextEncoder(CONFIG, generator(0)).features(TEXT).vectors.requires_grad


def test_what_cannot_be_read_is_refused(model):
    with pytest.raises(EaselError, match="texts of up to 8 tokens, got 9"):
        model(torch.ones(1, 9, dtype=torch.int64))
    with pytest.raises(EaselError, match="padding alone"):
        model.features(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(EaselError, match="cannot be split into 3 heads"):
        replace(CONFIG, heads=3)


def test_saved_networks_come_back(model, tmp_path):
    text_encoder.save(model, tmp_path)
    again = text_encoder.load(tmp_path)
    assert type(again) is type(model) and asdict(again.config) == asdict(CONFIG)
    assert torch.equal(again(TEXT), model(TEXT)) and not any(p.requires_grad for p in again.parameters())


def test_targets_of_a_span_model_see_those_before_and_the_whole_input():
    model = shaken(SpanModel(TextEncoder(CONFIG, generator(0)), 1, generator(1)))
    targets = torch.tensor([[12, 5, 13, 6]]).repeat(3, 1)
    before = model(TEXT, targets)
    assert before.shape == (3, 4, CONFIG.ids)
    for place in range(4):
        changed = targets.clone()
        changed[:, place] += 1
        moved = (model(TEXT, changed) - before).abs().amax((0, 2)) > 1e-6
        assert torch.equal(moved, torch.arange(4) > place)
    changed = TEXT.clone()
    changed[1, 4] = 3
    assert ((model(changed, targets) - before)[1].abs().amax(1) > 1e-6).all()
    torch.testing.assert_close(model(torch.nn.functional.pad(TEXT, (0, 2)), targets), before)


def test_untrained_networks_predict_nothing():
    encoder = TextEncoder(CONFIG, generator(0))
    assert (SpanModel(encoder, 2, generator(1))(TEXT, TEXT) == 0).all()
    assert (LanguageModel(CONFIG, generator(0)).logits(TEXT) == 0).all()


def test_captions_follow_one_another():
    short = TextFeatures(torch.ones(2, 2, 4), torch.ones(2, 2, dtype=torch.bool))
    long = TextFeatures(torch.ones(1, 3, 4), torch.tensor([[True, False, False]]))
    for first, second in ((short, long), (long, short)):
        both = first.then(second)
        assert both.vectors.shape == (3, 3, 4) and both.present.sum() == 5 and len(both) == 3
    assert short.then(long).present.tolist() == [[True, True, False]] * 2 + [[True, False, False]]


def test_the_caption_towers_features_are_what_clips_embedding_averages(tmp_path):
    config = ClipConfig(12, 6, width=4, embedding=8, text_width=16, text_layers=1, text_heads=2)
    clip = Clip(config, generator(0)).eval()
    save(caption_tower(clip), tmp_path)
    for tower in (caption_tower(clip), load(tmp_path)):
        found = tower.features(TEXT)
        assert (tower.config.width, tower.config.length, tower.config.padding) == (16, 6, 0)
        with torch.no_grad():
            mean = (found.vectors * found.present[..., None]).sum(1) / found.present.sum(1, keepdim=True)
            embedded = torch.nn.functional.normalize(clip.text.project(mean), dim=1)
            torch.testing.assert_close(embedded, clip.text_embedding(TEXT))
        assert not any(weights.requires_grad for weights in tower.parameters())
        with pytest.raises(EaselError, match="up to 6 tokens, got 7"):
            tower.features(torch.ones(1, 7, dtype=torch.int64))
        with pytest.raises(EaselError, match="padding alone"):
            tower.features(torch.zeros(1, 4, dtype=torch.int64))

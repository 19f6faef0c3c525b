import pytest
import torch

from lib.decoding import autoregressive as decoder
from lib.decoding import filling
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models.autoregressive_predictor import Sampling
from lib.models.parti import Parti
from lib.models.parti_predictor import PartiPredictor
from lib.models.text_encoder import TextFeatures
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken
from tests.models.tiny_muse import BASE, BEFORE, CODEBOOK, text


@pytest.fixture(scope="module")
def model():
    return shaken(Parti(BEFORE, generator(0), CODEBOOK)).eval().requires_grad_(False)


def pictures(rows=3):
    return torch.randint(BEFORE.codes, (rows, BEFORE.length), generator=generator(5))


def test_it_has_the_masked_models_weights(model):
    assert sum(p.numel() for p in model.parameters()) == BEFORE.parameters


def test_a_token_is_predicted_from_all_before_it_and_none_after(model):
    before = model(pictures(), text())
    for place in range(BEFORE.length):
        changed = pictures()
        changed[:, place] = (changed[:, place] + 1) % BEFORE.codes
        moved = (model(changed, text()) - before).abs().amax((0, 2)) > 1e-6  # [N]
        assert torch.equal(moved, torch.arange(BEFORE.length) > place)


def test_every_word_reaches_every_token_and_a_dropped_caption_none(model):
    words = text()
    other = TextFeatures(words.vectors + 1, words.present)
    assert ((model(pictures(), other) - model(pictures(), words)).abs().amax(2) > 1e-6).all()
    dropped = torch.ones(3, dtype=torch.bool)
    assert torch.equal(model(pictures(), other, dropped), model(pictures(), words, dropped))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_windows_are_predicted_as_whole_pictures_are(model, guidance):
    """Also after the window was rolled back, and where rows are at different slots."""
    tokens, words = pictures(), text()
    logits = model(tokens, words)
    if guidance != 1:
        without = model(tokens, words, torch.ones(3, dtype=torch.bool))
        logits = without + guidance * (logits - without)
    wanted = logits.log_softmax(2)
    predictor = PartiPredictor(model, words, Sampling(guidance))
    inputs = torch.nn.functional.pad(tokens, (1, 0), value=BEFORE.codes)  # of slots 0 … N
    predictor.predict(inputs[:, :5], torch.zeros(3, dtype=torch.int64))
    predictor.predict((inputs[:, 5:8] + 1) % BEFORE.codes, torch.full((3,), 5))  # a draft that is given up
    start = torch.tensor([5, 4, 2])
    slots = start[:, None] + torch.arange(4)
    found = predictor.predict(inputs.gather(1, slots), start)
    expected = wanted.gather(1, slots[:, :, None].expand(-1, -1, BEFORE.codes))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_slots_past_the_end_are_finite_and_harm_nothing(model):
    predictor = PartiPredictor(model, text())
    last = torch.tensor([BEFORE.length - 1, BEFORE.length, BEFORE.length + 3])
    assert predictor.predict(torch.zeros(3, 4, dtype=torch.int64), last).isfinite().all()


@pytest.mark.parametrize("decode", [decoder.decode, lambda *given: filling.decode(*given, -torch.ones(3, 12).long())])
def test_the_same_pictures_as_without_a_cache(model, decode):
    seeds = [3, 4, 5]
    drawn = decode(PartiPredictor(model, text()), RowRandom(seeds)).tokens
    noise, tokens = RowRandom(seeds).gumbel(BEFORE.length, BEFORE.codes), torch.zeros_like(drawn)
    for place in range(BEFORE.length):
        log_p = model(tokens, text())[:, place].log_softmax(1)
        tokens[:, place] = (log_p + noise[:, place]).argmax(1)
    assert torch.equal(drawn, tokens)


def test_a_caption_without_a_token_is_refused(model):
    words = text()
    nothing = TextFeatures(words.vectors, words.present & torch.tensor([[True], [False], [True]]))
    with pytest.raises(EaselError, match="caption without a token"):
        PartiPredictor(model, nothing)


def test_it_must_not_see_the_cells_around():
    with pytest.raises(EaselError, match="must not see the cells around it"):
        Parti(BASE, generator(0), CODEBOOK)

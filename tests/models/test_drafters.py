from functools import cache

import numpy as np
import pytest
import torch

from lib.config_tree import replace
from lib.data.captions import Captions
from lib.errors import EaselError
from lib.models import drafters
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling, in_copies
from lib.models.drafters import Eagle, EagleDrafter, Medusa, MedusaHeads
from lib.training.drafters import DrafterTrainee, overlap
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams, DraftersParams
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import shaken

CONFIG = AutoregressiveConfig(
    text_vocabulary=12,
    text_length=4,
    text_padding=0,
    codes=8,
    rows=3,
    columns=4,
    width=16,
    layers=1,
    heads=2,
    feed_forward=24,
)
TRAINING = DescentParams(
    steps=60, batch_size=8, learning_rate=0.02, adam_learning_rate=1e-2, warmup=0, decay=0.5, caption_dropout=0.1
)
PARAMS = DraftersParams(
    model="large", heads=3, feature_noise=0.1, regression=1.0, classification=0.1, discount=0.8, training=TRAINING
)
TOKENS = np.repeat(np.arange(8), 12).reshape(8, 12).astype(np.uint16)
TEXT = torch.tensor([[1, 5, 2, 0], [1, 6, 7, 2]])
EMPTY = torch.tensor([1, 2, 0, 0])
GUIDED = Sampling(guidance=2.0, temperature=0.8, top_k=5)


def encode(texts):
    return np.tile(np.array([1, 2, 0, 0], np.int32), (len(texts), 1))


captions = cache(lambda: Captions([{"en": ["a"]}] * 8, encode))


model = cache(lambda: shaken(Autoregressive(CONFIG, generator(0))))
eagle = cache(lambda: shaken(Eagle(CONFIG, generator(0))))


def new(kind):
    network = Eagle(CONFIG, generator(2)) if kind == "eagle" else Medusa(CONFIG, PARAMS.heads)
    if kind == "medusa":
        network.start_from(model())
    return network


@pytest.mark.parametrize("sampling", [Sampling(), GUIDED], ids=["plain", "guided"])
def test_cached_extrapolation_gives_what_the_whole_pass_gives(sampling):
    tokens = torch.randint(8, (2, 12), generator=generator(4))
    predictor = AutoregressivePredictor(model(), TEXT, EMPTY, sampling)
    start = torch.zeros(2, dtype=torch.int64)
    _, features = predictor.predict_features(model().shift(tokens), start)  # [B, N, copies, D]
    assert features.shape == (2, 12, sampling.copies, 16)
    vectors = model().image_tokens(tokens[:, :-1]).repeat(sampling.copies, 1, 1)
    whole = eagle().extrapolate(in_copies(features)[:, :-1], vectors)  # [R, N − 1, D], of slots 1 …
    expected = sampling(model().head(whole))  # [B, N − 1, codes]

    drafter = EagleDrafter(eagle(), model(), 2, sampling)
    wrong = (tokens + 1) % 8
    for starts in ([1, 1], [4, 2], [3, 4], [9, 7]):  # rows at their own pace, once back
        start = torch.tensor(starts)
        before = start[:, None] + torch.arange(5) - 1  # slots that are given
        there = before.clamp(max=11)
        given = tokens.gather(1, there)
        taken = features[torch.arange(2)[:, None], there]
        drafter.predict(wrong.gather(1, there), -taken, start)  # drafts that are given up
        found, ahead = drafter.predict(given, taken, start)
        assert ahead.shape == (2, 5, sampling.copies, 16)
        for row, first in enumerate(starts):
            count = min(5, 12 - first)
            torch.testing.assert_close(
                found[row, :count], expected[row, first - 1 : first - 1 + count], atol=2e-5, rtol=1e-4
            )


def test_extrapolation_does_not_look_ahead():
    features, vectors = torch.randn(2, 1, 11, 16, generator=generator(4))
    base = eagle().extrapolate(features, vectors)
    for which in (0, 1):
        inputs = [features.clone(), vectors.clone()]
        inputs[which][:, 6] += 1
        moved = (eagle().extrapolate(*inputs) - base).abs().amax(dim=(0, 2)) > 1e-6
        assert moved.tolist() == [False] * 6 + [True] * 5


def test_heads_start_as_the_models_own_and_read_one_feature():
    network = new("medusa")
    heads = MedusaHeads(network, GUIDED)
    assert heads.heads == 3
    features = torch.randn(4, 2, 16, generator=generator(4))  # [B, copies, D]
    found = heads.predict(features)
    expected = GUIDED(model().head(features.transpose(0, 1).flatten(0, 1)))
    for head in range(3):
        torch.testing.assert_close(found[:, head], expected)
    assert found.shape == (4, 3, 8)


@pytest.mark.parametrize("kind", ["eagle", "medusa"])
def test_training_lowers_the_loss_and_leaves_the_model_alone(kind):
    network = new(kind)
    before = overlap(model(), network, captions().first(), TOKENS)
    state = {name: value.clone() for name, value in model().state_dict().items()}
    who = DrafterTrainee(model(), network, captions(), TOKENS, PARAMS, seed=3)
    order = BatchOrder(8, 8, 0)
    losses = [who.step(step, order.indices(step))["loss"] for step in range(60)]
    assert losses[-1] < 0.6 * losses[0]
    assert all(torch.equal(value, state[name]) for name, value in model().state_dict().items())
    after = overlap(model(), network, captions().first(), TOKENS)
    assert after.shape == (8, 1 if kind == "eagle" else 3) and (after >= 0).all() and (after <= 1).all()
    if kind == "eagle":
        assert after.mean() > before.mean() + 0.1


@pytest.mark.parametrize("kind", ["eagle", "medusa"])
def test_interrupted_training_ends_in_the_same_state_bit_for_bit(kind, tmp_path):
    def run(folder, stop=None):
        who = DrafterTrainee(model(), new(kind), captions(), TOKENS, PARAMS, seed=3)
        where = {"checkpoint": folder / "c.safetensors", "fingerprint": "f", "order": BatchOrder(8, 4, 0), "name": "t"}
        if stop:
            fit(who, steps=stop, **where)
            who = DrafterTrainee(model(), new(kind), captions(), TOKENS, PARAMS, seed=3)
        return fit(who, steps=4, **where), who.state()

    (history, whole), (resumed, parts) = run(tmp_path / "a"), run(tmp_path / "b", stop=2)
    assert history == resumed and whole.keys() == parts.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


@pytest.mark.parametrize("kind", ["eagle", "medusa"])
def test_save_and_load_keep_weights_and_kind(kind, tmp_path):
    network = new(kind)
    drafters.save(network, tmp_path)
    again = drafters.load(tmp_path)
    assert type(again) is type(network) and again.config == CONFIG and not again.training
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


def test_settings_out_of_range_are_refused():
    with pytest.raises(EaselError, match="heads is 0, must be at least 1"):
        replace(PARAMS, heads=0)
    with pytest.raises(EaselError, match=r"discount is 0\.0, must be above 0"):
        replace(PARAMS, discount=0.0)

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


def log_softmax(logits):
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def numbers(tensor):
    return tensor.detach().double().numpy()


@pytest.mark.parametrize("discount", [0.3, 0.8, 1.0])
def test_medusas_loss_is_the_discounted_sum_over_heads(discount):
    network = shaken(new("medusa"))
    who = DrafterTrainee(model(), network, captions(), TOKENS, replace(PARAMS, discount=discount), seed=3)
    features = torch.randn(8, 12, 16, generator=generator(4))
    tokens = torch.randint(8, (8, 12), generator=generator(5))
    log_p, expected = log_softmax(numbers(network(features))), 0.0  # [B, N, heads, codes]
    for head in range(PARAMS.heads):
        ahead = [-log_p[row, slot, head, tokens[row, slot + 1 + head]] for row in range(8) for slot in range(11 - head)]
        expected += discount**head * np.mean(ahead)
    assert who.medusa(features, tokens, 0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_eagle_reads_features_under_uniform_noise_of_the_stated_width(noise, monkeypatch):
    who = DrafterTrainee(model(), new("eagle"), captions(), TOKENS, replace(PARAMS, feature_noise=noise), seed=3)
    features = torch.randn(8, 12, 16, generator=generator(4))
    tokens, read, extrapolate = torch.from_numpy(TOKENS.astype(np.int64)), [], who.network.extrapolate
    monkeypatch.setattr(
        who.network, "extrapolate", lambda inputs, vectors: extrapolate(read.append(inputs) or inputs, vectors)
    )
    for step in (0, 0, 1):
        who.eagle(features, tokens, step)
    moved = numbers(read[0] - features[:, :-1])
    assert np.abs(moved).max() <= noise * (1 + 1e-4) + 1e-6
    np.testing.assert_allclose(
        np.quantile(moved, [0.01, 0.5, 0.99]), [-0.98 * noise, 0, 0.98 * noise], atol=0.1 * noise + 1e-6
    )
    assert moved.std() == pytest.approx(noise / np.sqrt(3), rel=0.05, abs=1e-6)
    assert torch.equal(read[0], read[1])  # it follows from seed and step
    assert torch.equal(read[0], read[2]) == (noise == 0)


@pytest.mark.parametrize(("regression", "classification"), [(1.0, 0.1), (0.0, 1.0), (2.0, 0.0)])
def test_eagles_loss_is_the_weighted_sum_of_its_papers_two(regression, classification):
    changes = {"feature_noise": 0.0, "regression": regression, "classification": classification}
    network = shaken(new("eagle"))
    who = DrafterTrainee(model(), network, captions(), TOKENS, replace(PARAMS, **changes), seed=3)
    features = torch.randn(8, 12, 16, generator=generator(4))
    tokens = torch.from_numpy(TOKENS.astype(np.int64))
    found = network.extrapolate(features[:, :-1], model().scale * model().image_tokens(tokens[:, :-1]))
    apart = np.abs(numbers(found) - numbers(features[:, 1:]))
    distance = np.where(apart < 1, apart**2 / 2, apart - 0.5).mean()
    wanted = np.exp(log_softmax(numbers(model().head(features[:, 1:]))))
    entropy = -(wanted * log_softmax(numbers(model().head(found)))).sum(axis=-1).mean()
    expected = regression * distance + classification * entropy
    assert who.eagle(features, tokens, 0).item() == pytest.approx(expected, rel=1e-5)


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

import numpy as np
import pytest
import torch

from lib.config_tree import replace
from lib.data.captions import Captions
from lib.decoding import autoregressive, jacobi
from lib.errors import EaselError
from lib.models.autoregressive import Autoregressive, nats
from lib.models.autoregressive_predictor import AutoregressivePredictor
from lib.training.drafts import DraftTrainee, drafts, first_drafts, noise_behind
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.settings import DescentParams, DraftTuningParams
from lib.weights.torch_state import generator
from tests.models.tiny_autoregressive import NETWORK, shaken

TRAINING = DescentParams(
    steps=40, batch_size=8, learning_rate=0.02, adam_learning_rate=1e-2, warmup=0, decay=0.5, caption_dropout=0.1
)
PARAMS = DraftTuningParams(model="small", drafted=0.5, passes=2, training=TRAINING)
TOKENS = np.random.default_rng(0).integers(0, NETWORK.codes, (8, 1)).repeat(NETWORK.length, axis=1).astype(np.uint16)
TEXT = torch.tensor([[1, 2]])


class Noise:
    """What decoders draw from, with a table of Gumbel noise of our own [1, length, codes]."""

    def __init__(self, table):
        self.table, self.device, self.rows = table, torch.device("cpu"), 1

    def gumbel(self, *shape):
        assert shape == self.table.shape[1:]
        return self.table

    def integers(self, high, *shape):
        return torch.zeros(1, *shape, dtype=torch.int64)


def network():
    return shaken(Autoregressive(NETWORK, generator(0)))


def trainee(model=None, **changes):
    model = model or Autoregressive(NETWORK, generator(0))
    captions = Captions([{"en": ["a"]}] * len(TOKENS), lambda texts: np.tile([1, 2, 0, 0], (len(texts), 1)))
    return DraftTrainee(model, captions, TOKENS, replace(PARAMS, **changes), seed=3)


def pictures(count, seed=1):
    return torch.randint(NETWORK.codes, (count, NETWORK.length), generator=generator(seed))


def test_the_noise_behind_a_picture_draws_that_picture():
    log_p = torch.randn(500, 7, 5, generator=generator(0)).mul(4).log_softmax(dim=-1)
    tokens = torch.randint(5, (500, 7), generator=generator(1))  # any, the unlikely ones too
    noise = noise_behind(log_p, tokens, generator(2))
    assert torch.equal((log_p + noise).argmax(dim=-1), tokens)


def test_over_draws_of_the_law_it_is_gumbel_noise():
    probabilities = torch.tensor([0.6, 0.25, 0.1, 0.05])
    tokens = torch.multinomial(probabilities, 40_000, replacement=True, generator=generator(1))
    noise = noise_behind(probabilities.log().expand(len(tokens), -1), tokens, generator(2)).double()  # [N, 4]
    places = torch.exp(-torch.exp(-noise)).sort(dim=0).values  # the law's distribution function: uniform
    even = (torch.arange(len(tokens)) + 0.5) / len(tokens)
    assert (places - even[:, None]).abs().max() < 1.95 / len(tokens) ** 0.5  # Kolmogorov and Smirnov, p = 0.001
    assert (torch.corrcoef(noise.T) - torch.eye(4)).abs().max() < 0.02


@pytest.mark.parametrize("decode", ["autoregressive", "jacobi"])
def test_decoders_with_this_noise_arrive_at_the_picture(decode):
    model, tokens = network(), pictures(1)
    log_p = model(TEXT, tokens).log_softmax(dim=-1)
    noise = Noise(noise_behind(log_p, tokens, generator(2)))
    predictor = AutoregressivePredictor(model, TEXT, TEXT[0])
    if decode == "autoregressive":
        found = autoregressive.decode(predictor, noise)
    else:
        found = jacobi.decode(predictor, noise, window=4, noise="shared")
    assert torch.equal(found.tokens, tokens)


def test_every_pass_settles_one_more_slot_behind_the_start():
    model, tokens, text = network(), pictures(16), TEXT.expand(16, -1)
    start = torch.arange(16) % NETWORK.length
    for passes in (1, 2, 3):
        found = drafts(model, text, tokens, start, passes, generator(2))
        settled = torch.arange(NETWORK.length) < start[:, None] + passes
        assert torch.equal(found[settled], tokens[settled])
        assert not torch.equal(found, tokens) or passes == 3
    assert torch.equal(drafts(model, text, tokens, start, NETWORK.length, generator(2)), tokens)


def test_drafts_are_those_of_the_decoder_after_as_many_passes():
    """Pass by pass, from the decoder's own trace: with first drafts that are all code 0."""
    model, tokens = network(), pictures(1)
    table = noise_behind(model(TEXT, tokens).log_softmax(dim=-1), tokens, generator(2))
    predictor = AutoregressivePredictor(model, TEXT, TEXT[0])
    whole = NETWORK.length
    decoded = jacobi.decode(predictor, Noise(table), window=whole, noise="shared", trace_slots=whole)
    found = torch.zeros_like(tokens)
    for shown in decoded.trace:  # [1, slots], from the first that is not fixed on
        found = (model(TEXT, found).log_softmax(dim=-1) + table).argmax(dim=-1)
        seen = shown[0][shown[0] >= 0]
        assert torch.equal(seen, found[0, whole - len(seen) :])


def test_first_drafts_are_random_codes_or_the_row_above():
    tokens = torch.arange(12).expand(400, -1)  # three rows of four; codes above 11 are drawn alone
    start = torch.full((400,), 6)
    found = first_drafts(tokens, start, 4, 1000, generator(0))[:, 6:]
    copied = (found == torch.tensor([2, 3, 4, 5, 2, 3])).all(dim=1)
    assert 0.4 < copied.float().mean() < 0.6
    others = found[~copied]
    assert others.min() >= 0 and others.max() < 1000 and others.float().mean() > 400
    top = first_drafts(tokens, torch.full((400,), 2), 4, 1000, generator(0))  # slots 4 and 5 have nothing before them …
    assert len(set(top[:, 2].tolist())) > 100 and (top[:, 4] == 0).float().mean() > 0.4  # … but what is above


def test_tuning_goes_on_as_if_it_had_not_been_stopped(tmp_path):
    def tuned(*stops):
        for stop in stops:
            who = trainee()
            where = {"order": BatchOrder(8, 4, 0), "checkpoint": tmp_path / f"{len(stops)}", "fingerprint": "f"}
            fit(who, name="t", steps=stop, **where)
        return who.state()

    whole, stopped = tuned(4), tuned(2, 4)
    assert all(np.array_equal(whole[name], stopped[name]) for name in whole)


def test_tuning_makes_the_network_predict_behind_wrong_drafts():
    """Every picture is one code, six times: behind wrong tokens only what is left of it tells."""
    before, after = trainee(), trainee()
    for step in range(TRAINING.steps):
        after.step(step, np.arange(8))
    tokens = torch.from_numpy(TOKENS.astype(np.int64))
    text, start = torch.tensor([[1, 2]]).expand(8, -1), torch.full((8,), 2)

    def loss(model):
        read = drafts(model, text, tokens, start, 1, generator(7))
        return torch.nn.functional.cross_entropy(model(text, read).transpose(1, 2), tokens).item()

    assert loss(after.model) < 0.5 * loss(before.model)
    assert nats(after.model, text.numpy(), TOKENS).mean() < 0.5 * nats(before.model, text.numpy(), TOKENS).mean()


def test_the_untuned_network_stays_as_it_is():
    untuned, before = Autoregressive(NETWORK, generator(0)), Autoregressive(NETWORK, generator(0))
    one = trainee(untuned)
    one.step(0, np.arange(8))
    assert all(torch.equal(a, b) for a, b in zip(untuned.parameters(), before.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.model.parameters(), before.parameters(), strict=True))


def test_only_the_share_of_the_pictures_has_drafts(monkeypatch):
    starts = []

    def spy(model, text_ids, tokens, start, passes, random):
        starts.append(start)
        return tokens

    monkeypatch.setattr("lib.training.drafts.drafts", spy)
    one = trainee(drafted=0.3)
    for step in range(300):
        one.loss(step, np.arange(8))
    found = torch.cat(starts)
    assert 0.27 < len(found) / (8 * 300) < 0.33
    assert set(found.tolist()) == set(range(NETWORK.length))


def test_pictures_without_drafts_are_read_as_they_are():
    one, plain = trainee(drafted=1e-9), Autoregressive(NETWORK, generator(0))
    text, tokens = one.batches(0, np.arange(8))
    expected = torch.nn.functional.cross_entropy(plain(text, tokens).flatten(0, 1), tokens.flatten())
    assert one.loss(0, np.arange(8))[0].item() == pytest.approx(expected.item(), rel=1e-2)  # the trainee's is in bf16


@pytest.mark.parametrize(("name", "value"), [("drafted", 0.0), ("drafted", 1.1), ("passes", 0)])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(EaselError, match=rf"DraftTuningParams: {name} is {value}, must"):
        replace(PARAMS, **{name: value})

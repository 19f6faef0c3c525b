from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.decoding import noise_levels
from lib.errors import EaselError
from lib.models import autoregressive
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig, nats, with_levels
from lib.models.autoregressive_predictor import AutoregressivePredictor, Sampling
from lib.models.transformer import GridRotary, rotate
from lib.weights.torch_state import generator

CONFIG = AutoregressiveConfig(
    text_vocabulary=12,
    text_length=5,
    text_padding=0,
    codes=7,
    rows=3,
    columns=4,
    width=16,
    layers=2,
    heads=2,
    feed_forward=24,
)
TEXT = torch.tensor([[1, 5, 2, 0, 0], [1, 6, 7, 8, 2], [1, 9, 9, 2, 0]])
EMPTY = torch.tensor([1, 2, 0, 0, 0])
TOKENS = torch.randint(7, (3, 12), generator=generator(5))
TIMES = noise_levels.levels(3, "linear")[1:]
NOWHERE = torch.zeros(3, dtype=torch.int64)


def network(levels="none"):
    """A network none of whose parts is zero or the identity, as if it were trained."""
    model = Autoregressive(replace(CONFIG, levels=levels), generator(0))
    random = generator(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=random))
        model.take_statistics()
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module", params=["none", "token", "added"])
def tuned(request):
    return network(request.param)


def forced(model, tokens=TOKENS, text=TEXT, sampling=None):
    """The teacher-forced pass, turned into log-probabilities: [B, N, codes]."""
    sampling = sampling or Sampling()
    if sampling.copies == 2:
        text, tokens = torch.cat([text, EMPTY.expand_as(text)]), tokens.repeat(2, 1)
    return sampling(model(text, tokens))


def window(tokens, start, width):
    """Inputs of a window: the tokens at slots start − 1 … start + width − 2; anything past the end."""
    padded = torch.nn.functional.pad(tokens, (1, width), value=3)
    padded[:, 0] = CONFIG.codes
    return padded.gather(1, start[:, None] + torch.arange(width))


def agrees(found, whole, start, width):
    """Compares a window's predictions with the whole pass where there are slots."""
    for row, first in enumerate(start.tolist()):
        there = min(width, CONFIG.length - first)
        torch.testing.assert_close(found[row, :there], whole[row, first : first + there], atol=2e-5, rtol=1e-4)


SETTINGS = [Sampling(), Sampling(guidance=3.0, temperature=0.7, top_k=4)]


@pytest.mark.parametrize("sampling", SETTINGS, ids=["plain", "guided"])
def test_windows_at_any_pace_give_what_the_whole_pass_gives(model, sampling):
    predictor, whole = AutoregressivePredictor(model, TEXT, EMPTY, sampling), forced(model, sampling=sampling)
    assert (predictor.length, predictor.codes, predictor.rows) == (12, 7, 3)
    random, start = generator(7), NOWHERE
    for _ in range(9):
        agrees(predictor.predict(window(TOKENS, start, 4), start), whole, start, 4)
        start = (start + torch.randint(1, 5, (3,), generator=random)).clamp(max=11)


def test_one_token_at_a_time_gives_what_the_whole_pass_gives(model):
    predictor, whole = AutoregressivePredictor(model, TEXT, EMPTY), forced(model)
    for slot in range(12):
        start = torch.full((3,), slot)
        agrees(predictor.predict(window(TOKENS, start, 1), start), whole, start, 1)


def test_rolling_back_forgets_the_drafts_beyond(model):
    predictor, start = AutoregressivePredictor(model, TEXT, EMPTY, SETTINGS[1]), torch.tensor([0, 0, 0])
    predictor.predict(window((TOKENS + 1) % 7, start, 12), start)  # drafts, all wrong
    whole = forced(model, sampling=SETTINGS[1])
    agrees(predictor.predict(window(TOKENS, start, 6), start), whole, start, 6)
    start = torch.tensor([2, 5, 1])  # back by another number of slots in every row
    agrees(predictor.predict(window(TOKENS, start, 8), start), whole, start, 8)
    start = torch.tensor([11, 9, 9])  # past the end, and back
    predictor.predict(window(TOKENS, start, 8), start)
    start = torch.tensor([8, 9, 9])
    agrees(predictor.predict(window(TOKENS, start, 4), start), whole, start, 4)


def test_rows_do_not_know_of_each_other(model):
    together = AutoregressivePredictor(model, TEXT, EMPTY).predict(window(TOKENS, NOWHERE, 5), NOWHERE)
    alone = AutoregressivePredictor(model, TEXT[1:2], EMPTY).predict(window(TOKENS, NOWHERE, 5)[1:2], NOWHERE[:1])
    torch.testing.assert_close(together[1:2], alone, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("sampling", SETTINGS, ids=["plain", "guided"])
def test_rows_that_are_complete_leave_and_the_others_do_not_notice(tuned, sampling):
    predictor, whole = AutoregressivePredictor(tuned, TEXT, EMPTY, sampling, TIMES), forced(tuned, sampling=sampling)
    clean = torch.zeros(3, 4, dtype=torch.int64)

    def embedded(inputs, start):
        return predictor.predict_embedded(predictor.embed(inputs), start, clean)

    start = NOWHERE
    predictor.predict(window(TOKENS, start, 4), start)
    for starts, present in (([2, 12, 3], [0, 2]), ([4, 12, 6], [0, 2]), ([13, 12, 7], [2]), ([12, 13, 9], [2])):
        start = torch.tensor(starts)
        for predict in (predictor.predict, embedded):
            found = predict(window(TOKENS, start, 4), start)
            agrees(found[present], whole[present], start[present], 4)
            absent = [row for row in range(3) if row not in present]
            torch.testing.assert_close(found[absent].exp(), torch.full((len(absent), 4, 7), 1 / 7))
        assert predictor.present.tolist() == present and predictor.rows == 3
        rows = len(present) * sampling.copies
        assert len(predictor.text_ids) == rows
        assert all(len(cache.keys) == len(cache.values) == rows for cache in predictor.caches)
    _, features = predictor.predict_features(window(TOKENS, start, 4), start)
    assert features.shape == (3, 4, sampling.copies, 16) and (features[:2] == 0).all() and (features[2] != 0).any()
    start = torch.full((3,), 12)  # all have left
    assert torch.isfinite(predictor.predict(window(TOKENS, start, 4), start)).all()


def test_a_prediction_depends_on_what_is_before_it_and_on_nothing_else(model):
    whole = model(TEXT, TOKENS)
    for slot in (0, 3, 4, 11):  # 3 and 4: the end of a row and the beginning of the next one
        changed = TOKENS.clone()
        changed[:, slot] = (changed[:, slot] + 1) % 7
        moved = (model(TEXT, changed) - whole).abs().amax(dim=(0, 2)) > 1e-6
        assert not moved[: slot + 1].any()
        assert moved[slot + 1 :].all()


def test_padding_of_captions_makes_no_difference(model):
    torch.testing.assert_close(model(TEXT[:1, :3], TOKENS[:1]), model(TEXT[:1], TOKENS[:1]))
    with torch.no_grad():
        other = network()
        other.text_tokens.weight[0] = 100.0
    torch.testing.assert_close(other(TEXT, TOKENS), model(TEXT, TOKENS))
    first, second = (AutoregressivePredictor(m, TEXT, EMPTY, SETTINGS[1]) for m in (other, model))
    torch.testing.assert_close(*(p.predict(window(TOKENS, NOWHERE, 3), NOWHERE) for p in (first, second)))


def test_every_caption_token_matters(model):
    changed = TEXT.clone()
    changed[1, 3] = 11
    moved = (model(changed, TOKENS) - model(TEXT, TOKENS)).abs().amax(dim=(1, 2))
    assert moved[1] > 1e-3 and (moved[[0, 2]] == 0).all()


def test_attention_depends_on_the_way_from_the_cell_held_to_the_cell_predicted():
    rotary = GridRotary(8, text_length=5, rows=3, columns=4)
    query, key = torch.randn(2, 8, generator=generator(3))

    def score(predicted, held):
        """Of the input that predicts one cell for the key that holds another, as (row, column)."""
        places = torch.tensor([5 + predicted[0] * 4 + predicted[1], 6 + held[0] * 4 + held[1]])
        turns = rotary(places)[:, 0, 0]  # [2, T, d/2, 2]
        return float(rotate(query[None], turns[0, :1])[0] @ rotate(key[None], turns[1, 1:])[0])

    above = score((1, 0), (0, 0))
    for row, column in ((1, 3), (2, 0), (2, 2)):
        assert score((row, column), (row - 1, column)) == pytest.approx(above, abs=1e-5)
    assert score((1, 2), (1, 1)) == pytest.approx(score((2, 3), (2, 2)), abs=1e-5)
    assert abs(score((1, 1), (1, 0)) - above) > 1e-3  # left is not above
    assert abs(score((2, 1), (0, 1)) - above) > 1e-3
    # Captions: one-dimensional positions that end in BOS.
    places = torch.arange(6)
    turns = rotary(places)[:, 0, 0]
    scores = rotate(query.expand(6, 8), turns[1]) @ rotate(key.expand(6, 8), turns[1]).T
    for distance in range(1, 6):
        torch.testing.assert_close(scores.diagonal(-distance), scores[distance, 0].expand(6 - distance))


def test_an_untrained_model_gives_every_code_the_same_probability():
    model = Autoregressive(CONFIG, generator(0))
    np.testing.assert_allclose(nats(model, TEXT.numpy(), TOKENS.numpy()), np.log(7), rtol=1e-6)


def test_nats_of_finished_pictures_are_those_of_the_predictor(model):
    found = nats(model, TEXT.numpy(), TOKENS.numpy().astype(np.uint16), batch_size=2)
    assert found.shape == (3, 12) and found.dtype == np.float32
    log_p = AutoregressivePredictor(model, TEXT, EMPTY).predict(window(TOKENS, NOWHERE, 12), NOWHERE)
    np.testing.assert_allclose(-found, log_p.gather(2, TOKENS[..., None])[..., 0], atol=2e-5)


def test_sampling_settings():
    conditional, unconditional = torch.tensor([[[0.0, 1.0, 2.0, 2.0]]]), torch.tensor([[[1.0, 0.0, 1.0, 0.0]]])
    both = torch.cat([conditional, unconditional])
    guided = torch.tensor([-1.0, 2.0, 3.0, 4.0])  # 2 · conditional − unconditional
    found = Sampling(guidance=2.0, temperature=0.5)(both)
    torch.testing.assert_close(found, (guided / 0.5).log_softmax(0)[None, None])
    found = Sampling(guidance=2.0, top_k=2)(both).exp()
    torch.testing.assert_close(found[0, 0, 2:], guided[2:].softmax(0))
    assert (found[0, 0, :2] == 0).all()
    torch.testing.assert_close(Sampling(top_k=1)(conditional).exp(), torch.tensor([[[0, 0, 0.5, 0.5]]]))
    assert Sampling(temperature=0)(conditional).exp().tolist() == [[[0, 0, 1, 0]]]
    with pytest.raises(EaselError, match="temperature ≥ 0"):
        Sampling(temperature=-1)


def test_clean_embeddings_are_read_as_tokens(tuned):
    predictors = [AutoregressivePredictor(tuned, TEXT, EMPTY, SETTINGS[1], TIMES) for _ in range(2)]
    for first in (0, 4):
        start = torch.full((3,), first)
        inputs = window(TOKENS, start, 5)
        plain = predictors[0].predict(inputs, start)
        embedded = predictors[1].predict_embedded(predictors[1].embed(inputs), start, torch.zeros_like(inputs))
        torch.testing.assert_close(plain, embedded, atol=2e-5, rtol=1e-4)
        agrees(plain, forced(tuned, sampling=SETTINGS[1]), start, 5)


def test_cached_level_tokens_give_what_the_whole_pass_gives(tuned):
    random = generator(9)
    vectors = torch.randn(3, 12, 16, generator=random)
    levels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3]).repeat(3, 1)
    predictor = AutoregressivePredictor(tuned, TEXT, EMPTY, SETTINGS[1], TIMES)
    text = torch.cat([TEXT, EMPTY.expand_as(TEXT)])
    doubled = tuned.destandardize(vectors).repeat(2, 1, 1), levels.repeat(2, 1)
    whole = SETTINGS[1](tuned.head(tuned.features(text, *doubled, TIMES)))
    for first in (0, 3, 7):
        start = torch.full((3,), first)
        found = predictor.predict_embedded(vectors[:, first : first + 5], start, levels[:, first : first + 5])
        agrees(found, whole, start, 5)


def test_noisy_inputs_are_told_their_own_level_and_clean_ones_none(tuned):
    vectors = torch.randn(3, 12, 16, generator=generator(9))
    levels = torch.zeros(3, 12, dtype=torch.int64)
    levels[:, 6] = 2

    def features(levels, times):
        return tuned.features(TEXT, vectors, levels, times)

    base = features(levels, TIMES)
    assert torch.equal(base, features(levels, torch.tensor([0.1, TIMES[1], 0.9])))  # other levels' times do not matter
    moved = (features(levels, torch.tensor([TIMES[0], 0.4, TIMES[2]])) - base).abs().amax(dim=(0, 2)) > 1e-6
    if tuned.config.levels == "none":
        assert not moved.any()
    else:
        assert moved.tolist() == [False] * 6 + [True] * 6


def test_scattered_slots_see_what_is_written_and_nothing_else(model):
    predictor = AutoregressivePredictor(model, TEXT, EMPTY)
    whole, inputs = forced(model), model.shift(TOKENS)
    predictor.predict_at(inputs[:, :6], torch.arange(6).expand(3, -1), torch.ones(3, 12, dtype=torch.bool))
    written = torch.arange(12).expand(3, -1) < 6
    found = predictor.predict_at(inputs[:, 6:7], torch.full((3, 1), 6), written)
    torch.testing.assert_close(found, whole[:, 6:7], atol=2e-5, rtol=1e-4)
    # Slot 8 begins a row while 6 and 7 are unknown: what stood there before has no effect.
    slots, stand_in = torch.full((3, 1), 8), TOKENS[:, 5:6]
    before = predictor.predict_at(stand_in, slots, written)
    predictor.predict_at((inputs[:, 7:8] + 1) % 7, torch.full((3, 1), 7), written)
    torch.testing.assert_close(predictor.predict_at(stand_in, slots, written), before)
    later = torch.arange(12).expand(3, -1) < 7
    assert (predictor.predict_at(stand_in, slots, later) - before).abs().max() > 1e-4


def test_nearest_is_the_code_itself_and_never_bos(model):
    predictor = AutoregressivePredictor(model, TEXT, EMPTY)
    codes = torch.arange(7)
    assert torch.equal(predictor.nearest(3 * predictor.embed(codes)), codes)
    assert predictor.nearest(predictor.embed(torch.tensor([[7]]))).item() < 7


def test_standardization_is_exact(model):
    table = model.image_tokens.weight[:7]
    e = model.standardize(table).double()
    torch.testing.assert_close(e.mean(0), torch.zeros(16, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(e.square().mean(0), torch.ones(16, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.destandardize(model.standardize(table)), table, atol=1e-6, rtol=0)


def test_level_tokens_are_distributed_like_embeddings(model):
    tokens = model.standardize(model.level_tokens(TIMES))
    torch.testing.assert_close(tokens.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.var(1, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    assert torch.cdist(tokens, tokens)[0, 1:].min() > 1


def test_another_scale_of_the_table_is_the_same_network(model):
    other = network()
    other.rescale_table(0.02)
    deviation = other.image_tokens.weight[:7].var(0, correction=0).mean().sqrt()
    assert deviation.item() == pytest.approx(0.02, rel=1e-4)
    torch.testing.assert_close(other(TEXT, TOKENS), model(TEXT, TOKENS), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("levels", ["token", "added"])
def test_telling_levels_changes_nothing_where_all_is_clean(model, levels):
    other = with_levels(model, levels)
    assert other.config.levels == levels
    torch.testing.assert_close(other(TEXT, TOKENS), model(TEXT, TOKENS))


def test_noise_levels_rise_from_clean_to_noise():
    for spacing in ("linear", "karras", "karras_time"):
        for steps in (1, 2, 5, 25):
            times = noise_levels.levels(steps, spacing)
            assert len(times) == steps + 1 and times[0] == 0 and times[-1] == 1
            assert (times.diff() > 0).all()
    linear = noise_levels.levels(4, "linear")
    torch.testing.assert_close(linear, torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    assert (noise_levels.levels(25, "karras")[1:-1] < 0.999).all() and noise_levels.levels(25, "karras")[1] < 0.01
    with pytest.raises(EaselError, match="at least one step"):
        noise_levels.levels(0, "linear")
    with pytest.raises(EaselError, match="no spacing 'cosine'"):
        noise_levels.levels(3, "cosine")


def test_karras_is_the_formula_of_edm():
    found = noise_levels.karras(3, 0.002, 80.0)
    middle = ((0.002 ** (1 / 7) + 80 ** (1 / 7)) / 2) ** 7
    assert found.tolist() == pytest.approx([0.002, middle, 80.0])
    assert noise_levels.levels(3, "karras")[2].item() == pytest.approx(middle / (1 + middle))


def test_denoising_with_the_true_estimate_follows_the_noise_down():
    times = noise_levels.levels(4, "karras")
    clean, noise = torch.randn(2, 5, 8, generator=generator(2))
    x, level = noise, torch.full((5,), 4)
    for _ in range(4):
        x = noise_levels.denoise(x, clean, noise_levels.shares(times[1:])[level])
        level = level - 1
        torch.testing.assert_close(x, noise_levels.corrupt(clean, noise, times[level]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(x, clean)


def test_save_and_load_keep_weights_and_sizes(tuned, tmp_path):
    autoregressive.save(tuned, tmp_path)
    again = autoregressive.load(tmp_path)
    assert again.config == tuned.config and not again.training
    state = tuned.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


def test_wrong_shapes_are_refused(model):
    with pytest.raises(EaselError, match=r"\[3, 11\], must be \[pictures, 12\]"):
        model(TEXT, TOKENS[:, 1:])
    with pytest.raises(EaselError, match=r"\[2, 5\], must be \[3 pictures, up to 5\]"):
        model(TEXT[:2], TOKENS)
    with pytest.raises(EaselError, match="without a token"):
        AutoregressivePredictor(model, torch.zeros(1, 5, dtype=torch.int64), EMPTY)
    with pytest.raises(EaselError, match="up to 5 tokens, got 6"):
        AutoregressivePredictor(model, torch.ones(1, 6, dtype=torch.int64), EMPTY)
    with pytest.raises(EaselError, match="16 cannot be split into 3 heads"):
        replace(CONFIG, heads=3)

import copy
from dataclasses import replace

import pytest
import torch

from lib.errors import EaselError
from lib.models import muse
from lib.models.codes import Neighbours
from lib.models.masked_predictor import Guidance, MusePredictor
from lib.models.muse import Muse, MuseSuperResolution
from lib.models.text_encoder import TextFeatures
from lib.weights.torch_state import generator
from tests.models.tiny_muse import BASE, LARGE, SMALL, base, large, text, tokens

BOTH = {"base": (BASE, base, ()), "large": (LARGE, large, (SMALL,))}


@pytest.fixture(scope="module", params=BOTH)
def case(request):
    """A model, and the small pictures that it reads."""
    _, make, small = BOTH[request.param]
    return make(), small


def logits(model, small, given=None, features=None, dropped=None):
    given = tokens(model.config) if given is None else given
    return model.head(model.features(given, model.read(features or text(), dropped, *small)))


def test_logits_of_every_token_over_codes_alone(case):
    model, small = case
    assert logits(model, small).shape == (
        3,
        model.config.length,
        model.config.codes,
    )  # the mask, id 7, is not among them
    assert model.config.codes in tokens(model.config)
    torch.testing.assert_close(model(tokens(model.config), text(), *small), logits(model, small))


@pytest.mark.parametrize("kind", BOTH)
def test_an_untrained_network_gives_every_code_the_same_probability(kind):
    config, _, small = BOTH[kind]
    network = (MuseSuperResolution if small else Muse)(config, generator(0))
    assert (logits(network, small) == 0).all()


@pytest.mark.parametrize("kind", BOTH)
def test_weights_are_counted(kind):
    config, make, _ = BOTH[kind]
    assert sum(p.numel() for p in make().parameters()) == config.parameters


def test_similar_codes_begin_as_similar_ones():
    """What is learned of one code's logits moves those of codes near to it in the codebook."""
    vectors = torch.tensor([[1.0, 0, 0], [0.99, 0.14, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1], [-1, 0, 0], [0, -1, 0]])
    model = Muse(BASE, generator(0), vectors)
    inputs = model.image_tokens(torch.arange(8))  # the mask among them
    assert (inputs[0] - inputs[1]).norm() < 0.3 * (inputs[0] - inputs[2:]).norm(dim=1).min()
    features = model.features(tokens(BASE), model.read(text()))
    gradient = torch.autograd.grad(model.head(features)[..., 0].mean(), model.head.project)[0]
    with torch.no_grad():
        model.head.project.add_(gradient)
    rises = model.head(features).mean((0, 1))
    assert rises[0] > 0 and rises[1] > 0.9 * rises[0] and (rises[2:] < 0.01 * rises[0]).all()


def test_neighbours_are_the_nine_cells_around_and_nothing_beyond_the_edge():
    layer, x = Neighbours(4, 3, 5, generator(1)), torch.randn(2, 15, 4, generator=generator(2))
    kernel = layer.near.weight.unflatten(1, (3, 3, 4)).permute(0, 3, 1, 2)  # → [D, D, 3, 3]
    wanted = torch.nn.functional.conv2d(x.transpose(1, 2).unflatten(2, (3, 5)), kernel, padding=1)
    torch.testing.assert_close(layer(x), wanted.flatten(2).transpose(1, 2))


def test_a_codebook_of_another_shape_is_refused():
    with pytest.raises(EaselError, match=r"the codebook has the shape \[7, 4\], must be \[7, 3\]"):
        Muse(BASE, generator(0), torch.zeros(7, 4))


def test_every_token_sees_every_other(case):
    model, small = case
    given = tokens(model.config)
    before = logits(model, small, given)
    for place in range(model.config.length):
        changed = given.clone()
        changed[:, place] = (changed[:, place] + 1) % model.config.codes
        moved = (logits(model, small, changed) - before).abs().amax(2)  # [3, N]
        assert (moved > 1e-6).all(), place


def test_every_cell_of_the_small_picture_matters_everywhere():
    model = large()
    before = logits(model, (SMALL,))
    for place in range(model.config.small_length):
        changed = SMALL.clone()
        changed[:, place] = (changed[:, place] + 1) % model.config.codes
        assert ((logits(model, (changed,)) - before).abs().amax(2) > 1e-6).all()


def test_a_cell_finds_the_small_picture_at_its_place():
    """Keys of the small picture are turned to the middles of its cells, counted in cells of the large one."""
    model = large()  # 2×4 → 4×8
    near = torch.einsum("qpc,kpc->qk", model.turns[0, 0, model.back], model.middle_turns[0, 0])  # [32, 8]
    parents = (torch.arange(4)[:, None] // 2 * 4 + torch.arange(8) // 2).flatten()
    assert torch.equal(near.argmax(1), parents)


def test_text_matters_and_padding_does_not(case):
    model, small = case
    before, words = logits(model, small), text()
    for place in range(5):
        changed = words.vectors.clone()
        changed[:, place] += 1
        moved = (logits(model, small, features=TextFeatures(changed, words.present)) - before).abs().amax((1, 2)) > 1e-6
        assert torch.equal(moved, words.present[:, place])
    wider = TextFeatures(
        torch.cat([words.vectors, torch.randn(3, 4, 8)], 1), torch.nn.functional.pad(words.present, (0, 4))
    )
    torch.testing.assert_close(logits(model, small, features=wider), before)


def test_a_dropped_caption_is_not_seen(case):
    model, small = case
    words, dropped = text(), torch.tensor([True, False, False])
    before, whole = logits(model, small, dropped=dropped), logits(model, small)
    torch.testing.assert_close(before[1:], whole[1:])
    assert (before[0] - whole[0]).abs().max() > 1e-3
    other = TextFeatures(words.vectors + 1, torch.roll(words.present, 1, 0))
    torch.testing.assert_close(logits(model, small, features=other, dropped=dropped)[0], before[0])
    nothing = TextFeatures(words.vectors, torch.zeros_like(words.present))
    assert logits(model, small, features=nothing, dropped=torch.ones(3, dtype=torch.bool)).isfinite().all()


def test_what_cannot_be_read_is_refused(case):
    model, small = case
    words = text()
    with pytest.raises(EaselError, match=r"a caption without a token \(padding alone\)"):
        model.read(TextFeatures(words.vectors, words.present & torch.tensor([[True], [False], [True]])), None, *small)
    with pytest.raises(EaselError, match="text features of width 8, got 5"):
        model.read(TextFeatures(words.vectors[:, :, :5], words.present), None, *small)
    with pytest.raises(EaselError, match=r"have the shape \[3, 5\], must be \[pictures, "):
        model.features(torch.zeros(3, 5, dtype=torch.int64), model.read(words, None, *small))
    if small:
        with pytest.raises(EaselError, match=r"\[3, 7\], must be \[pictures, 8\]"):
            model.read(words, None, SMALL[:, :7])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "a width of 16 cannot be split into 3 heads"),
        ({"heads": 1}, "multi-axis attention halves its heads; 1 is odd"),
        ({"block": 3}, "blocks of 3×3 cells do not divide a grid of 4×8"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(EaselError, match=message):
        replace(LARGE, **changes)


def test_rows_do_not_depend_on_their_batch(case):
    model, small = case
    # In float64: float32 products of a batch of one have other kernels on some processors, and other rounding.
    model, given = copy.deepcopy(model).double(), tokens(model.config)
    words = TextFeatures(text().vectors.double(), text().present)
    whole = logits(model, small, given, words)
    for row in range(3):
        alone = TextFeatures(words.vectors[row : row + 1], words.present[row : row + 1])
        own = [one[row : row + 1] for one in small]
        found = logits(model, own, given[row : row + 1], alone)
        torch.testing.assert_close(found, whole[row : row + 1], atol=1e-5, rtol=1.3e-6)  # as of float32


def test_a_saved_network_comes_back(case, tmp_path):
    model, small = case
    muse.save(model, tmp_path)
    again = muse.load(tmp_path)
    assert type(again) is type(model) and again.config == model.config and not again.training
    assert torch.equal(logits(again, small), logits(model, small))
    assert not any(p.requires_grad for p in again.parameters())


def at(progress):
    return torch.full((3,), progress)


def predictor(model, small, *settings, **more):
    return MusePredictor(model, text(), *settings, small=small[0] if small else None, **more)


def test_prediction_without_guidance_is_the_conditional_one(case):
    model, small = case
    found = predictor(model, small).predict(tokens(model.config), at(0.3))
    torch.testing.assert_close(found, logits(model, small).log_softmax(-1))
    assert found.dtype == torch.float32


def test_predictors_say_what_decoders_ask(case):
    model, small = case
    who = predictor(model, small, Guidance(2.0))
    assert (who.length, who.codes, who.rows) == (model.config.length, 7, 3)
    assert who.predict(tokens(model.config), at(1.0)).shape == (3, who.length, who.codes)


GONE = torch.ones(3, dtype=torch.bool)


@pytest.mark.parametrize(("progress", "scale"), [(0.0, 1.0), (0.25, 1.5), (1.0, 3.0)])
def test_guidance_rises_linearly_from_none(case, progress, scale):
    model, small = case
    given = tokens(model.config)
    cond, uncond = logits(model, small), logits(model, small, dropped=GONE)
    found = predictor(model, small, Guidance(3.0, ramp=True)).predict(given, at(progress))
    t = scale - 1  # of the paper: (1 + t) cond − t uncond
    torch.testing.assert_close(found, ((1 + t) * cond - t * uncond).log_softmax(-1), atol=1e-5, rtol=1e-4)


def test_guidance_is_constant_or_late_as_asked():
    progress = torch.tensor([0.25, 0.5, 0.75, 1.0])
    assert Guidance(3.0).at(progress).tolist() == [3, 3, 3, 3]
    assert Guidance(3.0, start=0.5).at(progress).tolist() == [1, 1, 3, 3]
    assert Guidance(3.0, ramp=True, start=0.5).at(progress).tolist() == [1, 1, 2.5, 3]
    assert Guidance(1.0, ramp=True).at(progress).tolist() == [1, 1, 1, 1]
    with pytest.raises(EaselError, match="start at least 0 and below 1"):
        Guidance(2.0, start=1.0)


def test_each_picture_is_guided_at_its_own_progress_and_only_then_costs_a_row_more(case):
    model, small = case
    given, rows = tokens(model.config), []
    who = predictor(model, small, Guidance(3.0, start=0.5))
    handle = model.norm.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    mixed = who.predict(given, torch.tensor([0.25, 0.75, 0.5]))
    early, late = who.predict(given, at(0.25)), who.predict(given, at(0.75))
    handle.remove()
    assert rows == [4, 3, 6]
    torch.testing.assert_close(mixed[[0, 2]], early[[0, 2]])
    torch.testing.assert_close(mixed[1], late[1], atol=1e-5, rtol=1e-4)
    assert (early - late).abs().max() > 1e-2


def test_a_negative_caption_takes_the_place_of_the_dropped_one(case):
    model, small = case
    negative = TextFeatures(torch.randn(3, 7, 8, generator=generator(4)), torch.ones(3, 7, dtype=torch.bool))
    found = predictor(model, small, Guidance(2.5), negative).predict(tokens(model.config), at(0.5))
    away = logits(model, small, features=negative)
    expected = (2.5 * logits(model, small) - 1.5 * away).log_softmax(-1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    same = predictor(model, small, Guidance(2.5), text()).predict(tokens(model.config), at(0.5))
    torch.testing.assert_close(same, logits(model, small).log_softmax(-1), atol=1e-5, rtol=1e-4)
    with pytest.raises(EaselError, match="3 captions, but 2 negative ones"):
        predictor(model, small, Guidance(2.5), TextFeatures(negative.vectors[:2], negative.present[:2]))


def test_small_pictures_go_with_the_super_resolution_model_alone():
    for model, small in ((base(), SMALL), (large(), None)):
        with pytest.raises(EaselError, match="small pictures are for a super-resolution model"):
            MusePredictor(model, text(), small=small)


def test_temperature_and_top_k(case):
    model, small = case
    given, plain = tokens(model.config), logits(model, small)
    warm = predictor(model, small, temperature=0.5).predict(given, at(0.0))
    torch.testing.assert_close(warm, (2 * plain).log_softmax(-1))
    greedy = predictor(model, small, temperature=0.0).predict(given, at(0.0))
    assert torch.equal(greedy.argmax(-1), plain.argmax(-1)) and ((greedy == 0).sum(-1) == 1).all()
    assert (predictor(model, small, top_k=3).predict(given, at(0.0)).isfinite().sum(-1) == 3).all()
    with pytest.raises(EaselError, match="temperature ≥ 0"):
        predictor(model, small, temperature=-1.0)


def test_predicted_rows_do_not_depend_on_their_batch(case):
    model, small = case
    words, given = text(), tokens(model.config)
    whole = predictor(model, small, Guidance(3.0)).predict(given, at(1.0))
    alone = TextFeatures(words.vectors[1:2], words.present[1:2])
    own = MusePredictor(model, alone, Guidance(3.0), small=small[0][1:2] if small else None).predict(
        given[1:2], at(1.0)[:1]
    )
    torch.testing.assert_close(own, whole[1:2], atol=1e-5, rtol=1e-4)

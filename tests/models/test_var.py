from dataclasses import replace
from functools import partial

import pytest
import torch

from lib.decoding import next_scale
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models import var
from lib.models.cross_attention import CrossBlock, turns_of
from lib.models.text_encoder import TextFeatures
from lib.models.transformer import Attention
from lib.models.var import AdaptiveBlock, Var, covering
from lib.models.var_predictor import VarPredictor
from lib.weights.torch_state import generator
from tests.models.tiny_muse import text
from tests.models.tiny_var import CONFIG, quantizer, vectors
from tests.models.tiny_var import model as tiny

LEVELS = torch.arange(4).repeat_interleave(torch.tensor([1, 4, 9, 16]))
GONE = torch.ones(3, dtype=torch.bool)


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def codes():
    return quantizer()


def tokens(rows=3):
    return torch.randint(CONFIG.codes, (rows, CONFIG.length), generator=generator(5))


def inputs(rows=3):
    return quantizer().inputs(tokens(rows)[:, :14])


# ------------------------------------------------------------------------------------------------- network


def test_logits_of_every_token_of_every_scale(model):
    assert model(inputs(), text()).shape == (3, 30, 7)
    assert CONFIG.length == 30 and CONFIG.sizes == [1, 4, 9, 16] and CONFIG.side == 4


def test_an_untrained_network_gives_every_code_the_same_probability():
    assert (Var(CONFIG, generator(0))(inputs(), text()) == 0).all()


def test_weights_are_counted(model):
    assert sum(p.numel() for p in model.parameters()) == CONFIG.parameters


def test_a_token_sees_its_own_scale_and_the_coarser_ones_and_nothing_else(model):
    before, given = model(inputs(), text()), inputs()
    for place in range(1, CONFIG.length):
        changed = given.clone()
        changed[:, place - 1] += 1
        moved = ((model(changed, text()) - before).abs().amax(2) > 1e-6).all(0)  # [N]
        assert torch.equal(moved, LEVELS[place] <= LEVELS), place


def test_no_token_of_a_finer_scale_influences_a_coarser_one(model, codes):
    """Through the quantizer as well: a changed token moves nothing of its own scale or the coarser ones."""
    before = model(inputs(), text())
    for place in range(14):
        changed = tokens()
        changed[:, place] = (changed[:, place] + 1) % CONFIG.codes
        moved = ((model(codes.inputs(changed[:, :14]), text()) - before).abs().amax(2) > 1e-6).all(0)
        assert torch.equal(moved, LEVELS[place] < LEVELS), place


def test_a_coarse_token_lies_in_the_middle_of_its_cells(model):
    cover = covering(CONFIG.scales)
    assert cover.shape == (30, 16)
    torch.testing.assert_close(cover.sum(1), torch.ones(30))
    assert cover[0].unique().tolist() == [1 / 16]
    assert cover[1].view(4, 4).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    torch.testing.assert_close(cover[14:], torch.eye(16))
    middles = torch.tensor([[1.5, 1.5], [0.5, 0.5], [0.5, 2.5], [2.5, 0.5], [2.5, 2.5], [0.5, 0.5], [0.5, 1.5]])
    torch.testing.assert_close(model.turns[:, :, :7], turns_of(middles, 8))  # 3 cells of 4: 0–1, 1–2, 2–3


def test_text_matters_everywhere_and_padding_does_not(model):
    before, words = model(inputs(), text()), text()
    for place in range(5):
        changed = words.vectors.clone()
        changed[:, place] += 1
        moved = (model(inputs(), TextFeatures(changed, words.present)) - before).abs().amax(2) > 1e-6  # [3, N]
        assert torch.equal(moved, words.present[:, place : place + 1].expand(-1, 30))
    wider = TextFeatures(
        torch.cat([words.vectors, torch.randn(3, 4, 8)], 1), torch.nn.functional.pad(words.present, (0, 4))
    )
    torch.testing.assert_close(model(inputs(), wider), before)


def test_a_dropped_caption_is_not_seen(model):
    words, dropped = text(), torch.tensor([True, False, False])
    before, whole = model(inputs(), words, dropped), model(inputs(), words)
    torch.testing.assert_close(before[1:], whole[1:])
    assert (before[0] - whole[0]).abs().max() > 1e-3
    other = TextFeatures(words.vectors + 1, torch.roll(words.present, 1, 0))
    torch.testing.assert_close(model(inputs(), other, dropped)[0], before[0])
    nothing = TextFeatures(words.vectors, torch.zeros_like(words.present))
    assert model(inputs(), nothing, GONE).isfinite().all()


def test_the_first_input_is_the_mean_of_the_words(model):
    words = text()
    mean, _ = model.read(words)
    projected = model.captions.project(model.refiner(words).vectors)
    for row, count in enumerate((3, 5, 2)):
        torch.testing.assert_close(mean[row], projected[row, :count].mean(0))
    torch.testing.assert_close(model.read(words, GONE)[0], model.captions.dropped.expand(3, -1))


def test_without_changes_a_block_is_that_of_the_others():
    block = AdaptiveBlock(16, 2, 24)
    plain = CrossBlock(16, 2, 24, Attention(16, 2))
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            if not name.startswith("changes"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator(len(name))) / 4)
                plain.get_parameter(name).copy_(parameter)
    random = generator(3)
    x, context, mean = (torch.randn(*shape, generator=random) for shape in ((2, 6, 16), (2, 4, 16), (2, 16)))
    seen, turns = torch.ones(2, 1, 1, 4, dtype=torch.bool), turns_of(torch.arange(6)[:, None].expand(-1, 2), 8)
    mask = torch.ones(6, 6, dtype=torch.bool)
    expected = plain(x, turns, mask, plain.cross.read(context, seen))
    torch.testing.assert_close(block(x, turns, mask, block.read(context, seen, mean)), expected)


def test_changes_are_what_the_equation_says():
    """Of the feed-forward part, the others' ends being zero: x + (1 + γ) · part((1 + α) · norm(x) + β)."""
    block, random = AdaptiveBlock(16, 2, 24), generator(3)
    with torch.no_grad():
        block.changes.weight.copy_(torch.randn(96, 16, generator=random))
        block.attention.out.weight.zero_()
        block.cross.out.weight.zero_()
    x, context, mean = (torch.randn(*shape, generator=random) for shape in ((2, 6, 16), (2, 4, 16), (2, 16)))
    reading = block.read(context, torch.ones(2, 1, 1, 4, dtype=torch.bool), mean)
    found = block(x, turns_of(torch.zeros(6, 2), 8), torch.ones(6, 6, dtype=torch.bool), reading)
    changes = (torch.nn.functional.silu(mean) @ block.changes.weight.T).view(2, 6, 1, 16)
    alpha, beta, gamma = changes[:, 3], changes[:, 4], changes[:, 5]
    part = block.feed_forward((1 + alpha) * block.feed_forward_norm(x) + beta)
    torch.testing.assert_close(found, x + (1 + gamma) * part)


def test_rows_do_not_depend_on_their_batch(model):
    whole, words = model(inputs(), text()), text()
    for row in range(3):
        alone = TextFeatures(words.vectors[row : row + 1], words.present[row : row + 1])
        torch.testing.assert_close(model(inputs()[row : row + 1], alone), whole[row : row + 1])


def test_a_saved_network_comes_back(model, tmp_path):
    var.save(model, tmp_path)
    again = var.load(tmp_path)
    assert again.config == model.config and not again.training
    assert torch.equal(again(inputs(), text()), model(inputs(), text()))
    assert not any(p.requires_grad for p in again.parameters())


def test_what_cannot_be_read_or_built_is_refused(model):
    words = text()
    with pytest.raises(EaselError, match=r"a caption without a token \(padding alone\)"):
        model.read(TextFeatures(words.vectors, words.present & torch.tensor([[True], [False], [True]])))
    with pytest.raises(EaselError, match="inputs of the tokens 0 to 30; a picture has 30"):
        model(torch.zeros(3, 30, 5), words)
    with pytest.raises(EaselError, match="a width of 16 cannot be split into 3 heads"):
        replace(CONFIG, heads=3)
    with pytest.raises(EaselError, match="scales must be two or more, rising from 1, not 2, 4"):
        replace(CONFIG, scales=[2, 4])


# ------------------------------------------------------------------------------------------------- predictor


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_scale_by_scale_as_all_at_once(model, codes, guidance):
    """Kept keys and values change nothing, and guidance rises from none to all of it."""
    given, words = tokens(), text()
    logits, without = model(inputs(), words), model(inputs(), words, GONE)
    predictor = VarPredictor(model, codes, words, guidance)
    assert (predictor.sizes, predictor.codes, predictor.rows) == ([1, 4, 9, 16], 7, 3)
    for scale, (start, end) in enumerate(((0, 1), (1, 5), (5, 14), (14, 30))):
        t = (guidance - 1) * scale / 3  # of VAR's code: (1 + t) cond − t uncond
        expected = ((1 + t) * logits - t * without)[:, start:end].log_softmax(2)
        found = predictor.predict(given[:, :start])
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_temperature_and_top_k(model, codes):
    plain = model(inputs(), text())[:, :1]
    nothing = tokens()[:, :0]
    warm = VarPredictor(model, codes, text(), temperature=0.5).predict(nothing)
    torch.testing.assert_close(warm, (2 * plain).log_softmax(-1))
    greedy = VarPredictor(model, codes, text(), temperature=0.0).predict(nothing)
    assert torch.equal(greedy.argmax(-1), plain.argmax(-1)) and ((greedy == 0).sum(-1) == 1).all()
    few = VarPredictor(model, codes, text(), guidance=2.0, top_k=3).predict(nothing)
    assert (few.isfinite().sum(-1) == 3).all()


def test_pictures_are_those_drawn_without_a_cache(model, codes):
    seeds = [3, 4, 5]
    drawn = next_scale.decode(VarPredictor(model, codes, text()), RowRandom(seeds)).tokens
    random, again = RowRandom(seeds), torch.zeros(3, 0, dtype=torch.int64)
    for end, size in ((1, 1), (5, 4), (14, 9), (30, 16)):
        logits = model(codes.inputs(again), text())[:, end - size : end]
        chosen = logits.softmax(2).cumsum(2) > random.uniform(size).unsqueeze(2)
        again = torch.cat([again, chosen.int().argmax(2)], dim=1)
    assert torch.equal(drawn, again)


def test_one_seed_is_the_same_picture_in_any_batch(model, codes):
    words = text()
    whole = next_scale.decode(VarPredictor(model, codes, words, 2.0), RowRandom([3, 4, 5])).tokens
    alone = TextFeatures(words.vectors[1:2, :5], words.present[1:2])
    assert torch.equal(next_scale.decode(VarPredictor(model, codes, alone, 2.0), RowRandom([4])).tokens, whole[1:2])
    assert not torch.equal(whole[0], whole[1])


def test_what_is_known_of_a_picture_stays(model, codes):
    grids, cells = vectors(), torch.ones(3, 4, 4, dtype=torch.bool)
    cells[:, :, 2:] = False
    known = partial(codes.known_tokens, grids, cells)
    found = next_scale.decode(VarPredictor(model, codes, text()), RowRandom([3, 4, 5]), known).tokens
    kept = known(found[:, :14])
    assert torch.equal(found[:, 14:][kept >= 0], kept[kept >= 0]) and (kept >= 0).sum() == 24


def test_another_tokenizer_is_refused(model):
    with pytest.raises(EaselError, match=r"scales \[1, 2, 3, 4\], 7 codes of width 5; .* \[1, 2, 3, 4\], 8 codes"):
        VarPredictor(model, quantizer(codes=8), text())
    with pytest.raises(EaselError, match="guidance ≥ 0"):
        VarPredictor(model, quantizer(), text(), -1.0)

"""Decoders on transformers' classes: the same tokens as the classes' own greedy `generate`, whatever the decoder."""

from itertools import pairwise

import pytest
import torch
import transformers
from packaging.version import Version

from huggingface.models.cache import cache_argument
from huggingface.models.levels import NoiseLevels
from huggingface.models.predictor import HFPredictor
from huggingface.models.prompts import Prompts
from lib.decoding import decoders
from lib.decoding.noise import RowRandom
from lib.decoding.noise_levels import levels
from lib.errors import EaselError
from lib.models.autoregressive_predictor import Sampling, in_copies
from tests.huggingface.models.tiny import LAYOUTS, MODELS, layout_of, own_greedy, prompts, tiny

# Every decoder that is greedy with a predictor of temperature 0, in all its lossless forms.
LOSSLESS = [
    ("autoregressive", {}),
    ("jacobi", {"window": 7}),
    ("jacobi", {"window": 16, "noise": "shared", "initial": "above"}),
    ("sjd", {"window": 5, "initial": "left"}),
    ("sjd", {"window": 8, "coupling": "gumbel", "initial": "uniform"}),
    ("sjd", {"window": 8, "coupling": "maximal", "initial": "sample_left"}),
    ("sjd2", {"window": 6, "keep": torch.inf}),
    ("sjd2", {"window": 6, "keep": torch.inf, "test": "match", "coupling": "gumbel"}),
]
SAMPLED = Sampling(guidance=2.0, temperature=0.9, top_k=8)
TIMES = levels(3, "karras")[1:]


class Batch:
    """A family with prompts of so many pictures, what guidance is away from, and predictors of them."""

    def __init__(self, kind, rows, guided=True):
        self.kind, self.rows, self.family = kind, rows, tiny(kind)
        self.layout = layout_of(kind, self.family)
        # GLM-Image's own guidance takes the lengths of the prompts for those of the others: of one length here.
        self.prompts = prompts(rows, padded=not (kind == "glm_image" and guided))
        found = self.family.unconditional(self.prompts.ids, self.prompts.real)
        self.others = Prompts(*found) if found else prompts(rows, 5 if kind == "glm_image" else 3, 9, padded=False)

    def predictor(self, sampling, **more):
        return HFPredictor(self.family, self.prompts, self.layout, sampling, self.others, **more)

    def decode(self, decoder, options, sampling, seeds=None, **more):
        random = RowRandom(seeds or range(self.rows))
        return decoders.run(decoder, self.predictor(sampling, **more), random, options, self.layout.columns)


# Janus' own generate of pictures cannot do without guidance.
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize(
    ("kind", "guidance"),
    [(kind, guidance) for kind in MODELS for guidance in (1.0, 3.0) if (kind, guidance) != ("janus", 1)],
)
def test_greedy_is_the_class_s_own(kind, guidance, rows):
    batch = Batch(kind, rows, guidance != 1)
    expected = own_greedy(kind, batch.family, batch.layout, batch.prompts, guidance, batch.others)
    assert len(expected.unique(dim=0)) == rows
    for decoder, options in LOSSLESS:
        found = batch.decode(decoder, options, Sampling(guidance, temperature=0), times=TIMES)
        assert torch.equal(found.tokens, expected), (decoder, options)
        assert (found.accepted.sum(dim=1) == batch.layout.length).all()


@pytest.mark.parametrize("kind", MODELS)
def test_shared_noise_is_autoregressive_sampling(kind):
    batch = Batch(kind, 4)
    expected = batch.decode("autoregressive", {}, SAMPLED)
    assert len(expected.tokens.unique(dim=0)) == 4
    match = {"keep": torch.inf, "test": "match", "coupling": "gumbel"}
    for decoder, options in (("jacobi", {"noise": "shared"}), ("sjd2", match)):
        for window in (1, 5, 32):
            found = batch.decode(decoder, options | {"window": window}, SAMPLED, times=TIMES)
            assert torch.equal(found.tokens, expected.tokens), (decoder, window)
        assert found.passes.float().mean() < expected.passes[0]


@pytest.mark.parametrize("kind", MODELS)
def test_a_picture_does_not_depend_on_its_batch(kind):
    batch, alone = Batch(kind, 3), Batch(kind, 1)
    whole = batch.decode("sjd", {"window": 6}, SAMPLED, seeds=[5, 6, 7])
    for row in range(3):
        alone.prompts = Prompts(batch.prompts.ids[row : row + 1], batch.prompts.real[row : row + 1])
        alone.others = Prompts(batch.others.ids[row : row + 1], batch.others.real[row : row + 1])
        part = alone.decode("sjd", {"window": 6}, SAMPLED, seeds=[5 + row])
        assert torch.equal(part.tokens[0], whole.tokens[row]) and part.passes[0] == whole.passes[row]


def random_calls(batch, generator):
    """Predictions of every slot by windows of random widths from random starts, rows at their own pace and going back,
    drafts after the start given up again and again; the last prediction of each slot, [B, length, V]."""
    predictor = batch.predictor(SAMPLED)
    codes, rows, length = predictor.codes, batch.rows, predictor.length
    tokens = torch.randint(codes, (rows, length), generator=generator)
    known = torch.cat([torch.full((rows, 1), codes), tokens], dim=1)  # slot s is column s + 1
    done, result = torch.zeros(rows, dtype=torch.int64), torch.zeros(rows, length, codes)
    while (done < length).any():
        width = int(torch.randint(1, 8, (1,), generator=generator))
        back = torch.randint(0, 3, (rows,), generator=generator)
        start = torch.where(done < length, (done - back).clamp(min=0), length)
        slots = start[:, None] + torch.arange(width)
        drafts = torch.randint(codes, (rows, width), generator=generator)
        right = torch.randint(1, width + 1, (rows,), generator=generator)  # inputs that are no drafts
        given = known.gather(1, slots.clamp(max=length))
        inputs = torch.where(torch.arange(width) < right[:, None], given, drafts)
        log_p = predictor.predict(inputs, start)
        assert log_p.isfinite().any(dim=-1).all()
        for row in range(rows):
            for offset in range(int(right[row])):
                if slots[row, offset] < length:
                    result[row, slots[row, offset]] = log_p[row, offset]
        done = torch.maximum(done, torch.minimum(start + right, torch.tensor(length)))
    return tokens, result


@pytest.mark.parametrize("kind", MODELS)
def test_any_windows_in_any_order_predict_what_one_call_does(kind):
    batch = Batch(kind, 3)
    for seed in range(3):
        tokens, found = random_calls(batch, torch.Generator().manual_seed(seed))
        predictor = batch.predictor(SAMPLED)
        inputs = torch.cat([torch.full((3, 1), predictor.codes), tokens[:, :-1]], dim=1)
        expected = predictor.predict(inputs, torch.zeros(3, dtype=torch.int64))
        torch.testing.assert_close(found.exp(), expected.exp(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", MODELS)
def test_clean_embeddings_are_tokens(kind):
    batch = Batch(kind, 2)
    tokens = torch.randint(16, (2, 6), generator=torch.Generator().manual_seed(1))
    tokens[:, 0] = 16  # BOS
    start = torch.zeros(2, dtype=torch.int64)
    expected = batch.predictor(SAMPLED).predict(tokens, start)
    predictor = batch.predictor(SAMPLED, times=TIMES)
    found = predictor.predict_embedded(predictor.embed(tokens), start, torch.zeros_like(tokens))
    torch.testing.assert_close(found.exp(), expected.exp(), atol=1e-4, rtol=0)
    assert torch.equal(predictor.nearest(predictor.embed(tokens[:, 1:])), tokens[:, 1:])
    embeddings = predictor.embed(torch.arange(16))
    torch.testing.assert_close(embeddings.mean(dim=0), torch.zeros(embeddings.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(embeddings.std(dim=0, correction=0), torch.ones(embeddings.shape[1]))


@pytest.mark.parametrize("kind", MODELS)
def test_level_tokens_are_seen_by_inputs_of_their_level_alone(kind):
    batch = Batch(kind, 3)
    start = torch.zeros(3, dtype=torch.int64)
    at_levels = torch.zeros(3, batch.layout.length, dtype=torch.int64)
    at_levels[0, 5] = 1
    soft = Sampling(guidance=2.0, temperature=5.0)
    untold = batch.predictor(soft, times=TIMES)
    batch.family.tuned = NoiseLevels(spacing="karras", denoising_steps=(3,))
    told, other = (batch.predictor(soft, times=times) for times in (TIMES, TIMES * 0.5))
    inputs = untold.embed(torch.randint(16, at_levels.shape, generator=torch.Generator().manual_seed(1)))
    clean, noisy, at_other = (one.predict_embedded(inputs, start, at_levels) for one in (untold, told, other))
    differs = ((noisy - clean).abs().amax(dim=-1) > 1e-4, (noisy - at_other).abs().amax(dim=-1) > 1e-4)
    for found in differs:
        # The slot that the noisy input predicts, none before it, and no other row.
        assert found[0, 5] and not found[0, :5].any() and not found[1:].any()


def test_features_are_what_the_head_reads():
    batch = Batch("chameleon", 2)
    predictor = batch.predictor(SAMPLED)
    inputs, start = torch.tensor([[16, 1], [16, 2]]), torch.zeros(2, dtype=torch.int64)
    log_p, features = predictor.predict_features(inputs, start)
    assert features.shape == (2, 2, 2, 32)
    again = SAMPLED(predictor.head(in_copies(features)))
    torch.testing.assert_close(log_p, again)


class Drafter:
    """Drafts at random from the features, as EAGLE's drafter and as Medusa's heads."""

    heads = 2

    def __init__(self):
        self.weight = torch.randn(2, 2 * 32, 16, generator=torch.Generator().manual_seed(4))

    def predict(self, given, *others):
        if others:  # EAGLE's: inputs, features and start
            return (others[0].flatten(2) @ self.weight[0]).log_softmax(dim=-1), others[0].tanh()
        return (given.flatten(1) @ self.weight).log_softmax(dim=-1).movedim(0, 1)  # [B, heads, V]


@pytest.mark.parametrize("decoder", ["eagle", "medusa"])
def test_drafters_read_features(decoder):
    batch = Batch("emu3", 4)
    greedy = Sampling(2.0, temperature=0)
    random = RowRandom(range(4))
    found = decoders.run(decoder, batch.predictor(greedy), random, {}, batch.layout.columns, Drafter())
    assert torch.equal(found.tokens, batch.decode("autoregressive", {}, greedy).tokens)
    assert (found.passes < 12).any()


def test_rows_that_are_complete_are_not_computed(monkeypatch):
    batch = Batch("emu3", 3)
    predictor, shapes = batch.predictor(SAMPLED), []
    backbone = type(batch.family).backbone.fget(batch.family)
    forward = backbone.forward
    monkeypatch.setattr(
        backbone,
        "forward",
        lambda inputs_embeds, **more: shapes.append(len(inputs_embeds)) or forward(inputs_embeds=inputs_embeds, **more),
    )
    monkeypatch.setattr("huggingface.models.predictor.cache_argument", lambda _: "past_key_values")
    length, inputs = predictor.length, torch.full((3, 2), 3)
    predictor.predict(torch.full((3, length), 3).index_fill_(1, torch.tensor(0), 16), torch.zeros(3, dtype=torch.int64))
    for start in ([4, 4, 4], [length, 5, 5], [length, 6, length], [length, length, length + 2]):
        found = predictor.predict(inputs, torch.tensor(start))
        assert found.isfinite().any(dim=-1).all()
    assert shapes == [6, 6, 4, 2]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_of_both_kinds(attention):
    batch = Batch("emu3", 2)
    batch.family.backbone.set_attn_implementation(attention)
    found = batch.decode("jacobi", {"window": 6, "noise": "shared"}, SAMPLED)
    assert torch.equal(found.tokens, Batch("emu3", 2).decode("autoregressive", {}, SAMPLED).tokens)


def test_attention_without_masks_is_refused():
    family = tiny("llama")
    family.config._attn_implementation = "flash_attention_2"
    with pytest.raises(EaselError, match="'flash_attention_2' does not take"):
        type(family)(family.model)


@pytest.mark.parametrize("kind", MODELS)
def test_the_next_version_calls_the_cache_otherwise(kind, monkeypatch):
    """transformers 5.24 renames the argument: a backbone of that kind, around this one's."""
    batch = Batch(kind, 2)
    expected = batch.decode("sjd", {"window": 5}, SAMPLED)
    backbone = batch.family.backbone
    forward, own = backbone.forward, cache_argument(backbone)
    assert own == ("past_key_values" if Version(transformers.__version__) < Version("5.24") else "cache")

    def renamed(inputs_embeds, position_ids, attention_mask, use_cache, cache):
        given = {"inputs_embeds": inputs_embeds, "position_ids": position_ids, "attention_mask": attention_mask}
        return forward(**given, use_cache=use_cache, **{own: cache})

    monkeypatch.setattr(backbone, "forward", renamed)
    assert cache_argument(backbone) == "cache"
    assert torch.equal(batch.decode("sjd", {"window": 5}, SAMPLED).tokens, expected.tokens)


def test_guidance_needs_what_it_is_away_from():
    batch = Batch("llama", 3)
    with pytest.raises(EaselError, match="guidance 2 needs an unconditional prompt a picture: 3, not none"):
        HFPredictor(batch.family, batch.prompts, batch.layout, SAMPLED)
    with pytest.raises(EaselError, match="3, not 2"):
        HFPredictor(batch.family, batch.prompts, batch.layout, SAMPLED, prompts(2))


def test_line_ends_are_read():
    """A picture with another end-of-line token has other predictions, from the second line on and not before."""
    batch = Batch("emu3", 1)
    tokens = torch.randint(16, (1, 12), generator=torch.Generator().manual_seed(0))
    inputs, start = torch.cat([torch.tensor([[16]]), tokens[:, :-1]], dim=1), torch.zeros(1, dtype=torch.int64)
    found = []
    for line_end in (6, 50):
        batch.layout = type(batch.layout)(batch.layout.grids, line_end)
        found.append(batch.predictor(Sampling()).predict(inputs, start)[0].exp())
    same = (found[0] - found[1]).abs().amax(dim=1) < 1e-6
    assert same.tolist() == [True] * 4 + [False] * 8


@pytest.mark.parametrize(("kind", "size"), LAYOUTS.items())
def test_sizes(kind, size):
    family = tiny(kind)
    assert family.layout(family.config, size).grids == (size,)
    assert all(first < second for first, second in pairwise(family.layout(family.config, size).slots.tolist()))

"""aMUSEd's networks as a `MaskedPredictor`: captions, guidance, tokens and pictures."""

from functools import partial

import numpy as np
import pytest
import torch

from huggingface.models.amused import Amused, AmusedPredictor
from lib.decoding.editing import resample
from lib.decoding.masked import decode
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.models.masked_predictor import Guidance
from lib.weights.torch_state import generator
from tests.decoding.toy_masked import assert_sound, partly_known
from tests.huggingface.models.tiny_amused import CAPTIONS, CODES, MASK, NEGATIVE, SIDE, STRIDE, pipeline

DONE = torch.ones(2)


@pytest.fixture(scope="module")
def pipe():
    return pipeline()


@pytest.fixture(scope="module")
def model(pipe):
    return Amused(pipe.transformer, pipe.vqvae, pipe.text_encoder, pipe.tokenizer, MASK)


@pytest.fixture(scope="module")
def tokens():
    """Two pictures, some of whose tokens are masked."""
    known = torch.randint(CODES, (2, SIDE**2), generator=generator(4))
    return known.masked_fill(torch.rand(known.shape, generator=generator(5)) < 0.6, CODES)


def predictor(model, *arguments, captions=CAPTIONS, **options):
    return AmusedPredictor(model, model.read(captions), *arguments, **options)


def counted(model, monkeypatch):
    """Rows of every call of the transformer from here on."""
    rows, forward = [], model.transformer.forward
    monkeypatch.setattr(
        model.transformer, "forward", lambda ids, **given: rows.append(len(ids)) or forward(ids, **given)
    )
    return rows


def test_predictions_are_of_codes_alone(model, tokens):
    log_p = predictor(model).predict(tokens, DONE)
    assert log_p.shape == (2, SIDE**2, CODES) and log_p.dtype == torch.float32
    torch.testing.assert_close(log_p.exp().sum(2), torch.ones(2, SIDE**2))


def test_the_mask_is_the_schedulers_id_and_not_the_first_after_the_codes(model, tokens):
    """Ids between the codes and the mask are never trained."""
    wrong = Amused(model.transformer, model.vqvae, model.text_encoder, model.tokenizer, CODES)
    assert not torch.allclose(predictor(model).predict(tokens, DONE), predictor(wrong).predict(tokens, DONE), atol=1e-3)


def test_tokens_lie_in_reading_order(model, tokens):
    """What the transformer says of row r and column c is at slot r · side + c."""
    ids = torch.where(tokens == CODES, MASK, tokens).view(2, SIDE, SIDE)
    captions = model.read(CAPTIONS)
    with torch.no_grad():
        logits = model.transformer(
            ids,
            encoder_hidden_states=captions.features,
            pooled_text_emb=captions.pooled,
            micro_conds=torch.tensor([[8.0, 8.0, 0.0, 0.0, 6.0]] * 2),
        )
    log_p = predictor(model).predict(tokens, DONE)
    for row in range(SIDE):
        for column in range(SIDE):
            expected = logits[:, :, row, column].log_softmax(1)
            torch.testing.assert_close(log_p[:, row * SIDE + column], expected)


def test_captions_and_micro_conditions_are_seen(model, tokens):
    plain = predictor(model).predict(tokens, DONE)
    others = [predictor(model, captions=NEGATIVE), predictor(model, aesthetic_score=2.0), predictor(model, crop=(4, 0))]
    for other in others:
        assert not torch.allclose(other.predict(tokens, DONE), plain, atol=1e-4)


def test_long_captions_are_cut(model):
    assert len(model.tokenizer(CAPTIONS[1]).input_ids) > 12
    cut = model.read([CAPTIONS[1] + " and more"])
    assert cut.features.shape == (1, 12, 12)
    torch.testing.assert_close(cut.features, model.read([CAPTIONS[1]]).features)


def test_guidance_1_asks_for_no_unconditional_rows(model, tokens, monkeypatch):
    rows = counted(model, monkeypatch)
    predictor(model).predict(tokens, DONE)
    predictor(model, Guidance(4.0)).predict(tokens, DONE)
    assert rows == [2, 4]


@pytest.mark.parametrize("negative", [None, NEGATIVE])
def test_guidance_leads_away_from_the_empty_or_the_negative_caption(model, tokens, negative):
    given = None if negative is None else model.read(negative)
    guided = predictor(model, Guidance(3.0), given).predict(tokens, DONE)
    cond, uncond = (
        predictor(model, captions=captions).predict(tokens, DONE) for captions in (CAPTIONS, negative or ["", ""])
    )
    torch.testing.assert_close(guided, (uncond + 3 * (cond - uncond)).log_softmax(2), atol=1e-4, rtol=1e-4)


def test_guidance_rises_with_each_pictures_progress_and_begins_late(model, tokens, monkeypatch):
    rows = counted(model, monkeypatch)
    ramp = predictor(model, Guidance(5.0, ramp=True, start=0.5)).predict(tokens, torch.tensor([0.5, 0.75]))
    assert rows == [3]  # of the first picture, whose guidance is 1 still, the conditional row alone
    torch.testing.assert_close(ramp[0], predictor(model).predict(tokens, DONE)[0])
    torch.testing.assert_close(ramp[1], predictor(model, Guidance(4.0)).predict(tokens, DONE)[1], atol=1e-5, rtol=1e-5)


def test_temperature_and_top_k(model, tokens):
    log_p = predictor(model, temperature=0.5, top_k=3).predict(tokens, DONE)
    assert (log_p.isfinite().sum(2) == 3).all()
    plain = predictor(model).predict(tokens, DONE)
    torch.testing.assert_close(log_p.exp().amax(2), (2 * plain.topk(3).values).softmax(2).amax(2))


@pytest.mark.parametrize("order", ["confidence", "halton", "random"])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "arccos"])
def test_every_order_and_schedule_inpaints_what_is_not_known(model, order, schedule):
    known = partly_known(2, SIDE**2, CODES)
    known[0, 3:] = -1
    known[1, :5] = -1
    network = predictor(model, Guidance(2.0, ramp=True))
    decoded = decode(network, RowRandom([1, 2]), steps=5, order=order, schedule=schedule, known=known, trace=True)
    assert_sound(network, known, 5, decoded)


def test_one_seed_gives_one_picture(model):
    together = decode(predictor(model, Guidance(2.0)), RowRandom([1, 2]), steps=4).tokens
    for row, caption in enumerate(CAPTIONS):
        alone = decode(predictor(model, Guidance(2.0), captions=[caption]), RowRandom([1 + row]), steps=4).tokens
        assert torch.equal(alone[0], together[row])


def test_editing_without_a_mask(model):
    start = torch.randint(CODES, (2, SIDE**2), generator=generator(6))
    network = predictor(model, Guidance(4.0), model.read(NEGATIVE), top_k=3)
    edited = resample(network, RowRandom([1, 2]), start, iterations=4, share=0.25, trace=True)
    assert edited.changed.sum() > 0 and (edited.changed <= 4).all()
    before = start
    for after in edited.trace:
        assert ((after != before).sum(1) <= 4).all()
        before = after
    assert model.decode(edited.tokens).shape == (2, SIDE * STRIDE, SIDE * STRIDE, 3)


def test_pictures_are_encoded_by_the_nearest_code(model):
    images = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    tokens = model.encode(images)
    assert tokens.shape == (3, SIDE**2) and len(tokens.unique()) > 1
    with torch.no_grad():
        scaled = torch.from_numpy(images / 255).float().permute(0, 3, 1, 2)
        vectors = model.vqvae.encode(scaled).latents.flatten(2).transpose(1, 2)  # [3, N, d]
    distances = (vectors[:, :, None] - model.vqvae.quantize.embedding.weight).square().sum(3)
    assert torch.equal(tokens, distances.argmin(2))
    assert torch.equal(model.encode(images[1:2])[0], tokens[1])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda model: model.encode(np.zeros((1, 8, 6, 3), np.uint8)), r"must be 8×8 in RGB here, not \(8, 6, 3\)"),
        (lambda model: model.decode(torch.full((1, SIDE**2), CODES)), "16 tokens of 0 … 28, .* decode all"),
        (lambda model: model.decode(torch.zeros(1, 4, dtype=torch.int64)), r"16 tokens .* not \(4,\)"),
        (lambda model: predictor(model, negative=model.read(["grey"])), "there are 2 captions, but 1 negative ones"),
        (lambda model: predictor(model, temperature=-1.0), "temperature ≥ 0"),
    ],
)
def test_what_does_not_fit_is_refused(model, call, message):
    with pytest.raises(EaselError, match=message):
        call(model)


def test_pictures_are_the_pipelines(pipe, model):
    tokens = torch.randint(CODES, (2, SIDE**2), generator=generator(7))
    draw = partial(pipe, CAPTIONS, num_inference_steps=1, guidance_scale=1.0, output_type="np")
    drawn = draw(latents=tokens.view(2, SIDE, SIDE)).images  # with no token masked, nothing is drawn
    assert np.array_equal((drawn * 255).round().astype(np.uint8), model.decode(tokens))
    assert drawn.std() > 0.1

import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.models.var import Var, VarConfig
from lib.training.averaged_settings import AveragedTrainingParams
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.parti import TokenBatches
from lib.training.settings import DescentParams
from lib.training.var import VarTrainee, measure
from lib.weights.torch_state import generator
from tests.models.tiny_var import quantizer
from tests.training.test_muse_training import captions, reader

CONFIG = VarConfig(
    codes=8, scales=(1, 2, 3), code_width=5, text_width=16, text_layers=0, width=16, layers=2, heads=2, feed_forward=24
)
# The picture of a letter: at every scale its number and three more than that, by turns.
TOKENS = (np.arange(8)[:, None] + 3 * (np.arange(14) % 2)) % 8
RATES = dict(learning_rate=0.02, adam_learning_rate=1e-2, warmup=2, decay=0.5)
CODES = quantizer(CONFIG.scales, CONFIG.codes, CONFIG.code_width)


def params(steps=60, caption_dropout=0.0):
    training = DescentParams(steps=steps, batch_size=8, caption_dropout=caption_dropout, **RATES)
    return AveragedTrainingParams(average=0.9, training=training)


def trainee(tokens=TOKENS, codes=CODES, **changes):
    model, given = Var(CONFIG, generator(0)), params(**changes)
    batches = TokenBatches(model, captions(), tokens, reader().features, given, 3)
    return VarTrainee(model, batches, given, codes)


def trained(who, path, steps=60):
    return fit(
        who, name="t", steps=steps, order=BatchOrder(8, 8, 0), checkpoint=path / "c.safetensors", fingerprint="f"
    )


def test_a_picture_is_learned_for_every_caption(tmp_path):
    who = trainee()
    history = trained(who, tmp_path)
    assert history[0]["loss"] == pytest.approx(np.log(8), abs=0.05)  # every code the same probability
    found = measure(who.average.network(), CODES, who.batches, 8, batch_size=3)
    assert found["loss"] < 0.3
    assert all(found[f"right_{side}"] > 0.9 for side in CONFIG.scales)


def test_what_no_caption_says_is_not_known(tmp_path):
    """Without captions the coarsest token alone is a guess: it says which of the eight pictures it is."""
    who = trainee(caption_dropout=0.999999)
    trained(who, tmp_path)
    found = measure(who.average.network(), CODES, who.batches, 8)
    assert found["loss_1"] > 0.8 * np.log(8) and found["loss_3"] < 0.5


def test_the_loss_is_the_mean_over_the_tokens_of_all_scales():
    who = trainee()
    for step in range(3):
        who.step(step, np.arange(8))
    text, dropped, tokens = who.batches(5, np.arange(8))
    log_p = who.model(CODES.inputs(tokens[:, :5]), text, dropped).log_softmax(2)
    losses = -log_p.gather(2, tokens[:, :, None])[:, :, 0]
    loss, numbers = who.loss(5, np.arange(8))
    torch.testing.assert_close(loss, losses.mean())
    right = (log_p.argmax(2) == tokens).float()
    for side, start, end in ((1, 0, 1), (2, 1, 5), (3, 5, 14)):
        torch.testing.assert_close(numbers[f"loss_{side}"], losses[:, start:end].mean().detach())
        torch.testing.assert_close(numbers[f"right_{side}"], right[:, start:end].mean())


def test_interrupted_and_resumed_it_ends_the_same():
    whole, first, second = (trainee(steps=8, caption_dropout=0.3) for _ in range(3))
    for step in range(8):
        whole.step(step, np.arange(8))
    for step in range(4):
        first.step(step, np.arange(8))
    second.load_state(first.state())
    for step in range(4, 8):
        second.step(step, np.arange(8))
    for name, array in whole.state().items():
        assert np.array_equal(array, second.state()[name]), name


def test_every_parameter_is_trained_once_and_the_quantizer_is_not():
    who = trainee()
    groups = {name: one.param_groups for name, one in who.descent.optimizers.items()}
    found = [p for one in groups.values() for group in one for p in group["params"]]
    assert sorted(map(id, found)) == sorted(map(id, who.model.parameters()))
    names = {id(p): name for name, p in who.model.named_parameters()}
    by_muon = {names[id(p)] for p in groups["muon"][0]["params"]}
    assert {"blocks.0.changes.weight", "blocks.1.attention.qkv.weight", "blocks.1.cross.query.weight"} <= by_muon
    assert not {"sums.weight", "head.weight", "captions.project.weight"} & by_muon
    before = {name: value.clone() for name, value in CODES.state_dict().items()}
    who.step(0, np.arange(8))
    assert all(torch.equal(value, before[name]) for name, value in CODES.state_dict().items())


def test_captions_are_dropped_as_often_as_asked():
    who = trainee(caption_dropout=0.25)
    assert np.mean([who.batches(step, np.arange(8))[1].numpy() for step in range(400)]) == pytest.approx(0.25, abs=0.03)


def test_what_does_not_fit_is_refused():
    with pytest.raises(EaselError, match=r"\[8, 13\], must be \[8 pictures, 14\]"):
        trainee(TOKENS[:, :13])
    with pytest.raises(EaselError, match="the tokenizer has scales"):
        trainee(codes=quantizer())

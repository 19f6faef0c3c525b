"""Flow and next-scale models in the painter: what comes out is what their networks and samplers say."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lib.decoding import diffusion, next_scale
from lib.decoding.diffusion_schedules import flow_levels
from lib.decoding.noise import RowRandom
from lib.errors import EaselError
from lib.generate import Painter
from lib.models import multi_scale_vqgan, text_encoder, vqgan
from lib.models.codes import CodeHead
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.models.multi_scale_vqgan import MultiScaleVQGAN
from lib.models.var import Var, VarConfig
from lib.models.var_predictor import VarPredictor
from lib.painter import drawing, published
from lib.painter.flow import Flow
from lib.painter.next_scale import NextScale
from lib.painter.published import Published
from lib.weights.torch_state import generator, module_arrays
from tests.models.tiny_autoregressive import shaken
from tests.painter import tiny_painter
from tests.painter.tiny_painter import CODES, FLOW, PICTURE, SIDE, SIZES, STRIDE

GRID = MMDiTConfig(
    channels=4,
    rows=SIDE,
    columns=SIDE,
    text_width=8,
    text_layers=1,
    patch=1,
    width=16,
    joint=1,
    single=1,
    heads=2,
    feed_forward=24,
    registers=2,
    keeps_attention=False,
    pooled=False,
    neighbours=False,
)
SCALES = VarConfig(codes=CODES, scales=(1, 2, SIDE), code_width=4, **SIZES)
SEEDS = [3, 4, 5]
# Captions of two, three and four tokens.
IDS = torch.tensor([[1, 2, *[0] * 10], [5, 6, 7, *[0] * 9], [9, 8, 7, 6, *[0] * 8]])


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return tiny_painter.build(tmp_path_factory.mktemp("build"))


def flow(build, **sampling):
    meta = {"config": asdict(GRID), "target": "flow", "noise": FLOW | {"shift": 2.0}}
    parts = text_encoder.load(build / "words"), vqgan.load(build / "tokenizer/coarse")
    arrays = module_arrays(shaken(MMDiT(GRID, generator(3))))
    return Flow(arrays, meta, *parts, {"guidance": 1.5, "steps": 3} | sampling, "here")


def scales_weights():
    """Of a transformer and its tokenizer, and what they say of themselves."""
    tokenizer = MultiScaleVQGAN(SCALES.scales, 8, CODES, 4, 0.99, STRIDE, generator(5))
    tokenizer.quantizer.codebook.copy_(torch.randn(CODES, 4, generator=generator(6)))
    arrays = module_arrays(shaken(Var(SCALES, generator(3))), "model.") | module_arrays(tokenizer, "tokenizer.")
    return arrays, {"kind": "next_scale", "config": asdict(SCALES), "tokenizer": tokenizer.config}


def scales(build, **sampling):
    sampling = {"guidance": 1.5, "temperature": 0.9} | sampling
    return NextScale(*scales_weights(), text_encoder.load(build / "words"), None, sampling, "here")


KINDS = {"flow": flow, "next_scale": scales}


@pytest.fixture(scope="module")
def models(build):
    return {name: make(build) for name, make in KINDS.items()}


def drawn(model, rows=slice(None)):
    return model.draw(IDS[rows], RowRandom(SEEDS[rows]), model.sampling)


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_is_the_same_in_any_batch(models, name):
    together = drawn(models[name]).pictures
    assert len({one.numpy().tobytes() for one in together}) == 3
    for row in range(3):
        alone = drawn(models[name], slice(row, row + 1)).pictures
        # Of pixels, the rounding of sums may be seen.
        assert (alone[0].int() - together[row].int()).abs().max() <= (name == "next_scale")


@pytest.mark.parametrize("name", KINDS)
def test_prompts_are_read_and_guidance_is_followed(build, models, name):
    usual = drawn(models[name]).pictures
    other = models[name].draw(IDS.flip(0), RowRandom(SEEDS), models[name].sampling).pictures
    assert (other[0] != usual[0]).any()
    assert (drawn(KINDS[name](build, guidance=6.0)).pictures != usual).any()


def test_a_flow_draws_the_codes_next_to_where_its_steps_end(models):
    model = models["flow"]
    found, levels = drawn(model), flow_levels(3, 2.0)
    predictor = DiffusionPredictor(model.network, model.encoder.features(IDS), "flow", 1.5)
    ends = diffusion.sample(predictor, RowRandom(SEEDS).normal(*predictor.shape), levels).grids  # [B, d, h, w]
    ends = F.normalize(ends, dim=1).flatten(2).transpose(1, 2)  # → [B, h · w, d]
    nearest = model.tokenizer.quantizer.nearest(ends)
    assert torch.equal(found.pictures, nearest) and found.passes.tolist() == [3, 3, 3]


def test_a_next_scale_model_paints_with_its_own_tokenizer_in_a_pass_a_scale(models):
    model = models["next_scale"]
    network, found = model.network, drawn(model)
    assert found.passes.tolist() == [3, 3, 3] and found.pictures.shape == (3, PICTURE, PICTURE, 3)
    features = model.encoder.features(IDS)
    predictor = VarPredictor(network["model"], network["tokenizer"].quantizer, features, guidance=1.5, temperature=0.9)
    tokens = next_scale.decode(predictor, RowRandom(SEEDS)).tokens
    painted = multi_scale_vqgan.decode_batches(network["tokenizer"], tokens.numpy())
    np.testing.assert_array_equal(found.pictures, painted)


@pytest.mark.parametrize(("name", "setting"), [("flow", {"temperature": 1.0}), ("next_scale", {"steps": 4})])
def test_settings_of_another_kind_are_refused(build, name, setting):
    with pytest.raises(EaselError, match=next(iter(setting))):
        KINDS[name](build, **setting)


def pictures(seed=1):
    """Three, of noise."""
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (3, PICTURE, PICTURE, 3), dtype=np.uint8)


def filled(model, hole, given=None):
    known = model.known(pictures() if given is None else given, hole)
    return model.fill(IDS, RowRandom(SEEDS), model.sampling, known).pictures


def test_a_next_scale_model_fills_gaps(models):
    model = models["next_scale"]
    everything, nothing = np.ones((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
    assert torch.equal(filled(model, everything), drawn(model).pictures)
    # With nothing to draw it is what the tokenizer makes of the pictures, whatever the prompt.
    tokenizer = model.network["tokenizer"]
    tokens = multi_scale_vqgan.encode_batches(tokenizer, pictures())
    wanted = multi_scale_vqgan.decode_batches(tokenizer, tokens)
    assert np.abs(filled(model, nothing).numpy().astype(int) - wanted).max() <= 1
    half = everything.copy()
    half[:, : SIDE // 2] = False
    assert model.fill(IDS, RowRandom(SEEDS), model.sampling, model.known(pictures(), half)).passes.tolist() == [3] * 3
    found = filled(model, half)
    assert (found != filled(model, nothing)).any() and (found != drawn(model).pictures).any()


def test_what_lies_in_the_hole_is_not_told(models):
    """Vectors of hidden cells may be anything; tokens of the whole picture would betray them at coarse scales."""
    model, hole = models["next_scale"], np.zeros((SIDE, SIDE), bool)
    hole[1:3, 1:3] = True
    known = model.known(pictures(), hole)
    assert known.isnan().any(dim=3).sum() == 3 * 4
    found = model.fill(IDS, RowRandom(SEEDS), model.sampling, known).pictures
    other = torch.where(known.isnan(), torch.inf, known)
    assert torch.equal(model.fill(IDS, RowRandom(SEEDS), model.sampling, other).pictures, found)


def test_the_cells_of_both_kinds_of_filling_are_the_same(build, models):
    model = models["next_scale"]
    assert model.grid == (SIDE, SIDE) and model.stride == STRIDE


def test_the_front_door_edits_with_a_next_scale_model(build, models):
    model, picture = models["next_scale"], pictures()[0]
    about = Published(sampling=dict(model.sampling), languages=["en"])
    published.save(build / "room/painter/scales", about, *scales_weights(), build / "words")
    mask = np.zeros((PICTURE, PICTURE), bool)
    mask[:, : PICTURE // 2] = True
    painting = Painter(build, model="scales").edit(picture, "a red star", mask, candidates=3)
    assert painting.tokens is None and len(painting.pictures) == 3
    assert (painting.pictures[:, ~mask] == picture[~mask]).all() and (painting.pictures != picture).any()
    with pytest.raises(EaselError, match="next-scale prediction does not edit without a mask"):
        Painter(build, model="scales").edit(picture, "a red star")


def test_models_are_timed_in_turn(models):
    """A slow minute must be slow for all: no model draws twice before the others have drawn."""
    called = []
    finish = lambda model, rows: called.append((model.name, len(rows)))  # noqa: E731
    both = list(models.values())
    found = drawing.timed_in_turn(both, IDS, 3, finish)
    assert called == [(model.name, 3) for model in both] * 4  # once to count operations
    for seconds, operations in found:
        assert seconds.shape == (3,) and (seconds > 0).all() and operations > 0
    assert drawing.timed(both[0], IDS, 2)[1] == found[0][1]


def test_what_stays_the_same_is_computed_once(models):
    """Tables of codes are plain ones, whose operations a pass does not repeat."""
    model = models["next_scale"]
    assert not [part for part in model.network.modules() if isinstance(part, CodeHead)]
    assert not any(weights.requires_grad for weights in model.network.parameters())

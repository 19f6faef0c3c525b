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
from lib.models import multi_scale_vqgan, text_encoder, vqgan
from lib.models.diffusion_predictor import DiffusionPredictor
from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.models.multi_scale_vqgan import MultiScaleVQGAN
from lib.models.var import Var, VarConfig
from lib.models.var_predictor import VarPredictor
from lib.painter.flow import Flow
from lib.painter.next_scale import NextScale, outside
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


def scales(build, **sampling):
    tokenizer = MultiScaleVQGAN(SCALES.scales, 8, CODES, 4, 0.99, STRIDE, generator(5))
    tokenizer.quantizer.codebook.copy_(torch.randn(CODES, 4, generator=generator(6)))
    arrays = module_arrays(shaken(Var(SCALES, generator(3))), "model.") | module_arrays(tokenizer, "tokenizer.")
    meta, encoder = {"config": asdict(SCALES), "tokenizer": tokenizer.config}, text_encoder.load(build / "words")
    return NextScale(arrays, meta, encoder, None, {"guidance": 1.5, "temperature": 0.9} | sampling, "here")


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


def test_known_tokens_of_all_scales_stay_and_the_others_follow_from_them(models):
    model = models["next_scale"]
    tokenizer, random = model.network["tokenizer"], torch.Generator().manual_seed(0)
    whole = torch.randint(CODES, (3, SCALES.length), generator=random)
    free = torch.full_like(whole, -1)
    assert torch.equal(model.fill(IDS, RowRandom(SEEDS), model.sampling, free).pictures, drawn(model).pictures)
    given = model.fill(IDS, RowRandom(SEEDS), model.sampling, whole).pictures
    wanted = multi_scale_vqgan.decode_batches(tokenizer, whole.numpy())
    np.testing.assert_array_equal(given.numpy(), wanted)
    known = whole.where(outside(torch.eye(SIDE), SCALES.scales), -1)
    half = model.fill(IDS, RowRandom(SEEDS), model.sampling, known)
    assert (half.pictures != given).any() and (half.pictures != drawn(model).pictures).any()
    assert half.passes.tolist() == [3, 3, 3]


def test_a_coarse_cell_is_outside_if_all_that_it_overlaps_is():
    hole = torch.zeros(8, 8)
    hole[0, 7] = 1  # the upper right corner
    row = outside(hole, (1, 2, 3, 8))
    one, two, three, eight = row.split([1, 4, 9, 64])
    assert not one.any()
    assert two.tolist() == [True, False, True, True]
    assert three.tolist() == [True, True, False, *[True] * 6]
    assert torch.equal(eight.view(8, 8), hole == 0)
    hole[:] = 0
    hole[3, 3] = 1
    assert outside(hole, (3,)).tolist() == [True, True, True, True, False, True, True, True, True]
    hole[2, 2] = 1  # the first and the second of three cells both overlap the third of eight
    assert outside(hole, (3,)).tolist() == [False, False, True, False, False, True, True, True, True]

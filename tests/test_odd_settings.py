"""Whatever a setting is changed to: it is refused at once, by name, or all that needs no training can be made."""

import copy
import functools
import math
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib import config
from lib.decoding import decoders, noise_levels
from lib.decoding.autoregressive_jax import check_settings
from lib.decoding.diffusion_schedules import flow_levels, noise_schedule
from lib.decoding.schedules import masked_counts
from lib.errors import EaselError
from lib.evidence.statistics import bootstrap_mean
from lib.hardware import devices_that_divide
from lib.models import dalle_mini
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.autoregressive_predictor import Sampling
from lib.models.clip import Clip, ClipConfig
from lib.models.discriminator import PatchDiscriminator
from lib.models.drafters import Eagle, Medusa
from lib.models.masked_predictor import Guidance
from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.models.multi_scale_vqgan import MultiScaleVQGAN
from lib.models.muse import MuseConfig, SuperResolutionConfig
from lib.models.parti import Parti
from lib.models.reader import Reader, ReaderConfig
from lib.models.text_encoder import LanguageModel, SpanModel, TextConfig, TextEncoder
from lib.models.unet import UNet, UNetConfig
from lib.models.var import Var, VarConfig
from lib.models.vqgan import VQGAN
from lib.painter.denoising import Denoising
from lib.painter.kinds import KINDS
from lib.scenes.make import check, example
from lib.scenes.prompts import random_prompts
from lib.text import TextTokenizer
from lib.training import supervised
from lib.training.optimizers import optimizer
from lib.training.sjd2 import draw_levels
from lib.training.spans import most_gaps
from lib.weights.torch_state import generator
from studies.auraflow.code.settings import DENOISING
from studies.auraflow.code.settings import scenes_of as scenes_of_auraflow
from studies.auraflow.code.tune import grid_of as grid_of_auraflow
from studies.dalle_mini.code.train import model_config
from studies.glu.code.settings import changed, layout_of
from studies.glu.code.tasks import SpanTask
from studies.glu.code.training import network_of, recipe_of
from studies.muse.code.searching import grid_of
from studies.muse.code.settings import DRAWING, training_of
from studies.muse.code.sizes import PICTURE
from studies.sjd2.code import decode
from tests import house

ODD = [
    0,
    -1,
    1,
    2,
    3,
    7,
    1000,
    2**40,
    -0.5,
    0.5,
    1.0,
    1.5,
    1e300,
    math.nan,
    math.inf,
    "",
    "x",
    "coarse",
    [],
    {},
    None,
    True,
]
LITERALS = [
    "fine",
    "coarse",
    "webdataset",
    "adamw",
    "muon",
    "postln",
    "swinv2",
    "rmsnorm",
    "none",
    "linear",
    "any",
    "gumbel",
]
SMALL = 300  # widths; wider networks are made nowhere here
PICTURES = torch.zeros(2, 3, 64, 64)
TEXT = SimpleNamespace(vocabulary=400, pad_id=0)


@functools.cache
def smoke():
    return house.trees("smoke")


def leaves(tree, path=()):
    """Paths of all values that are no mappings."""
    if isinstance(tree, dict) and tree:
        return [found for key, value in tree.items() for found in leaves(value, (*path, key))]
    return [path]


@functools.cache
def keys(study):
    return leaves(smoke()[study])


@st.composite
def mutations(draw, study):
    """The trees of the smoke profile with one to three keys of a study's file changed, and which."""
    trees, chosen = copy.deepcopy(smoke()), draw(st.lists(st.sampled_from(keys(study)), min_size=1, max_size=3))
    for path in chosen:
        tree = trees[study]
        for key in path[:-1]:
            tree = tree.get(key) if isinstance(tree, dict) else None
        if not isinstance(tree, dict):  # gone with an earlier change
            continue
        old = tree.get(path[-1])
        near = (
            [old + 1, old - 1, 2 * old, old / 2]
            if type(old) in (int, float)
            else [[old], [*old, *old]]
            if type(old) is list
            else []
        )
        tree[path[-1]] = draw(st.sampled_from([*near, *ODD, *LITERALS]))
    return trees, chosen


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(house.REPOSITORY)


# A setting that a message names by its value alone, until the next run of its study: other words make it stale.
BY_VALUE = {("glu_text", "length"): "stretches of {} tokens"}


def named(path, tree, said):
    """Whether a message says which setting it is about."""
    if path in BY_VALUE and BY_VALUE[path].format(tree[path[0]][path[1]]) in said:
        return True
    return path[-1] in said or path[0] in said


def settle(study, mutation, rehearse):
    """Refused with the name of what was changed, or rehearsed."""
    trees, chosen = mutation
    try:
        params = config.build(trees, study, "params.yaml")
    except EaselError as error:
        said = str(error)
        # Of two that do not fit each other, the other one may be named first.
        assert any(named(tuple(path), trees[study], said) for path in chosen), said
    else:
        rehearse(params)


ODDLY = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@ODDLY
@given(mutations(""))
def test_the_bench(mutation):
    settle("", mutation, rehearse_bench)


@ODDLY
@given(mutations("auraflow"))
def test_auraflow(mutation):
    settle("auraflow", mutation, rehearse_auraflow)


@ODDLY
@given(mutations("dalle_mini"))
def test_dalle_mini(mutation):
    settle("dalle_mini", mutation, rehearse_dalle_mini)


@ODDLY
@given(mutations("glu"))
def test_glu(mutation):
    settle("glu", mutation, rehearse_glu)


@ODDLY
@given(mutations("muse"))
def test_muse(mutation):
    settle("muse", mutation, rehearse_muse)


@ODDLY
@given(mutations("sjd2"))
def test_sjd2(mutation):
    settle("sjd2", mutation, rehearse_sjd2)


def make_unet(params, **sizes):
    """Made, or refused by the network: that heads and levels do not fit, settings do not say by themselves yet."""
    try:
        config = UNetConfig(**sizes)
    except EaselError as error:
        assert str(error).startswith("unet: ")
    else:
        UNet(config, generator(params.seed, 0))


def small(*sizes):
    return max(sizes) <= SMALL


def rehearse_bench(params):
    numbers = np.random.Generator(np.random.PCG64([params.seed, 1]))
    if params.data.source == "scenes":
        check(params.scenes)
        random_prompts(
            np.random.Generator(np.random.PCG64((params.scenes.seed, 4, 0))),
            params.scenes.prompts_per_category,
            params.scenes.max_objects,
        )
        for split in ("train", "heldout"):
            example(split, 0, params.scenes)
    text = TextTokenizer.train(["a red circle", "a red square"], params.text.vocabulary)
    assert text.encode(["a red circle"], params.text.length).shape == (1, params.text.length)
    bootstrap_mean([0.0, 1.0], numbers, resamples=params.evaluation.bootstrap)
    p = params.clip
    if small(p.width, p.embedding, p.text_width) and p.text_layers < 5:
        sizes = p.width, p.embedding, p.text_width, p.text_layers, p.text_heads
        clip = Clip(ClipConfig(400, params.text.length, *sizes), generator(params.seed, 0))
        assert clip.image_embedding(PICTURES).shape == (2, p.embedding)
    if small(params.reader.width):
        Reader(ReaderConfig(params.reader.width), generator(params.seed, 0))(PICTURES)
    for tokenizer in (params.tokenizer.fine, params.tokenizer.coarse):
        if small(tokenizer.width, tokenizer.code_width):
            model = VQGAN(
                tokenizer.width,
                tokenizer.codes,
                tokenizer.code_width,
                tokenizer.ema_decay,
                tokenizer.stride,
                generator(params.seed, 0),
            )
            assert model.paint(model.embed(PICTURES)).shape == PICTURES.shape
            assert model.encode(PICTURES).max() < 2**16
        if tokenizer.discriminator_weight > 0 and small(tokenizer.width):
            PatchDiscriminator(tokenizer.width // 2, generator(params.seed, 1))(PICTURES)
    for trained in (params.clip, params.reader, params.tokenizer.fine, params.tokenizer.coarse):
        for step in {0, 1, trained.steps // 2, trained.steps - 1}:
            rate = trained.learning_rate * supervised.schedule(step, trained.steps)
            assert 0 <= rate < math.inf


def rehearse_auraflow(params):
    coarse, models, text = params.tokenizer.coarse, params.auraflow_models, params.auraflow_texts.sizes
    side = 64 // coarse.stride
    tokens, grid = {"codes": coarse.codes, "rows": side, "columns": side}, {"rows": side, "columns": side}
    grid |= {"channels": coarse.code_width, "text_width": text.width}
    check(scenes_of_auraflow(params)[0])
    if small(text.width, text.feed_forward) and text.layers < 4:
        marks = most_gaps(params.text.length, params.auraflow_texts.masked, params.auraflow_texts.span)
        sizes = TextConfig(400, params.text.length, 0, **dict(text), marks=marks)
        SpanModel(TextEncoder(sizes, generator(params.seed, 0)), 1, generator(params.seed, 1))
        LanguageModel(replace(sizes, marks=0), generator(params.seed, 0))
    own = models.flow.sizes
    if small(own.width, own.feed_forward, own.patch, own.registers, text.width) and own.joint + own.single < 4:
        MMDiT(MMDiTConfig(**grid, **dict(own)), generator(params.seed, 0))
    own = models.unet.sizes
    if small(*own.widths, text.width, own.feed_forward) and own.blocks < 4:
        make_unet(params, **grid, **dict(own))
    for denoising in (models.flow, models.unet):
        noise_schedule(**dict(denoising.descent.noise))
    own = models.raster.sizes
    if small(own.width, own.feed_forward, text.width) and own.layers < 4:
        sizes = {"code_width": coarse.code_width, "text_width": text.width, "neighbours": False}
        Parti(MuseConfig(**tokens, **sizes, **dict(own)), generator(params.seed, 0))
    own, scales = models.next_scale.sizes, params.auraflow_scales
    if small(own.width, own.feed_forward, text.width) and own.layers < 4 and max(scales.scales) <= 16:
        shared = {"scales": tuple(scales.scales), "codes": scales.codes, "code_width": coarse.code_width}
        Var(VarConfig(text_width=text.width, **shared, **dict(own)), generator(params.seed, 0))
        pixels = {"width": 8, "ema_decay": scales.ema_decay, "stride": coarse.stride}
        tokenizer = MultiScaleVQGAN(**shared, **pixels)
        tokenizer.encode(PICTURES)
    for training in params.auraflow_trainings.values():
        for sampling in grid_of_auraflow(params, training.model):
            if training.model in DENOISING:
                flow_levels(sampling["steps"], 1.0)
            else:
                Sampling(guidance=sampling["guidance"], temperature=sampling["temperature"])


@functools.lru_cache(maxsize=256)
def built(network):
    """The shapes of a DALL·E Mini, which is not made."""
    return dalle_mini.shapes(network)


def shallow(settings):
    return settings.encoder_layers + settings.decoder_layers < 10


def rehearse_dalle_mini(params):
    own, search, sampling = params.dalle_mini, params.dalle_mini_search, params.sampling
    stride = getattr(params.tokenizer, own.tokens).stride
    network = model_config(params, TEXT.vocabulary, TEXT.pad_id, (64 // stride) ** 2)
    if shallow(own):
        built(network)
    for name, rate, warmup, steps in (
        *((own.optimizer, own.learning_rate, own.warmup, steps) for steps in own.steps.values()),
        *((search.optimizer, rate, search.warmup, search.steps) for rate in search.learning_rates),
    ):
        optimizer(name, rate, warmup, steps, own.decay, own.adam_learning_rate if name == "muon" else None)
    for threads in (1, 2, 3, 4, 8):
        devices = devices_that_divide(threads, own.batch_size, own.accumulation, own.model_devices)
        assert own.batch_size % (own.accumulation * devices // own.model_devices) == 0 < devices
        assert sampling.batch_size % devices_that_divide(threads, sampling.batch_size) == 0
    for scale in sampling.sweep:
        check_settings(sampling.temperature, scale, sampling.top_k, sampling.top_p)
    assert params.seed + sampling.seeds < 2**32


def rehearse_glu(params):
    setting, variants, search = params.glu_setting, params.glu_variants, params.glu_search
    switches = params.report_switches
    recipes = [(steps, rate) for steps in search.steps.values() for rate in search.learning_rates]
    recipes += [(switches.high_steps, rate) for rate in switches.high_rates]
    lengths = [steps for one in variants.tokens.values() for steps in one.lengths("relu").values()]
    recipes += [(steps, search.learning_rates[0]) for steps in (*lengths, params.glu_text.steps, switches.steps, 1)]
    for steps, rate in recipes:
        if steps < 10**5:
            assert np.isfinite(recipe_of(setting, steps, rate).rates()).all()
    networks = [(tokens, setting) for tokens in variants.tokens]
    networks += [(params.glu_cost.tokens, changed(setting, changes)) for changes in params.glu_cost.sizes.values()]
    for tokens, one in networks:
        for block in variants.variants:
            tokenizer = getattr(params.tokenizer, tokens)
            length = (64 // tokenizer.stride) ** 2
            network = network_of(one, block, TEXT, params.text.length, tokenizer.codes, length)
            if shallow(one):
                built(network)
    for switch in switches.switches.values():
        layout_of(setting.init_std, switch.baseline), layout_of(setting.init_std, switch.treatment)
    for changes in switches.placements.values():
        layout_of(setting.init_std, changes)
    text = params.glu_text
    task = SpanTask(np.zeros((1, text.length), int), TEXT.vocabulary, text.masked, text.span)
    inputs, targets = task.held_out(1, params.seed)
    assert inputs.shape[1] == task.input_length and targets.shape[1] == task.target_length


def rehearse_muse(params):
    coarse, text = params.tokenizer.coarse, params.muse_text.sizes
    if small(text.width, text.feed_forward) and text.layers < 4:
        marks = most_gaps(params.text.length, params.muse_text.spans.masked, params.muse_text.spans.span)
        sizes = TextConfig(400, params.text.length, 0, **dict(text), marks=marks)
        SpanModel(TextEncoder(sizes, generator(params.seed, 0)), 1, generator(params.seed, 1))
    for name, run in params.muse_trainings.items():
        settings = training_of(params, name)
        own = settings.sizes
        if issubclass(KINDS[run.model], Denoising):
            if small(*own.widths, text.width, own.feed_forward) and own.blocks < 4:
                channels, side, colours = coarse.code_width, 8, 0
                if run.model != "latent":
                    pixels, colours = (settings.small, 0) if run.model == "pixels" else (PICTURE, 3)
                    channels, side = 3 * settings.patch**2, pixels // settings.patch
                grid = dict(channels=channels, rows=side, columns=side, small_channels=colours)
                make_unet(params, **grid, text_width=text.width, **dict(own))
            noise_schedule(**dict(settings.descent.noise))
            continue
        if not (small(own.width, own.feed_forward, text.width) and own.layers < 4):
            continue
        config = SuperResolutionConfig if run.model == "super_resolution" else MuseConfig
        large = {"small_rows": 8, "small_columns": 8} if run.model == "super_resolution" else {}
        side = 16 if large else 8
        given = dict(codes=coarse.codes, code_width=coarse.code_width, rows=side, columns=side, text_width=text.width)
        given |= {"neighbours": False} if run.model == "autoregressive" else {}
        KINDS[run.model].build({"config": asdict(config(**given, **large, **dict(own)))})
    for model in DRAWING:
        for sampling in grid_of(params, model):
            Guidance(sampling["guidance"], sampling.get("ramp", False))
            Sampling(guidance=sampling["guidance"], temperature=sampling.get("temperature", 1.0))
    for steps in (params.muse_search.steps["masked"], *params.muse_drawing.steps["masked"]):
        masked_counts("cosine", 64, steps)


def rehearse_sjd2(params):
    for name, model in params.autoregressive.models.items():
        side = model.pictures // params.stride(name)
        network = AutoregressiveConfig(
            400,
            params.text.length,
            0,
            params.codes(name),
            side,
            side,
            model.width,
            model.layers,
            model.heads,
            model.feed_forward,
        )
        if small(model.width, model.feed_forward) and model.layers < 4 and side <= 16:
            Autoregressive(network, generator(params.seed, 0))
            Eagle(network, generator(params.seed, 0))
            Medusa(network, params.drafters.heads)
    for one in params.sjd2.variants.values():
        for steps in one.denoising_steps:
            noise_levels.levels(steps, one.spacing)
            if one.noisy_run[1] < 10**4:
                draw_levels(np.random.default_rng(0), 1, 64, steps, one)
    tried = [one for name, run in params.sjd2_choice.decoders.items() for one in run.one_by_one(name).values()]
    planned = [run for group in params.decoding.groups.values() for run in group.single.values()]
    for run in (*tried, *planned):
        base = params.base(run.network)
        side = params.autoregressive.models[base].pictures // params.stride(base)
        if run.decoder:
            decoders.check(run.decoder, run.options, side * side, side, run.steps)
        Sampling(**decode.sampling_of(params, run))


def test_a_broken_check_would_be_seen():
    """The rehearsals do refuse: a setting that slips through a check ends in an error there."""
    params = config.build(smoke(), "glu", "x")
    bad = params.glu_setting.model_copy(update={"heads": 7})  # unchecked
    with pytest.raises(EaselError):
        rehearse_glu(params.model_copy(update={"glu_setting": bad}))

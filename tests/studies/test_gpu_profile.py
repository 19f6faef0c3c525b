"""Every study's gpu profile, dry: its pipeline resolves, the shapes of all its networks are traced, and each step fits
into one GPU. Nothing is computed."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
import torch
import torch.nn.functional as F

from lib.decoding import noise_levels
from lib.metering import memory
from lib.models import dalle_mini
from lib.models.autoregressive import Autoregressive, AutoregressiveConfig
from lib.models.clip import Clip, ClipConfig
from lib.models.mmdit import MMDiT, MMDiTConfig
from lib.models.muse import Muse, MuseConfig, MuseSuperResolution, SuperResolutionConfig
from lib.models.parti import Parti
from lib.models.reader import Reader, ReaderConfig
from lib.models.text_encoder import TextFeatures
from lib.models.unet import SmallPictures, UNet, UNetConfig
from lib.models.var import Var, VarConfig
from lib.models.vqgan import VQGAN
from lib.training.dalle_mini import mean_loss
from lib.training.optimizers import optimizer
from lib.training.sjd2 import losses_under_noise
from studies.dalle_mini.code.train import model_config as dalle_mini_config
from studies.glu.code.training import network_of
from studies.sjd2.code.train import model_config as autoregressive_config
from tests import house

# Bytes of an H200. Plans are in float32 and keep all scores of attention: bf16 takes about half, so that 80 GB will do.
CARD = 141e9
PICTURE = 64


def text(params):
    """A trained tokenizer with all the tokens that it may have."""
    return SimpleNamespace(vocabulary=params.text.vocabulary, pad_id=0)


def grid(params, tokens, picture=PICTURE):
    side = picture // getattr(params.tokenizer, tokens).stride
    return side, side


def ids(*shape):
    return torch.zeros(shape, dtype=torch.int64, device="meta")


def test_the_bench_s_networks_fit():
    params = house.params(profile="gpu")
    with torch.device("meta"):
        sizes = params.clip
        clip = Clip(
            ClipConfig(
                vocabulary=params.text.vocabulary,
                length=params.text.length,
                **{name: getattr(sizes, name) for name in CLIP_SIZES},
            ),
            torch.Generator(),
        )
        reader = Reader(ReaderConfig(params.reader.width), torch.Generator())
        tokenizers = {
            name: VQGAN(one.width, one.codes, one.code_width, one.ema_decay, one.stride)
            for name, one in (("fine", params.tokenizer.fine), ("coarse", params.tokenizer.coarse))
        }

    def pictures(batch):
        return torch.empty(batch, 3, PICTURE, PICTURE, device="meta")

    batch = params.clip.batch_size
    # Not `text_embedding`, which looks at its captions.
    found = memory.of_torch(
        clip,
        lambda: (
            clip.scale
            * F.normalize(clip.image(pictures(batch)))
            @ F.normalize(clip.text(ids(batch, params.text.length))).T
        ).sum(),
    )
    assert found.activations > 0 and found.total < CARD
    found = memory.of_torch(reader, lambda: sum(one.sum() for one in reader(pictures(params.reader.batch_size))))
    assert found.activations > 0 and found.total < CARD
    for name, tokenizer in tokenizers.items():
        batch = getattr(params.tokenizer, name).batch_size
        found = memory.of_torch(tokenizer, lambda t=tokenizer, b=batch: t.paint(t.embed(pictures(b))).square().mean())
        assert found.activations > 0 and found.total < CARD


CLIP_SIZES = ("width", "embedding", "text_width", "text_layers", "text_heads")


SJD2 = house.params("sjd2", "gpu")


@pytest.mark.parametrize("name", SJD2.autoregressive.models)
def test_autoregressive_models_and_their_tuning_fit(name):
    settings = SJD2.autoregressive.models[name]
    config = autoregressive_config(SJD2, name, text(SJD2), grid(SJD2, settings.tokenizer, settings.pictures))
    told = AutoregressiveConfig(**vars(config) | {"levels": SJD2.sjd2.recipe.levels})
    with torch.device("meta"):
        model, tuned = Autoregressive(config, torch.Generator()), Autoregressive(told, torch.Generator())
    batch = settings.trainings[-1].batch_size
    captions, tokens = ids(batch, config.text_length), ids(batch, config.length)
    logits = model(captions, tokens)
    assert logits.shape == (batch, config.length, config.codes)
    found = memory.of_torch(model, lambda: F.cross_entropy(model(captions, tokens).flatten(0, 1), tokens.flatten()))
    assert found.gradients == 4 * sum(weight.numel() for weight in model.parameters()) and found.total < CARD
    steps = max(SJD2.sjd2.recipe.denoising_steps)
    times = noise_levels.levels(steps, SJD2.sjd2.recipe.spacing).to("meta")
    noise = torch.empty(batch, config.length, config.width, device="meta")

    def under_noise():
        return losses_under_noise(tuned, captions, tokens, tokens, times, noise).mean()

    found = memory.of_torch(tuned, under_noise)
    assert found.total < CARD
    at_once = max(group.batch_size for group in SJD2.decoding.groups.values())
    assert found.weights + memory.decoding(told, at_once, steps) < CARD


def of_dalle_mini(config, batch, name="adamw"):
    """Memory of one update."""
    shapes, model = dalle_mini.shapes(config), dalle_mini.DalleMini(config)
    captions = jnp.zeros((batch, config.text_length), jnp.int32)
    tokens = jnp.zeros((batch, config.image_length), jnp.int32)
    key = jax.random.key(0)
    steps = optimizer(name, 1e-3, 1, 1000, 0.0, 1e-3 if name == "muon" else None)
    logits = jax.eval_shape(model.apply, shapes, captions, tokens)
    assert logits.shape == (batch, config.image_length, config.image_ids)
    return memory.of_jax(
        shapes, lambda given: mean_loss(given, model, captions, tokens, key), jax.eval_shape(steps.init, shapes)
    )


def test_dalle_mini_fits():
    params = house.params("dalle_mini", "gpu")
    settings = params.dalle_mini
    rows, columns = grid(params, settings.tokens)
    config = dalle_mini_config(params, params.text.vocabulary, 0, rows * columns)
    found = of_dalle_mini(config, settings.batch_size // settings.accumulation, settings.optimizer)
    assert found.activations > 0 and found.total < CARD


@pytest.mark.parametrize("variant", ["relu", "swiglu"])
def test_feed_forward_variants_fit(variant):
    """All seeds of a variant train side by side in one program."""
    params = house.params("glu", "gpu")
    for tokens, one in params.glu_variants.tokens.items():
        rows, columns = grid(params, tokens)
        codes = getattr(params.tokenizer, tokens).codes
        config = network_of(params.glu_setting, variant, text(params), params.text.length, codes, rows * columns)
        found = of_dalle_mini(config, params.glu_setting.batch_size)
        assert found.activations > 0 and one.seeds * found.total < CARD


MUSE, AURAFLOW = house.params("muse", "gpu"), house.params("auraflow", "gpu")


@pytest.fixture
def captions_not_looked_at(monkeypatch):
    """The networks refuse captions without a token; on the meta device there is nothing to look at."""
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda tensor: True)


def features(params, sizes, batch):
    """Captions as a text network of these sizes gives them."""
    length = params.text.length
    return TextFeatures(
        torch.empty(batch, length, sizes.width, device="meta"),
        torch.ones(batch, length, dtype=torch.bool, device="meta"),
    )


def planned(network, config, loss, settings):
    """That an update of a network that reads captions fits; `loss` takes it and a batch size. Gives its weights."""
    model = network(config, torch.Generator()).to("meta")  # some cannot be built there
    found = memory.of_torch(model, lambda: loss(model, settings.descent.training.batch_size))
    assert found.activations > 0 and found.total < CARD
    return sum(weight.numel() for weight in model.parameters())


def of_tokens(params, sizes):
    """Loss of a network over coarse tokens, all of them."""

    def loss(model, batch):
        tokens, dropped = ids(batch, model.config.length), torch.zeros(batch, dtype=torch.bool, device="meta")
        small = [ids(batch, model.config.small_length)] if isinstance(model, MuseSuperResolution) else []
        memories = model.read(features(params, sizes, batch), dropped, *small)
        logits = model.head(model.features(tokens, memories))
        assert logits.shape == (*tokens.shape, model.config.codes)
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    return loss


def of_noise(params, sizes, small_side=0):
    """Loss of a network that denoises grids."""

    def loss(model, batch):
        config, times = model.config, torch.empty(batch, device="meta")
        x = torch.empty(batch, config.channels, config.rows, config.columns, device="meta")
        small = None
        if config.small_channels:
            pictures = torch.empty(batch, config.small_channels, small_side, small_side, device="meta")
            small = SmallPictures(pictures, times)
        said = model(x, times, model.read(features(params, sizes, batch)), small)
        assert said.shape == x.shape
        return said.square().mean()

    return loss


def tokens_of(params):
    """Sizes of a picture in coarse tokens."""
    rows, columns = grid(params, "coarse")
    coarse = params.tokenizer.coarse
    return {"codes": coarse.codes, "code_width": coarse.code_width, "rows": rows, "columns": columns}


@pytest.mark.parametrize(("name", "network"), [("autoregressive", Parti), ("masked", Muse)])
def test_muse_s_models_of_tokens_fit(name, network, captions_not_looked_at):
    settings, text_sizes = getattr(MUSE.muse_models, name), MUSE.muse_text.sizes
    others = {"neighbours": False} if network is Parti else {}
    config = MuseConfig(**tokens_of(MUSE), text_width=text_sizes.width, **dict(settings.sizes), **others)
    loss = of_tokens(MUSE, text_sizes)
    weights = planned(network, config, loss, settings)
    assert weights >= 50e6


def test_muse_s_super_resolution_fits(captions_not_looked_at):
    settings, text_sizes, small = MUSE.muse_models.super_resolution, MUSE.muse_text.sizes, tokens_of(MUSE)
    config = SuperResolutionConfig(
        **small | {"rows": 2 * small["rows"], "columns": 2 * small["columns"]},
        small_rows=small["rows"],
        small_columns=small["columns"],
        text_width=text_sizes.width,
        **dict(settings.sizes),
    )
    assert config.length == 256  # of 128×128 pixels
    loss = of_tokens(MUSE, text_sizes)
    planned(MuseSuperResolution, config, loss, settings)


def latents(params):
    """Sizes of a picture in the coarse tokenizer's vectors."""
    found = tokens_of(params)
    return {"channels": found["code_width"], "rows": found["rows"], "columns": found["columns"]}


@pytest.mark.parametrize("name", ["latent", "pixels", "cascade"])
def test_muse_s_u_nets_fit(name, captions_not_looked_at):
    settings, text_sizes = getattr(MUSE.muse_models, name), MUSE.muse_text.sizes
    sizes, small = latents(MUSE), 0
    if name != "latent":
        side = (settings.small if name == "pixels" else PICTURE) // settings.patch
        sizes = {"channels": 3 * settings.patch**2, "rows": side, "columns": side}
    if name == "cascade":
        sizes, small = sizes | {"small_channels": 3}, settings.small
    config = UNetConfig(**sizes, text_width=text_sizes.width, **dict(settings.sizes))
    loss = of_noise(MUSE, text_sizes, small)
    planned(UNet, config, loss, settings)


@pytest.mark.parametrize(("name", "network", "kind"), [("flow", MMDiT, MMDiTConfig), ("unet", UNet, UNetConfig)])
def test_auraflow_s_networks_that_denoise_fit(name, network, kind, captions_not_looked_at):
    settings, text_sizes = getattr(AURAFLOW.auraflow_models, name), AURAFLOW.auraflow_texts.sizes
    config = kind(**latents(AURAFLOW), text_width=text_sizes.width, **dict(settings.sizes))
    loss = of_noise(AURAFLOW, text_sizes)
    planned(network, config, loss, settings)


def test_auraflow_s_raster_model_fits(captions_not_looked_at):
    settings, text_sizes = AURAFLOW.auraflow_models.raster, AURAFLOW.auraflow_texts.sizes
    config = MuseConfig(**tokens_of(AURAFLOW), text_width=text_sizes.width, neighbours=False, **dict(settings.sizes))
    planned(Parti, config, of_tokens(AURAFLOW, text_sizes), settings)


def test_auraflow_s_next_scale_model_fits(captions_not_looked_at):
    settings, text_sizes, scales = (
        AURAFLOW.auraflow_models.next_scale,
        AURAFLOW.auraflow_texts.sizes,
        AURAFLOW.auraflow_scales,
    )
    config = VarConfig(
        codes=scales.codes,
        scales=tuple(scales.scales),
        code_width=AURAFLOW.tokenizer.coarse.code_width,
        text_width=text_sizes.width,
        **dict(settings.sizes),
    )

    def loss(model, batch):
        tokens = ids(batch, config.length)
        inputs = torch.empty(batch, config.length - 1, config.code_width, device="meta")
        logits = model(inputs, features(AURAFLOW, text_sizes, batch))
        assert logits.shape == (*tokens.shape, config.codes)
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    planned(Var, config, loss, settings)

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
from lib.models.reader import Reader, ReaderConfig
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


@pytest.mark.parametrize("name", SJD2.autoregressive.names)
def test_autoregressive_models_and_their_tuning_fit(name):
    settings = SJD2.autoregressive.models[name]
    config = autoregressive_config(SJD2, name, text(SJD2), grid(SJD2, "fine", settings.pictures))
    told = AutoregressiveConfig(**vars(config) | {"levels": SJD2.sjd2.recipe.levels})
    with torch.device("meta"):
        model, tuned = Autoregressive(config, torch.Generator()), Autoregressive(told, torch.Generator())
    batch = settings.training.batch_size
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
    settings = params.glu_variants
    rows, columns = grid(params, settings.setting.tokens)
    codes = getattr(params.tokenizer, settings.setting.tokens).codes
    config = network_of(settings.setting, variant, text(params), params.text.length, codes, rows * columns)
    found = of_dalle_mini(config, settings.setting.batch_size)
    assert found.activations > 0 and settings.seeds * found.total < CARD

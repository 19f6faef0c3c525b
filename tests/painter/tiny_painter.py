"""Models of a few weights, published for the painter, for tests of what paints with them."""

from dataclasses import asdict, replace

import torch

from lib.models import clip, text_encoder, unet, vqgan
from lib.models.muse import Muse, MuseConfig, MuseSuperResolution, SuperResolutionConfig
from lib.models.parti import Parti
from lib.models.text_encoder import TextConfig, TextEncoder
from lib.painter import published
from lib.painter.published import Published
from lib.text import TextTokenizer
from lib.weights.torch_state import generator, module_arrays
from tests.models.tiny_autoregressive import shaken

LENGTH, CODES, SIDE, STRIDE = 12, 16, 4, 4
PICTURE = STRIDE * SIDE
STUDY = "room"
PROMPTS = ("a red star", "a blue circle")

SIZES = {"text_width": 8, "text_layers": 1, "width": 16, "layers": 1, "heads": 2, "feed_forward": 24}
TOKENS = {"codes": CODES, "code_width": 4}
SMALL = MuseConfig(rows=SIDE, columns=SIDE, neighbours=False, **TOKENS, **SIZES)
LARGE = SuperResolutionConfig(
    neighbours=True,
    rows=2 * SIDE,
    columns=2 * SIDE,
    small_rows=SIDE,
    small_columns=SIDE,
    small_layers=1,
    block=2,
    **TOKENS,
    **SIZES,
)
GRID = unet.UNetConfig(
    channels=4,
    rows=SIDE,
    columns=SIDE,
    text_width=8,
    text_layers=1,
    widths=(16, 16),
    blocks=1,
    attention=(1,),
    head_width=8,
    feed_forward=1,
)
PIXELS, ENLARGED = replace(GRID, channels=3 * 2**2), replace(GRID, channels=3 * STRIDE**2, small_channels=3)
MASKED = {"guidance": 2.0, "ramp": False, "order": "confidence", "noise": 2.0, "temperature": 1.0, "steps": 3}
FLOW = {"kind": "flow", "steps": 1000, "betas": [], "shift": 1.0, "zero_terminal_snr": False}
COSINE = {"target": "v", "noise": FLOW | {"kind": "cosine"}}
DENOISED = {"guidance": 1.5, "steps": 2, "threshold": 0.995}
# Folder → class of the network, its sizes, sampling settings, what else its weights say, what else is published.
MODELS = {
    "masked": (Muse, SMALL, MASKED, {}, {}),
    "autoregressive": (Parti, SMALL, {"guidance": 1.5, "temperature": 0.9}, {}, {}),
    "latent": (unet.UNet, GRID, {"guidance": 1.5, "steps": 2}, {"target": "flow", "noise": FLOW}, {}),
    "super_resolution": (MuseSuperResolution, LARGE, MASKED, {}, {"base": "masked"}),
    "pixels": (unet.UNet, PIXELS, DENOISED, COSINE | {"patch": 2}, {}),
    "cascade": (unet.UNet, ENLARGED, DENOISED | {"augmentation": 0.2}, COSINE | {"patch": STRIDE}, {"base": "pixels"}),
}


def publish(build, folder, kind=None, study=STUDY):
    """One of `MODELS` into a folder of networks, under a kind of another name if there is one."""
    network, config, sampling, said, more = MODELS[folder]
    tokenizer = None if "patch" in said else "coarse"
    about = Published(tokenizer=tokenizer, sampling=sampling, languages=["en"], **more)
    meta = {"kind": kind or folder, "config": asdict(config), **said}
    weights = module_arrays(shaken(network(config, generator(3))))
    published.save(build / study / "painter" / folder, about, weights, meta, build / "words")


def build(path):
    """A folder of all that the painter reads, but for DALL·E Mini."""
    text = TextTokenizer.train([*PROMPTS, "一个红色的星形"] * 2, 400)
    text.save(path / "text/tokenizer.json")
    sizes = clip.ClipConfig(
        vocabulary=text.vocabulary, length=LENGTH, width=4, embedding=8, text_width=8, text_layers=1, text_heads=2
    )
    clip.save(shaken(clip.Clip(sizes, generator(0))), path / "clip")
    tokenizer = vqgan.VQGAN(8, CODES, 4, 0.99, STRIDE, generator(1))
    tokenizer.quantizer.codebook.copy_(torch.randn(CODES, 4, generator=generator(2)))  # which only training fills
    vqgan.save(tokenizer, path / "tokenizer/coarse")
    config = TextConfig(
        vocabulary=text.vocabulary, length=LENGTH, padding=text.pad_id, width=8, layers=1, heads=2, feed_forward=16
    )
    text_encoder.save(shaken(TextEncoder(config, generator(4))), path / "words")
    for folder in MODELS:
        publish(path, folder)
    return path

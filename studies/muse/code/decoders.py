"""What a larger decoder changes: pictures rebuilt from their tokens, and pictures that the masked model drew."""

from pathlib import Path

import numpy as np
import torch

from lib.data.store import Split
from lib.evidence.statistics import generator_of
from lib.metrics.panel import Panel
from lib.metrics.reconstruction import reconstruction
from lib.models import vqgan
from lib.models.decoder import decoder, with_decoder
from lib.models.vqgan import VQGAN
from lib.painter.drawing import painted
from lib.weights import checkpoint
from lib.weights.torch_state import load_module
from studies.muse.code import draw
from studies.muse.code.material import folders
from studies.muse.code.reports import Drawings, Repainted
from studies.muse.code.settings import Params
from studies.muse.code.sizes import PICTURE
from studies.muse.code.train_decoders import DECODERS, OUT


def repainted(params: Params, panel: Panel, tokenizer: VQGAN, drawings: Drawings) -> dict[str, Repainted]:
    """Of the tokenizer as it is, of its own decoder trained further, and of the larger one."""
    usual = f"masked_{params.muse_search.steps['masked']}"
    captions, drawn = drawings.runs[usual].captions, np.load(draw.OUT / f"{usual}_captions.npy")  # [C, N]
    seeds = [params.seed + number for number in range(params.muse_decoder.seeds)]
    painters = {"as it is": [tokenizer]}
    painters |= {name: [trained(tokenizer, OUT / name / str(seed)) for seed in seeds] for name in DECODERS}
    where = folders(drawings.part)
    real = np.asarray(Split.open(where.data, "test").images(PICTURE))[captions]
    tokens = np.load(where.tokens / f"test_{PICTURE}.npy")[captions]
    found = {}
    for name, own in painters.items():
        decibels = []
        for painter in own:
            rebuilt = vqgan.decode_batches(painter, tokens)
            random = generator_of(f"muse decoder {name}")
            decibels.append(reconstruction(real, rebuilt, random, 2)[1]["psnr"])  # the intervals are made below
        found[name] = Repainted(
            parameters=sum(weights.numel() for weights in own[0].decoder.parameters()),
            psnr=panel.over_seeds(np.stack(decibels, axis=1), "psnr"),
            **panel.distances(painted(own[0], drawn)[:, None], captions),
        )
    return found


def trained(tokenizer: VQGAN, folder: Path) -> VQGAN:
    """The tokenizer with a decoder of stage train_decoders."""
    arrays, meta = checkpoint.load_network(folder)
    layers = decoder(tokenizer, meta["width"], meta["blocks"], torch.Generator())
    load_module(layers, arrays)
    return with_decoder(tokenizer, layers.eval().requires_grad_(False))

"""Stage sample_dalle_mini: prompts → image tokens with and without guidance, build/samples/dalle_mini.npz."""

from pathlib import Path

import numpy as np

from lib.config import Params
from lib.data.store import read_prompts
from lib.decoding.autoregressive_jax import row_keys, sample
from lib.models import dalle_mini
from lib.text import TextTokenizer
from lib.training.progress import Progress

DATA, TEXT, MODEL = Path("data"), Path("build/text/tokenizer.json"), Path("build/dalle_mini")
OUT = Path("build/samples/dalle_mini.npz")
BASELINE = 1.0  # no guidance


def run(params: Params) -> None:
    """Writes `tokens` uint16 [2 (guidance), seeds, prompts, 16, 16], `guidance` [2], `seeds` and prompt `ids`."""
    settings, text = params.sampling, TextTokenizer.load(TEXT)
    model, weights = dalle_mini.load(MODEL)
    prompts = read_prompts(DATA)
    captions = text.encode([prompt["en"] for prompt in prompts], params.text.length)  # [P, S]
    seeds = params.seed + np.arange(settings.seeds)
    scales = np.array([BASELINE, settings.guidance], np.float32)
    # Row r is prompt r % P of seed r // P; both scales use the same keys, which makes them pairs.
    items = np.tile(np.arange(len(prompts)), len(seeds))
    rows_seeds = np.repeat(seeds, len(prompts))
    draw = sampler(model, weights, text.encode([""], params.text.length)[0], settings.temperature)

    batches = -(-len(items) // settings.batch_size)
    progress = Progress("sample_dalle_mini", len(scales) * batches)
    drawn = []
    for number, scale in enumerate(scales):
        parts = []
        for batch in range(batches):
            # The last batch wraps around to the first rows, so that one compiled program serves all.
            rows = (batch * settings.batch_size + np.arange(settings.batch_size)) % len(items)
            parts.append(draw(captions[items[rows]], row_keys(rows_seeds[rows], items[rows]), float(scale)))
            progress.update(number * batches + batch + 1)
        drawn.append(np.concatenate(parts)[: len(items)])
    side = int(model.config.image_length**0.5)
    tokens = np.stack(drawn).astype(np.uint16).reshape(len(scales), len(seeds), len(prompts), side, side)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    ids = np.array([prompt["id"] for prompt in prompts])
    np.savez(OUT, tokens=tokens, guidance=scales, seeds=seeds, ids=ids)


def sampler(model: dalle_mini.DalleMini, weights: dict, empty: np.ndarray, temperature: float):
    """A function (captions int [B, S], keys [B], guidance) → tokens int32 [B, image_length].

    Args:
        empty: the empty caption, int [S], which the unconditional half of a guided batch reads.
    """
    start, predict = dalle_mini.sampling_functions(model)

    def draw(captions, keys, guidance: float) -> np.ndarray:
        if guidance != BASELINE:
            captions = np.concatenate([captions, np.broadcast_to(empty, captions.shape)])  # [2B, S]
        cache = start(weights, captions)
        config = model.config
        return sample(predict, weights, cache, config.codes, config.image_length, keys, temperature, guidance)

    return draw

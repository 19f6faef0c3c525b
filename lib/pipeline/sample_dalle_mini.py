"""Stage sample_dalle_mini: prompts → image tokens with and without guidance, build/samples/dalle_mini.npz."""

from collections import Counter
from pathlib import Path

import numpy as np

from lib.config import Params
from lib.data.store import Split, read_meta, read_prompts
from lib.decoding.autoregressive_jax import row_keys, sample
from lib.models import dalle_mini
from lib.text import TextTokenizer
from lib.training.progress import Progress

DATA, TEXT, MODEL = Path("data"), Path("build/text/tokenizer.json"), Path("build/dalle_mini")
OUT = Path("build/samples/dalle_mini.npz")
BASELINE = 1.0  # no guidance


def run(params: Params) -> None:
    """Writes, for both guidance scales with the same random keys (which makes them pairs):

    `tokens` uint16 [2, seeds, prompts, 16, 16] for the prompts, `captioned` uint16
    [2, captions, 16, 16] for the first captions of the test split, `guidance` [2], `seeds` [seeds], `ids` [prompts].
    """
    settings, text = params.sampling, TextTokenizer.load(TEXT)
    model, weights = dalle_mini.load(MODEL)
    prompts, test = (
        first_prompts(read_prompts(DATA), settings.prompts),
        Split.open(DATA, "test").captions[: settings.captions],
    )
    language = "en" if "en" in read_meta(DATA)["languages"] else read_meta(DATA)["languages"][0]
    texts = [prompt[language] for prompt in prompts] * settings.seeds + [entry[language][0] for entry in test]
    captions = text.encode(texts, params.text.length)  # [R, S]
    seeds = params.seed + np.arange(settings.seeds)
    # Row r is prompt r % P of seed r // P; the test captions follow, with a seed of their own.
    row_seeds = np.concatenate([np.repeat(seeds, len(prompts)), np.full(len(test), params.seed + settings.seeds)])
    items = np.concatenate([np.tile(np.arange(len(prompts)), len(seeds)), np.arange(len(test))])
    draw = sampler(model, weights, text.encode([""], params.text.length)[0], settings.temperature)

    scales = np.array([BASELINE, settings.guidance], np.float32)
    batches = -(-len(items) // settings.batch_size)
    progress = Progress("sample_dalle_mini", len(scales) * batches)
    drawn = []
    for number, scale in enumerate(scales):
        parts = []
        for batch in range(batches):
            # The last batch wraps around to the first rows, so that one compiled program serves all.
            rows = (batch * settings.batch_size + np.arange(settings.batch_size)) % len(items)
            parts.append(draw(captions[rows], row_keys(row_seeds[rows], items[rows]), float(scale)))
            progress.update(number * batches + batch + 1)
        drawn.append(np.concatenate(parts)[: len(items)])
    side = int(model.config.image_length**0.5)
    rows = np.stack(drawn).astype(np.uint16).reshape(len(scales), len(items), side, side)
    prompted, captioned = np.split(rows, [len(seeds) * len(prompts)], axis=1)
    tokens = prompted.reshape(len(scales), len(seeds), len(prompts), side, side)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    ids = np.array([prompt["id"] for prompt in prompts])
    np.savez(OUT, tokens=tokens, captioned=captioned, guidance=scales, seeds=seeds, ids=ids)


def first_prompts(prompts: list[dict], count: int) -> list[dict]:
    """The first `count` prompts of every category, in their order."""
    seen: Counter[str] = Counter()
    kept = []
    for prompt in prompts:
        seen[prompt["category"]] += 1
        if seen[prompt["category"]] <= count:
            kept.append(prompt)
    return kept


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

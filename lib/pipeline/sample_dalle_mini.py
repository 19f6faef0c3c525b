"""Stage sample_dalle_mini: prompts and test captions → image tokens, with and without guidance, build/samples/."""

from pathlib import Path

import jax
import numpy as np

from lib.config import Params
from lib.data.store import Split, read_meta, read_prompts
from lib.decoding.autoregressive_jax import row_keys, sample
from lib.errors import EaselError
from lib.models import dalle_mini
from lib.text import TextTokenizer
from lib.training.jax_devices import shardings
from lib.training.progress import Progress

DATA, TEXT, MODEL = Path("data"), Path("build/text/tokenizer.json"), Path("build/dalle_mini")
OUT = Path("build/samples/dalle_mini.npz")
BASELINE = 1.0  # no guidance
CAPTION_ITEMS = 1_000_000  # random keys of test captions are numbered from here, those of prompts from 0


def run(params: Params) -> None:
    """Writes, for guidance 1 and `sampling.guidance`, with the same random keys:

    `tokens` uint16 [2, seeds, prompts, h, w], drawn for every prompt, `captioned` uint16 [2, captions, h, w], drawn
    once for the first captions of the test split, `guidance` [2], `seeds` and prompt `ids`.
    """
    settings, length = params.sampling, params.text.length
    if settings.batch_size % params.threads:
        raise EaselError(f"params.yaml: sampling.batch_size must be a multiple of threads = {params.threads}.")
    jax.config.update("jax_num_cpu_devices", params.threads)  # rows are split between them
    text = TextTokenizer.load(TEXT)
    model, weights = dalle_mini.load(MODEL)
    languages = read_meta(DATA)["languages"]
    language = "en" if "en" in languages else languages[0]
    prompts = first_of_each_category(read_prompts(DATA), settings.prompts)
    titles = [entry[language][0] for entry in Split.open(DATA, "test").captions[: settings.captions]]

    # Rows: all prompts with the first seed, all with the second …, then the test captions.
    seeds = params.seed + np.arange(settings.seeds)
    row_seeds = np.concatenate([np.repeat(seeds, len(prompts)), np.full(len(titles), params.seed)])
    row_items = np.concatenate([np.tile(np.arange(len(prompts)), len(seeds)), CAPTION_ITEMS + np.arange(len(titles))])
    captions = text.encode([prompt[language] for prompt in prompts], length)  # [P, S]
    captions = np.concatenate([np.tile(captions, (len(seeds), 1)), text.encode(titles, length)])  # [rows, S]

    draw = Sampler(model, weights, text.encode([""], length)[0], settings.temperature)
    scales = np.array([BASELINE, settings.guidance], np.float32)
    starts = range(0, len(captions), settings.batch_size)
    progress = Progress("sample_dalle_mini", len(scales) * len(starts))
    drawn = []
    for number, scale in enumerate(scales):
        parts = []
        for batch, start in enumerate(starts):
            # The last batch wraps around to the first rows, so that one compiled program serves all.
            rows = (start + np.arange(settings.batch_size)) % len(captions)
            parts.append(draw(captions[rows], row_keys(row_seeds[rows], row_items[rows]), float(scale)))
            progress.update(number * len(starts) + batch + 1)
        drawn.append(np.concatenate(parts)[: len(captions)])
    side = round(model.config.image_length**0.5)
    tokens = np.stack(drawn).astype(np.uint16).reshape(len(scales), len(captions), side, side)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        OUT,
        tokens=tokens[:, : len(captions) - len(titles)].reshape(len(scales), len(seeds), len(prompts), side, side),
        captioned=tokens[:, len(captions) - len(titles) :],
        guidance=scales,
        seeds=seeds,
        ids=np.array([prompt["id"] for prompt in prompts]),
    )


def first_of_each_category(prompts: list[dict], count: int) -> list[dict]:
    """The first `count` prompts of every category, in their order."""
    seen: dict[str, int] = {}
    kept = []
    for prompt in prompts:
        seen[prompt["category"]] = seen.get(prompt["category"], 0) + 1
        if seen[prompt["category"]] <= count:
            kept.append(prompt)
    return kept


class Sampler:
    """Captions → image tokens, rows split between the devices.

    Args:
        empty: the empty caption, int [S], which the unconditional half of a guided batch reads.
    """

    def __init__(self, model: dalle_mini.DalleMini, weights: dict, empty: np.ndarray, temperature: float):
        self.config, self.empty, self.temperature = model.config, empty, temperature
        self.start, self.predict = dalle_mini.sampling_functions(model)
        self.copied, self.split = shardings()
        self.weights = jax.device_put(weights, self.copied)

    def __call__(self, captions: np.ndarray, keys: jax.Array, guidance: float) -> np.ndarray:
        """Captions int [B, S], keys [B] → tokens int32 [B, image_length]."""
        if guidance != BASELINE:
            pairs = [captions, np.broadcast_to(self.empty, captions.shape)]
            captions = np.stack(pairs, axis=1).reshape(-1, captions.shape[1])  # [2B, S]
        captions, keys = jax.device_put((captions, keys), self.split)
        cache = self.start(self.weights, captions)
        bos, steps = self.config.codes, self.config.image_length
        return sample(self.predict, self.weights, cache, bos, steps, keys, self.temperature, guidance)

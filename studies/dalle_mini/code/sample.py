"""Stage dalle_mini/sample: prompts and test captions → image tokens, for every comparison of the study, build/samples/.

What is compared differs in one thing only, and draws with the same random keys.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.data.prompts import CAPTION_ITEMS, RANKED_ITEMS, first_of_each_category
from lib.data.selection import kept
from lib.data.store import Split, read_meta, read_prompts, write_json
from lib.decoding.autoregressive_jax import row_keys
from lib.hardware import devices_that_divide, use_jax_devices
from lib.models import dalle_mini
from lib.ownership import fresh
from lib.painter.dalle_mini import Sampler
from lib.progress import Progress
from lib.text import TextTokenizer
from studies.dalle_mini.code.settings import Params, SamplingParams

DATA, TEXT, MODELS, OUT = (
    Path("data"),
    Path("build/text/tokenizer.json"),
    Path("build/dalle_mini"),
    Path("build/samples"),
)
UNGUIDED = 1.0


@dataclass(frozen=True)
class Draw:
    """One set of samples.

    Attributes:
        name: of its file.
        model: which training, a key of `dalle_mini.languages`.
        language: of the captions.
        guidance: super-conditioning scale.
        ids: what is drawn: prompts, or the numbers of test pictures.
        captions: their texts.
        seeds, items: int [len(ids), n], which random key each sample has.
    """

    name: str
    model: str
    language: str
    guidance: float
    ids: list[str]
    captions: list[str]
    seeds: np.ndarray
    items: np.ndarray

    @property
    def rows(self) -> int:
        """Rows that the decoder computes; a guided sample takes two."""
        return self.items.size * (1 if self.guidance == UNGUIDED else 2)


def run(params: Params) -> None:
    """Writes `<name>.npy`, tokens uint16 [prompts, n, h, w], for every set of samples, and sets.json about them."""
    settings = params.sampling
    use_jax_devices(devices_that_divide(params.threads, settings.batch_size))  # rows are split between them
    text = TextTokenizer.load(TEXT)
    draws = list(plan(settings, params.seed, getattr(params.tokenizer, params.dalle_mini.tokens).leave_out))
    empty = text.encode([""], params.text.length)[0]
    fresh(OUT)

    progress, done = Progress("dalle_mini/sample", sum(draw.rows for draw in draws)), 0
    for model_name in dict.fromkeys(draw.model for draw in draws):
        model, weights = dalle_mini.load(MODELS / model_name)
        sampler = Sampler(model, weights, empty, settings.batch_size)
        side = round(model.config.image_length**0.5)
        for draw in (draw for draw in draws if draw.model == model_name):
            keys = row_keys(draw.seeds.ravel(), draw.items.ravel()).reshape(draw.items.shape)
            tokens = sampler(
                text.encode(draw.captions, params.text.length),
                keys,
                draw.guidance,
                settings.temperature,
                settings.top_k,
                settings.top_p,
                report=lambda samples, draw=draw, done=done: progress.update(
                    done + samples * draw.rows // draw.items.size
                ),
            )
            done += draw.rows
            np.save(OUT / f"{draw.name}.npy", tokens.astype(np.uint16).reshape(*tokens.shape[:2], side, side))
    about = [
        {field: getattr(draw, field) for field in ("name", "model", "language", "guidance", "ids")} for draw in draws
    ]
    write_json(OUT / "sets.json", about)


def plan(settings: SamplingParams, seed: int, leave_out: Sequence[str]) -> Iterator[Draw]:
    """Every set of samples of the study; test pictures with a background of `leave_out` are passed over."""
    languages = read_meta(DATA)["languages"]
    first = "en" if "en" in languages else languages[0]
    prompts = first_of_each_category(read_prompts(DATA), settings.prompts)
    seeds = seed + np.arange(settings.seeds)

    def draw(name: str, model: str, language: str, guidance: float) -> Draw:
        items = np.repeat(np.arange(len(prompts))[:, None], len(seeds), axis=1)  # [P, n]
        each = np.broadcast_to(seeds, items.shape)
        texts = [prompt[language] for prompt in prompts]
        return Draw(name, model, language, guidance, [prompt["id"] for prompt in prompts], texts, each, items)

    for scale in settings.sweep:
        yield draw(f"sweep_{scale:g}", "both", first, scale)
    for language in languages:
        if language != first:
            yield draw(f"both_{language}", "both", language, settings.guidance)
        yield draw(f"english_{language}", "english", language, settings.guidance)

    # Several candidates for every seed: [P, seeds · candidates], the candidates of one seed side by side.
    ranked = first_of_each_category(prompts, settings.ranked_prompts)
    count = settings.seeds * settings.candidates
    items = RANKED_ITEMS + np.arange(len(ranked) * count).reshape(len(ranked), count)
    each = np.broadcast_to(np.repeat(seeds, settings.candidates), items.shape)
    texts = [prompt[first] for prompt in ranked]
    ids = [prompt["id"] for prompt in ranked]
    drawn = Draw("ranked_unguided", "both", first, UNGUIDED, ids, texts, each, items)
    yield drawn
    yield dataclasses.replace(drawn, name="ranked_guided", guidance=settings.guidance)

    test = Split.open(DATA, "test")
    chosen = kept(test, leave_out)[: settings.captions]
    titles, numbers = [test.captions[number][first][0] for number in chosen], [f"{number}" for number in chosen]
    items = CAPTION_ITEMS + chosen[:, None]
    each = np.full_like(items, seed)
    captioned = Draw("captioned_unguided", "both", first, UNGUIDED, numbers, titles, each, items)
    yield captioned
    yield dataclasses.replace(captioned, name="captioned_guided", guidance=settings.guidance)

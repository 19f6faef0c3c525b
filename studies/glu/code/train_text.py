"""Stage glu/train_text: every block on the paper's own task, gaps in a text (the captions) → build/glu/text.json."""

from pathlib import Path

import numpy as np

from lib.pipeline import parts
from lib.text import TextTokenizer
from studies.glu.code import reports
from studies.glu.code.settings import TASK_OF_TEXT, Params
from studies.glu.code.tasks import SpanTask, compressed_nats, unigram_entropy
from studies.glu.code.text_training import captions_of
from studies.glu.code.text_training import span_task as task_of
from studies.glu.code.training import TEXT
from studies.glu.code.training_parts import chosen_rate, results, seed_numbers, span_task, text_part, thinned

OUT = Path("build/glu/text.json")


def run(params: Params) -> None:
    """Trains all variants at the rate that was searched for; also measures how much there is to predict in captions."""
    settings, variants = params.glu_text, params.glu_variants.variants
    seeds, rate = seed_numbers(params, settings.seeds), chosen_rate(TASK_OF_TEXT)
    recipes = {"long": {"steps": settings.steps, "learning_rate": rate}}
    measured = {"split": "test", "stretches": settings.stretches}
    paths = parts.run(
        "glu/train_text", [text_part(params, block, block, seeds, recipes, measured) for block in variants]
    )
    trained = {}
    for block in variants:
        arrays = results(paths[block])[0]["long"]
        training = reports.Curve(**thinned(arrays["losses"]))
        trained[block] = reports.TextTraining(nats=arrays["nats"].tolist(), training=training)
    text = TextTokenizer.load(TEXT)
    test = task_of(text, "test", **span_task(params))
    reports.Text(
        learning_rate=rate,
        seeds=seeds,
        steps=settings.steps,
        gaps=test.gaps,
        targets=test.target_length,
        caption_entropy=caption_entropy(params, text, test),
        variants=trained,
    ).write(OUT)


def caption_entropy(params: Params, text: TextTokenizer, task: SpanTask) -> reports.CaptionEntropy:
    """How much there is to predict, by what needs no network."""
    captions = captions_of("test", params.encode.pictures)
    ids = text.encode(captions, params.text.length)
    tokens = ids[ids != text.pad_id]
    targets = task.held_out(params.glu_text.stretches, params.seed)[1]
    return reports.CaptionEntropy(
        unigram=unigram_entropy(tokens),
        compressed=compressed_nats(captions, len(tokens)),
        targets_unigram=unigram_entropy(targets),
        distinct=len(np.unique(ids, axis=0)) / len(ids),
    )

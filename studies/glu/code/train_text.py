"""Stage glu/train_text: every block on the paper's own task, gaps in a text (the captions) → build/glu/text.json."""

from pathlib import Path

import numpy as np

from lib import config_tree
from lib.data.store import write_json
from lib.pipeline import parts
from lib.pipeline.parts import Part
from lib.text import TextTokenizer
from lib.weights import checkpoint
from studies.glu.code.settings import Params
from studies.glu.code.tasks import SpanTask, compressed_nats, unigram_entropy
from studies.glu.code.text_training import captions_of, span_task, trained
from studies.glu.code.train_variants import seed_numbers, thinned
from studies.glu.code.training import DATA, TEXT

OUT = Path("build/glu/text.json")


def run(params: Params) -> None:
    """Trains all variants; also measures how much there is to predict in the captions."""
    settings, variants = params.glu_text, params.glu_variants.variants
    seeds = seed_numbers(params, settings.seeds)
    task = {
        "pictures": params.encode.pictures,
        "text_length": params.text.length,
        "length": settings.length,
        "masked": settings.masked,
        "span": settings.span,
    }
    given = task | {
        "setting": config_tree.replace(params.glu_variants.setting, learning_rate=settings.learning_rate),
        "seeds": seeds,
        "steps": settings.steps,
        "measured": settings.stretches,
        "seed": params.seed,
    }
    found = parts.run(
        "glu/train_text",
        [
            Part(name=block, work=trained, arguments=given | {"variant": block}, inputs=(DATA, TEXT))
            for block in variants
        ],
    )
    text = TextTokenizer.load(TEXT)
    test = span_task(text, "test", **task)
    report = {
        "seeds": seeds,
        "steps": settings.steps,
        "gaps": test.gaps,
        "targets": test.target_length,
        "caption_entropy": caption_entropy(params, text, test),
        "variants": {},
    }
    for block in variants:
        arrays, _ = checkpoint.load(found[block])
        report["variants"][block] = {"nats": arrays["averaged"].tolist(), "training": thinned(arrays["losses"])}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_json(OUT, report)


def caption_entropy(params: Params, text: TextTokenizer, task: SpanTask) -> dict[str, float]:
    """How much there is to predict: nats a token without any context, and after a general-purpose compressor.

    `targets_unigram` is the first for the targets of the span task, marks included.
    """
    captions = captions_of("test", params.encode.pictures)
    ids = text.encode(captions, params.text.length)
    tokens = ids[ids != text.pad_id]
    targets = task.held_out(params.glu_text.stretches, params.seed)[1]
    return {
        "unigram": unigram_entropy(tokens),
        "compressed": compressed_nats(captions, len(tokens)),
        "targets_unigram": unigram_entropy(targets),
        "distinct": len(np.unique(ids, axis=0)) / len(ids),
    }

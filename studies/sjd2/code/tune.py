"""Stage sjd2/tune: autoregressive models tuned to read noisy embeddings → build/sjd2/tuned/<name>/<training>/
(model.safetensors, metrics.json)."""

from typing import Any

from lib.pipeline.parts import Result
from lib.pipeline.stage import Training
from lib.training.settings import Sjd2Params
from lib.training.sjd2 import Sjd2Trainee, nats_per_level
from studies.sjd2.code.material import TUNED
from studies.sjd2.code.settings import Params
from studies.sjd2.code.tuning import result, run_all, tune


def run(params: Params) -> None:
    """Tunes as each of sjd2.variants says, measures the tuned and the untuned model on clean and noisy pictures."""
    run_all(params, "sjd2/tune", params.sjd2.variants, tuned, TUNED)


def tuned(training: Training, *, settings: Sjd2Params, measured: int, seed: int, **others: Any) -> Result:
    """One fine-tuning."""
    model, metrics, pictures = tune(training, Sjd2Trainee, settings=settings, measured=measured, seed=seed, **others)
    test = pictures["test"]
    few = test.tokens[:measured]
    finest = max(settings.denoising_steps)
    levels = nats_per_level(model, test.captions.first(len(few)), few, finest, settings, seed)
    table = model.image_tokens.weight[: model.config.codes]
    deviation = table.var(dim=0, correction=0).mean().sqrt().item()
    return result(model, metrics | {"nats_per_level": levels.tolist(), "table_deviation": deviation})

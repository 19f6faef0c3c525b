"""Stage sjd2/tune: an autoregressive model tuned to read noisy embeddings → build/sjd2/<name>/ (model.safetensors,
metrics.json)."""

from pathlib import Path

from lib.training.sjd2 import Sjd2Trainee, nats_per_level
from studies.sjd2.code.settings import Params
from studies.sjd2.code.tuning import keep, tune

OUT = Path("build/sjd2")


def run(params: Params, name: str) -> None:
    """Tunes as `sjd2.variants.<name>` says, measures the tuned and the untuned model on clean and noisy pictures.

    Raises:
        EaselError: the variant tunes a model that there is not.
    """
    settings = params.sjd2.variants[name]
    tuned, metrics, pictures = tune(params, "sjd2/tune", name, settings, Sjd2Trainee)
    test = pictures["test"]
    few = test.tokens[: params.autoregressive.measured]
    finest = max(settings.denoising_steps)
    levels = nats_per_level(tuned, test.captions.first(len(few)), few, finest, settings, params.seed)
    table = tuned.image_tokens.weight[: tuned.config.codes]
    deviation = table.var(dim=0, correction=0).mean().sqrt().item()
    keep(tuned, metrics | {"nats_per_level": levels.tolist(), "table_deviation": deviation}, OUT / name)

"""Stage sjd2/tune_on_drafts: an autoregressive model tuned on drafts of Jacobi decoding with shared noise →
build/draft_tuned/<name>/ (model.safetensors, metrics.json)."""

from pathlib import Path

from lib.training.drafts import DraftTrainee
from studies.sjd2.code.settings import Params
from studies.sjd2.code.tuning import keep, tune

OUT = Path("build/draft_tuned")


def run(params: Params, name: str) -> None:
    """Tunes as `draft_tuning.variants.<name>` says, measures the tuned and the untuned model on clean pictures.

    Raises:
        EaselError: the variant tunes a model that there is not.
    """
    settings = params.draft_tuning.variants[name]
    tuned, metrics, _ = tune(params, "sjd2/tune_on_drafts", name, settings, DraftTrainee)
    keep(tuned, metrics, OUT / name)

"""Stage sjd2/tune_on_drafts: autoregressive models tuned on drafts of Jacobi decoding with shared noise →
build/sjd2/draft_tuned/<name>/<training>/ (model.safetensors, metrics.json)."""

from typing import Any

from lib.pipeline.parts import Result
from lib.pipeline.stage import Training
from lib.training.drafts import DraftTrainee
from studies.sjd2.code.material import ON_DRAFTS
from studies.sjd2.code.settings import Params
from studies.sjd2.code.tuning import result, run_all, tune


def run(params: Params) -> None:
    """Tunes as each of draft_tuning.variants says, measures the tuned and the untuned model on clean pictures."""
    run_all(params, "sjd2/tune_on_drafts", params.draft_tuning.variants, tuned, ON_DRAFTS)


def tuned(training: Training, **arguments: Any) -> Result:
    """One fine-tuning."""
    model, metrics, _ = tune(training, DraftTrainee, **arguments)
    return result(model, metrics)

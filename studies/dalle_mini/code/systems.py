"""This study's system, for the table over all studies."""

from collections.abc import Iterator

from lib.evidence.systems import System, drawn
from studies.dalle_mini.code.reports import Evaluation, Trainings
from studies.dalle_mini.code.settings import Params

SIDE = 64  # of its pictures, in pixels


def systems(params: Params, report: Evaluation, trained: Trainings) -> Iterator[System]:
    """The model of all languages, at the scale of super-conditioning that the study uses."""
    run, languages = report.guided, report.languages["both"]
    tokenizer = getattr(params.tokenizer, trained.both.tokenizer)
    yield System(
        name="DALL·E Mini",
        family="autoregressive",
        pictures=drawn(params.data.source, params.scenes, SIDE, left_out=tokenizer.leave_out),
        parameters=trained.both.parameters,
        passes=(SIDE // tokenizer.stride) ** 2,
        exact={language: one.exact for language, one in languages.items() if one.exact},
        clip_score=run.clip_score,
        fid=run.fid,
        kid=run.kid,
    )

"""This study's systems, for the table over all studies."""

from collections.abc import Iterator

from lib.evidence.systems import System, drawn
from studies.muse.code.reports import Results
from studies.muse.code.settings import FIRST, Params, scenes_of
from studies.muse.code.sizes import PICTURE

# Model → name, family, side of its pictures in small ones.
SHOWN = {
    "autoregressive": ("autoregressive with a cache", "autoregressive", 1),
    "masked": ("masked (Muse)", "masked", 1),
    "super_resolution": ("masked, with super-resolution", "masked", 2),
    "latent": ("latent diffusion, U-Net", "diffusion", 1),
    "cascade": ("pixel cascade", "diffusion", 1),
}


def systems(params: Params, report: Results) -> Iterator[System]:
    """Every model in its usual number of passes."""
    scenes, kept = scenes_of(params, report.part)
    for model, (name, family, times) in SHOWN.items():
        run = report.runs.get(model) or report.runs[f"{model}_{report.steps[model]}"]
        models = [report.trainings[one] for one in (FIRST.get(model), model) if one]
        timings = [one for one in report.timings.values() if one.sampling == run.sampling and one.training == model]
        alone = [one.operations for one in timings if one.batch_size == 1]
        yield System(
            name=name,
            family=family,
            pictures=drawn(params.data.source, scenes, times * PICTURE, kept),
            parameters=sum(one.parameters for one in models),
            minutes=models[-1].minutes,
            passes=run.passes,
            operations=alone[0] if alone else None,
            seconds={one.batch_size: [value / one.batch_size for value in one.seconds] for one in timings},
            exact={"en": run.exact} if run.exact else {},
            clip_score=run.clip_score,
            fid=run.fid,
            kid=run.kid,
            likelihood=run.likelihood,
        )

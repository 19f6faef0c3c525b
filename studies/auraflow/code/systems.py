"""This study's systems, for the table over all studies."""

from collections.abc import Iterator

from lib.evidence.systems import System, drawn
from studies.auraflow.code.reports import Results
from studies.auraflow.code.settings import SIZE, Params, scenes_of

# Image model → name, family.
SHOWN = {
    "raster": ("autoregressive in raster order", "autoregressive"),
    "next_scale": ("next-scale prediction (VAR)", "next scale"),
    "flow": ("rectified flow, MMDiT (AuraFlow)", "flow"),
    "unet": ("latent diffusion, U-Net (Kolors)", "diffusion"),
}
READ = {"english": "English T5 kind", "both": "bilingual T5 kind", "language": "language model", "clip": "CLIP tower"}


def systems(params: Params, report: Results) -> Iterator[System]:
    """Every image model with its text network."""
    scenes, kept = scenes_of(params)
    for training, own in report.trainings.items():
        name, family = SHOWN[own.model]
        run = report.runs[training]
        timings = [one for one in report.timings.values() if one.training == training]
        alone = [one.operations for one in timings if one.batch_size == 1]
        runs = {
            language: report.runs[training if language == report.languages[0] else f"{training}_{language}"]
            for language in report.languages
        }
        yield System(
            name=f"{name}; {READ.get(own.text, own.text)}",
            family=family,
            pictures=drawn(params.data.source, scenes, SIZE, kept),
            parameters=own.parameters,
            minutes=own.minutes,
            passes=run.passes,
            operations=alone[0] if alone else None,
            seconds={one.batch_size: [value / one.batch_size for value in one.seconds] for one in timings},
            exact={language: one.exact for language, one in runs.items() if one.exact},
            clip_score=run.clip_score,
            fid=run.fid,
            kid=run.kid,
        )

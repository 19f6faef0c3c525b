"""This study's systems, for the table over all studies: the twin of the paper's Table 8, which sets SJD2 beside
diffusion models."""

from collections.abc import Iterator

from lib.evidence.systems import System, drawn
from studies.sjd2.code.reports import Results
from studies.sjd2.code.settings import Params

DRAWN, TIMED = "quality", "latency"  # the groups of runs whose pictures are compared, and that are timed alone
# Run → name.
NAMES = {
    "autoregressive": "autoregressive with a cache",
    "sjd": "autoregressive, SJD",
    "shared": "autoregressive, Jacobi decoding with shared noise",
    "sjd2": "autoregressive, SJD2",
    "shared_drafts": "autoregressive, shared noise, tuned on drafts",
}


def systems(params: Params, report: Results) -> Iterator[System]:
    """One network, all its trainings, by the decoders whose pictures are compared."""
    group, timed = report.groups.get(DRAWN), report.groups.get(TIMED)
    for name, run in group.runs.items() if group else ():
        if name not in NAMES:
            continue
        base = params.base(run.network)
        model = params.autoregressive.models[base]
        scenes, kept = params.scenes_of(model.part)
        seconds = timed.runs[name].seconds if timed and name in timed.runs else None
        yield System(
            name=NAMES[name],
            family="autoregressive",
            pictures=drawn(params.data.source, scenes, model.pictures, kept),
            parameters=report.models[base].parameters,
            passes=run.passes.value,
            seconds={1: seconds.by_seed} if seconds else {},
            exact={"en": run.exact} if run.exact else {},
            clip_score=run.clip_score,
            fid=run.fid,
            kid=run.kid,
        )

"""This study's systems, for the table over all studies."""

from collections.abc import Iterator

from lib.evidence.systems import System, drawn
from studies.sjd2.code.claims import DRAFT_TUNED, SMALL
from studies.sjd2.code.measures import pick
from studies.sjd2.code.reports import Results
from studies.sjd2.code.settings import Params

DRAWN, TIMED = "quality", "latency"  # the groups of runs whose pictures are compared, and that are timed alone
NAMES = {
    (SMALL, "autoregressive"): "autoregressive with a cache",
    (SMALL, "sjd"): "autoregressive, SJD",
    (SMALL, "shared"): "autoregressive, Jacobi decoding with shared noise",
    (SMALL, "sjd2"): "autoregressive, SJD2",
    (DRAFT_TUNED, "shared"): "autoregressive tuned on drafts, Jacobi decoding with shared noise",
}


def systems(params: Params, report: Results) -> Iterator[System]:
    """The small network by the decoders whose pictures are compared."""
    group, timed = report.groups.get(DRAWN), report.groups.get(TIMED)
    for (network, role), name in NAMES.items() if group else ():
        if not (own := pick(group.runs, network, role)):
            continue
        run, alone = group.runs[own], timed and pick(timed.runs, network, role)
        base = params.base(network)
        model = params.autoregressive.models[base]
        scenes, kept = params.scenes_of(model.part)
        left_out = getattr(params.tokenizer, model.tokenizer).leave_out
        yield System(
            name=name,
            family="autoregressive",
            pictures=drawn(params.data.source, scenes, model.pictures, kept, left_out),
            parameters=report.models[base].parameters,
            passes=run.passes.value,
            operations=run.flops_per_token * group.length,
            seconds={1: timed.runs[alone].seconds.by_seed} if alone else {},
            exact={"en": run.exact} if run.exact else {},
            clip_score=run.clip_score,
            fid=run.fid,
            kid=run.kid,
            likelihood=run.judged,
        )

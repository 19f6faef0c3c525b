"""This study's systems, for the table over all studies."""

from collections.abc import Iterator

from lib.evidence.systems import System, drawn
from studies.sjd2.code.reports import Results
from studies.sjd2.code.settings import Params

DRAWN, TIMED = "quality", "latency"  # the groups of runs whose pictures are compared, and that are timed alone
NAMES = {
    "autoregressive": "autoregressive with a cache",
    "jacobi": "autoregressive, Jacobi decoding with shared noise",
    "sjd": "autoregressive, SJD",
    "sjd2": "autoregressive, SJD2",
}


def systems(params: Params, report: Results) -> Iterator[System]:
    """One network, by the decoders whose pictures are compared; of a decoder with several settings the first."""
    group, timed, seen = report.groups.get(DRAWN), report.groups.get(TIMED), set()
    for run in group.runs.values() if group else ():
        if run.decoder not in NAMES or run.decoder in seen:
            continue
        seen.add(run.decoder)
        times = [
            one.seconds
            for one in (timed.runs.values() if timed else ())
            if (one.network, one.decoder, one.options) == (run.network, run.decoder, run.options) and one.seconds
        ]
        tokenizer = params.tokenizer.coarse
        side = group.columns * tokenizer.stride
        yield System(
            name=NAMES[run.decoder],
            family="autoregressive",
            pictures=drawn(params.data.source, params.scenes, side, left_out=tokenizer.leave_out),
            parameters=report.models[report.networks[run.network].model].parameters,
            passes=run.passes.value,
            seconds={1: times[0].by_seed} if times else {},
            exact={"en": run.exact} if run.exact else {},
            clip_score=run.clip_score,
            fid=run.fid,
            kid=run.kid,
        )

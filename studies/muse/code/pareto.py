"""Which sampling settings are worth having: those that no other setting beats in both CLIP score and FID."""

from collections.abc import Mapping

from studies.muse.code.reports import Run


def on_the_front(runs: Mapping[str, Run]) -> set[str]:
    """The runs of which no other run of the same training has at least as high a CLIP score and as low a FID, and one
    of both better; those that have both."""
    points = {name: (one.clip_score.value, -one.fid.value) for name, one in runs.items() if one.clip_score and one.fid}

    def beaten(name: str) -> bool:
        rivals = [point for rival, point in points.items() if runs[rival].training == runs[name].training]
        own = points[name]
        return any(point != own and point[0] >= own[0] and point[1] >= own[1] for point in rivals)

    return {name for name in points if not beaten(name)}

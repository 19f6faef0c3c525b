"""What runs say together: the surface of window and steps, shared noise as a control, overheads."""

from collections.abc import Mapping, Sequence

from lib.evidence.report import Estimate
from lib.evidence.statistics import ratios
from studies.sjd2.code import claims, measures
from studies.sjd2.code.claims import Groups
from studies.sjd2.code.reports import Cell, Control, Overhead, Surface


def surface(groups: Groups) -> Surface:
    """Every window and number of steps of group `surface`: passes, time, quality, and S beside window / steps."""
    cells = [
        Cell(
            run=name,
            window=run.options["window"],
            steps=run.steps,
            compression=run.compression.value,
            by_seed=run.compression.by_seed,
            seconds=run.seconds.value if run.seconds else None,
            nats=run.nats.value,
            exact=run.exact.value if run.exact else None,
        )
        for name, run in claims.runs_in(groups, "surface").items()
        if run.decoder == "sjd2"
    ]
    if len(cells) < 3:
        return Surface(cells=cells)
    return Surface(
        cells=cells,
        fastest=[cell.run for cell in measures.fastest(cells)],
        window_per_step=measures.window_per_step(cells),
        misses=measures.misses(cells),
    )


def control(groups: Groups) -> dict[str, Control]:
    """How much of SJD2's gain is left over Jacobi decoding with shared noise, and other decoders beside these; without
    SJD2 for the networks that were not tuned for it."""
    found = {}
    plain = ("autoregressive", "shared")
    for network, roles in (
        *((name, (*plain, "sjd", "sjd2")) for name in claims.NETWORKS),
        *((name, plain) for name in claims.OTHERWISE_TUNED),
    ):
        group = claims.where(groups, network, *roles)
        if group is None:
            continue
        chosen = {role: measures.pick(groups[group].runs, network, role) for role in claims.CONTROL}
        runs = {role: groups[group].runs[name] for role, name in chosen.items() if name}
        passes = {role: run.passes.by_seed for role, run in runs.items()}
        against = {role: run.against for role, run in runs.items() if run.against.run}
        found[network] = Control(
            group=group,
            compression={role: run.compression for role, run in runs.items()},
            shared_over={
                role: Estimate.of(ratios(passes["shared"], own), f"control {network} {role}")
                for role, own in passes.items()
                if role != "shared"
            },
            nats={role: entry.nats for role, entry in against.items()},
            same={role: entry.identical for role, entry in against.items()},
            left_over_sjd=left(network, "sjd", passes),
            left_over_autoregressive=left(network, "autoregressive", passes),
        )
    return found


def left(network: str, slow: str, passes: Mapping[str, Sequence[float]]) -> Estimate | None:
    """Share of the passes that SJD2 saves over the role `slow` which shared noise does not save.

    Args:
        passes: of every seed, by role.
    """
    if "sjd2" not in passes:
        return None
    shares = measures.left_over(passes[slow], passes["shared"], passes["sjd2"])
    return Estimate.of(shares, f"left {network} {slow}") if shares else None


def most_overhead(groups: Groups) -> dict[str, Overhead]:
    """The run of each timed group that spends the largest share of its time outside the networks."""
    found = {}
    for name, group in groups.items():
        if all(run.overhead for run in group.runs.values()):
            run = max(group.runs, key=lambda run, runs=group.runs: runs[run].overhead.value)
            found[name] = Overhead(run=run, value=group.runs[run].overhead.value)
    return found

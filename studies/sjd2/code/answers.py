"""What the paper leaves open or prints without explaining, each question with the numbers of one run of this study.

The sentences are for readers; verdicts come from claims.yaml alone. Questions whose runs a profile leaves out are left
out. The paper is arXiv:2510.08994.
"""

from lib.evidence.report import Interval
from studies.sjd2.code import measures
from studies.sjd2.code.claims import SMALL, UNTUNED, together
from studies.sjd2.code.reports import Cell, Results
from studies.sjd2.code.rows import described, runs_of

CLIP_RISE = 33.3 - 31.3  # of EAGLE over autoregressive decoding in the paper's Table 7


def said(entry: Interval, digits: int = 2, sign: str = "") -> str:
    """A value with its interval; `sign` "+" shows that of positive values."""
    value, low, high = (f"{end:{sign}.{digits}f}" for end in (entry.value, entry.low, entry.high))
    return f"{value} [{low}, {high}]"


def as_markdown(report: Results) -> str:
    """A list of the questions with their answers; empty where there are none."""
    return "\n".join(f"- **{question}** {answer}." for question, answer in answers(report))


def answers(report: Results) -> list[tuple[str, str]]:
    """Questions and answers, in the order of the paper's sections; answers without the full stop."""
    found = [*quality(report), *exactness(report), *speed(report), *arithmetic(report), *choices(report)]
    return [(question, answer) for question, answer in found if answer]


def quality(report: Results) -> list[tuple[str, str | None]]:
    """Tuned against untuned, the share of clean inputs, FID, the CLIP score of a lossless decoder."""
    groups, tuned = report.groups, report.networks.get(SMALL)
    moved = fid = clip = None
    if tuned:
        moved = f"the loss on clean input by {said(tuned.rise, 3, '+')} nats a token"
        before, after = (together(groups, name, "autoregressive", only=["quality"]) for name in (UNTUNED, SMALL))
        if before and after and before[0].exact:
            ends = (said(runs[0].exact) for runs in (before, after))
            moved += ", exact accuracy of the same prompts from {} to {}".format(*ends)
    if (runs := together(groups, SMALL, "autoregressive", "sjd2")) and runs[1].fid:
        plain, best = runs
        fid = f"FID {said(plain.fid)} → {said(best.fid)}, KID {said(plain.kid, 4)} → {said(best.kid, 4)}"
    for run in together(groups, UNTUNED, "eagle") or ():
        if change := run.against.clip_score:
            clip = f"here it changes by {said(change, 2, '+')}"
            if change.low < 0 and change.high > CLIP_RISE:
                clip += ", too few pictures to tell nothing from a rise like the paper's"
    return [
        ("What does fine-tuning alone move, without any new decoder (GenEval 0.48 → 0.52 in the paper)?", moved),
        ("Is FID worse under SJD2, as in all four columns of the paper's Table 1?", fid),
        ("Can EAGLE, which is lossless, raise the CLIP score from 31.3 to 33.3 (Table 7)?", clip),
    ]


def exactness(report: Results) -> list[tuple[str, str | None]]:
    """Whether SJD2 is lossless."""
    strict, published = (report.claims.get(name) for name in ("sjd2_lossless", "sjd2_published"))
    answer = None
    if strict and published:
        answer = (
            f"with the keep rule of 0.5 it is not (χ² on a toy chain, p = {published.p:.1g}); restricted to clean "
            f"slots and without that rule nothing speaks against it (least p = {strict.least_p:.2g})"
        )
    return [("Is SJD2 lossless with respect to the tuned network?", answer)]


def speed(report: Results) -> list[tuple[str, str | None]]:
    """S and latency of others' measurements, S against window / steps, with and without the test of drafts."""
    groups, cells = report.groups, report.surface.cells
    ours = follows = alone = None
    if runs := together(groups, SMALL, "autoregressive", "sjd2", only=["latency"]):
        latency = said(runs[1].against.latency)
        ours = f"S {said(runs[1].compression)}, {latency} times less time, one picture at a time"
    if report.surface.window_per_step:
        slope = report.surface.window_per_step.slope
        ends = (min(cells, key=per_step), max(cells, key=per_step))
        low, high = (f"S = {cell.compression:.2f} at L/T = {per_step(cell):.2g}" for cell in ends)
        follows = f"log S rises by {slope:.2f} times log L/T (1 would be proportional): {low}, {high}"
    if runs := together(groups, SMALL, "denoised_authors", only=["decoders"]):
        run = runs[0]
        expected = run.options["window"] / run.steps
        alone = f"S = {run.compression.value:.2f} at L/T = {expected:.2f} ({described(run)})"
        if run.settled_compression:
            alone += (
                f"; {run.settled_compression.value:.2f} without the first {run.steps} passes, in which no slot "
                "is clean yet: a large part of a picture's passes here, a small one of the paper's 306"
            )
    return [
        ("SJD-PAC's authors measured S = 3.82 and 4.72 with 2.51 and 2.04 times less time. Here?", ours),
        ("Does S follow window over steps, as 4.02 and 5.62 follow 96/25 and 128/25?", follows),
        ("Figure 9a fixes 7.7 tokens a pass by denoising alone, twice 96/25. Can it?", alone),
    ]


def per_step(cell: Cell) -> float:
    """Window over steps."""
    return cell.window / cell.steps


def arithmetic(report: Results) -> list[tuple[str, str | None]]:
    """The slots that operations imply."""
    answer = None
    if (runs := together(report.groups, SMALL, "autoregressive", "sjd2")) and runs[1].against.flops:
        times, compression = runs[1].against.flops, runs[1].compression.value
        implied = measures.tokens_a_pass(times, compression)
        answer = (
            f"{times:.1f} times the operations × S = {implied:.0f} slots a pass, computed with a window of "
            f"{runs[1].options['window']}"
        )
    return [("The paper's Table 4 implies 47 slots a pass (window 96) and 144 (window 128). Here?", answer)]


def choices(report: Results) -> list[tuple[str, str | None]]:
    """The proposal of a slot never predicted; acceptance of noisy slots; the keep rule."""
    groups = report.groups
    starts = {
        run.options["initial"]: f"S {said(run.compression)} with {what}"
        for what, kind in (("certainty (as SJD's code has it)", "one_hot"), ("the uniform one it came from", "uniform"))
        for _, _, run in runs_of(report, "initial")
        if run.options.get("initial") == kind
    }
    noisy, kept = [], None
    for roles in (("sjd2_any", "sjd2"), ("sjd2_any_authors", "sjd2_authors")):
        if (runs := together(groups, SMALL, *roles)) and all(run.judged for run in runs):
            a_run = (part for run in runs for part in (said(run.judged) + " nats a token", said(run.compression)))
            noisy.append(
                f"with {runs[0].steps} steps, " + "{} at S = {} if they may, {} at S = {} if not".format(*a_run)
            )
    if runs := together(groups, SMALL, "sjd2_lossless", "sjd2"):
        kept = "S {} without it, {} with it".format(*(said(run.compression) for run in runs))
    return [
        ("Which distribution belongs to a slot that was never predicted?", " and ".join(starts.values())),
        ("May a still-noisy slot be accepted (section 4.2), or only a clean one (appendix B)?", "; ".join(noisy)),
        ("What does the keep rule of 0.5 bring?", kept),
    ]

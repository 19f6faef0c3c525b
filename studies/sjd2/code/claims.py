"""What claims.yaml decides the claims on SJD2 and its peers by, from the report of stage sjd2/evaluate.

What a run is missing for is left out, and the claim counts as not attempted.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.evidence.report import Pairs, Values
from lib.evidence.statistics import spearman
from studies.sjd2.code import measures, text
from studies.sjd2.code.measures import ROLES, Role
from studies.sjd2.code.reports import (
    Claim,
    Exactness,
    Group,
    Lossless,
    Lossy,
    Network,
    Results,
    Rise,
    Run,
    ShortTuning,
    SingleToken,
    TextComparison,
    Tuned,
)
from studies.sjd2.code.settings import DRAFT_TUNED as ON_DRAFTS

SEEDS = "sampling seeds of one trained model"
NETWORKS = ("small", "large", "wide")
SMALL = "small"
UNTUNED = f"model:{SMALL}"  # the same network before it was tuned
CLEAN = "clean"  # and tuned for as long without noise
DRAFT_TUNED = {name: ON_DRAFTS + name for name in NETWORKS}  # tuned on drafts instead, for as long
OTHERWISE_TUNED = (UNTUNED, CLEAN, *DRAFT_TUNED.values())  # not for SJD2: the control alone runs on them
BASE = "short"  # what the ablations of the fine-tuning are compared with
# Share of the pretraining's updates; tunings up to it are short.
TUNING_SHARE = 0.1
# Share of prompts that autoregressive decoding must draw right before a loss of ACCURACY_MARGIN means anything: four
# times that margin. Where nothing is drawn right, nothing can get worse.
DRAWN_RIGHT = 4 * measures.ACCURACY_MARGIN
# Decoders that SJD2 is compared with beside Jacobi decoding with shared noise: name, and whether it is lossless.
CONTROL = {
    "autoregressive": ("autoregressive", True),
    "sjd": ("SJD", True),
    "sjdpp_keep": ("SJD++, threshold 0.5", False),
    "shared": ("Jacobi, shared noise", True),
    "sjd2_lossless": ("SJD2, no keep rule", True),
    "sjd2": ("SJD2", False),
}
# In which group a comparison is looked for first: more pictures, then more decoders.
FIRST = ("quality", "drafted", "decoders", "large", "wide", "untuned")
ABOUT_HALF = (0.4, 0.6)
# χ²: what a lossless decoder may show once in a hundred tables (divided by the rows), and what only a lossy one does.
LUCK, PROOF = 0.01, 1e-6

Groups = Mapping[str, Group]
Claims = dict[str, Claim]


def claims(report: Results) -> Claims:
    """All claims that the report has the numbers for, under the names that claims.yaml asks for."""
    groups = report.groups
    return {
        **passes(groups),
        **costs(groups),
        **denoising(groups, report.codes),
        **quality(groups),
        **ablations(groups, report),
        **training(groups, report.networks),
        **draft_tuning(report.draft_tuned),
        **exactness(report.exactness),
        **control(groups),
        **on_text(groups, report.text),
    }


def runs_in(groups: Groups, name: str) -> Mapping[str, Run]:
    """The runs of a group; none where the profile leaves it out."""
    return groups[name].runs if name in groups else {}


def where(groups: Groups, network: str, *names: str | Role, only: Sequence[str] | None = None) -> str | None:
    """The first group that has runs for all of the roles on a network; None if none has.

    Args:
        names: keys of `studies.sjd2.code.measures.ROLES`, or roles.
        only: groups to look in; all if not given.
    """
    order = [*FIRST, *(name for name in groups if name not in FIRST)] if only is None else only
    for name in order:
        if all(measures.pick(runs_in(groups, name), network, role_of(one)) for one in names):
            return name
    return None


def together(groups: Groups, network: str, *names: str | Role, only: Sequence[str] | None = None) -> list[Run] | None:
    """The runs that play the roles on a network, of the group that `where` finds; None if there is none."""
    name = where(groups, network, *names, only=only)
    if name is None:
        return None
    runs = groups[name].runs
    return [runs[measures.pick(runs, network, role_of(one))] for one in names]


def role_of(name: str | Role) -> Role:
    """A role by its name, or as it is."""
    return ROLES[name] if isinstance(name, str) else name


def seeds_of(run: Run) -> list[float]:
    """S of every seed."""
    return run.compression.by_seed


def values(numbers: Sequence[float], unit: str) -> Values:
    """For a claim against a threshold."""
    return Values(values=[float(number) for number in numbers], unit=unit, seeds_are=SEEDS)


def pair(baseline: Sequence[float], treatment: Sequence[float], unit: str) -> Pairs:
    """For a claim about a direction."""
    return Pairs(baseline=baseline, treatment=treatment, unit=unit, seeds_are=SEEDS)


def passes(groups: Groups) -> Claims:
    """C1, C2, C3 and D7, C15, C18, C19: step compression."""
    unit, found = "tokens a pass", {}
    if runs := together(groups, SMALL, "sjd2"):
        found["several_times"] = values(seeds_of(runs[0]), unit)
    if runs := together(groups, SMALL, "jacobi", "sjd", "sjd2"):
        jacobi, sjd, best = map(seeds_of, runs)
        found["order"] = values(np.minimum(np.subtract(best, sjd), np.subtract(sjd, jacobi)), unit)
    if runs := together(groups, SMALL, "jacobi"):
        found["jacobi"] = values(seeds_of(runs[0]), unit)
    if runs := together(groups, SMALL, "jacobi", "jacobi_greedy"):
        found["jacobi_greedy"] = pair(*map(seeds_of, runs), unit)
    if runs := together(groups, SMALL, "sjd_authors"):
        found["sjd"] = values(seeds_of(runs[0]), unit)
        single = runs[0].accepted.single
        found["single_token"] = SingleToken(share=single, about_half=ABOUT_HALF[0] <= single <= ABOUT_HALF[1])
    for group in groups.values():
        if reused := measures.pick(group.runs, SMALL, ROLES["sjdpp"]):
            same = {key: group.runs[reused].options[key] for key in ("window", "initial")}
            if plain := measures.pick(group.runs, SMALL, Role("sjd", {"coupling": "independent"} | same)):
                both = (group.runs[plain], group.runs[reused])
                found["reuse"] = pair(*map(seeds_of, both), unit)
                break
    return found


def costs(groups: Groups) -> Claims:
    """C4, C5, C7: latency and arithmetic. One picture at a time where there is such a group."""
    found = {}
    for only in (["latency"], ["decoders"]):
        runs = together(groups, SMALL, "sjd2", only=only)
        if "latency" not in found and runs and (latency := runs[0].against.latency):
            unit = "times less than autoregressive decoding"
            found["latency"] = pair(seeds_of(runs[0]), latency.by_seed, unit)
    if runs := together(groups, SMALL, "autoregressive", "sjd2"):
        plain, best = runs
        # Operations of a run go with its passes; each seed has its own share of them.
        each = np.divide(np.mean(seeds_of(best)), seeds_of(best)) * best.flops_per_token
        found["flops"] = values(each / plain.flops_per_token, "times autoregressive decoding's operations")
    for only in (["latency"], ["surface"]):
        few, many = (ROLES["sjd2"].with_(window=96, steps=steps) for steps in (5, 20))
        if "optimum" not in found and (runs := together(groups, SMALL, few, many, only=only)):
            found["optimum"] = pair(*(run.seconds.by_seed for run in runs), "seconds a picture")
    return found


def denoising(groups: Groups, codes: int) -> Claims:
    """C6, D8: standardized embeddings; C8, D9: denoising alone; C9: stability."""
    found, runs = {}, runs_in(groups, "embeddings")
    plain, standard = (measures.pick(runs, network, ROLES["denoised"]) for network in ("plain_002", "standard_002"))
    if plain:
        above = np.subtract(runs[plain].nats.by_seed, measures.pure_noise_nats(codes))
        found["pure_noise"] = values(above, "nats a token above those of random codes")
        if standard:
            both = (runs[name].nats.by_seed for name in (plain, standard))
            found["standardized"] = pair(*both, "nats a token")
    for group in (groups[name] for name in (*FIRST, "embeddings") if name in groups):
        name = measures.pick(group.runs, SMALL, ROLES["denoised"])
        if name is None:
            continue
        alone = group.runs[name]
        same = {"window": alone.options["window"], "steps": alone.steps}
        if name := measures.pick(group.runs, SMALL, ROLES["sjd2"].with_(**same)):
            verified = group.runs[name]
            found["denoising_alone"] = pair(seeds_of(verified), seeds_of(alone), "tokens a pass")
            found["verification"] = pair(alone.nats.by_seed, verified.nats.by_seed, "nats a token")
            break
    runs = together(groups, SMALL, "sjd", "sjd2", only=["stability"])
    if runs and all(run.changes_a_token for run in runs):
        found["stability"] = pair(*(run.changes_a_token.by_seed for run in runs), "changes of a token's draft")
    return found


def quality(groups: Groups) -> Claims:
    """D10, C10, D18, D19: SJD2 against autoregressive decoding of the tuned network; D13: SJD++; C40: ZipAR."""
    found = {}
    if runs := together(groups, SMALL, "autoregressive", "sjd2"):
        plain, best = runs
        if best.exact and plain.exact.value >= DRAWN_RIGHT:
            change = np.subtract(best.exact.by_seed, plain.exact.by_seed)
            found["quality"] = values(change, "share of prompts drawn right, SJD2 − autoregressive")
    for network in NETWORKS:
        if runs := together(groups, network, "autoregressive", "sjd2"):
            unit = "nats a token, away from autoregressive decoding's"
            found[f"likelihood_{network}"] = values(distance(*runs), unit)
    if runs := together(groups, SMALL, "autoregressive", "sjdpp"):
        found["reuse_quality"] = values(distance(*runs), "nats a token, away from autoregressive decoding's")
    for group in (groups[name] for name in FIRST if name in groups):
        rows = [run for run in group.runs.values() if (run.network, run.decoder) == (SMALL, "zipar")]
        if len({run.compression.value for run in rows}) >= 3:
            columns = zip(*(zip(seeds_of(run), run.nats.by_seed, strict=True) for run in rows), strict=True)
            found["zipar"] = values([spearman(*zip(*one, strict=True))[0] for one in columns], "rank correlation")
            break
    return found


def distance(plain: Run, other: Run) -> np.ndarray:
    """Difference in nats a token, seed by seed, in the direction of its mean: too likely is as wrong as unlikely."""
    change = np.subtract(other.nats.by_seed, plain.nats.by_seed)
    return change * (1 if change.mean() >= 0 else -1)


def ablations(groups: Groups, report: Results) -> Claims:
    """C12: level tokens; C16: SJD's window; C17: its first drafts; D17: S against window / steps."""
    found, runs = {}, runs_in(groups, "levels")
    told, untold = (measures.pick(runs, network, ROLES["sjd2"]) for network in (BASE, "untold"))
    if told and untold:
        found["levels"] = pair(seeds_of(runs[untold]), seeds_of(runs[told]), "tokens a pass")
    for initial in ("one_hot", "uniform"):
        ends = [Role("sjd", {"initial": initial, "window": window}) for window in (16, 64)]
        if "window" not in found and (runs := together(groups, SMALL, *ends, only=["windows"])):
            small, large = map(seeds_of, runs)
            found["window"] = values(np.divide(large, small), "S with 64 slots over S with 16")
    if gains := report.initial.gains:
        simple, textured = np.asarray(gains.simple), np.asarray(gains.textured)
        unit = "share by which S rises on simple pictures, or by which it rises more there than on textured ones"
        found["neighbours"] = values(np.minimum(simple, simple - textured), unit)
    if report.surface.misses:
        found["window_per_step"] = values(report.surface.misses, "share by which S misses window / steps")
    return found


def draft_tuning(networks: Mapping[str, Tuned]) -> Claims:
    """D37: what tuning on drafts costs in the loss on clean input."""
    as_long = {name: networks[name] for name in NETWORKS if name in networks}  # as the tuning for SJD2
    return {"drafts_clean_loss": largest_rise(as_long)} if as_long else {}


def largest_rise(networks: Mapping[str, Tuned]) -> Rise:
    """The rise of the loss on clean input by tuning, of the network where it is largest."""
    most = max(networks, key=lambda name: networks[name].rise.value)
    over = "test pictures, each before and after"
    return Rise(**networks[most].rise.plain(), unit=f"nats a token (network {most})", over=over)


def training(groups: Groups, networks: Mapping[str, Network]) -> Claims:
    """C11, C13: the fine-tuning of every model by the paper's recipe."""
    own = {name: networks[name] for name in NETWORKS if name in networks}
    if not own:
        return {}
    rise = largest_rise(own)
    found: Claims = {"clean_loss": rise}
    shares = {name: entry.updates_share for name, entry in own.items()}
    runs = {name: together(groups, name, "sjd", "sjd2") for name in own}
    if max(shares.values()) <= TUNING_SHARE and all(runs.values()):
        better = {
            f"fewer passes than SJD on {name}": best.compression.value > plain.compression.value
            for name, (plain, best) in runs.items()
        }
        found["short_tuning"] = ShortTuning(**rise.plain(), updates_share=shares, conditions=better)
    return found


def exactness(measured: Exactness) -> Claims:
    """C14, D11, D12: laws on the toy chain."""
    cases = measured.cases
    bound = LUCK / max(len(cases), 1)
    chosen = {
        "sjd_lossless": [case for name, case in cases.items() if name.startswith("SJD,")],
        "sjd2_lossless": [case for name, case in cases.items() if name.startswith("SJD2, clean slots, no keep rule")],
    }
    found: Claims = {
        key: Lossless(
            least_p=min(case.p for case in those),
            lossless=all(case.p >= bound and set(case.same_in_batches_of.values()) == {1.0} for case in those),
        )
        for key, those in chosen.items()
        if those
    }
    if published := cases.get("SJD2, clean slots, keep rule 0.5"):
        found["sjd2_published"] = Lossy(p=published.p, lossy=published.p < PROOF)
    return found


def control(groups: Groups) -> Claims:
    """SJD2 against Jacobi decoding with shared noise (D14 to D16), without its keep rule (D20 to D22), and against the
    keep rule alone (D23 to D25); what tuning does to the control, which reads no noise (D26), and whether that takes
    noise (D27); SJD2 against the control tuned on drafts (D34 to D36)."""
    found = {}
    compared = {
        "shared": ("shared", "sjd2"),
        "shared_lossless": ("shared", "sjd2_lossless"),
        "keep_alone": ("sjdpp_keep", "sjd2"),
    }
    for network, tuned_on_drafts in DRAFT_TUNED.items():
        denoised = together(groups, network, "sjd2", only=["quality", network])
        drafted = together(groups, tuned_on_drafts, "shared", only=["drafted", network])  # the same rows
        if denoised and drafted:
            found[f"drafts_{network}"] = pair(seeds_of(denoised[0]), seeds_of(drafted[0]), "tokens a pass")
        for key, roles in compared.items():
            if runs := together(groups, network, *roles):
                found[f"{key}_{network}"] = pair(*map(seeds_of, runs), "tokens a pass")
    tuned = together(groups, SMALL, "shared", only=["quality"])
    for key, network in (("tuning_alone", UNTUNED), ("tuning_noise", CLEAN)):
        other = together(groups, network, "shared", only=["untuned"])  # the same rows
        if tuned and other:
            found[key] = pair(seeds_of(other[0]), seeds_of(tuned[0]), "tokens a pass")
    return found


def on_text(groups: Groups, compared: TextComparison | None) -> Claims:
    """C20: SJD on text and on pictures."""
    runs = runs_in(groups, "text")
    return {"text": text.gain(compared, runs["sjd"].compression)} if compared and runs else {}

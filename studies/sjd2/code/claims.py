"""What claims.yaml decides the claims on SJD2 and its peers by, from the report of stage sjd2/evaluate.

What a run is missing for is left out, and the claim counts as not attempted.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.evidence.report import Estimate, Pairs, Values
from lib.evidence.statistics import spearman
from studies.sjd2.code import measures, text
from studies.sjd2.code.measures import role_of
from studies.sjd2.code.reports import (
    Claim,
    Exactness,
    Group,
    Lossless,
    Lossy,
    Results,
    Run,
    TextComparison,
    Tuned,
)
from studies.sjd2.code.settings import DRAFT_TUNED as ON_DRAFTS

SEEDS = {"seeds": "sampling seeds of one trained model", "trainings": "independent trainings, one sampling seed each"}
NETWORKS = ("small", "large", "wide", "full")
SMALL = "small"
UNTUNED = f"model:{SMALL}"  # the same network before it was tuned
CLEAN = "clean"  # and tuned for as long without noise
DRAFT_TUNED = f"{ON_DRAFTS}{SMALL}"  # tuned on drafts instead, for as long
OTHERWISE_TUNED = (UNTUNED, CLEAN, DRAFT_TUNED)  # not for SJD2: the control alone runs on them
# Share of the pretraining's updates; tunings up to it are short.
TUNING_SHARE = 0.1
# Share of prompts that autoregressive decoding must draw right before a loss of ACCURACY_MARGIN means anything: four
# times that margin. Where nothing is drawn right, nothing can get worse.
DRAWN_RIGHT = 4 * measures.ACCURACY_MARGIN
# Entropy of a token from which a picture counts as uncertain, nats: about that of the paper's networks (C3).
UNCERTAIN = 3.0
# Decoders that SJD2 is compared with beside Jacobi decoding with shared noise: name, and whether it is lossless.
CONTROL = {
    "autoregressive": ("autoregressive", True),
    "sjd": ("SJD", True),
    "gumbel": ("SJD, Gumbel coupling", True),
    "maximal": ("SJD, maximal coupling", True),
    "keep_alone": ("SJD++, threshold 0.5", False),
    "shared": ("Jacobi, shared noise", True),
    "sjd2_lossless": ("SJD2, no keep rule", True),
    "sjd2": ("SJD2", False),
}
# In which group a comparison is looked for first: more pictures, then more decoders.
FIRST = ("quality", "decoders", "large", "wide", "full")
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
        **denoising(groups, report.random_codes),
        **quality(groups),
        **settings(groups, report),
        **tuning(report),
        **exactness(report.exactness),
        **control(groups),
        **on_text(groups, report.text),
    }


def runs_in(groups: Groups, name: str) -> Mapping[str, Run]:
    """The runs of a group; none where the profile leaves it out."""
    return groups[name].runs if name in groups else {}


def where(groups: Groups, network: str, *roles: str, only: Sequence[str] | None = None) -> str | None:
    """The first group that has runs for all of the roles on a network; None if none has.

    Args:
        roles: of `studies.sjd2.code.measures.ROLES`.
        only: groups to look in; `FIRST` if not given.
    """
    for name in FIRST if only is None else only:
        if all(measures.pick(runs_in(groups, name), network, role) for role in roles):
            return name
    return None


def together(groups: Groups, network: str, *roles: str, only: Sequence[str] | None = None) -> list[Run] | None:
    """The runs that play the roles on a network, of the group that `where` finds; None if there is none."""
    name = where(groups, network, *roles, only=only)
    if name is None:
        return None
    runs = groups[name].runs
    return [runs[measures.pick(runs, network, role)] for role in roles]


class Judged:
    """Numbers of one group for claims: pairs and values know what the group's units are.

    Args:
        group: name, of which everything is taken.
    """

    def __init__(self, groups: Groups, group: str):
        self.groups, self.group = groups, group
        self.seeds_are = SEEDS[groups[group].over] if group in groups else ""

    def runs(self, *roles: str | tuple[str, str]) -> list[Run] | None:
        """The runs that play the roles, on the small network or that named beside the role; None if one is missing."""
        both = [(SMALL, role) if isinstance(role, str) else role for role in roles]
        runs = runs_in(self.groups, self.group)
        names = [measures.pick(runs, network, role) for network, role in both]
        return [runs[name] for name in names] if all(names) else None

    def values(self, numbers: Sequence[float], unit: str) -> Values:
        """For a claim against a threshold."""
        return Values(values=[float(number) for number in numbers], unit=unit, seeds_are=self.seeds_are)

    def pair(self, baseline: Estimate, treatment: Estimate, unit: str) -> Pairs:
        """For a claim about a direction."""
        return Pairs(baseline=baseline.by_seed, treatment=treatment.by_seed, unit=unit, seeds_are=self.seeds_are)

    def passes(self, *roles: str | tuple[str, str]) -> Pairs | None:
        """S of two runs."""
        found = self.runs(*roles)
        return self.pair(*(run.compression for run in found), "tokens a pass") if found else None

    def distance(self, *roles: str | tuple[str, str]) -> Values | None:
        """Difference in nats a token under the judge, in the direction of its mean: too likely is as wrong as
        unlikely."""
        found = self.runs(*roles)
        if not found or not all(run.judged for run in found):
            return None
        change = np.subtract(found[1].judged.by_seed, found[0].judged.by_seed)
        return self.values(change * (1 if change.mean() >= 0 else -1), "nats a token under the judge, away from")


def there(found: Mapping[str, Claim | None]) -> Claims:
    """Without those that a run is missing for."""
    return {name: claim for name, claim in found.items() if claim is not None}


def passes(groups: Groups) -> Claims:
    """C1, C2, C3 and D7, C15, C18, C19, C53, C54, D80: step compression."""
    unit, many, all_ = "tokens a pass", Judged(groups, "quality"), Judged(groups, "decoders")
    found: dict[str, Claim | None] = {
        "jacobi_greedy": all_.passes("jacobi", "jacobi_greedy"),
        "reuse": all_.passes("sjd_authors", "sjdpp_authors"),
        "coupled_maximal": all_.passes("sjd", "maximal"),
        "coupled_gumbel": all_.passes("sjd", "gumbel"),
        "ratio_of_shared": all_.passes("shared", "gumbel"),
        "jacobi": uncertain(groups),
    }
    if runs := many.runs("sjd2"):
        found["several_times"] = many.values(runs[0].compression.by_seed, unit)
    if runs := all_.runs("jacobi", "sjd", "sjd2"):
        jacobi, sjd, best = (run.compression.by_seed for run in runs)
        found["order"] = all_.values(np.minimum(np.subtract(best, sjd), np.subtract(sjd, jacobi)), unit)
    if runs := all_.runs("sjd_authors"):
        found["sjd"] = all_.values(runs[0].compression.by_seed, unit)
        found["single_token"] = all_.values(runs[0].single.by_seed, "share of the passes")
    return there(found)


def uncertain(groups: Groups) -> Values | None:
    """C3: S of Jacobi decoding at the lowest temperature at which a token has as much entropy as `UNCERTAIN`."""
    runs, entropy = runs_in(groups, "entropy"), Judged(groups, "entropy")
    plain = [run for name, run in runs.items() if role_of(name) == "autoregressive" and run.entropy.value >= UNCERTAIN]
    if not plain:
        return None
    coldest = min(run.sampling.temperature for run in plain)
    for name, run in runs.items():
        if role_of(name) == "jacobi" and run.sampling.temperature == coldest:
            return entropy.values(run.compression.by_seed, "tokens a pass")
    return None


def costs(groups: Groups) -> Claims:
    """C4, C5, C7: latency and arithmetic, one picture at a time."""
    found: Claims = {}
    alone, surface, all_ = Judged(groups, "latency"), Judged(groups, "surface"), Judged(groups, "decoders")
    if (runs := alone.runs("sjd2")) and (latency := runs[0].against.latency):
        found["latency"] = alone.pair(runs[0].compression, latency, "times less than autoregressive decoding")
    if runs := all_.runs("autoregressive", "sjd2"):
        plain, best = runs
        # Operations of a run go with its passes; each seed has its own share of them.
        each = np.divide(best.compression.value, best.compression.by_seed) * best.flops_per_token
        found["flops"] = all_.values(each / plain.flops_per_token, "times autoregressive decoding's operations")
    wide = [run for run in runs_in(groups, "surface").values() if run.options.get("window") == 96 and run.seconds]
    twenty = [run for run in wide if run.steps == 20]
    fewer = [run.seconds.by_seed for run in wide if run.steps < 20]
    if twenty and fewer:
        least = Estimate.of(np.min(fewer, axis=0), "least of fewer steps")
        found["optimum"] = surface.pair(least, twenty[0].seconds, "seconds a picture")
    return found


def denoising(groups: Groups, random_codes: float | None) -> Claims:
    """C6, D8: standardized embeddings; C8, D9: denoising alone; C9: stability."""
    found: Claims = {}
    tables, all_, traced = Judged(groups, "embeddings"), Judged(groups, "decoders"), Judged(groups, "stability")
    runs = tables.runs(*((name, "denoised") for name in ("plain_002", "standard_002")), ("plain_002", "autoregressive"))
    if runs and random_codes and all(run.judged for run in runs):
        plain, standard, untouched = (run.judged for run in runs)
        # 0: as likely as what the same network draws token by token; 1: as uniformly random codes.
        way = np.subtract(plain.by_seed, untouched.by_seed) / np.subtract(random_codes, untouched.by_seed)
        found["pure_noise"] = tables.values(way, "share of the way to random codes, in nats a token under the judge")
        found["standardized"] = tables.pair(plain, standard, "nats a token under the judge")
    if runs := all_.runs("sjd2", "denoised"):
        verified, alone = runs
        found["denoising_alone"] = all_.pair(verified.compression, alone.compression, "tokens a pass")
        if verified.judged and alone.judged:
            found["verification"] = all_.pair(alone.judged, verified.judged, "nats a token under the judge")
    runs = traced.runs("sjd", "sjd2")
    if runs and all(run.changes_a_token for run in runs):
        found["stability"] = traced.pair(*(run.changes_a_token for run in runs), "changes of a token's draft")
    return found


def quality(groups: Groups) -> Claims:
    """D10, C10, D18: SJD2 against autoregressive decoding of the tuned network; D13: SJD++; D81: tuning on drafts; C40:
    ZipAR."""
    many, large, all_ = Judged(groups, "quality"), Judged(groups, "large"), Judged(groups, "decoders")
    found: dict[str, Claim | None] = {
        "likelihood_small": many.distance("autoregressive", "sjd2"),
        "likelihood_large": large.distance(("large", "autoregressive"), ("large", "sjd2")),
        "likelihood_drafts": many.distance((UNTUNED, "autoregressive"), (DRAFT_TUNED, "shared")),
        "reuse_quality": all_.distance("autoregressive", "sjdpp_authors"),
    }
    if runs := many.runs("autoregressive", "sjd2"):
        plain, best = runs
        if best.exact and plain.exact.value >= DRAWN_RIGHT:
            change = np.subtract(best.exact.by_seed, plain.exact.by_seed)
            found["quality"] = many.values(change, "share drawn right, SJD2 − autoregressive")
    zipar = [run for name, run in runs_in(groups, "decoders").items() if role_of(name) == "zipar" and run.judged]
    if len(zipar) > 4:
        columns = zip(*(zip(run.compression.by_seed, run.judged.by_seed, strict=True) for run in zipar), strict=True)
        each = [spearman(*zip(*one, strict=True))[0] for one in columns]
        found["zipar"] = all_.values(each, "rank correlation")
    return there(found)


def settings(groups: Groups, report: Results) -> Claims:
    """C12: level tokens; C16: SJD's window; C17: its first drafts; D17: S against window / steps."""
    levels, windows = Judged(groups, "levels"), Judged(groups, "windows")
    found: dict[str, Claim | None] = {"levels": levels.passes(("untold", "sjd2"), "sjd2")}
    by_window = {run.options["window"]: run.compression.by_seed for run in runs_in(groups, "windows").values()}
    if {16, 64} <= set(by_window):
        found["window"] = windows.values(np.divide(by_window[64], by_window[16]), "S with 64 slots over S with 16")
    if gains := report.initial.gains:
        simple, textured = np.asarray(gains.simple), np.asarray(gains.textured)
        unit = "share by which S rises on simple pictures, or by which it rises more there than on textured ones"
        found["neighbours"] = Judged(groups, "initial").values(np.minimum(simple, simple - textured), unit)
    if report.surface.misses:
        unit = "share by which S misses window / steps"
        found["window_per_step"] = Judged(groups, "surface").values(report.surface.misses, unit)
    return there(found)


def tuning(report: Results) -> Claims:
    """C11, C13: the fine-tuning for SJD2; D37: what tuning on drafts costs in the loss on clean input."""
    found: dict[str, Claim | None] = {
        "clean_loss": rise(report.networks.get(SMALL)),
        "drafts_clean_loss": rise(report.draft_tuned.get(SMALL)),
    }
    if (own := report.networks.get(SMALL)) and own.updates_share <= TUNING_SHARE:
        found["short_tuning"] = Judged(report.groups, "quality").passes("sjd", "sjd2")
    return there(found)


def rise(network: Tuned | None) -> Values | None:
    """How much tuning raises the loss on clean input, training by training."""
    if network is None or not isinstance(network.rise, Estimate):
        return None
    return Values(values=network.rise.by_seed, unit="nats a token", seeds_are="independent trainings")


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
    """SJD2 against Jacobi decoding with shared noise (D14 to D16), without its keep rule (D20), and against the keep
    rule alone (D23); what tuning does to the control, which reads no noise (D26), and whether that takes noise (D27);
    SJD2 against the control tuned on drafts (D34)."""
    many, all_ = Judged(groups, "quality"), Judged(groups, "decoders")
    return there(
        {
            "shared_small": many.passes("shared", "sjd2"),
            "shared_lossless_small": many.passes("shared", "sjd2_lossless"),
            "keep_alone_small": all_.passes("keep_alone", "sjd2"),
            "tuning_alone": many.passes((UNTUNED, "shared"), "shared"),
            "tuning_noise": many.passes((CLEAN, "shared"), "shared"),
            "drafts_small": many.passes("sjd2", (DRAFT_TUNED, "shared")),
            **{
                f"shared_{name}": Judged(groups, name).passes((name, "shared"), (name, "sjd2"))
                for name in ("large", "wide")
            },
        }
    )


def on_text(groups: Groups, compared: TextComparison | None) -> Claims:
    """C20: SJD on text and on pictures, training by training."""
    runs = Judged(groups, "quality").runs("sjd_authors")
    same = compared and runs and len(runs[0].compression.by_seed) == len(compared.compression["sjd"].by_seed)
    return {"text": text.gain(compared, runs[0].compression)} if same else {}

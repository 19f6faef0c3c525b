"""What the claims on Kolors, AuraFlow and VAR are judged by."""

from lib.decoding.diffusion_schedules import noise_schedule
from lib.evidence.report import Pairs, Values
from lib.models.mmdit import AURAFLOW
from studies.auraflow.code.reports import Measured

TRAININGS = "independent trainings, paired by seed"
# Claim → run and run, the first of which is subtracted from the second.
COMPARED = {
    "chinese": ("raster_english_zh", "raster_language_zh"),
    "english": ("raster_english", "raster_language"),
    "clip": ("raster_clip_zh", "raster_language_zh"),
    "encoders": ("raster_both_zh", "raster_language_zh"),
    "both_languages": ("raster_language", "raster_language_zh"),
    "one_language": ("raster_english_zh", "raster_english"),
}


def claims(report: Measured) -> dict[str, Pairs | Values | bool | float]:
    """The numbers that studies/auraflow/claims.yaml names; those that this data or profile has."""
    found: dict[str, Pairs | Values | bool | float] = {
        "terminal_snr": terminal_snr() < terminal_snr(steps=1000) < terminal_snr(steps=1000, last=0.012),
        "auraflow_billions": round(AURAFLOW.parameters / 1e9, 1),
    }
    for name, pair in COMPARED.items():
        exact = [report.runs[run].exact if run in report.runs else None for run in pair]
        if all(exact):
            first, second = (one.by_seed for one in exact)
            found[name] = Pairs(baseline=first, treatment=second, unit="share of prompts", seeds_are=TRAININGS)
    slow, fast = (report.timings[f"{name}, batch 1"].seconds for name in ("raster_english", "next_scale"))
    values = [own / other for own, other in zip(slow, fast, strict=True)]
    found["speed_by_scales"] = Values(values=values, unit="times as fast", seeds_are="repetitions")
    return found


def terminal_snr(steps: int = 1100, last: float = 0.014) -> float:
    """Signal-to-noise ratio at the last level of Kolors' schedule, or of one with other numbers of steps or last β;
    Stable Diffusion's has 1000 and 0.012."""
    return float(noise_schedule("scaled_linear", steps, (0.00085, last)).snr[-1])

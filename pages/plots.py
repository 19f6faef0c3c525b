"""Figures on pages: the committed ones, and one small drawing of an effect beside what the claim asks for."""

from html import escape

from lib.evidence.ledger import Claim
from pages import captions, text
from pages.material import VERDICTS, Figure, Material

WIDTH, HEIGHT, MARGIN, AXIS = 560, 96, 24, 52  # of the drawing, in pixels


def figure(material: Material, shown: Figure, up: str, short: bool = False) -> str:
    """A committed figure with its caption and files; `short` leaves the files out."""
    where, said = f"{up}_static/figures/{shown.png.parent.name}", captions.caption(material, shown)
    image = f'<img src="{where}/{shown.png.name}" alt="{escape(text.bare(said))}" loading="lazy">'
    files = " ".join(f'<a href="{where}/{path.name}">{escape(path.name)}</a>' for path in shown.files)
    below = said if short else f"{said} <span class=files>{files}</span>"
    origin = f"{shown.png.with_suffix('.json')} {captions.described_in(shown)}"
    return (
        f'<figure data-from="{origin}">\n<a href="{where}/{shown.png.name}">{image}</a>\n'
        f"<figcaption>{below}</figcaption>\n</figure>\n"
    )


def effect(material: Material, claim: Claim, key: str) -> str:
    """A claim's effect with its interval on an axis, the side that the claim asks for shaded."""
    found = material.value(VERDICTS, key)
    low, high = _wanted(claim)
    bounds = [bound for bound in (low, high) if bound is not None]
    ends = [found["low"], found["high"], *bounds]
    spread = (max(ends) - min(ends)) or 1.0
    first, last = min(ends) - 0.15 * spread, max(ends) + 0.15 * spread

    def x(value: float) -> float:
        return MARGIN + (value - first) / (last - first) * (WIDTH - 2 * MARGIN)

    left, right = (x(low) if low is not None else MARGIN), (x(high) if high is not None else WIDTH - MARGIN)
    origin = f"{material.results / VERDICTS}#{key}.value"
    digits = text.decimals(*found.values())
    lines = "".join(f'<line class="bound" x1="{x(b):.1f}" x2="{x(b):.1f}" y1="14" y2="{AXIS + 12}"/>' for b in bounds)
    labels = "".join(
        f'<text class="small" x="{x(bound):.1f}" y="{AXIS + 28}" text-anchor="middle">{_bound(bound)}</text>'
        for bound in (bounds if claim.metric.kind != "equal" else ())
    )
    said = f"effect {found['value']:.3g}, interval {found['low']:.3g} to {found['high']:.3g}; shaded: what is claimed"
    return (
        f'<svg class="effect" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f'<rect class="wanted" x="{left:.1f}" y="14" width="{max(0.0, right - left):.1f}" height="{AXIS - 2}"/>{lines}'
        f'<line class="axis" x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{AXIS + 12}" y2="{AXIS + 12}"/>'
        f'<line class="interval" x1="{x(found["low"]):.1f}" x2="{x(found["high"]):.1f}" '
        f'y1="{AXIS - 8}" y2="{AXIS - 8}"/>'
        f'<circle cx="{x(found["value"]):.1f}" cy="{AXIS - 8}" r="5"/>'
        f'<text x="{x(found["value"]):.1f}" y="{AXIS - 20}" text-anchor="middle" data-from="{origin}">'
        f"{text.fixed(found['value'], digits)}</text>{labels}</svg>\n"
        '<p class="note">Dot and line: what was measured, with its interval. Shaded: where the claim puts it.</p>\n'
    )


def _wanted(claim: Claim) -> tuple[float | None, float | None]:
    """Where a claim says that its effect lies."""
    metric = claim.metric
    if metric.kind == "equal":
        return metric.about - metric.margin, metric.about + metric.margin
    bound = metric.threshold if metric.kind == "threshold" else metric.margin or 0.0
    higher = metric.better == "higher"
    if metric.kind == "direction" and not higher:
        bound = -bound
    return (bound, None) if higher else (None, bound)


def _bound(value: float) -> str:
    return f"{value:g}".replace("-", text.MINUS)

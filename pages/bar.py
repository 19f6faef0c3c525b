"""The bars of verdicts on the README's first screen: docs/verdicts.svg, one stacked bar a study."""

from html import escape

from pages import claims
from pages.material import Material

WIDTH, LABEL, MARGIN, ROW, BAR = 760, 200, 14, 34, 24  # in pixels; LABEL: where bars begin
LETTER = 7.5  # width of one in the legend, at most
# Okabe and Ito's, which one tells apart without seeing red or green; dark letters are readable on all of them.
COLOURS = {
    "reproduced": "#009e73",
    "supported": "#56b4e9",
    "inconclusive": "#c8ccd0",
    "contradicted": "#d55e00",
    "not-attempted": "#ffffff",
}
INK = "#1b1f24"


def svg(material: Material) -> str:
    """The drawing, on a white ground of its own, so that it looks the same on light and dark pages."""
    studies = sorted(material.studies, key=material.title)
    counts = {material.title(study): claims.counted(material, study) for study in studies}
    most = max(sum(counted.values()) for counted in counts.values())
    unit = (WIDTH - LABEL - MARGIN) / most
    height = 2 * MARGIN + ROW * len(counts) + BAR
    parts = [_row(title, counted, MARGIN + ROW * at, unit) for at, (title, counted) in enumerate(counts.items())]
    said = "; ".join(f"{title}: {_told(counted)}" for title, counted in counts.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title said" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">\n'
        f'<title id="title">Verdicts of the claims of every study</title>\n<desc id="said">{escape(said)}</desc>\n'
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#fff"/>\n'
        + "\n".join(parts)
        + f"\n{_legend(height - MARGIN - BAR / 2)}\n</svg>\n"
    )


def _row(title: str, counted: dict[str, int], top: float, unit: float) -> str:
    middle, x = top + BAR / 2 + 4.5, float(LABEL)
    parts = [f'<text x="{LABEL - 10}" y="{middle:.1f}" text-anchor="end">{escape(title)}</text>']
    for verdict, count in counted.items():
        if count:
            parts.append(_box(verdict, x, top, count * unit, BAR))
            parts.append(f'<text x="{x + count * unit / 2:.1f}" y="{middle:.1f}" text-anchor="middle">{count}</text>')
            x += count * unit
    return "<g>" + "".join(parts) + "</g>"


def _legend(middle: float) -> str:
    parts, x = [], LABEL / 2
    for verdict in COLOURS:
        word = verdict.replace("-", " ")
        parts.append(_box(verdict, x, middle - 6, 12, 12))
        parts.append(f'<text x="{x + 18:.1f}" y="{middle + 4.5:.1f}">{word}</text>')
        x += 38 + LETTER * len(word)
    return "<g>" + "".join(parts) + "</g>"


def _box(verdict: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{COLOURS[verdict]}" '
        f'stroke="{INK}" stroke-width="0.75"/>'
    )


def _told(counted: dict[str, int]) -> str:
    return ", ".join(f"{count} {verdict.replace('-', ' ')}" for verdict, count in counted.items() if count)

r"""Numbers and captions for a paper in LaTeX: docs/numbers.tex, a name for each.

    \input{numbers}
    SJD2 fixes \easel{C12:effect} tokens a pass more (95\,\% interval \easel{C12:interval}, $n = \easel{C12:n}$).
    \caption{\easel{caption:sjd2/accepted}}

A name that is not there is an error of LaTeX, not an empty place.
"""

from collections.abc import Iterator

from lib.evidence.tables import escape_latex
from pages import captions, text
from pages.material import VERDICTS, Material

HEAD = r"""% Written by `make pages` from {sources}; do not edit.
% \input it; \easel{{C1:effect}}, :low, :high, :interval, :n, :unit, :verdict, caption:<folder>/<figure> are then known.
\makeatletter
\newcommand{{\easel}}[1]{{%
  \@ifundefined{{easel@#1}}{{\PackageError{{easel}}{{there is no number #1}}{{}}}}{{\@nameuse{{easel@#1}}}}}}
"""


def numbers(material: Material) -> str:
    """What docs/numbers.tex holds: of every judged claim the effect with its interval, and every figure's caption."""
    sources = f"{material.results / VERDICTS} and studies/*/page.yaml"
    named = [*_claims(material), *_captions(material)]
    lines = [rf"\@namedef{{easel@{name}}}{{{escape_latex(value)}}}" for name, value in named]
    return HEAD.format(sources=sources) + "\n".join(lines) + "\n\\makeatother\n"


def _claims(material: Material) -> Iterator[tuple[str, str]]:
    for claim in material.ledger.claims:
        _, record = material.verdicts[claim.id]
        named = {"verdict": record["verdict"]}
        if effect := record["effect"]:
            digits = text.decimals(*effect.values())
            value, low, high = (text.fixed(effect[name], digits) for name in ("value", "low", "high"))
            named |= {"effect": value, "low": low, "high": high, "interval": f"{low} to {high}"}
            named |= {"n": str(record["seeds"]), "unit": record["unit"]}
        yield from ((f"{claim.id}:{name}", value) for name, value in named.items())


def _captions(material: Material) -> Iterator[tuple[str, str]]:
    for figure in material.figures:
        yield f"caption:{figure.name}", text.bare(captions.caption(material, figure))

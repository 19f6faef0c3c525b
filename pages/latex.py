r"""Numbers and captions for a paper in LaTeX: docs/numbers.tex, a name for each.

    \input{numbers}
    SJD2 fixes \easel{C12:effect} tokens a pass more (95\,\% interval \easel{C12:interval}, $n = \easel{C12:n}$).
    \caption{\easel{caption:sjd2/accepted}}
    The study of GLU takes \easel{run:glu:time} minutes; \easel{count:glu:reproduced} of its claims are reproduced.

A name that is not there is an error of LaTeX, not an empty place.
"""

from collections.abc import Iterator

from lib.evidence.tables import escape_latex
from pages import captions, claims, text
from pages.material import BENCH, VERDICTS, Material

# Signs of captions that pdflatex's fonts lack.
MARKS = str.maketrans({"✓": r"$\surd$", "✗": r"$\times$"})
HEAD = r"""% Written by `make pages` from {sources}; do not edit.
% \input it; \easel{{C1:effect}}, :low, :high, :interval, :n, :unit, :verdict, caption:<folder>/<figure> are then known,
% run:<study>:time in minutes, :memory in GB and :disk in MB, count:<study>:<verdict>; there are also run:bench and all.
\makeatletter
\newcommand{{\easel}}[1]{{%
  \@ifundefined{{easel@#1}}{{\PackageError{{easel}}{{there is no number #1}}{{}}}}{{\@nameuse{{easel@#1}}}}}}
"""


def numbers(material: Material) -> str:
    """What docs/numbers.tex holds: of every judged claim the effect with its interval, what every study costs and how
    many verdicts of which kind it has, and every figure's caption."""
    sources = f"{material.results / VERDICTS}, results/runtimes.csv and studies/*/page.yaml"
    named = [*_claims(material), *_costs(material), *_counts(material), *_captions(material)]
    lines = [rf"\@namedef{{easel@{name}}}{{{escape_latex(value).translate(MARKS)}}}" for name, value in named]
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


def _costs(material: Material) -> Iterator[tuple[str, str]]:
    columns = {"time": ("time (min)", 1), "memory": ("peak memory (GB)", 2), "disk": ("disk (MB)", 0)}
    for name, row in {"bench": BENCH, **{study: study for study in material.studies}, "all": "all"}.items():
        for short, (column, digits) in columns.items():
            yield f"run:{name}:{short}", text.fixed(material.cost(row, column), digits)


def _counts(material: Material) -> Iterator[tuple[str, str]]:
    for study in (*material.studies, None):
        for kind, count in claims.counted(material, study).items():
            yield f"count:{study or 'all'}:{kind}", str(count)


def _captions(material: Material) -> Iterator[tuple[str, str]]:
    for figure in material.figures:
        yield f"caption:{figure.name}", text.bare(captions.caption(material, figure))

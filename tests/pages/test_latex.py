"""LaTeX reads every committed table, and the file of numbers; where it is not installed, a check of what it refuses."""

import csv
import json
import re
import shutil
import subprocess
from itertools import accumulate

import pytest

from tests.house import REPOSITORY

HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,graphicx,longtable,textcomp}
\input{%s/docs/numbers}
\begin{document}
"""
TABLES = sorted((REPOSITORY / "results").rglob("*.tex"))
NUMBERS = REPOSITORY / "docs/numbers.tex"
COMMANDS = (
    *("begin", "end", "caption", "toprule", "midrule", "bottomrule", "multicolumn", "endfirsthead", "endhead"),
    *("endfoot", "endlastfoot", "resizebox", "ifdim", "else", "fi", "width", "linewidth", "par", "smallskip"),
    *("footnotesize", "begingroup", "endgroup", "setlength", "tabcolsep", "textbackslash", "textasciitilde"),
    *("textasciicircum", "dots", "textperiodcentered", "textless", "textgreater", "textbar", "chi", "times", "pm"),
    *("rightarrow", "uparrow", "downarrow", "geq", "leq", "neq", "approx", "pi", "Delta", "surd"),
)
SIGNS = "¹"  # beyond ASCII, that T1 and textcomp have


def refused(text):
    """What of a table or a number LaTeX would refuse, or set in another place than is meant."""
    faults = [f"sign {sign}" for sign in sorted(set(text)) if ord(sign) > 126 and sign not in SIGNS]
    text = re.sub(r"(?<!\\)%.*|\\label\{.*?\}", "", text)  # without remarks and names
    faults += [f"command {name}" for name in re.findall(r"\\([a-zA-Z@]+)", text) if name not in COMMANDS]
    text = re.sub(r"(\\\\)|\\[^a-zA-Z]", r"\1", text)  # without \% and such, but with the ends of rows
    faults += _ends(text) + _braces(text)
    pieces = text.split("$")
    faults += ["dollars"] * (len(pieces) % 2 == 0)
    faults += [f"bare {sign}" for sign in "_^#~" if sign in "".join(pieces[::2])]
    return faults + _cells(text)


def _ends(text):
    waiting, faults = [], []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            waiting.append(name)
        elif not waiting or waiting.pop() != name:
            faults.append(f"end of {name}")
    return faults + [f"no end of {name}" for name in waiting]


def _braces(text):
    depths = [0, *accumulate({"{": 1, "}": -1}.get(sign, 0) for sign in text)]
    return ["braces"] * (min(depths) < 0 or depths[-1] != 0)


def _cells(text):
    """Rows of tables that have more or fewer cells than columns."""
    faults = []
    for form, body in re.findall(r"\\begin\{(?:longtable|tabular)\}\{((?:[lr]|p\{[\d.]+cm\})+)\}(.*)", text, re.DOTALL):
        columns = len(re.findall(r"[lr]|p\{", form))
        lines = [line for line in body.split("\n") if line.endswith(r"\\")]
        rows = [line for line in lines if not line.startswith((r"\caption", r"\multicolumn"))]
        faults += [f"{line.count('&') + 1} cells: {line[:40]}" for line in rows if line.count("&") + 1 != columns]
        faults += [] if rows else ["no rows"]
    return faults


def test_nothing_that_latex_would_refuse():
    faults = {path.name: found for path in TABLES if (found := refused(path.read_text(encoding="utf-8")))}
    text = NUMBERS.read_text(encoding="utf-8")
    named = re.findall(r"^\\@namedef\{easel@(\S+?)\}\{(.*)\}$", text, re.MULTILINE)
    assert TABLES and len(dict(named)) == len(named) == text.count(r"\@namedef{")
    faults |= {name: found for name, value in named if (found := refused(value))}
    assert not faults, faults


TABLE = r"""\begin{table}[t]
\resizebox{\linewidth}{!}{%
\begin{tabular}{lr}
\toprule
{80 \%} & $\geq$ 2 \\
\bottomrule
\end{tabular}%
}
\label{tab:a_b}
\end{table}
"""


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (("80 ", "80% "), "braces"),
        (("80 ", "a_b "), "bare _"),
        (("80 ", "✓ "), "sign ✓"),
        (("80 ", "a & b "), "cells"),
        (("80 ", "$80 "), "dollars"),
        ((r"\toprule", r"\uprule"), "command uprule"),
        ((r"\end{tabular}", ""), "end of table"),
    ],
)
def test_the_check_finds_faults(changed, fault):
    assert not refused(TABLE)
    assert any(fault in found for found in refused(TABLE.replace(*changed)))


def test_costs_and_counts_are_those_of_the_run():
    text = NUMBERS.read_text(encoding="utf-8")
    with open(REPOSITORY / "results/runtimes.csv", encoding="utf-8", newline="") as file:
        costs = {row["stage"]: float(row["time (min)"]) for row in csv.DictReader(file)}
    assert float(re.search(r"easel@run:all:time\}\{(.*?)\}", text)[1]) == pytest.approx(costs["all"], abs=0.05)
    claims = json.loads((REPOSITORY / "results/laptop/verdicts/claims.json").read_text(encoding="utf-8"))["claims"]
    counted = sum("contradicted" in claim["verdict"] for claim in claims)
    assert re.search(r"easel@count:all:contradicted\}\{(.*?)\}", text)[1] == str(counted)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_table_and_number_compiles(tmp_path):
    names = re.findall(r"^\\@namedef\{easel@(\S+?)\}", NUMBERS.read_text(encoding="utf-8"), re.MULTILINE)
    assert names and TABLES
    body = [rf"\easel{{{name}}}\par" for name in names]
    body += [rf"\input{{{table.with_suffix('')}}}\clearpage" for table in TABLES]
    paper = tmp_path / "paper.tex"
    paper.write_text(HEAD % REPOSITORY + "\n".join(body) + "\n\\end{document}\n")
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", paper.name]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    paper.write_text((HEAD % REPOSITORY) + "\\easel{C0:effect}\n\\end{document}\n")
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode != 0 and "there is no number C0:effect" in done.stdout

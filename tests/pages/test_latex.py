"""LaTeX reads every committed table, and the file of numbers; where it is installed."""

import re
import shutil
import subprocess

import pytest

from tests.house import REPOSITORY

HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,longtable,textcomp}
\input{%s/docs/numbers}
\begin{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_table_and_number_compiles(tmp_path):
    names = re.findall(r"^\\@namedef\{easel@(\S+?)\}", (REPOSITORY / "docs/numbers.tex").read_text(), re.MULTILINE)
    tables = sorted((REPOSITORY / "results").rglob("*.tex"))
    assert names and tables
    body = [rf"\easel{{{name}}}\par" for name in names]
    body += [rf"\input{{{table.with_suffix('')}}}\clearpage" for table in tables]
    paper = tmp_path / "paper.tex"
    paper.write_text(HEAD % REPOSITORY + "\n".join(body) + "\n\\end{document}\n")
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", paper.name]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    paper.write_text((HEAD % REPOSITORY) + "\\easel{C0:effect}\n\\end{document}\n")
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode != 0 and "there is no number C0:effect" in done.stdout

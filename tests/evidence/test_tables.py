import re
from pathlib import Path

import pandas as pd
import pytest

from lib.errors import EaselError
from lib.evidence import ledger, provenance, tables
from lib.evidence.tables import Number

ROOT = Path(__file__).parents[2]
# Commands of LaTeX itself, booktabs, longtable and graphicx.
KNOWN = {
    *("begin", "end", "caption", "label", "par", "smallskip", "footnotesize", "begingroup", "endgroup", "setlength"),
    *("tabcolsep", "usepackage", "toprule", "midrule", "bottomrule", "endfirsthead", "endhead", "endfoot"),
    *("endlastfoot", "multicolumn", "textbackslash", "textasciitilde", "textasciicircum", "textperiodcentered"),
    *("dots", "times", "chi", "pm", "rightarrow", "uparrow", "downarrow", "geq", "leq", "neq", "approx", "pi", "Delta"),
    *("surd", "textless", "textgreater", "textbar", "resizebox", "ifdim", "width", "linewidth", "else", "fi"),
}
ROWS = [
    {"model": "A_1 | é", "PSNR": Number(27.41234, 27.1, 27.7, digits=1), "seeds": 3, "ok": True},
    {"model": "B & 5 %", "PSNR": Number(-0.0001), "seeds": None, "ok": False},
]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.lock").write_text("x")
    (tmp_path / "made.py").write_text("x")

    def write(rows=ROWS, **changes):
        options = {"caption": "Quality_1.", "source": "Source: run.", "stage": "s", "sources": ["made.py"], **changes}
        return tables.write("out/quality", rows, **options)

    return write


def test_number_formats():
    assert str(Number(27.41, 27.1, 27.7, digits=1)) == "27.4 [27.1, 27.7]"
    assert str(Number(0.5)) == "0.50"
    assert str(Number(-0.0004, digits=3)) == "0.000"
    assert str(Number(float("nan"))) == "–"
    with pytest.raises(EaselError, match="needs both ends"):
        Number(1.0, low=0.5)


def test_four_files_with_full_numbers_in_the_csv(write):
    paths = write(units={"PSNR": "dB"})
    assert [path.name for path in paths] == ["quality.csv", "quality.md", "quality.tex", "quality.provenance.json"]
    frame = pd.read_csv("out/quality.csv")
    assert list(frame) == ["model", "PSNR (dB)", "PSNR low (dB)", "PSNR high (dB)", "seeds", "ok"]
    assert frame["PSNR (dB)"].tolist() == [27.41234, -0.0001]
    assert Path("out/quality.csv").read_text().splitlines()[1] == "A_1 | é,27.41234,27.1,27.7,3,True"
    provenance.check("out")


def test_markdown_is_captioned_aligned_and_escaped(write):
    write(units={"PSNR": "dB"}, notes=["A note."])
    text = Path("out/quality.md").read_text()
    assert text.startswith("**Quality_1.**\n\n| model ")
    assert text.endswith("\n\nSource: run.\n\nA note.\n")
    header, rule, first, second = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()[2:6]]
    assert [cell.strip() for cell in header] == ["model", "PSNR (dB)", "seeds", "ok"]
    assert [cell.endswith(":") for cell in rule] == [False, True, True, False]
    assert [cell.strip() for cell in first] == [r"A_1 \| é", "27.4 [27.1, 27.7]", "3", "yes"]
    assert [cell.strip() for cell in second] == ["B & 5 %", "0.00", "–", "no"]


def test_latex_uses_booktabs_and_escapes(write):
    write(units={"PSNR": "dB"})
    text = Path("out/quality.tex").read_text()
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{Quality\_1.}", r"\label{tab:quality}"):
        assert part in text
    assert r"B \& 5 \% & 0.00 & -- & no \\" in text
    assert r"\begin{tabular}{lrrl}" in text
    assert text.index("Source: run.") < text.index(r"\end{table}")


def test_a_table_is_no_wider_than_its_column(write):
    write()
    text = Path("out/quality.tex").read_text()
    begin, end = text.index(r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"), text.index("%\n}\n")
    assert begin < text.index(r"\begin{tabular}") < text.index(r"\end{tabular}") < end < text.index("Source: run.")
    assert "graphicx" in text.splitlines()[0]


def test_what_numbers_rest_on_is_the_last_note(write):
    write(notes=["A note."], n={"prompts": 1098, "pictures": None, "seeds": 5})
    assert Path("out/quality.md").read_text().endswith("\n\nA note.\n\nn: prompts 1,098; seeds 5.\n")
    assert "A note. n: prompts 1,098; seeds 5.}" in Path("out/quality.tex").read_text()


def test_wide_texts_wrap_in_a_table_that_may_break(write):
    write(text_widths={"model": 3.5})
    text = Path("out/quality.tex").read_text()
    assert r"\begin{longtable}" in text and "p{3.5cm}rrl" in text
    assert text.index(r"\end{longtable}") < text.index("Source: run.")


def test_a_column_for_the_csv_alone(write):
    write(csv_only=["seeds"])
    assert [name for name in pd.read_csv("out/quality.csv") if name == "seeds"]
    assert not [suffix for suffix in ("md", "tex") if "seeds" in Path(f"out/quality.{suffix}").read_text()]
    with pytest.raises(EaselError, match="no column seed; columns are"):
        write(csv_only=["seed"])


def test_every_sign_in_the_ledger_has_a_latex_spelling():
    texts = [
        str(text)
        for claim in ledger.load_all().claims
        for text in (claim.statement, claim.paper_value, claim.unit, claim.test, claim.source.paper, claim.source.place)
    ]
    odd = {letter for letter in tables.escape_latex(" ".join(texts)) if ord(letter) > 0xFF}
    assert not odd
    assert tables.escape_latex(r"\a{b}^~") == r"\textbackslash{}a\{b\}\textasciicircum{}\textasciitilde{}"


def test_every_committed_table_compiles_as_far_as_its_signs_go():
    """pdflatex reads Western letters; every other sign must be a command by then, and numbers have a minus sign."""
    for path in sorted((ROOT / "results").rglob("*.tex")):
        text = path.read_text(encoding="utf-8")
        assert not {letter for letter in text if ord(letter) > 0xFF}, path
        assert not re.search(r"(^|[\s\[(])-\d", text, re.MULTILINE), path
        commands = set(re.findall(r"\\([A-Za-z]+)", text))
        assert commands <= KNOWN, (path, commands - KNOWN)
        for begun in re.findall(r"\\begin\{(\w+)\}", text):
            assert text.count(f"\\begin{{{begun}}}") == text.count(f"\\end{{{begun}}}")
        bare = re.sub(r"\\.", "", re.sub(r"%.*", "", re.sub(r"\\%", "", text)))
        assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0, path


def test_numbers_have_a_minus_sign_and_words_a_hyphen():
    assert tables.escape_latex("-0.5 [-1.0, -0.2] GPT-2 10-20 p = 1e-05") == (
        "$-$0.5 [$-$1.0, $-$0.2] GPT-2 10-20 p = 1e-05"
    )


def test_same_content_same_bytes(write):
    first = [path.read_bytes() for path in write()]
    assert [path.read_bytes() for path in write()] == first


def test_mistakes(write):
    with pytest.raises(EaselError, match="Table quality: no rows"):
        write([])
    with pytest.raises(EaselError, match=r"row 1 has columns \['b'\], the first has \['a'\]"):
        write([{"a": 1}, {"b": 1}])
    with pytest.raises(EaselError, match="no column psnr; columns are model, PSNR, seeds, ok"):
        write(units={"psnr": "dB"})

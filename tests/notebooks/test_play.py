"""The notebooks of notebooks/play/: clean in Git, short cells, typed parameters, and every one run from top to bottom
with tiny numbers, here in this process; and each of their comparisons fails when the reader's own version is wrong."""

import json
import re

import matplotlib.pyplot as plt
import papermill
import pytest

from lib import config, run
from lib.evidence import ledger
from pages import mathml
from tests import house

FOLDER = house.REPOSITORY / "notebooks/play"
LINES = 20  # of a cell, at most
# Notebook → parameters with which it takes a second or two.
TINY = {
    "decoding": {"drawn": 60, "length": 3, "window": 2, "long_length": 6, "long_window": 3},
    "diffusion": {"points": 50, "passes": 2, "steps": 10, "pictures": 20},
    "glu": {"width": 8, "inner": 12, "steps": 2, "pictures": 20},
    "guidance": {"width": 8, "steps": 10, "pictures": 20, "tested": 4, "drawn": 2000},
    "masked": {"steps": 10, "pictures": 20, "tested": 8, "passes": 2, "iterations": 3},
    "scales": {"width": 8, "steps": 10, "pictures": 80, "tested": 8, "codes": 16, "repetitions": 1},
}
# Notebook → what a reader could get wrong in a version of their own, and how.
WRONG = {
    "decoding": ("accepted = q * torch.minimum", "accepted = p * torch.minimum"),
    "diffusion": ("there.alpha * clean + there.sigma", "there.alpha * clean + here.sigma"),
    "glu": ("gated = x @ V", "gated = x @ W"),
    "guidance": ("np.cumsum(law[order]) - law[order] >= p", "np.cumsum(law[order]) >= p"),
    "masked": ("np.pi / 2 * (1 - uniform)", "np.pi / 2 * (1 - uniform) ** 2"),
    "scales": ("rest = rest - (entries", "rest = grid.permute(2, 0, 1)[None] - (entries"),
}


def notebook(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def text(cell):
    return "".join(cell["source"])


def code(name):
    return [text(cell) for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]


def test_every_notebook_is_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(TINY) == set(WRONG)


@pytest.mark.parametrize("name", TINY)
def test_it_is_clean_and_its_cells_are_short(name):
    cells = notebook(name)["cells"]
    assert [cell["id"] for cell in cells] == [f"cell-{number}" for number in range(len(cells))]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert not [source for source in code(name) if len(source.splitlines()) > LINES]


@pytest.mark.parametrize("name", TINY)
def test_its_claims_are_in_a_ledger_and_its_links_lead_somewhere(name, monkeypatch):
    monkeypatch.chdir(house.REPOSITORY)
    known = {claim.id for claim in ledger.load_all().claims}
    calls = re.findall(r"\bclaims\(([^)]*)\)", "\n".join(code(name)))
    named = {claim for call in calls for claim in re.findall(r'"(\w+)"', call)}
    assert named and named <= known
    for cell in notebook(name)["cells"]:
        if cell["cell_type"] == "code":
            continue
        for target in re.findall(r"\]\((?!\w+://)([^)#]+)\)", text(cell)):
            assert (FOLDER / target).exists(), target


@pytest.mark.parametrize("name", TINY)
def test_its_formulas_can_be_shown_without_a_network(name):
    texts = [text(cell) for cell in notebook(name)["cells"] if cell["cell_type"] == "markdown"]
    for pair in re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", "\n".join(texts), re.DOTALL):
        assert mathml.convert("".join(pair).strip()).startswith("<math")


def parameters(name):
    """All parameters of a notebook, checked as lib.run checks them."""
    (tagged,) = [cell for cell in notebook(name)["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    given = run._defaults(text(tagged), FOLDER / f"{name}.ipynb") | TINY[name]
    tree = house.trees()[""]
    tree["notebooks"] = {name: {key: value for key, value in given.items() if key != "profile"}}
    return run.check(FOLDER / f"{name}.ipynb", config.build({"": tree}, "", "test"))


def execute(name, wrong=None):
    """Runs all cells, one after another, in one namespace."""
    given, names = parameters(name), {"__name__": "__main__"}
    for cell in notebook(name)["cells"]:
        if cell["cell_type"] == "code":
            source = text(cell).replace(*wrong) if wrong else text(cell)
            exec(compile(source, cell["id"], "exec"), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names |= given
    return names


@pytest.fixture
def at_the_top(monkeypatch):
    monkeypatch.chdir(house.REPOSITORY)
    monkeypatch.setattr("lib.hardware.use_cores", lambda count: None)  # this process has other tests to run
    yield
    plt.close("all")


@pytest.mark.parametrize("name", TINY)
def test_it_runs_from_top_to_bottom(name, at_the_top, capsys):
    execute(name)
    assert "agree" in capsys.readouterr().out


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_version_of_ones_own_is_noticed(name, at_the_top):
    assert WRONG[name][0] in "\n".join(code(name))
    with pytest.raises(AssertionError, match="yours and the library's differ"):
        execute(name, WRONG[name])


def pictures(cell):
    return [output["data"]["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]


def test_a_kernel_shows_every_figure_once(tmp_path):
    """From where JupyterLab starts it, without a word about variables of the kernel's own."""
    assert all("from lib.teaching.start import start" in "\n".join(code(name)) for name in TINY)
    done = papermill.execute_notebook(
        str(FOLDER / "decoding.ipynb"),
        str(tmp_path / "done.ipynb"),
        TINY["decoding"],
        cwd=str(FOLDER),
        kernel_name="python3",
        progress_bar=False,
    )
    shown = {text(cell): pictures(cell) for cell in done.cells if cell.cell_type == "code"}
    drawn = {source: len(re.findall(r"show\.(?:drafts|distances)\(", source)) for source in shown}
    drawn |= {source: 0 for source in shown if "sliders(shown" in source}  # which shows them itself
    assert {source: len(found) for source, found in shown.items()} == drawn and sum(drawn.values()) > 2
    assert all(len(set(found)) == len(found) for found in shown.values())
    assert "MPLBACKEND" not in str(done)

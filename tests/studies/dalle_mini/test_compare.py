"""The comparison with DALL·E: its numbers, its tables and the verdicts that follow."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from lib.evidence import ledger, provenance, verdicts
from studies.dalle_mini.code import compare
from studies.dalle_mini.code.reports import Comparison

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        shutil.copy(REPOSITORY / "requirements.lock", top)
        for name in ("lib", "studies"):
            shutil.copytree(REPOSITORY / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
        params = SimpleNamespace(results=Path("results/laptop"))
        (top / params.results / "comparison").mkdir(parents=True)
        (top / params.results / "comparison" / "leftover.csv").touch()
        compare.run(params)
    return top / params.results


def test_numbers_are_the_configurations(folder):
    models = Comparison.read(folder / "compare_dalle.json").models
    assert {name for name, _ in models} == set(compare.COLUMNS)
    # The published float32 weights are files of 1.75 GB and 10.4 GB.
    assert round(4 * models.mini_2022.parameters / 1e9, 2) == 1.75
    assert round(4 * models.mega_2022.parameters / 1e9, 1) == 10.4
    assert models.dalle.image_tokens == 4 * models.mini_2022.image_tokens
    assert 2 * models.dalle.image_vocabulary == models.mini_2022.image_vocabulary
    assert models.mini_2022.training_pairs is None


def test_they_are_the_committed_ones(folder):
    again = folder / "compare_dalle.json"
    assert again.read_bytes() == (REPOSITORY / "results/laptop/compare_dalle.json").read_bytes()


def test_tables_show_them_with_their_origin(folder):
    provenance.check(folder / "comparison")
    assert not (folder / "comparison" / "leftover.csv").exists()
    text = (folder / "comparison" / "dalle_comparison.md").read_text(encoding="utf-8")
    assert "| 12292.8" in text and "left to right" in text and "–" in text
    table = pd.read_csv(folder / "comparison" / "dalle_costs.csv").set_index("quantity")
    assert len(table) == len(compare.COST_ROWS)
    assert table.loc["price of the time claimed, preemptible", "from"] == pytest.approx(72 * 2.4)
    share = table.loc["share of the peak that this takes"]
    assert share["from"] < share["to"] < 56.5


def test_the_last_committed_script_cannot_be_the_run_of_three_days(folder):
    found = Comparison.read(folder / "compare_dalle.json").costs
    assert found.later_run_share[0] > 1 > found.share[1]
    low, high = found.share
    for inner in (found.planned_share, found.speed_share):
        assert low <= inner[0] and inner[1] <= high


def test_the_ledger_says_no_more_than_arithmetic_can(folder):
    claims = [claim for claim in ledger.load_all().claims if claim.id in compare.CLAIMS]
    judged = {item.claim.id: item for item in verdicts.judge(claims, folder)}
    assert list(judged) == compare.CLAIMS
    assert [judged[name].verdict for name in ("D1", "D4")] == [verdicts.PAPER_SCALE] * 2
    assert [judged[name].verdict for name in ("D2", "D3")] == [verdicts.INCONCLUSIVE] * 2
    assert "holds only if the TPU v3-8 was preemptible" in judged["D3"].sentence

from pathlib import Path

from studies.sjd2.code.reports import Results

COMMITTED = Path(__file__).parents[3] / "results/laptop/sjd2.json"


def test_results_are_written_as_they_were_read(tmp_path):
    Results.read(COMMITTED).write(tmp_path / "sjd2.json")
    assert (tmp_path / "sjd2.json").read_text() == COMMITTED.read_text()

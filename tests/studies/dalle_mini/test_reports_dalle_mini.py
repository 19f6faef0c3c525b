"""The committed results are what this study's classes say."""

from pathlib import Path

import pytest

from studies.dalle_mini.code import reports

RESULTS = Path(__file__).parents[3] / "results/laptop"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dalle_mini_training", reports.Trainings),
        ("dalle_mini_search", reports.Search),
        ("compare_dalle", reports.Comparison),
        ("painting", reports.Painting),
    ],
)
def test_what_is_read_is_written_byte_for_byte(name, kind, tmp_path):
    kind.read(RESULTS / f"{name}.json").write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (RESULTS / f"{name}.json").read_bytes()

"""Stage check_data, where it does not need a whole data set."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lib.errors import EaselError
from lib.pipeline import check_data


@pytest.mark.parametrize("section", ["dalle_mini", "autoregressive"])
def test_a_language_without_captions_is_refused_before_anything_is_trained(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/meta.json").write_text('{"languages": ["en"]}')
    languages = {"dalle_mini": {"both": ()}, "autoregressive": ()}
    languages[section] = {"german": ("de",)} if section == "dalle_mini" else ("de",)
    params = SimpleNamespace(**{name: SimpleNamespace(languages=value) for name, value in languages.items()})
    with pytest.raises(EaselError, match="asks for captions in de, but they are in en"):
        check_data.run(params)

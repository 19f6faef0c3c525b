"""Stage train_text: captions that are cut are said."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from lib.data import store
from lib.pipeline import train_text


@pytest.mark.parametrize(("length", "cut"), [(6, 5), (200, 0)])
def test_captions_that_are_cut_are_said_on_the_console(length, cut, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        captions = [{"en": [" ".join(["a red circle"] * 7)] if number < 5 else ["a"]} for number in range(8)]
        store.write_split("data", split, {64: np.zeros((8, 64, 64, 3), np.uint8)}, captions)
    train_text.run(SimpleNamespace(text=SimpleNamespace(vocabulary=400, length=length)))
    said = f"note: {cut} of 8 captions of the test split (en) are longer than text.length = {length} tokens"
    assert (said in capsys.readouterr().out) == (cut > 0)
    assert json.loads((tmp_path / "build/text/report.json").read_text())["languages"]["en"]["cut_off"] == cut

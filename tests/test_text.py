import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import EaselError
from lib.text import BYTES, MINIMUM, RESERVED, TextTokenizer

ENGLISH = [f"a {colour} {shape}" for colour in ("red", "blue", "green") for shape in ("circle", "square", "triangle")]
CHINESE = [f"一个{colour}色的{shape}形" for colour in "红蓝绿" for shape in ("圆", "方", "三角")]
CAPTIONS = (ENGLISH + CHINESE) * 3
TOKENIZER = TextTokenizer.train(CAPTIONS, 400)


def pieces(caption: str) -> list[int]:
    row = TOKENIZER.encode([caption], 256)[0]
    return row[1 : list(row).index(TOKENIZER.end_id)].tolist()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_survives_up_to_normalisation(text):
    ids = TOKENIZER.encode([text], 1024)
    assert TOKENIZER.decode(ids) == [TOKENIZER.normalise(text)]


@pytest.mark.parametrize(
    "text",
    [
        "龘 was never seen",
        "👩‍🚀 on 🌔",
        "<pad> <end> <0x41> ▁",
        "e\u0301 ﬁne ①",
        "\x00\u2028",
        "红 圆 red 圆",
        "\ud800 half a pair",
    ],
)
def test_awkward_text_survives(text):
    assert TOKENIZER.decode(TOKENIZER.encode([text], 256)) == [TOKENIZER.normalise(text)]


def test_normalisation_is_nfkc_lower_case_and_single_spaces():
    assert TOKENIZER.normalise("  A  Red\tＣircle，ﬁne ") == "a red circle,fine"
    assert pieces("A  RED circle ") == pieces("a red circle")


def test_rows_are_begin_text_end_padding():
    ids = TOKENIZER.encode(["a red circle", "红色的圆形"], 16)
    assert ids.dtype == np.int32 and ids.shape == (2, 16)
    for row in ids:
        end = int(np.flatnonzero(row == TOKENIZER.end_id)[0])
        assert row[0] == TOKENIZER.begin_id
        assert (row[1:end] >= len(RESERVED)).all()  # characters of the captions need no bytes
        assert (row[end + 1 :] == TOKENIZER.pad_id).all()


def test_a_frequent_word_is_one_token_and_the_same_everywhere():
    first, second = pieces("red red")
    assert first == second
    assert len(pieces("a red circle")) == 3


def test_chinese_merges_stop_at_two_characters():
    phrase = "一个红色的圆形"
    tokens = [TOKENIZER.decode(np.array([[index]]))[0] for index in pieces(phrase)]
    assert "".join(tokens) == phrase and max(map(len, tokens)) == 2
    assert len(pieces("形一")) == 2  # two characters that never stood side by side


def test_an_unseen_character_becomes_its_bytes():
    ids = pieces("龘")
    assert [RESERVED[index] for index in ids] == [f"<0x{byte:02X}>" for byte in "龘".encode()]


def test_the_empty_caption_is_begin_and_end():
    assert TOKENIZER.encode(["", " \n"], 4).tolist() == [[1, 2, 0, 0]] * 2
    assert TOKENIZER.decode(TOKENIZER.encode([""], 4)) == [""]


def test_no_captions_give_no_rows():
    assert TOKENIZER.encode([], 8).shape == (0, 8)


def test_a_long_text_is_cut_and_keeps_its_end():
    long = "red blue green red blue"
    ids = TOKENIZER.encode([long], 5)[0].tolist()
    assert ids[0] == TOKENIZER.begin_id and ids[-1] == TOKENIZER.end_id
    assert TOKENIZER.decode(np.array([ids])) == ["red blue green"]
    assert TOKENIZER.count_truncated([long, "red", "red blue green"], 5) == 1
    assert TOKENIZER.count_truncated([long], 7) == 0


def test_the_vocabulary_keeps_to_its_limit():
    assert TOKENIZER.vocabulary <= 400
    captions = [chr(0x4E00 + index) * 2 for index in range(500)]
    small = TextTokenizer.train(captions, MINIMUM)
    assert small.vocabulary <= MINIMUM
    assert small.decode(small.encode(captions, 16)) == captions
    assert int(TOKENIZER.encode(CAPTIONS, 32).max()) < TOKENIZER.vocabulary


def test_captions_that_look_like_special_tokens_are_plain_text():
    tokenizer = TextTokenizer.train(["<pad> <0x41> <end>"] * 9, 400)
    row = tokenizer.encode(["<pad> <0x41>"], 32)[0].tolist()
    assert row.count(tokenizer.end_id) == 1 and RESERVED.index(BYTES[0x41]) not in row
    assert tokenizer.decode(np.array([row])) == ["<pad> <0x41>"]


def test_a_saved_tokenizer_is_the_same(tmp_path):
    TOKENIZER.save(tmp_path / "new" / "text.json")
    loaded = TextTokenizer.load(tmp_path / "new" / "text.json")
    assert loaded.vocabulary == TOKENIZER.vocabulary
    texts = ["A red circle", "龘 红", ""]
    assert np.array_equal(loaded.encode(texts, 20), TOKENIZER.encode(texts, 20))
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "new" / "text.json").read_bytes()


def test_same_captions_same_bytes_in_another_process(tmp_path):
    # Many characters of equal frequency: ties must not be broken by a hash seed.
    captions = [chr(0x4E00 + index) * 2 + " ab ba cd dc" for index in range(200)]
    code = f"from lib.text import TextTokenizer; TextTokenizer.train({captions!r}, 360).save({str(tmp_path / 'a')!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
    TextTokenizer.train(captions, 360).save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("captions", [[], ["", "  "]])
def test_nothing_to_train_on(captions):
    with pytest.raises(EaselError, match="No captions"):
        TextTokenizer.train(captions, 400)


def test_too_small_a_vocabulary():
    with pytest.raises(EaselError, match=rf"text\.vocabulary = 100 is too small.*{MINIMUM} or more"):
        TextTokenizer.train(CAPTIONS, 100)


def test_too_short_a_length():
    with pytest.raises(EaselError, match=r"text\.length = 1"):
        TOKENIZER.encode(["a"], 1)


def test_ids_outside_the_vocabulary():
    with pytest.raises(EaselError, match="Token ids must lie in"):
        TOKENIZER.decode(np.array([[1, 99_999, 2]]))


def test_loading_what_is_no_tokenizer(tmp_path):
    with pytest.raises(EaselError, match="No text tokenizer at"):
        TextTokenizer.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(EaselError, match="is not a text tokenizer"):
        TextTokenizer.load(tmp_path / "bad.json")

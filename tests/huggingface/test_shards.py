"""Shards of tokens: what was packed comes back, and one sentence for what is no such shard."""

import io
import tarfile

import numpy as np
import pytest

from huggingface.models.layout import Layout
from huggingface.shards import Shards, write
from lib.errors import EaselError

LAYOUT = Layout(((2, 3),), end_of_line=9)
SAMPLES = [(f"picture {number}, é", np.arange(6, dtype=np.uint16) + number) for number in range(4)]


def packed(path, *files):
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def npy(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=array.dtype == object)
    return content.getvalue()


def test_samples_come_back_in_any_order(tmp_path):
    write(tmp_path / "b.tar", SAMPLES[:3])
    write(tmp_path / "more" / "a.tar", [(text, codes.reshape(2, 3)) for text, codes in SAMPLES[3:]])
    shards = Shards([tmp_path / "more", tmp_path / "b.tar"], LAYOUT, codes=9)
    assert len(shards) == 4 and [name for name, _ in shards.identity] == ["a.tar", "b.tar"]
    for number, (text, codes) in [(3, SAMPLES[2]), (0, SAMPLES[3]), (1, SAMPLES[0])]:
        found = shards[number]
        assert found[0] == text and found[1].dtype == np.int64 and found[1].tolist() == codes.tolist()


def test_files_of_other_packers(tmp_path):
    """A folder in the names, captions as JSON, other files beside, codes of a type that is not that of `write`."""
    files = [("./train/x1.json", b'{"caption": "two", "width": 3}'), ("./train/x1.npy", npy(np.zeros(6, np.int32)))]
    shards = Shards([packed(tmp_path / "a.tar", *files, ("./train/x1.jpg", b"?"))], LAYOUT, codes=1)
    assert len(shards) == 1 and shards[0][0] == "two"


GOOD = npy(np.zeros(6, np.int64))
REFUSED = {
    "no caption": ([("0.npy", GOOD)], r"sample 0 has no \.txt or \.json"),
    "no codes": ([("0.txt", b"a")], r"sample 0 has no \.npy"),
    "another length": ([("0.npy", npy(np.zeros(7, np.int64))), ("0.txt", b"a")], r"0\.npy holds int64 \[7\]"),
    "turned": ([("0.npy", npy(np.zeros((3, 2), np.int64))), ("0.txt", b"a")], r"\[6\] or \[2, 3\]"),
    "fractions": ([("0.npy", npy(np.zeros(6))), ("0.txt", b"a")], "whole numbers"),
    "the model's own tokens": ([("0.npy", npy(np.full(6, 9))), ("0.txt", b"a")], "codes 9 … 9, must be 0 … 8"),
    "pickles": ([("0.npy", npy(np.array([{}] * 6))), ("0.txt", b"a")], r"0\.npy is not valid array"),
    "a name twice": ([("9.npy", GOOD)], r"has 9\.npy twice"),
    "no array": ([("0.npy", b"x"), ("0.txt", b"a")], r"0\.npy is not valid array"),
    "no text": ([("0.npy", GOOD), ("0.txt", b"\xff")], r"0\.txt is not valid caption: it is not in UTF-8"),
    "no caption in the record": ([("0.npy", GOOD), ("0.json", b"{}")], r"0\.json is not valid caption"),
    "a number for a caption": ([("0.npy", GOOD), ("0.json", b'{"caption": 3}')], "must be text"),
}


@pytest.mark.parametrize(("files", "said"), REFUSED.values(), ids=REFUSED)
def test_samples_that_are_none_are_refused(files, said, tmp_path):
    path = packed(tmp_path / "a.tar", ("9.npy", GOOD), ("9.txt", b"good"), *files)
    with pytest.raises(EaselError, match=said) as error:
        Shards([path], LAYOUT, codes=9)
    assert "a.tar" in str(error.value) and "\n" not in str(error.value)


def test_shards_that_are_none_are_refused(tmp_path):
    write(tmp_path / "whole.tar", SAMPLES)
    content = (tmp_path / "whole.tar").read_bytes()
    spoiled = {"cut in a file": content[:2100], "cut between": content[: 8 * 1024], "joined": content * 2}
    spoiled |= {"web page": b"<html>" * 200, "empty": b""}
    for name, what in spoiled.items():
        (tmp_path / "a.tar").write_bytes(what)
        with pytest.raises(EaselError, match="fetch it again"):
            Shards([tmp_path / "a.tar"], LAYOUT, codes=9)
            pytest.fail(name)
    (tmp_path / "more").mkdir()
    with pytest.raises(EaselError, match="no shard"):
        Shards([tmp_path / "more"], LAYOUT, codes=9)
    with pytest.raises(EaselError, match=r"nowhere\.tar: No such file"):
        Shards([tmp_path / "nowhere.tar"], LAYOUT, codes=9)

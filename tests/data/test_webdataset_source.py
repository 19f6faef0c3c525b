import io
import json
import tarfile

import pytest

from lib.data.webdataset_source import WebDatasetSource, scan
from lib.errors import EaselError
from tests.data.real_data import png, sample, write_shard


def outcome(folder):
    return [(item.name, item.problem) for item in WebDatasetSource(folder)]


def member_ends(path, padded=True):
    """Byte offsets at which each file of a tar ends, with or without the padding to whole blocks."""
    with tarfile.open(path) as tar:
        return [m.offset_data + (-(-m.size // 512) * 512 if padded else m.size) for m in tar]


def test_captions_come_from_txt_and_json(tmp_path):
    record = json.dumps({"caption": "a  cat ", "caption_zh": ["猫", "一只猫"], "caption_pt-BR": "gato"}).encode()
    write_shard(tmp_path / "a.tar", [sample(0, txt=b"tabby\n", json=record), sample(1, json=None)])
    first, second = WebDatasetSource(tmp_path)
    assert first.captions == {"en": ["a cat", "tabby"], "zh": ["猫", "一只猫"], "pt-BR": ["gato"]}
    assert second.captions == {"en": ["picture 1"]}
    assert first.picture == png(0) and first.name == "a.tar/0000"


def test_equal_keys_in_two_shards_are_two_samples(tmp_path):
    write_shard(tmp_path / "b.tar", [sample(1)])
    write_shard(tmp_path / "a.tar", [sample(0)])
    source = WebDatasetSource(tmp_path)
    assert source.total == 2
    assert outcome(tmp_path) == [("a.tar/0000", None), ("b.tar/0000", None)]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (sample(0, txt=None, json=None), "missing caption"),
        (sample(0, txt=b" \n", json=b"{}"), "missing caption"),
        (sample(0, png=None), "missing picture"),
        (sample(0, json=b'{"caption": '), "unreadable caption"),
        (sample(0, txt=b"\xff\xfe"), "unreadable caption"),
        (sample(0, txt=None, json=b"[1]"), "missing caption"),
        (sample(0, txt=None, json=b'{"caption": null, "caption_zh": 3}'), "missing caption"),
    ],
)
def test_problems_are_told_apart(tmp_path, files, problem):
    write_shard(tmp_path / "a.tar", [files, sample(1)])
    assert outcome(tmp_path) == [("a.tar/0000", problem), ("a.tar/0001", None)]


def test_whatever_the_cut_no_earlier_sample_is_lost_and_the_cut_is_reported(tmp_path):
    whole = tmp_path / "whole.tar"
    write_shard(whole, [sample(index) for index in range(3)])
    content, ends = whole.read_bytes(), member_ends(whole)
    pictures, texts, _ = (member_ends(whole, padded=False)[i::3] for i in range(3))  # files: png, txt, json
    cut_file = tmp_path / "cut" / "a.tar"
    cut_file.parent.mkdir()
    for cut in sorted({end + step for end in ends for step in (0, 1, 100, 512, 600)}):
        cut_file.write_bytes(content[:cut])
        good = sum(cut >= end for end in texts)
        found = outcome(cut_file.parent)
        if cut >= ends[-1] + 512:  # only the padding behind the closing block is gone
            assert found == [(f"a.tar/{index:04d}", None) for index in range(3)]
            continue
        assert [name for name, problem in found if problem is None] == [f"a.tar/{index:04d}" for index in range(good)]
        assert [problem for _, problem in found if problem] == ["lost in a truncated shard"], cut
        if good < sum(cut >= end for end in pictures):
            assert found[-1][0] == f"a.tar/{good:04d}"  # the sample at the cut is named


def test_a_damaged_header_counts_as_a_cut(tmp_path):
    path = tmp_path / "a.tar"
    write_shard(path, [sample(index) for index in range(3)])
    content, end = bytearray(path.read_bytes()), member_ends(path)[2]
    content[end : end + 512] = b"\xff" * 512
    path.write_bytes(content)
    assert scan(path) == (1, False)
    assert outcome(tmp_path) == [("a.tar/0000", None), ("behind a.tar/0000", "lost in a truncated shard")]


def test_a_cut_does_not_reach_into_the_next_shard(tmp_path):
    write_shard(tmp_path / "a.tar", [sample(0)])
    end = member_ends(tmp_path / "a.tar")[0]
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[: end + 10])
    write_shard(tmp_path / "b.tar", [sample(1)])
    assert outcome(tmp_path) == [("a.tar/0000", "lost in a truncated shard"), ("b.tar/0000", None)]


def test_losses_behind_a_cut_are_estimated_from_the_whole_shards(tmp_path):
    for name, number in (("a", 6), ("b", 6), ("c", 2)):
        write_shard(tmp_path / f"{name}.tar", [sample(index) for index in range(number)])
    end = member_ends(tmp_path / "a.tar")[5]
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:end])
    (tmp_path / "c.tar").rename(tmp_path / "d.tar")
    write_shard(tmp_path / "c.tar", [sample(index) for index in range(6)])
    source = WebDatasetSource(tmp_path)
    lost = [item for item in source if item.problem]
    assert source.total == 6 + 6 + 6 + 2
    assert [(item.name, item.number) for item in lost] == [("behind a.tar/0001", 4)]


def test_missing_folder_and_folder_without_shards(tmp_path):
    with pytest.raises(EaselError, match=r"No folder of WebDataset shards at .*data\.path"):
        WebDatasetSource(tmp_path / "nowhere")
    with pytest.raises(EaselError, match=r"No shard \(\*\.tar\)"):
        WebDatasetSource(tmp_path)


def empty_tar() -> bytes:
    file = io.BytesIO()
    tarfile.open(fileobj=file, mode="w").close()
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"no tar at all" * 100, empty_tar()])
def test_an_empty_shard_is_found_before_reading(tmp_path, content):
    write_shard(tmp_path / "a.tar", [sample(0)])
    (tmp_path / "b.tar").write_bytes(content)
    with pytest.raises(EaselError, match=r"Empty shard in .*: b\.tar: no picture"):
        WebDatasetSource(tmp_path)

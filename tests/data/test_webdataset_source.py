import gzip
import io
import json
import os
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data.webdataset_source import WebDatasetSource
from lib.errors import EaselError
from tests.data.real_data import png, sample, write_shard, write_tar


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
    assert source.found == {"a.tar": 1, "b.tar": 1}
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


def blocks_of(path):
    """Where the headers of a tar's files stand, and where its end begins."""
    with tarfile.open(path) as tar:
        return [member.offset for member in tar], member_ends(path)[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.tar"
    write_shard(path, [sample(index) for index in range(3)])
    return path


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_shard_that_is_cut_anywhere_is_refused(whole, data):
    content, (_, end) = whole.read_bytes(), blocks_of(whole)
    cut = data.draw(st.integers(0, end + 1023))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.tar").write_bytes(content[:cut])
        if cut >= end + 512:  # only padding behind the closing block is gone
            assert outcome(Path(folder)) == [(f"a.tar/{index:04d}", None) for index in range(3)]
        else:
            with pytest.raises(EaselError, match=r"a\.tar.*(is not whole|no picture)"):
                WebDatasetSource(Path(folder))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_shard_with_a_damaged_header_or_a_hole_is_refused(whole, data):
    content, (headers, end) = bytearray(whole.read_bytes()), blocks_of(whole)
    start = data.draw(st.sampled_from(headers[1:]))
    fill = data.draw(st.sampled_from([0, 0xFF]))
    last = data.draw(st.sampled_from([at for at in [*headers, end] if at > start]))
    stop = data.draw(st.sampled_from([start + 512, last - 1024 if last - 1024 > start else start + 512]))
    content[start:stop] = bytes([fill]) * (stop - start)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.tar").write_bytes(content)
        with pytest.raises(EaselError, match=r"a\.tar is not whole: behind [1-3] readable pictures"):
            WebDatasetSource(Path(folder))


@pytest.mark.parametrize("behind", [b"x", b"\0" * 4096 + b"x", "shard"])
def test_what_stands_behind_the_end_of_a_shard_is_not_passed_over(whole, tmp_path, behind):
    content = whole.read_bytes()
    (tmp_path / "a.tar").write_bytes(content + (content if behind == "shard" else behind))
    with pytest.raises(EaselError, match=r"a\.tar is not whole.*joined"):
        WebDatasetSource(tmp_path)


def test_zeros_behind_the_end_are_padding(whole, tmp_path):
    (tmp_path / "a.tar").write_bytes(whole.read_bytes() + bytes(1 << 21))
    assert len(outcome(tmp_path)) == 3


# What may stand in a shard for one stem: its files, and reason → how many pictures it costs.
KINDS = {
    "good": (sample(0), {}),
    "upper": ({"PNG": png(0), "TXT": b"a cat"}, {}),
    "companion": (sample(0) | {"json": b'{"caption": 7}'}, {}),
    "no caption": (sample(0, txt=None, json=None), {"missing caption": 1}),
    "no picture": (sample(0, png=None), {"missing picture": 1}),
    "deep": (sample(0, json=b'{"caption": ' + b"[" * 100_000), {"unreadable caption": 1}),
    "latin-1": (sample(0, txt="café".encode("latin-1")), {"unreadable caption": 1}),
    "depth map": (sample(0) | {"jpg": png(1)}, {"several pictures in one sample": 2}),
    "second picture": (sample(0) | {"seg.png": png(1), "depth.jpg": png(2)}, {"several pictures in one sample": 3}),
    "dotted": ({"0001.png": png(0), "0001.txt": b"a", "0002.png": png(1)}, {"dot in the sample's name": 2}),
    "link": (sample(0) | {"png": "elsewhere.png"}, {"link or sparse file in a shard": 1}),
    "other": ({"cls": b"3", "npy": b"x"}, {}),
}


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_books_balance_whatever_stands_in_a_shard_in_whatever_order(data):
    """Pictures found by a count of names alone = good samples + those skipped, each for its own reason."""
    kinds = [*data.draw(st.lists(st.sampled_from(list(KINDS)), max_size=8)), "good"]
    expected, files, good = Counter(), [], 0
    for index, kind in enumerate(kinds):
        own, costs = KINDS[kind]
        files += [(f"{index:04d}.{ending}", content) for ending, content in own.items()]
        files += [(f"._{index:04d}.png", b"AppleDouble")] if kind == "companion" else []
        expected += Counter(costs)
        good += not costs and kind != "other"
    twice = data.draw(st.booleans())
    if twice:
        files += [("twice.png", png(7)), ("twice.txt", b"a"), ("twice.png", png(8)), ("twice.txt", b"b")]
        expected["name used twice in its shard"] = 2
    files = data.draw(st.permutations(files))
    with tempfile.TemporaryDirectory() as folder:
        write_tar(Path(folder) / "sub" / "a.tar", files)
        source = WebDatasetSource(Path(folder))
        samples = list(source)
    skipped = Counter()
    for item in samples:
        if item.problem:
            skipped[item.problem] += item.number
    assert skipped == expected
    assert sum(item.problem is None for item in samples) == good
    assert source.found == {"sub/a.tar": good + expected.total()}
    assert sum(item.number for item in samples) == good + expected.total()


def test_a_pair_is_read_right_though_its_files_are_not_adjacent(tmp_path):
    pictures, texts = ([(f"{i:04d}.{e}", sample(i)[e]) for i in range(9)] for e in ("png", "txt"))
    write_tar(tmp_path / "a.tar", pictures + texts)
    for index, item in enumerate(WebDatasetSource(tmp_path)):
        assert item.picture == png(index) and item.captions == {"en": [f"picture {index}"]}


def test_names_that_are_no_text_can_be_printed(tmp_path):
    write_tar(tmp_path / "a.tar", [(b"caf\xe9\n\x1b[31m.png".decode("utf-8", "surrogateescape"), png(0))])
    ((name, problem),) = outcome(tmp_path)
    assert problem == "missing caption" and name == r"a.tar/caf\udce9\n\x1b[31m"


def test_missing_folder_and_folder_without_shards(tmp_path):
    with pytest.raises(EaselError, match=r"there is no folder .*data\.path"):
        WebDatasetSource(tmp_path / "nowhere")
    with pytest.raises(EaselError, match=r"No shard \(\*\.tar\)"):
        WebDatasetSource(tmp_path)


def empty_tar() -> bytes:
    file = io.BytesIO()
    tarfile.open(fileobj=file, mode="w").close()
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no picture"),
        (b"\0" * 100, "no picture"),
        (b"no tar at all" * 100, "no picture"),
        (empty_tar(), "no picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer: run `git lfs pull`"),
        (b"\n<!DOCTYPE html><html>404</html>", "a web page"),
        (gzip.compress(empty_tar(), mtime=0), "compressed: unpack it with gunzip"),
        (b"PK\x03\x04" + bytes(600), "a zip file"),
    ],
)
def test_what_is_no_shard_is_named_for_what_it_is(tmp_path, content, says):
    write_shard(tmp_path / "a.tar", [sample(0)])
    (tmp_path / "b.tar").write_bytes(content)
    with pytest.raises(EaselError, match=rf"b\.tar.*{says}"):
        WebDatasetSource(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "pipe", "broken link", "compressed", "nested"])
def test_what_only_has_the_name_of_a_shard_is_refused(tmp_path, kind):
    write_shard(tmp_path / "a.tar", [sample(0)])
    odd = tmp_path / "b.tar"
    if kind == "folder":
        odd.mkdir()
    elif kind == "pipe":
        os.mkfifo(odd)
    elif kind == "broken link":
        odd.symlink_to(tmp_path / "nowhere")
    elif kind == "compressed":
        odd.with_name("b.tar.gz").write_bytes(b"")
    else:
        write_tar(odd, [("inner.tar", empty_tar())])
    with pytest.raises(EaselError, match=r"b\.tar"):
        WebDatasetSource(tmp_path)


def test_what_the_system_does_not_let_us_read_is_named(tmp_path, monkeypatch):
    write_shard(tmp_path / "a.tar", [sample(0)])

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(EaselError, match=r"a\.tar cannot be read \(Permission denied\)"):
        WebDatasetSource(tmp_path)


def test_shards_behind_links_are_read_and_circles_end(tmp_path):
    write_shard(tmp_path / "disk" / "a.tar", [sample(0)])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "in")
    assert outcome(tmp_path / "in") == [("link/a.tar/0000", None)]

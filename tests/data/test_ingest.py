import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.data import picture
from lib.data.ingest import SOURCES, SPLITS, Count, common_languages, in_all_languages, ingest, split_of
from lib.data.manifest import check_manifest
from lib.data.sample import Sample
from lib.data.store import Split, read_meta, read_prompts
from lib.data.webdataset_source import WebDatasetSource
from lib.errors import EaselError
from tests.data.real_data import Settings, png, sample, write_coco, write_shard


@pytest.fixture
def shards(tmp_path):
    write_shard(tmp_path / "in" / "a.tar", [sample(index) for index in range(20)])
    write_shard(tmp_path / "in" / "b.tar", [sample(index) for index in range(20, 40)])
    return tmp_path / "in"


def pictures(folder):
    """Caption → split and picture, of a whole data folder."""
    found = {}
    for name in SPLITS:
        split = Split.open(folder, name)
        for entry, image in zip(split.captions, split.images(16), strict=True):
            found[entry["en"][0]] = (name, np.asarray(image))
    return found


def test_shards_become_a_data_folder(shards, tmp_path, capsys):
    out = tmp_path / "out"
    report = ingest(out, Settings("webdataset", str(shards), image_sizes=(16, 32)))
    meta = read_meta(out)
    assert meta["source"] == "webdataset" and meta["languages"] == ["en", "zh"] and not meta["has_truth"]
    assert meta["image_sizes"] == [16, 32] and sum(meta["splits"].values()) == 40 and set(meta["splits"]) == set(SPLITS)
    test = Split.open(out, "test")
    assert test.scenes is None and test.images(32).shape == (len(test), 32, 32, 3)
    prompts = read_prompts(out)
    assert [prompt["zh"] for prompt in prompts] == [entry["zh"][0] for entry in test.captions]
    assert all(prompt["category"] == "caption" and prompt["require"] is None for prompt in prompts)
    check_manifest(out)
    assert report["kept"] == report["read"] == 40 and report["bad"] == {}
    assert json.loads((out / "report.json").read_text()) == report
    assert "40 of 40 samples kept" in capsys.readouterr().out


def test_each_picture_keeps_its_own_caption(shards, tmp_path):
    ingest(tmp_path / "out", Settings("webdataset", str(shards)))
    for caption, (_, image) in pictures(tmp_path / "out").items():
        expected = picture.square(picture.decode(png(int(caption.split()[1]))), 16)
        assert np.array_equal(image, expected)


def test_same_shards_same_bytes_even_over_an_earlier_run(shards, tmp_path):
    ingest(tmp_path / "one", Settings("webdataset", str(shards)))
    ingest(tmp_path / "two", Settings("webdataset", str(shards), image_sizes=(32,), test_share=0.3))
    ingest(tmp_path / "two", Settings("webdataset", str(shards)))
    assert check_manifest(tmp_path / "one") == check_manifest(tmp_path / "two")


def test_splits_do_not_depend_on_order_and_identical_pictures_stay_together(tmp_path):
    twins = [sample(index) for index in range(30)] + [sample(100 + i, png=png(i)) for i in range(30)]
    write_shard(tmp_path / "in" / "a.tar", twins)
    write_shard(tmp_path / "backwards" / "a.tar", twins[::-1])
    report = ingest(tmp_path / "out", Settings("webdataset", str(tmp_path / "in")))
    ingest(tmp_path / "out2", Settings("webdataset", str(tmp_path / "backwards")))
    first, second = pictures(tmp_path / "out"), pictures(tmp_path / "out2")
    assert {caption: split for caption, (split, _) in first.items()} == {c: split for c, (split, _) in second.items()}
    assert all(first[f"picture {index}"][0] == first[f"picture {100 + index}"][0] for index in range(30))
    assert report["identical_pictures"] == 30


def test_shares_are_kept():
    rng = np.random.default_rng(0)
    names = [split_of(rng.bytes(32), 0.1, 0.3) for _ in range(4000)]
    assert names.count("val") / 4000 == pytest.approx(0.1, abs=0.02)
    assert names.count("test") / 4000 == pytest.approx(0.3, abs=0.03)


def test_bad_samples_are_skipped_counted_and_named(shards, tmp_path, capsys):
    broken = [sample(50, png=png(50)[:300]), sample(51, txt=None, json=None), sample(52, json=b"{"), sample(53)]
    write_shard(shards / "c.tar", broken)
    report = ingest(tmp_path / "out", Settings("webdataset", str(shards)))
    found = pictures(tmp_path / "out")
    assert report["bad"] == {"missing caption": 1, "unreadable caption": 1, "unreadable picture": 1}
    assert report["bad_names"]["unreadable picture"] == ["c.tar/0000"]
    assert report["read"] == 44 and report["kept"] == 41 == len(found)
    assert report["bad_share"] == pytest.approx(3 / 44)
    assert {"picture 0", "picture 19", "picture 20", "picture 53"} <= set(found)
    assert "skipped 3: 1 missing caption (c.tar/0001); 1 unreadable caption (" in capsys.readouterr().out


def test_a_shard_that_changes_while_it_is_read_is_said(shards, tmp_path, monkeypatch):
    source = WebDatasetSource(shards)
    write_shard(shards / "b.tar", [sample(index) for index in range(20, 39)])
    monkeypatch.setitem(SOURCES, "webdataset", lambda path: source)
    with pytest.raises(EaselError, match=r"changed while it was read: of 40 pictures found, 39 were kept .*: b\.tar"):
        ingest(tmp_path / "out", Settings("webdataset", str(shards)))


@given(parts=st.dictionaries(st.sampled_from("abc"), st.integers(0, 4)), read=st.lists(st.sampled_from("abc")))
def test_books_balance_part_by_part_and_in_all(parts, read):
    count = Count("webdataset", "in", parts, max_bad_share=float("inf"))
    for index, part in enumerate(read):
        one = Sample(f"{part}/{index}", part=part)
        count.good(one, bytes([index])) if index % 2 else count.skip(one, "unreadable picture")
    if Counter(read) == Counter(parts):
        count.balance()
    else:
        with pytest.raises(EaselError, match="changed while it was read"):
            count.balance()


def test_what_changed_the_data_is_said(tmp_path, capsys):
    marked = [sample(100 + index, txt=b"\xef\xbb\xbfa \x00cat\x1b[31m") for index in range(3)]
    twins = [sample(200, png=png(0)), sample(201, png=png(1))]
    write_shard(tmp_path / "in" / "a.tar", [sample(index) for index in range(30)] + marked + twins)
    report = ingest(tmp_path / "out", Settings("webdataset", str(tmp_path / "in")))
    said = capsys.readouterr().out
    assert "note: 3 captions held byte-order marks" in said and "note: 2 pictures are copies of others" in said
    assert report["captions_with_marks"] == 3 and report["identical_pictures"] == 2


def test_too_many_bad_samples(shards, tmp_path):
    write_shard(shards / "c.tar", [sample(index, txt=None, json=None) for index in range(20)])
    with pytest.raises(EaselError, match=r"Too many bad samples.* 7 missing caption \(c\.tar/0000.*…\).*max_bad_share"):
        ingest(tmp_path / "out", Settings("webdataset", str(shards), max_bad_share=0.1))
    with pytest.raises(EaselError, match="not written to the end"):
        read_meta(tmp_path / "out")


def test_nothing_is_touched_when_the_source_is_missing(shards, tmp_path):
    ingest(tmp_path / "out", Settings("webdataset", str(shards)))
    for source in ("webdataset", "coco"):
        with pytest.raises(EaselError, match=r"Set data\.path"):
            ingest(tmp_path / "out", Settings(source, str(tmp_path / "nowhere")))
    check_manifest(tmp_path / "out")


def test_too_few_pictures_for_the_splits(tmp_path):
    write_shard(tmp_path / "in" / "a.tar", [sample(0)])
    with pytest.raises(EaselError, match=r"No picture for .*1 good samples are too few for data\.val_share"):
        ingest(tmp_path / "out", Settings("webdataset", str(tmp_path / "in")))


def test_unknown_source(tmp_path):
    with pytest.raises(EaselError, match=r"Unknown data\.source 'laion'; known: webdataset, coco"):
        ingest(tmp_path / "out", Settings("laion", str(tmp_path)))


def test_a_coco_folder_becomes_a_data_folder(tmp_path):
    write_coco(tmp_path / "in", 40, missing=(3,), silent=(4, 5))
    report = ingest(tmp_path / "out", Settings("coco", str(tmp_path / "in")))
    assert report["bad"] == {"missing caption": 2, "missing picture": 1} and report["kept"] == 37
    assert read_meta(tmp_path / "out")["languages"] == ["en"]
    found = pictures(tmp_path / "out")
    assert np.array_equal(found["picture 7"][1], picture.square(picture.decode(png(7)), 16))
    assert all(len(entry["en"]) == 2 for entry in Split.open(tmp_path / "out", "train").captions)


def test_languages_are_those_of_half_the_samples():
    entries = [{"en": ["a"], "zh": ["甲"]}, {"en": ["b"]}, {"zh": ["乙"]}, {"en": ["c"], "fr": ["c"]}]
    assert common_languages(entries) == ["en", "zh"]
    assert common_languages([{"fr": ["a"]}, {"de": ["b"]}, {"en": ["c"]}]) == ["de"]


def test_a_missing_language_borrows_a_caption():
    assert in_all_languages({"zh": ["甲"]}, ["en", "zh"]) == {"en": ["甲"], "zh": ["甲"]}
    assert in_all_languages({"fr": ["x", "y"]}, ["en", "zh"]) == {"en": ["x", "y"], "zh": ["x", "y"]}
    assert in_all_languages({"en": ["a"], "fr": ["x"]}, ["en"]) == {"en": ["a"]}


def test_borrowed_captions_are_reported(tmp_path):
    samples = [sample(index, json=None if index % 3 == 0 else sample(index)["json"]) for index in range(30)]
    write_shard(tmp_path / "in" / "a.tar", samples)
    report = ingest(tmp_path / "out", Settings("webdataset", str(tmp_path / "in")))
    assert report["languages"] == ["en", "zh"] and report["captions_borrowed"] == {"en": 0, "zh": 10}

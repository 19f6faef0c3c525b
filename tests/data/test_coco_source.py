import json
import os
from pathlib import Path

import pytest

from lib.data.coco_source import CocoSource
from lib.errors import EaselError
from tests.data.real_data import png, write_coco


def test_pictures_are_found_in_subfolders_with_all_their_captions(tmp_path):
    write_coco(tmp_path, 3)
    source = CocoSource(tmp_path)
    samples = list(source)
    assert source.found == {"annotations/captions_train.json": 3} and len(samples) == 3
    assert samples[1].captions == {"en": ["picture 1", "noise 1"]}
    assert samples[1].picture == png(1) and samples[1].name == "000000000001.png"


def test_missing_pictures_and_captions_are_told_apart(tmp_path):
    write_coco(tmp_path, 4, missing=(1,), silent=(2,))
    assert [sample.problem for sample in CocoSource(tmp_path)] == [None, "missing picture", "missing caption", None]


def test_other_languages_and_several_files(tmp_path):
    (tmp_path / "0.png").write_bytes(png(0))
    for number, caption in ((1, {"caption": "one"}), (2, {"caption_zh": "二"})):
        content = {"images": [{"id": 0, "file_name": "0.png"}], "annotations": [{"image_id": 0, **caption}]}
        (tmp_path / f"captions_{number}.json").write_text(json.dumps(content))
    assert [sample.captions for sample in CocoSource(tmp_path)] == [{"en": ["one"]}, {"zh": ["二"]}]


def test_a_name_that_fits_two_files_is_no_guess(tmp_path):
    write_coco(tmp_path, 2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "000000000000.png").write_bytes(png(9))
    assert [sample.problem for sample in CocoSource(tmp_path)] == ["name that several files have", None]


# How the name of "train/é0.png" may be written in a captions file, and how on the disk.
NAMES = [
    *("é0.png", "./train/é0.png", r"train\é0.png", "train//é0.png", "TRAIN/É0.PNG", "e\u03010.png"),
    *("/home/x/sets/train/é0.png", r"C:\sets\train\é0.png", "http://images.org/train/é0.png"),
]


@pytest.mark.parametrize("written", NAMES)
@pytest.mark.parametrize("on_disk", ["é0.png", "e\u03010.png"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_picture_is_found_however_its_name_is_written(tmp_path, written, on_disk, encoding):
    content = {"images": [{"id": 1, "file_name": written}], "annotations": [{"image_id": "1", "caption": "a cat"}]}
    (folder := tmp_path / "in").mkdir()
    (folder / "captions.json").write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    (disk := tmp_path / "disk").mkdir()
    (disk / on_disk).write_bytes(png(0))
    (folder / "train").symlink_to(disk, target_is_directory=True)
    (found,) = CocoSource(folder)
    assert found.problem is None and found.picture == png(0) and found.captions == {"en": ["a cat"]}


@pytest.mark.parametrize("written", ["other/0.png", "in/train/0.png", "1.png", ""])
def test_a_name_is_not_stretched(tmp_path, written):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "0.png").write_bytes(png(0))
    images = [{"id": 0, "file_name": "0.png"}, {"id": 1, "file_name": written}]
    annotations = [{"image_id": number, "caption": "a"} for number in range(2)]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    assert [sample.problem for sample in CocoSource(tmp_path)] == [None, "missing picture"]


def test_pictures_listed_twice_are_said(tmp_path):
    write_coco(tmp_path, 3)
    listed = tmp_path / "annotations" / "captions_train.json"
    listed.with_name("captions_backup.json").write_bytes(listed.read_bytes())
    source = CocoSource(tmp_path)
    assert source.notes == ("3 pictures are listed more than once and stand in the data as often",)
    assert source.found == {"annotations/captions_backup.json": 3, "annotations/captions_train.json": 3}


def test_a_picture_that_cannot_be_read_is_one_skipped_sample(tmp_path, monkeypatch):
    write_coco(tmp_path, 2)
    source, read = CocoSource(tmp_path), Path.read_bytes

    def refuse(path):
        if path.name == "000000000000.png":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert [sample.problem for sample in source] == ["unreadable picture", None]


def test_a_pipe_is_no_picture(tmp_path):
    write_coco(tmp_path, 2, missing=(0,))
    os.mkfifo(tmp_path / "train" / "000000000000.png")
    assert [sample.problem for sample in CocoSource(tmp_path)] == ["missing picture", None]


def test_nothing_there(tmp_path):
    with pytest.raises(EaselError, match=r"there is no folder .*nowhere"):
        CocoSource(tmp_path / "nowhere")
    with pytest.raises(EaselError, match=r"No captions\*\.json in"):
        CocoSource(tmp_path)
    write_coco(tmp_path, 2, missing=(0, 1))
    with pytest.raises(EaselError, match=r"None of the 2 pictures .*the first: 000000000000\.png"):
        CocoSource(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a COCO captions file"),
        ("[]", "is not a COCO captions file"),
        ("[" * 100_000, "nested too deep"),
        ('{"images": []}', "annotations"),
        ('{"images": [{"id": 1}], "annotations": []}', "file_name"),
        ('{"images": [], "annotations": []}', "lists no image"),
    ],
)
def test_files_of_another_form(tmp_path, content, message):
    (tmp_path / "captions.json").write_text(content)
    with pytest.raises(EaselError, match=message):
        CocoSource(tmp_path)

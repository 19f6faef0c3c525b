import json

import pytest

from lib.data.coco_source import CocoSource
from lib.errors import EaselError
from tests.data.real_data import png, write_coco


def test_pictures_are_found_in_subfolders_with_all_their_captions(tmp_path):
    write_coco(tmp_path, 3)
    source = CocoSource(tmp_path)
    samples = list(source)
    assert source.total == len(samples) == 3
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
    assert [sample.problem for sample in CocoSource(tmp_path)] == ["missing picture", None]


def test_nothing_there(tmp_path):
    with pytest.raises(EaselError, match="No COCO-captions folder at"):
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
        ('{"images": []}', "annotations"),
        ('{"images": [{"id": 1}], "annotations": []}', "file_name"),
        ('{"images": [], "annotations": []}', "lists no image"),
    ],
)
def test_files_of_another_form(tmp_path, content, message):
    (tmp_path / "captions.json").write_text(content)
    with pytest.raises(EaselError, match=message):
        CocoSource(tmp_path)

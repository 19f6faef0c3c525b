import io

import numpy as np
import pytest

from lib.data import store
from lib.errors import EaselError

RNG = np.random.default_rng(0)
SMALL = RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
LARGE = RNG.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
CAPTIONS = [{"en": [f"picture {i}"], "zh": [f"图{i}\u2028", "又"]} for i in range(5)]
SCENES = [{"objects": [], "hash": str(i)} for i in range(5)]


@pytest.fixture
def folder(tmp_path):
    store.write_split(tmp_path, "train", {8: SMALL, 16: LARGE}, CAPTIONS, SCENES)
    store.write_split(tmp_path, "val", {8: SMALL[:2]}, CAPTIONS[:2])
    store.write_prompts(tmp_path, [{"id": "a-1", "category": "counting", "en": "two", "zh": "二", "require": None}])
    store.write_meta(tmp_path, "scenes", ["en", "zh"], has_truth=True)
    return tmp_path


def test_what_was_written_is_read(folder):
    split = store.Split.open(folder, "train")
    assert len(split) == 5 and split.captions == CAPTIONS and split.scenes == SCENES
    assert isinstance(split.images(8), np.memmap)
    assert np.array_equal(split.images(8), SMALL) and np.array_equal(split.images(16), LARGE)
    assert store.Split.open(folder, "val").scenes is None
    assert store.read_prompts(folder)[0]["zh"] == "二"
    assert store.read_meta(folder) == {
        "source": "scenes",
        "languages": ["en", "zh"],
        "image_sizes": [8, 16],
        "splits": {"train": 5, "val": 2},
        "has_truth": True,
    }


def test_json_bytes_are_fixed(folder):
    assert (
        (folder / "val" / store.CAPTIONS)
        .read_bytes()
        .startswith('{"en": ["picture 0"], "zh": ["图0\u2028", "又"]}\n'.encode())
    )
    assert (folder / store.META).read_bytes().startswith(b'{\n  "has_truth": true,\n  "image_sizes"')
    assert (folder / store.META).read_bytes().endswith(b"}\n")


def test_to_float_moves_channels_and_scales():
    floats = store.to_float(SMALL)
    assert floats.shape == (5, 3, 8, 8) and floats.dtype == np.float32
    assert floats[1, 2, 3, 4] == pytest.approx(SMALL[1, 3, 4, 2] / 255)
    assert store.to_float(np.full((1, 2, 2, 3), 255, np.uint8)).max() == 1.0
    with pytest.raises(EaselError, match="expected uint8"):
        store.to_float(SMALL.astype(np.float32))


def test_picture_writer_gives_the_bytes_of_np_save(tmp_path):
    writer = store.PictureWriter(tmp_path / "images_8.npy", 8)
    for image in SMALL:
        writer.append(image)
    writer.close()
    expected = io.BytesIO()
    np.save(expected, SMALL)
    assert (tmp_path / "images_8.npy").read_bytes() == expected.getvalue()


def test_clear_removes_the_data_set_and_nothing_else(folder):
    (folder / ".gitignore").write_text("/train")
    (folder / "notes").mkdir()
    (folder / "report.json").write_text("{}")
    (folder / "val").mkdir(exist_ok=True)
    (folder / "val" / "captions.jsonl").write_text("")
    (folder / "val" / "mine.txt").write_text("")
    store.clear(folder)
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert left == [".gitignore", "notes", "val", "val/mine.txt"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "train" / "images_8.npy").unlink(), r"No 8×8 pictures .*sizes there: 16"),
        (lambda f: (f / "train" / "images_8.npy").write_bytes(b"x"), "cannot be read"),
        (lambda f: np.save(f / "train" / "images_8.npy", SMALL[:4]), "4 pictures .*but 5 lines"),
        (lambda f: np.save(f / "train" / "images_8.npy", LARGE), r"expected uint8 pictures \[N, 8, 8, 3\]"),
        (lambda f: np.save(f / "train" / "images_16.npy", LARGE.repeat(2, 0)), "6 pictures, more than the split's 5"),
        (lambda f: (f / "train" / "captions.jsonl").unlink(), r"No captions\.jsonl"),
        (lambda f: (f / "train" / "captions.jsonl").write_text("{}\n{"), "line 2, is not JSON"),
        (lambda f: (f / "train" / "scenes.jsonl").write_text("{}\n"), "1 lines, the split 5 pictures"),
    ],
)
def test_a_broken_split_is_named_with_its_remedy(folder, break_it, message):
    if "sizes there" in message:  # the larger size alone must cover the whole split
        np.save(folder / "train" / "images_16.npy", np.concatenate([LARGE, LARGE[:2]]))
    break_it(folder)
    with pytest.raises(EaselError, match=message) as error:
        split = store.Split.open(folder, "train")
        split.images(8)
        assert split.scenes
    assert "dvc repro make_data" in str(error.value)


def test_missing_folder_split_and_meta(folder, tmp_path):
    with pytest.raises(EaselError, match="No data folder at"):
        store.Split.open(tmp_path / "nowhere", "train")
    with pytest.raises(EaselError, match=r"No split 'test' .*splits there: train, val"):
        store.Split.open(folder, "test")
    with pytest.raises(EaselError, match="No data folder at"):
        store.read_meta(tmp_path / "nowhere")
    (folder / store.META).unlink()
    with pytest.raises(EaselError, match="not written to the end"):
        store.read_meta(folder)


@pytest.mark.parametrize(
    ("images", "captions", "scenes", "message"),
    [
        ({}, CAPTIONS, None, "no pictures"),
        ({8: SMALL[:0]}, [], None, "no captions"),
        ({8: SMALL}, CAPTIONS[:4], None, "5 pictures of size 8 but 4 captions"),
        ({8: SMALL[:4]}, CAPTIONS, None, "4 pictures but 5 captions"),
        ({8: SMALL.astype(np.int16)}, CAPTIONS, None, "expected uint8"),
        ({8: SMALL}, CAPTIONS, SCENES[:2], "2 scenes but 5 captions"),
        ({8: SMALL}, [*CAPTIONS[:4], {"en": ["x"], "zh": []}], None, "picture 4: a language without a caption"),
    ],
)
def test_nothing_inconsistent_is_written(tmp_path, images, captions, scenes, message):
    with pytest.raises(EaselError, match=message):
        store.write_split(tmp_path, "train", images, captions, scenes)


def test_prompt_ids_are_unique(tmp_path):
    with pytest.raises(EaselError, match="Two prompts have the id 'a'"):
        store.write_prompts(tmp_path, [{"id": "a"}, {"id": "a"}])


def test_meta_of_an_empty_folder(tmp_path):
    with pytest.raises(EaselError, match="No split in"):
        store.write_meta(tmp_path, "scenes", ["en"], has_truth=False)

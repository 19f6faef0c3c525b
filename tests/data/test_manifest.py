import hashlib

import pytest

from lib.data import manifest
from lib.errors import EaselError


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    (data / "train").mkdir(parents=True)
    (data / "meta.json").write_text("{}\n")
    for index in range(7):
        (data / "train" / f"{index}.npy").write_bytes(bytes([index]))
    manifest.write_manifest(data)
    return data


def test_lines_are_hash_two_spaces_path_sorted(folder):
    lines = (folder / manifest.MANIFEST).read_text().splitlines()
    assert lines[0] == f"{hashlib.sha256(b'{}' + bytes([10])).hexdigest()}  meta.json"
    assert [line.split("  ")[1] for line in lines[1:]] == [f"train/{index}.npy" for index in range(7)]
    assert manifest.check_manifest(folder) == manifest.read_manifest(folder)


def test_writing_again_changes_nothing(folder):
    before = (folder / manifest.MANIFEST).read_bytes()
    manifest.write_manifest(folder)
    assert (folder / manifest.MANIFEST).read_bytes() == before


def test_edited_missing_and_new_files_are_named(folder):
    (folder / "train" / "3.npy").write_bytes(b"other")
    (folder / "train" / "4.npy").unlink()
    (folder / "train" / "extra").write_bytes(b"")
    with pytest.raises(EaselError, match=r"train/3\.npy \(edited\), train/4\.npy \(missing\), train/extra \(new\)\."):
        manifest.check_manifest(folder)


def test_at_most_five_files_are_named(folder):
    for index in range(7):
        (folder / "train" / f"{index}.npy").write_bytes(b"other")
    with pytest.raises(EaselError, match=r"train/4\.npy \(edited\) and 2 more\. .*dvc repro make_data"):
        manifest.check_manifest(folder)


def identity(folder, params="p", code="c"):
    return {"params": params, "code": code, "files": manifest.folder_hashes(folder)}


@pytest.mark.parametrize(
    ("params", "code", "says", "not_says"),
    [
        ("p2", "c", "its parameters .* changed", "the generator's code"),
        ("p", "c2", "the generator's code changed", "its parameters"),
        ("p2", "c2", "its parameters .* and the generator's code changed", "platform"),
        ("p", "c", "Neither .* edited, or this platform", "pin the new data"),
    ],
)
def test_compare_says_what_moved(folder, params, code, says, not_says):
    pinned = identity(folder)
    (folder / "train" / "0.npy").write_bytes(b"other")
    with pytest.raises(EaselError, match=says) as error:
        manifest.compare(pinned, identity(folder, params, code))
    assert "train/0.npy (edited)" in str(error.value) and not_says not in str(error.value)


def test_code_that_changes_no_byte_is_no_drift(folder):
    manifest.compare(identity(folder), identity(folder, "p2", "c2"))


def test_missing_and_malformed_manifests(folder, tmp_path):
    with pytest.raises(EaselError, match="No pinned manifest at"):
        manifest.read_pinned(tmp_path / "none.json")
    (tmp_path / "pinned.json").write_text("{}")
    with pytest.raises(EaselError, match="must hold params, code and files"):
        manifest.read_pinned(tmp_path / "pinned.json")
    (folder / manifest.MANIFEST).write_text("not a manifest\n")
    with pytest.raises(EaselError, match="line 1, is not"):
        manifest.check_manifest(folder)
    (folder / manifest.MANIFEST).unlink()
    with pytest.raises(EaselError, match="not written to the end"):
        manifest.check_manifest(folder)
    with pytest.raises(EaselError, match="No data folder"):
        manifest.check_manifest(tmp_path / "nowhere")

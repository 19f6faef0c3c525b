"""Bundles: packed from, and put to use in, a real DVC pipeline in an empty folder."""

import gzip
import hashlib
import http.server
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import threading
import zlib
from contextlib import chdir, suppress
from functools import partial
from pathlib import Path

import pytest
from dvc.cli import main as dvc_main
from dvc.repo import Repo

from lib import bundle, bundle_file, profile, repro
from lib.errors import EaselError
from tests.house import write_pipeline

REPOSITORY = Path(__file__).parent.parent
PROGRAM = """import pathlib, sys
name, out, *inputs = sys.argv[1:]
open("work.log", "a").write(name + "\\n")
text = name + "".join(
    file.read_text() for put in inputs for file in sorted([pathlib.Path(put), *pathlib.Path(put).rglob("*")])
    if file.is_file()
)
out = pathlib.Path(out)
if not out.suffix:
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "log.txt").write_text(text)
    out = out / "net.txt"
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(text * 2)
"""
IMPORT = "deps:\n- path: build/data\nouts:\n- path: data\n"
EXPENSIVE = {"train", "toy/tune@one", "toy/tune@two"}


def stage(name, out, *inputs, cache=True, **more):
    outs = [out] if cache else [{out: {"cache": False}}]
    return {
        "cmd": f"{sys.executable} work.py {name} {out} {' '.join(inputs)}",
        "deps": list(inputs),
        "outs": outs,
        **more,
    }


STUDY = stage(
    "tune_${item.item}", "build/tuned/${item.item}.txt", "build/net", matrix={"item": "${names}"}, wdir="../.."
)
PIPELINE = {
    "make_data": stage("make_data", "build/data", "seed.txt"),
    "train": stage("train", "build/net", "data", params=["steps"]),
    "collect": stage("collect", "results/all.json", "build/net", "build/tuned/one.txt", cache=False),
}
STALE = """  gone:
    cmd: nothing
    outs:
    - path: build/gone
      hash: md5
      md5: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      size: 1
"""


DVC_SETTINGS = """[core]
    no_scm = true
    analytics = false
    check_update = false
    site_cache_dir = .dvc_site_cache
[cache]
    type = "reflink,hardlink,copy"
"""


def dvc(*arguments):
    """The exit status of a DVC command, without the seconds in which a process of its own would start."""
    return dvc_main(list(arguments))


def is_clean():
    with Repo() as run:
        return run.status() == {}


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A pipeline that has run once, as the author has it: with DVC's cache. Its bundle lies beside it."""
    folder = tmp_path_factory.mktemp("author") / "a run"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    try:
        write_pipeline("toy", tune=STUDY)
        Path("studies/toy/params.yaml").write_text("names: [one, two]\n")
        Path("studies/toy/dvc.yaml").write_text(json.dumps({"vars": ["params.yaml"], "stages": {"tune": STUDY}}))
        Path("dvc.yaml").write_text(json.dumps({"stages": PIPELINE}))
        Path("params.yaml").write_text("steps: 3\nprofile: laptop\n")
        Path("seed.txt").write_text("0")
        Path("work.py").write_text(PROGRAM)
        Path("data.dvc").write_text(IMPORT)
        Path(".dvc").mkdir()
        Path(".dvc/config").write_text(DVC_SETTINGS)
        assert dvc("repro", "--quiet", "--all-pipelines") == 0
        with open("dvc.lock", "a") as lock:  # as DVC leaves a stage that was renamed
            lock.write(STALE)
        bundle.pack(Path("."), "laptop", folder.parent / "bundle")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def author(committed, monkeypatch):
    monkeypatch.chdir(committed)
    return committed


@pytest.fixture
def packed(author, tmp_path):
    file = tmp_path / "my bundles" / "it's $(one).tar.gz"
    file.parent.mkdir()
    shutil.copy(author.parent / "bundle", file)
    return file


@pytest.fixture
def clone(author, packed, tmp_path, monkeypatch):
    """What Git would have of it, somewhere else: code, locks and results, neither cache nor build/."""
    folder = tmp_path / "clone"
    left_out = shutil.ignore_patterns("build", "data", "cache", "tmp", "work.log", ".dvc_site_cache")
    shutil.copytree(author, folder, ignore=left_out)
    monkeypatch.chdir(folder)
    return folder


def start(monkeypatch, source):
    """`make repro FROM=source` with real DVC, without the summary. Returns the stages that ran."""
    monkeypatch.setattr(repro, "call", lambda arguments, folder, variables, lock: dvc(*arguments[2:]))
    monkeypatch.setattr(profile, "resolve", lambda name, settings: (Path("."), {}))
    monkeypatch.setenv("EASEL_FROM", str(source))
    monkeypatch.setenv("EASEL_PROFILE", "laptop")
    for name in ("EASEL_SET", "EASEL_STUDY", "EASEL_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    umask = os.umask(0)
    try:
        status = repro.main(["--all-pipelines"])
    finally:
        os.umask(umask)
    assert status == 0
    return Path("work.log").read_text().split()


def tree(folder):
    """Every output of a pipeline."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for top in ("build", "data", "results")
        for file in sorted((folder / top).rglob("*"))
        if file.is_file()
    }


def test_a_run_from_a_bundle_draws_data_and_nothing_else_and_ends_the_same(author, packed, clone, monkeypatch, capfd):
    locks = [Path(name).read_bytes() for name in ("dvc.lock", "studies/toy/dvc.lock")]
    assert start(monkeypatch, packed) == ["make_data"]
    assert "the bundle covers 3 of 3 stages" in capfd.readouterr().out
    assert tree(clone) == tree(author)
    assert is_clean()
    assert [Path(name).read_bytes() for name in ("dvc.lock", "studies/toy/dvc.lock")] == locks
    assert not Path("build/net/net.txt").stat().st_mode & 0o222 and not list(Path(".dvc/tmp").glob("tmp*"))


def test_what_is_quickly_made_is_made_anew(packed, clone, monkeypatch):
    shutil.rmtree("results")
    assert start(monkeypatch, packed) == ["make_data", "collect"]


@pytest.mark.parametrize("change", ["a parameter", "its command", "its input"])
def test_a_stage_that_changed_runs_in_spite_of_the_bundle(packed, clone, monkeypatch, change):
    if change == "a parameter":
        Path("params.yaml").write_text("steps: 4\nprofile: laptop\n")
    elif change == "its input":
        Path("seed.txt").write_text("1")
    else:
        text = Path("dvc.yaml").read_text()
        Path("dvc.yaml").write_text(text.replace("work.py train ", "work.py train_longer "))
    ran = start(monkeypatch, packed)
    if change == "a parameter":  # it trains to the same network, and what follows still fits
        assert ran == ["make_data", "train"]
    else:
        assert set(ran) == {
            "make_data",
            "train_longer" if change == "its command" else "train",
            "tune_one",
            "tune_two",
            "collect",
        }
    assert is_clean()


def test_a_lock_file_without_a_stage_gets_its_entry(author, packed, clone, monkeypatch):
    """A profile that ran on another machine: Git has no locks of it."""
    Path("dvc.lock").unlink()
    Path("studies/toy/dvc.lock").unlink()
    assert start(monkeypatch, packed) == ["make_data", "collect"]
    assert tree(clone) == tree(author) and "gone" not in Path("dvc.lock").read_text()


def test_a_bundle_of_which_one_stage_fits_is_used_for_that_one(author, packed, clone, monkeypatch, capfd):
    lock = Path("studies/toy/dvc.lock")
    text, name = lock.read_text(), hashlib.md5(Path(author, "build/tuned/two.txt").read_bytes()).hexdigest()
    assert name in text
    lock.write_text(text.replace(name, "a" * 32))
    assert "tune_one" not in start(monkeypatch, packed)
    assert "covers 2 of 3 stages" in capfd.readouterr().out


def test_a_bundle_of_another_pipeline_is_refused(packed, clone):
    for lock in (Path("dvc.lock"), Path("studies/toy/dvc.lock")):
        lines = [
            f"      md5: {'a' * 32}" if line.startswith("      md5") else line for line in lock.read_text().split("\n")
        ]
        lock.write_text("\n".join(lines))
    with pytest.raises(EaselError, match="nothing for this pipeline"):
        bundle.start_from(str(packed), Path("."))
    assert not Path(".dvc/cache").exists()


def test_equal_content_gives_equal_bytes_and_only_what_is_expensive(author, packed, tmp_path):
    os.utime("build/net/net.txt")
    bundle.pack(Path("."), "laptop", tmp_path / "again.tar.gz")
    assert (tmp_path / "again.tar.gz").read_bytes() == packed.read_bytes()
    with tarfile.open(packed) as tar:
        about = json.load(tar.extractfile(bundle_file.ABOUT))
        held = [entry.name for entry in tar if entry.name.startswith("files/")]
    assert set(about["stages"]) == EXPENSIVE
    # A folder's list and its two files; the two that were tuned.
    assert len(held) == 5 and held == sorted(held)


@pytest.mark.parametrize(
    ("chosen", "held"),
    [(["train"], {"train"}), (["toy/tune"], {"toy/tune@one", "toy/tune@two"}), (["toy/tune@two"], {"toy/tune@two"})],
)
def test_only_what_some_stages_leave_is_packed_and_placed(author, clone, tmp_path, chosen, held):
    file = tmp_path / "few.tar.gz"
    with chdir(author):
        bundle.pack(Path("."), "laptop", file, chosen)
    with tarfile.open(file) as tar:
        assert set(json.load(tar.extractfile(bundle_file.ABOUT))["stages"]) == set(held)
    outs = {"train": "build/net", "toy/tune@one": "build/tuned/one.txt", "toy/tune@two": "build/tuned/two.txt"}
    assert bundle.place(file, clone) == sorted(outs[name] for name in held)
    expected = tree(author)
    assert tree(clone) == {
        path: content
        for path, content in expected.items()
        if path.startswith("results") or any(path.startswith(outs[name]) for name in held)
    }


def test_what_is_at_a_place_already_stays(author, packed, clone, monkeypatch):
    Path("build/tuned").mkdir(parents=True)
    Path("build/tuned/one.txt").write_text("mine")
    assert bundle.place(packed, clone) == ["build/net", "build/tuned/two.txt"]
    assert Path("build/tuned/one.txt").read_text() == "mine"
    assert bundle.place(packed, clone) == []


def test_a_stage_that_leaves_nothing_to_pack_is_named(author, tmp_path):
    with pytest.raises(EaselError, match="nothing of stage trian; it can have toy/tune@one, toy/tune@two, train"):
        bundle.pack(Path("."), "laptop", tmp_path / "x", ["trian"])
    assert not (tmp_path / "x").exists()


def test_dvc_pulls_from_what_is_unpacked(author, packed, clone, tmp_path, capsys):
    remote = tmp_path / "a remote"
    assert bundle.main(["--unpack", str(packed), str(remote)]) == 0
    listed = subprocess.run(["sha256sum", "--check", "--quiet", bundle_file.MANIFEST], cwd=remote)
    assert listed.returncode == 0
    assert dvc("remote", "add", "--local", "--default", "bundle", str(remote)) == 0
    assert dvc("pull") == 1 and Path("build/net/net.txt").is_file()  # it misses the data
    shutil.rmtree("build")
    assert dvc("pull", "--allow-missing") == 0
    assert Path("build/net/deep/log.txt").is_file() and not Path("data").exists()
    assert dvc("repro", "--all-pipelines") == 0
    assert Path("work.log").read_text() == "make_data\n" and tree(clone) == tree(author)
    assert bundle.main(["--unpack", str(packed), str(remote)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_flipped_bit_anywhere_is_seen_and_nothing_is_used(packed, clone):
    content, chance = packed.read_bytes(), random.Random(0)
    for place in [0, len(content) - 1, len(content) - 8, *(chance.randrange(10, len(content)) for _ in range(150))]:
        broken = bytearray(content)
        broken[place] ^= 1 << chance.randrange(8)
        with suppress(OSError, EOFError, zlib.error):
            if gzip.decompress(broken) == gzip.decompress(content):
                continue  # zeros copied from other zeros, bits that only fill a byte: nothing is damaged
        packed.write_bytes(broken)
        with pytest.raises(EaselError, match=r"damaged|no bundle") as caught:
            bundle.start_from(str(packed), Path("."))
        assert "\n" not in str(caught.value) and str(packed) in str(caught.value)
    for end in (0, 5, 20, len(content) // 2, len(content) - 1):
        packed.write_bytes(content[:end])
        with pytest.raises(EaselError, match=r"damaged|no bundle"):
            bundle.start_from(str(packed), Path("."))
    assert not Path(".dvc/cache").exists()


def rewritten(file, change):
    """Packs the members of a bundle anew, after `change` of the dict of them."""
    with tarfile.open(file) as tar:
        members = {entry.name: tar.extractfile(entry).read() for entry in tar}
    members = change(members)
    with bundle_file.written(file) as target, bundle_file.compressed(target) as tar:
        for entry, text in members.items():
            info = entry if isinstance(entry, tarfile.TarInfo) else bundle_file.member(entry, len(text))
            tar.addfile(info, io.BytesIO(text))


def signed(members):
    """With a manifest that fits."""
    lines = (
        f"{hashlib.sha256(text).hexdigest()}  {path}\n"
        for path, text in members.items()
        if path != bundle_file.MANIFEST
    )
    others = {path: text for path, text in members.items() if path != bundle_file.MANIFEST}
    return {bundle_file.MANIFEST: "".join(lines).encode(), **others}


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/tmp/evil",
        "files/md5/../../evil",
        "files/md5/00/../x",
        "locks/../dvc.lock",
        "locks/lib/dvc.lock",
        "x",
    ],
)
def test_a_member_outside_is_refused(packed, clone, name):
    rewritten(packed, lambda members: signed({**members, name: b"x"}))
    with pytest.raises(EaselError, match="which no bundle does"):
        bundle.start_from(str(packed), Path("."))
    with pytest.raises(EaselError, match="which no bundle does"):
        bundle.unpack(packed, Path("remote"))
    assert not Path(".dvc/cache").exists() and not list(Path(".").rglob("*remote*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_and_folders_are_refused(packed, clone, kind):
    link = tarfile.TarInfo("files/md5/00/" + "0" * 30)
    link.type, link.linkname = kind, "/etc/passwd"
    rewritten(packed, lambda members: {**members, link: b""})
    with pytest.raises(EaselError, match="which no bundle does"):
        bundle.start_from(str(packed), Path("."))


def test_content_that_is_not_what_its_name_says_is_refused_whatever_the_manifest_says(packed, clone):
    def forge(members):
        name = next(path for path in members if path.startswith("files/") and not path.endswith(".dir"))
        return signed({**members, name: b"another network"})

    rewritten(packed, forge)
    with pytest.raises(EaselError, match="checksum of files/md5"):
        bundle.start_from(str(packed), Path("."))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (bundle_file.ABOUT, b'{"format": "easel bundle 2"}'),
        (bundle_file.ABOUT, b"[" * 100_000),
        (bundle_file.ABOUT, b"3"),
        ("locks/dvc.lock", b"\xff"),
        ("locks/dvc.lock", b"- a\n"),
    ],
)
def test_other_content_is_a_sentence(packed, clone, path, text):
    Path("dvc.lock").unlink()
    rewritten(packed, lambda members: signed({**members, path: text}))
    with pytest.raises(EaselError) as caught:
        bundle.start_from(str(packed), Path("."))
    assert "\n" not in str(caught.value)


def test_a_missing_member_is_named(packed, clone):
    gone = []

    def drop(members):
        gone.append(list(members)[-1])
        return {path: text for path, text in members.items() if path != gone[0]}

    rewritten(packed, drop)
    with pytest.raises(EaselError, match="is missing") as caught:
        bundle.start_from(str(packed), Path("."))
    assert gone[0] in str(caught.value)


def test_a_damaged_object_in_the_cache_is_replaced_and_a_sound_one_stays(packed, clone):
    bundle.start_from(str(packed), Path("."))
    objects = sorted(path for path in Path(".dvc/cache/files/md5").rglob("*") if path.is_file())
    sound, states = [path.read_bytes() for path in objects], [path.stat().st_ino for path in objects]
    objects[0].chmod(0o644)
    objects[0].write_bytes(b"damaged")
    bundle.start_from(str(packed), Path("."))
    assert [path.read_bytes() for path in objects] == sound
    assert [path.stat().st_ino for path in objects][1:] == states[1:]


def test_an_interrupt_leaves_no_half_file(author, packed, tmp_path, monkeypatch):
    before = packed.read_bytes()
    entry = bundle_file.member

    def stopped(path, size):
        if path.startswith("files/"):
            raise KeyboardInterrupt
        return entry(path, size)

    monkeypatch.setattr(bundle, "member", stopped)
    for target in (packed, packed.with_name("new.tar.gz")):
        with pytest.raises(KeyboardInterrupt):
            bundle.pack(Path("."), "laptop", target)
    assert list(packed.parent.iterdir()) == [packed] and packed.read_bytes() == before


def test_what_is_not_in_the_cache_or_damaged_there_is_named(committed, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(committed, folder)
    monkeypatch.chdir(folder)
    content = Path("build/tuned/one.txt").read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    place = Path(".dvc/cache/files/md5", md5[:2], md5[2:])
    place.chmod(0o644)
    place.write_bytes(content + b"x")
    with pytest.raises(EaselError, match="is damaged"):
        bundle.pack(Path("."), "laptop", tmp_path / "x.tar.gz")
    place.unlink()
    with pytest.raises(EaselError, match=r"build/tuned/one\.txt is not in DVC's cache"):
        bundle.pack(Path("."), "laptop", tmp_path / "x.tar.gz")
    Path("dvc.lock").unlink()
    with pytest.raises(EaselError, match="there is no run"):
        bundle.pack(Path("."), "laptop", tmp_path / "x.tar.gz")
    assert not list(tmp_path.glob("*x.tar.gz*"))


def test_a_cache_elsewhere_is_found(clone, tmp_path):
    assert bundle.cache_of(Path(".")) == clone / ".dvc/cache/files/md5"
    Path(".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path}/its cache\n")
    assert bundle.cache_of(Path(".")) == tmp_path / "its cache/files/md5"


@pytest.mark.parametrize("source", ["file:///etc/passwd", "ftp://x/y", "s3://x/y", "none.tar.gz", ".", "http:/x"])
def test_other_sources_are_refused_before_anything_is_done(tmp_path, monkeypatch, capsys, source):
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", ".")
    before = sorted(Path(".").rglob("*"))
    monkeypatch.setenv("EASEL_FROM", source)
    monkeypatch.setenv("EASEL_PROFILE", "laptop")
    monkeypatch.delenv("EASEL_SET", raising=False)
    assert repro.main([]) == 2
    said = capsys.readouterr().err
    assert f"FROM={source} is" in said and said.count("\n") == 1 and sorted(Path(".").rglob("*")) == before


@pytest.fixture
def server(tmp_path):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"x" * 10)
            elif self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_is_downloaded(author, packed, clone, server, monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    packed.rename(tmp_path / "b.tar.gz")
    assert start(monkeypatch, f"{server}/to//b.tar.gz") == ["make_data"]
    assert tree(clone) == tree(author) and not list(Path(".dvc/tmp").glob("tmp*"))


@pytest.mark.parametrize("path", ["/cut", "/none", "/to/file:///etc/passwd", "/to/ftp://x/y", "/a b"])
def test_an_address_that_fails_is_a_sentence(tmp_path, server, monkeypatch, path):
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    with pytest.raises(EaselError, match="cannot be downloaded") as caught:
        bundle.start_from(server + path, tmp_path)
    assert "\n" not in str(caught.value) and not list((tmp_path / ".dvc/tmp").iterdir())


def test_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    for address in ("http://127.0.0.1:1/x", "http://[::/x", "https://127.0.0.1:nine/x", "http://"):
        with pytest.raises(EaselError, match="cannot be downloaded"):
            bundle.start_from(address, tmp_path)


def test_the_command_line_says_what_it_wrote(author, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(profile, "resolve", lambda name, settings: (Path("."), {}))
    monkeypatch.delenv("EASEL_PROFILE", raising=False)
    target = tmp_path / "out.tar.gz"
    assert bundle.main([str(target)]) == 0
    assert hashlib.sha256(target.read_bytes()).hexdigest() in capsys.readouterr().out
    assert bundle.main([str(tmp_path)]) == 2 and "name a file" in capsys.readouterr().err
    assert bundle.main([str(tmp_path / "none" / "x")]) == 2 and bundle.main(["--unpack", "x"]) == 2
    assert bundle.main(["--place", str(target), "--stages", "train"]) == 2
    assert bundle.main(["--place", str(target)]) == 0 and "nothing that was not there" in capsys.readouterr().out
    assert gzip.decompress(target.read_bytes())


def test_the_networks_that_git_tracks_are_those_of_the_committed_locks():
    """Whole stages, and what stands on them: a study more needs no other run."""
    content = bundle_file.check(REPOSITORY / bundle.NETWORKS)
    stages = bundle._expensive(bundle._locks(REPOSITORY), bundle.names(REPOSITORY))
    held = {name for name, outs in stages.items() if all(map(content.holds, outs.values()))}
    wanted = {"train_text", "train_clip", "train_reader", "train_tokenizer@fine", "train_tokenizer@coarse"}
    assert held == {*wanted, "dalle_mini/train@both", "muse/publish@masked"}

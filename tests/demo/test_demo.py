"""The page to paint and edit on: what it offers, draws and refuses."""

import base64
import io
import re
import threading
import urllib.request
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from demo import __main__ as command
from demo import decoders
from demo import jobs as queue
from demo.drawing import PNG
from demo.jobs import Jobs
from demo.models import Models
from demo.server import MOST_BYTES, PAGE
from lib.decoding import decoders as library
from lib.decoding.predictor import Predictor
from lib.errors import EaselError
from lib.generate import Painter
from lib.progress import Progress
from tests.demo.served import served
from tests.painter import tiny_painter
from tests.painter.tiny_painter import MASKED, PICTURE, PROMPTS, STUDY

RED = PROMPTS[0]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return tiny_painter.build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def page(build):
    with served(Models(build)) as page:
        yield page


def address(picture):
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "png")
    return PNG + base64.b64encode(content.getvalue()).decode()


def picture(one):
    content = base64.b64decode(one["png"].removeprefix(PNG))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_every_published_model_is_offered_with_what_it_can_do(page):
    offered = {one["name"]: one for one in page.ask("models")[1]["models"]}
    assert set(offered) == {f"{STUDY}/{name}" for name in tiny_painter.MODELS}
    masked, latent = offered[f"{STUDY}/masked"], offered[f"{STUDY}/latent"]
    assert (masked["fills"], masked["edits"], latent["fills"]) == (True, True, False)
    assert (offered[f"{STUDY}/autoregressive"]["fills"], offered[f"{STUDY}/autoregressive"]["edits"]) == (True, False)
    assert masked["settings"] == {name: MASKED[name] for name in ("guidance", "temperature", "steps")}
    assert "temperature" not in latent["settings"] and masked["languages"] == ["en"]
    assert masked["decoders"] == {} and "window" not in masked["settings"]
    assert list(offered[f"{STUDY}/autoregressive"]["decoders"]) == list(decoders.DECODERS)


@pytest.mark.parametrize("name", ["masked", "pixels"])
def test_a_drawing_is_what_the_painter_paints(page, build, name):
    said = page.drawn(model=f"{STUDY}/{name}", prompt=RED, candidates=3, seed=4, settings={"guidance": 3.0})
    wanted = Painter(build, model=f"{STUDY}/{name}").paint(RED, 3, seed=4, guidance=3.0)
    assert said["state"] == "done" and said["milliseconds"] >= 0
    for one, pixels, score in zip(said["pictures"], wanted.pictures, wanted.scores, strict=True):
        assert np.abs(picture(one).astype(int) - pixels).max() <= 1  # another batch, another rounding of sums
        assert one["score"] == pytest.approx(score, abs=0.05) and one["passes"] == {"masked": 3, "pixels": 2}[name]


def test_the_decoders_offered_are_those_that_want_nothing_but_windows_of_tokens():
    wants = {name: get_type_hints(library.load(name))["predictor"] for name in library.DECODERS}
    plain = {name for name, predictor in wants.items() if predictor is Predictor and name not in library.DRAFTERS}
    assert {decoder for _, decoder, _ in decoders.DECODERS.values()} == plain
    assert get_args(decoders.DecoderName) == tuple(decoders.DECODERS) and next(iter(decoders.TITLES)) == decoders.ALONE
    for _, decoder, options in decoders.DECODERS.values():
        library.check(decoder, options, 16, 4)


def test_an_autoregressive_model_draws_with_any_of_them(page, build):
    model, side = f"{STUDY}/autoregressive", tiny_painter.SIDE
    drawn = {
        name: page.drawn(model=model, prompt=RED, candidates=2, seed=4, settings={"decoder": name, "window": 4})
        for name in decoders.DECODERS
    }
    wanted = Painter(build, model=model).paint(RED, 2, seed=4)
    pictures = {name: [picture(one) for one in said["pictures"]] for name, said in drawn.items()}
    passes = {name: [one["passes"] for one in said["pictures"]] for name, said in drawn.items()}
    for name in (decoders.ALONE, "jacobi_shared"):  # token for token the same
        assert np.abs(np.stack(pictures[name]).astype(int) - wanted.pictures).max() <= 1
    assert passes[decoders.ALONE] == [side**2] * 2
    assert all(side <= count <= side**2 for counts in passes.values() for count in counts)
    assert passes["sjd"] != passes[decoders.ALONE] and passes["jacobi_shared"] != passes[decoders.ALONE]


def test_what_is_not_marked_stays(page):
    given = np.random.default_rng(0).integers(0, 256, (PICTURE, PICTURE, 3), dtype=np.uint8)
    marked = np.zeros((PICTURE, PICTURE, 3), np.uint8)
    marked[4:12, 4:12] = 255
    said = page.drawn(model=f"{STUDY}/masked", prompt=RED, candidates=2, picture=address(given), mask=address(marked))
    for one in said["pictures"]:
        changed = (picture(one) != given).any(axis=2)
        assert changed[4:12, 4:12].any() and not (changed & (marked[:, :, 0] == 0)).any()
    whole = page.drawn(model=f"{STUDY}/masked", prompt=RED, candidates=1, picture=address(given))
    assert whole["pictures"][0]["passes"] == 100  # the paper's


WHOLE = {"model": f"{STUDY}/masked", "prompt": RED}
BLANK = address(np.full((PICTURE, PICTURE, 3), 255, np.uint8))
FILLED = {"model": f"{STUDY}/autoregressive", "settings": {"decoder": "sjd"}, "picture": BLANK, "mask": BLANK}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "no JSON"),
        ({}, "model"),
        (WHOLE | {"candidats": 3}, "unknown key 'candidats'; did you mean 'candidates'"),
        (WHOLE | {"candidates": 17}, "candidates"),
        (WHOLE | {"settings": {"steps": 10**9}}, "settings.steps"),
        (WHOLE | {"settings": {"decoder": "sjd2"}}, "settings.decoder"),
        (WHOLE | {"prompt": "red " * 200}, "prompt"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_before_it_queues(page, body, sentence):
    before = page.jobs.last
    status, said = page.ask("drawings", body)
    assert status == 400 and sentence in said["error"] and page.jobs.last == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": " "}, "a prompt is empty"),
        ({"prompt": "a red star " * 9}, "too long"),
        ({"model": f"{STUDY}/none"}, "there is no model"),
        ({"model": f"{STUDY}/latent", "settings": {"temperature": 1.0}}, "no setting temperature"),
        ({"settings": {"steps": 17}}, "steps must be"),
        ({"settings": {"decoder": "sjd"}}, "no setting decoder"),
        (FILLED, "one token a pass"),
        ({"picture": "data:text/plain,a"}, "no data address of a PNG"),
        ({"picture": PNG + "%%"}, "cannot be read"),
        ({"picture": PNG + base64.b64encode(b"no picture").decode()}, "cannot be read"),
        ({"picture": address(np.zeros((8, 8, 3), np.uint8))}, "8 pixels wide"),
        ({"picture": address(np.zeros((PICTURE,) * 2 + (3,), np.uint8)), "model": f"{STUDY}/latent"}, "does not edit"),
    ],
)
def test_a_drawing_that_cannot_be_made_says_why_in_a_sentence(page, changes, sentence):
    said = page.drawn(**WHOLE | changes)
    assert said["state"] == "failed" and sentence in said["error"] and "Traceback" not in said["error"]


def test_other_sites_and_too_much_are_refused(page):
    port = page.address.rsplit(":", 1)[1].strip("/")
    assert page.ask("models", Host=f"elsewhere.org:{port}")[0] == 403
    assert page.ask("drawings", WHOLE, Origin="http://elsewhere.org")[0] == 403
    assert page.ask("models", Host=f"localhost:{port}")[0] == 200
    assert page.ask("../models/none")[0] == page.ask("page.html")[0] == 405
    assert page.ask("drawings/99999")[0] == 404
    try:
        status = page.ask("drawings", b" " * (MOST_BYTES + 1))[0]
    except OSError:  # the server hung up while it was being sent
        status = 413
    assert status in (400, 413)


def test_the_page_asks_nothing_of_the_network(page):
    for name in ("", "page.js", "page.css"):
        with urllib.request.urlopen(page.address + name) as answer:
            policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
        assert policy.startswith("default-src 'none'") and "http" not in policy
        assert not re.search(r"//\w|@import|url\(", re.sub(r"(?m)^//.*|\s// .*", "", text)), name
    assert {path.name for path in PAGE.iterdir()} == {"page.html", "page.js", "page.css"}


@pytest.fixture
def jobs():
    jobs = Jobs()
    yield jobs
    jobs.close()


def until(jobs, number, *states):
    while jobs.state(number)["state"] not in states:
        pass
    return jobs.state(number)


def test_drawings_queue_up_to_a_number_and_progress_is_told(jobs):
    begun, go = threading.Event(), threading.Event()

    def work():
        progress = Progress("paint", 4, every=0.0)
        progress.update(1)
        begun.set()
        go.wait()
        return {"found": 1}

    first = jobs.add(work)
    begun.wait()
    assert jobs.state(first) == {"state": "drawing", "share": 0.25}
    others = [jobs.add(lambda: {}) for _ in range(queue.MOST)]
    assert [jobs.state(number)["before"] for number in others] == list(range(1, queue.MOST + 1))
    with pytest.raises(EaselError, match="wait already"):
        jobs.add(lambda: {})
    go.set()
    assert until(jobs, others[-1], "done")["milliseconds"] >= 0
    assert jobs.state(first)["found"] == 1
    for _ in range(queue.KEPT):
        until(jobs, jobs.add(lambda: {}), "done")
    with pytest.raises(EaselError, match="only the last"):
        jobs.state(first)


def test_an_error_of_ours_is_not_shown_on_the_page(jobs, capsys):
    said = until(jobs, jobs.add(lambda: 1 / 0), "failed")
    assert "its terminal says where" in said["error"] and "ZeroDivisionError" in capsys.readouterr().err


def test_the_command_line_takes_tracked_networks_and_names_a_port_in_use(build, tmp_path, monkeypatch, capsys, page):
    placed = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.bundle, "place", lambda file, folder: placed.append(file))
    assert command.main([]) == 2 and placed == [command.bundle.NETWORKS]
    assert "there is no model below build" in capsys.readouterr().err
    (tmp_path / "build").symlink_to(build)
    port = page.address.rsplit(":", 1)[1].strip("/")
    assert command.main(["--port", port]) == 2 and f"port {port}" in capsys.readouterr().err
    assert len(placed) == 1

"""The benchmark of what readers start, on a clone of three commands that take no time."""

import subprocess
import sys

import pytest

from benchmarks import reading
from lib.errors import EaselError
from tests import house

DEMO = """
import http.server, json, sys
class Page(http.server.BaseHTTPRequestHandler):
    def answer(self, said):
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(said).encode())
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"number": 7 if asked["prompt"] else 0})
    def do_GET(self):
        self.answer({"state": sys.argv[1] if self.path == "/drawings/7" else "lost"})
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Page)
print(f"http://127.0.0.1:{server.server_port} (Ctrl-C ends it)", flush=True)
server.serve_forever()
"""


@pytest.fixture
def clone(tmp_path):
    """A repository with a Makefile of its own."""

    def made(figures="true", demo="done", server=DEMO):
        (tmp_path / "demo.py").write_text(server)
        python = f"@{sys.executable} demo.py {demo}"
        (tmp_path / "Makefile").write_text(f"figures:\n\t@{figures}\npages:\n\t@true\ndemo:\n\t{python}\n")
        for command in (["init", "--quiet"], ["add", "."]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
        identity = ["-c", "user.name=x", "-c", "user.email=x@y"]
        subprocess.run(["git", *identity, "commit", "--quiet", "-m", "x"], cwd=tmp_path, check=True)
        return tmp_path

    return made


def test_what_a_reader_starts_is_timed_against_its_limit(clone):
    waits = reading.measured(clone())
    assert {name: limit for name, (_, limit) in waits.items()} == reading.DRAWN | {reading.DEMO: reading.PAINTED}
    assert all(0 < took < 30 for took, _ in waits.values())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"figures": "echo broken && false"}, "make figures failed:\nbroken"),
        ({"figures": "touch other"}, "other files than Git has:\n?? other"),
        ({"demo": "failed"}, "could not draw"),
        ({"server": "print('no port')"}, "ended before it served"),
    ],
)
def test_what_fails_is_named(clone, given, said):
    with pytest.raises(EaselError) as error:
        reading.measured(clone(**given))
    assert said in str(error.value)


def test_commands_are_started_as_by_a_reader_below_another_make_as_well(clone, monkeypatch):
    above = {"MAKEFLAGS": "w -- PROFILE=smoke", "MAKELEVEL": "1", "MFLAGS": "-w", "EASEL_PROFILE": "smoke"}
    for name, value in above.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OF_A_READER", "kept")
    with pytest.raises(EaselError) as error:
        reading.measured(clone(figures="echo drawn $(PROFILE)$$EASEL_PROFILE$$OF_A_READER && false"))
    assert str(error.value).startswith("make figures failed:\ndrawn kept\n")
    assert not above.keys() & reading.environment(reading.MAKEFILE.parent).keys()


def test_the_table_says_which_limit_was_missed(tmp_path, monkeypatch):
    monkeypatch.chdir(house.REPOSITORY)
    reading.write(tmp_path / "reading", {"make figures": (88.4, 90), "make pages": (91.6, 90)})
    text = (tmp_path / "reading.csv").read_text(encoding="utf-8")
    assert "make figures,88.4,90,True" in text and "make pages,91.6,90,False" in text

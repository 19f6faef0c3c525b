"""The site in headless Chromium: console, pictures, phone width, letters, contrast, keyboard, every control.

Skipped where there is no Chromium; it installs nothing.
"""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
]
HARNESS = Path(__file__).with_name("harness.html")
PHONE, DESKTOP = 390, 1200
LONGEST = 240  # seconds, on a machine with much else to do
FIRST = 2  # pages of a folder
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)"),
    pytest.mark.xdist_group("pages"),
]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site and the harness, and takes what the harness found."""

    plan: list
    faults: list
    ended: threading.Event

    def do_GET(self):
        if self.path == "/plan.json":
            self.answer(json.dumps(self.plan).encode(), "application/json")
        elif self.path == "/harness.html":
            self.answer(HARNESS.read_bytes(), "text/html")
        else:
            super().do_GET()

    def do_POST(self):
        self.faults.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(b"", "text/plain")
        self.ended.set()

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def looked_at(folder, plan, profile):
    """Faults that the harness finds, and what Chromium's console says, for pairs of page and width."""
    made = type("Made", (Handler,), {"plan": plan, "faults": [], "ended": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(made, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/harness.html"
    with open(profile / "log", "w") as log:
        browser = subprocess.Popen(
            [CHROMIUM, *QUIET, f"--user-data-dir={profile}", "--remote-debugging-port=0", address],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            in_time = made.ended.wait(LONGEST)
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
    assert in_time, f"Chromium did not come to an end in {LONGEST} s"
    console = re.findall(r"CONSOLE[:(].*", (profile / "log").read_text(errors="replace"))
    return made.faults, console


def chosen(site, material):
    """Every study and single page, the first pages of every folder, and of claims one for every rule and verdict."""
    kinds = {}
    for claim in material.ledger.claims:
        verdict = material.verdicts[claim.id][1]["verdict"].split(" (")[0]
        kinds.setdefault((claim.metric and claim.metric.kind, verdict), f"claims/{claim.id}.html")
    found, seen = {*kinds.values(), "claims/index.html"}, Counter()
    for name in site.pages:
        folder = name.rpartition("/")[0].partition("/")[0]
        seen[folder] += 1
        if folder in ("", "studies") or (folder != "claims" and seen[folder] <= FIRST):
            found.add(name)
    return sorted(found)


def test_pages_in_chromium(site, material, tmp_path):
    pages = chosen(site, material)
    plan = [[f"/{page}", PHONE] for page in pages] + [[f"/{page}", DESKTOP] for page in pages[::8]]
    faults, console = looked_at(site.folder, plan, tmp_path)
    assert not faults, "\n".join(faults[:30])
    assert not console, "\n".join(console[:10])


def test_the_harness_finds_faults(site, tmp_path):
    """A page with one fault of each kind."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "bad.html").write_text(
        "<html><body><main><p style='color:#aaa'>pale</p><p style='font-size:8px'>small</p><img src='none.png' "
        "width=90 height=90 alt='x'><div style='width:2000px'>wide</div><input id='a'>"
        "<div class='chart' id='c'><div class='view'></div></div></main><script>undefinedFunction()</script>"
    )
    (tmp_path / "profile").mkdir()
    faults, console = looked_at(folder, [["/bad.html", PHONE]], tmp_path / "profile")
    said = "\n".join(faults)
    for word in ("contrast", "letters", "does not show", "wide", "no label", "draws nothing"):
        assert word in said, word
    assert any("undefinedFunction" in line for line in console)

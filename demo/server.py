"""The page's server: on this machine alone, nothing from elsewhere.

    GET  /             the page, and its two files
    GET  /models       what can be drawn with
    POST /drawings     queues one (demo/drawing.py); answers with its number
    GET  /drawings/3   what is known of it (demo/jobs.py)

Tornado, which JupyterLab brings, and not Gradio, with which DALL·E Mini's page was made: Gradio allows no Pillow as new
as the lock's, and its page loads fonts and scripts from outside.

A page of another site can neither read nor start anything here: requests must name this machine, and those that start
something must come from the page.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import tornado.web

from demo.drawing import Wanted, drawn
from demo.jobs import Jobs
from demo.models import Models
from lib.config_tree import plain, read
from lib.errors import EaselError

HOST, MOST_BYTES = "127.0.0.1", 1 << 20  # of a request: a picture and a mask of a few thousand bytes each
PAGE = Path(__file__).with_name("page")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"


class Handler(tornado.web.RequestHandler):
    """What all answers have in common."""

    def initialize(self, models: Models, jobs: Jobs) -> None:
        self.models, self.jobs = models, jobs

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def prepare(self) -> None:
        name = self.request.host_name
        if name not in (HOST, "localhost"):
            self.refuse(403, f"this page is for this machine alone, by the name of {HOST}, not {name[:80]}.")
        origin = self.request.headers.get("Origin")
        if origin not in (None, f"http://{self.request.host}"):
            self.refuse(403, "only the page itself may ask for this.")

    def refuse(self, status: int, sentence: str) -> None:
        """Ends the answer with an error."""
        self.set_status(status)
        self.finish({"error": sentence})
        raise tornado.web.Finish

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish({"error": f"there is nothing like this here ({status_code})."})


class Page(Handler):
    """One of the page's files."""

    KINDS: ClassVar = {"": "text/html", "page.js": "text/javascript", "page.css": "text/css"}

    def get(self, name: str) -> None:
        self.set_header("Content-Type", f"{self.KINDS[name]}; charset=utf-8")
        self.finish((PAGE / (name or "page.html")).read_bytes())


class Offers(Handler):
    """The models."""

    def get(self) -> None:
        self.finish({"models": [plain(one) for one in self.models.offered.values()]})


class Drawings(Handler):
    """Queues a drawing, and says how it goes."""

    def post(self) -> None:
        try:
            wanted = read(json.loads(self.request.body), Wanted, "the request")
            number = self.jobs.add(partial(drawn, self.models, wanted))
        except EaselError as error:
            self.refuse(400, str(error))
        except ValueError:
            self.refuse(400, "the request is no JSON.")
        self.set_status(202)
        self.finish({"number": number})

    def get(self, number: str) -> None:
        try:
            self.finish(self.jobs.state(int(number)))
        except EaselError as error:
            self.refuse(404, str(error))


def application(models: Models, jobs: Jobs) -> tornado.web.Application:
    """The server, not listening yet."""
    own = {"models": models, "jobs": jobs}
    return tornado.web.Application(
        [
            (r"/(|page\.js|page\.css)", Page, own),
            (r"/models", Offers, own),
            (r"/drawings", Drawings, own),
            (r"/drawings/(\d{1,9})", Drawings, own),
        ],
        default_handler_class=Handler,
        default_handler_args=own,
        log_function=lambda handler: None,
    )

"""The demo's server in a thread, for tests."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from demo.jobs import Jobs
from demo.server import MOST_BYTES, application


class Served:
    """Where it listens, and what it answers."""

    def __init__(self, address, models, jobs):
        self.address, self.models, self.jobs = address, models, jobs

    def ask(self, path, body=None, **headers):
        """Status and answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def drawn(self, **wanted):
        """A drawing's last state."""
        status, said = self.ask("drawings", wanted)
        assert status == 202, said
        while (state := self.ask(f"drawings/{said['number']}")[1])["state"] in ("waiting", "drawing"):
            pass
        return state


@contextmanager
def served(models):
    """While it lasts, the page is there."""
    jobs, ready, loops = Jobs(), threading.Event(), []
    socket, port = bind_unused_port()

    async def serve():
        server = HTTPServer(application(models, jobs), max_body_size=MOST_BYTES, max_buffer_size=MOST_BYTES)
        server.add_socket(socket)
        ended = asyncio.Event()
        loops.append((asyncio.get_running_loop(), ended))
        ready.set()
        await ended.wait()
        server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield Served(f"http://127.0.0.1:{port}/", models, jobs)
    finally:
        loop, ended = loops[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        jobs.close()
        models.close()

"""`make demo`, or `python -m demo`: a page to paint and edit on, at http://127.0.0.1:7860.

It listens on this machine alone and asks nothing of the network. On a clone without trained networks it first takes
those that Git tracks.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from tornado.httpserver import HTTPServer

from demo.jobs import Jobs
from demo.models import Models
from demo.server import HOST, MOST_BYTES, application
from lib import bundle
from lib.errors import command_line, naming
from lib.painter.worker import TEXT

BUILD = Path("build")


@command_line
def main(arguments: list[str]) -> None:
    """Command line: serves until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=7860)
    port = parser.parse_args(arguments).port
    if not (BUILD / TEXT).is_file():
        print(f"no trained networks in {BUILD}: taking those of {bundle.NETWORKS}", flush=True)
        bundle.place(bundle.NETWORKS, Path())
    asyncio.run(serve(Models(BUILD), port))


async def serve(models: Models, port: int) -> None:
    """Serves until the task is cancelled."""
    jobs = Jobs()
    server = HTTPServer(application(models, jobs), max_body_size=MOST_BYTES, max_buffer_size=MOST_BYTES)
    try:
        with naming(f"port {port}"):
            server.listen(port, HOST)
        print(f"http://{HOST}:{port} (Ctrl-C ends it)", flush=True)
        await asyncio.Event().wait()
    finally:
        server.stop()
        jobs.close()
        models.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Stage make_data: draws Scenes, or brings somebody's pictures into the same form → build/data/."""

import shutil
from pathlib import Path

from lib.config import Params
from lib.data.ingest import ingest
from lib.scenes.make import make

OUT = Path("build/data")


def run(params: Params) -> None:
    """Writes the data folder of the configured source."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    if params.data.source == "scenes":
        make(OUT, params.scenes, processes=2)
    else:
        ingest(OUT, params.data)

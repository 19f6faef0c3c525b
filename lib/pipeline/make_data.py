"""Stage make_data: draws Scenes, or brings somebody's pictures into the same form → build/data/."""

from pathlib import Path

from lib.config import Params
from lib.data.ingest import ingest
from lib.ownership import check_is_ours, fresh
from lib.scenes.make import make

OUT, IMPORTED = Path("build/data"), Path("data")  # DVC brings the one to the other


def run(params: Params) -> None:
    """Writes the data folder of the configured source.

    Raises:
        EaselError: data/ or build/data/ holds files that are not ours; or see `ingest`.
    """
    check_is_ours(IMPORTED)
    fresh(OUT)
    if params.data.source == "scenes":
        make(OUT, params.scenes, processes=2)
    else:
        ingest(OUT, params.data)

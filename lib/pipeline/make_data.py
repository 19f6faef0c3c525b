"""Stage make_data: draws Scenes, or brings somebody's pictures into the same form → build/data/."""

from lib.config import Params
from lib.data.ingest import ingest
from lib.ownership import check_is_ours, fresh
from lib.places import DATA as IMPORTED
from lib.places import MADE as OUT
from lib.scenes.make import make


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

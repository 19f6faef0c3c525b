"""Stage sjd2/make_pictures: the parts of Scenes that this study's models draw, and their tokens → build/sjd2/parts/."""

from lib.pipeline import own_pictures
from studies.sjd2.code.material import PARTS
from studies.sjd2.code.settings import Params


def run(params: Params) -> None:
    """Draws and encodes all of them."""
    own_pictures.make_parts(
        "sjd2/make_pictures", params, PARTS, params.sjd2_parts, params.tokenizers, ("train", "val", "test")
    )

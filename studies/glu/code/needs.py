"""What this study needs of the data; where a stage takes as many pictures as there are, nothing is listed."""

from lib.data.needs import Need
from studies.glu.code.settings import Params


def needs(params: Params) -> list[Need]:
    """Pictures of every batch, and caption tokens for one stretch."""
    text, splits = params.glu_text.length, ("train", "val", "test")
    return [
        Need("glu_setting.batch_size", "train", params.glu_setting.batch_size, 64),
        *(Need("glu_text.length", split, text, None) for split in splits),
    ]

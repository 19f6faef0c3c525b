"""What this study needs of the data; where a stage takes as many pictures as there are, nothing is listed."""

from lib.data.needs import Languages, Need
from studies.dalle_mini.code.settings import Params


def needs(params: Params) -> list[Need | Languages]:
    """Pictures of a batch, two pictures for a distance between sets, and captions in the languages of the trainings."""
    return [
        *(Languages(f"dalle_mini.languages.{name}", wanted) for name, wanted in params.dalle_mini.languages.items()),
        Need("dalle_mini.batch_size", "train", params.dalle_mini.batch_size, 64),
        Need("sampling.captions", "test", 2, 64),
    ]

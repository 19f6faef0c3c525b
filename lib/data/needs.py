"""What a configuration asks of the data; every study lists its own in code/needs.py."""

from typing import NamedTuple


class Need(NamedTuple):
    """What one key of a params.yaml asks of the data.

    Attributes:
        count: of pictures, or of caption tokens where there is no size.
        size: side of the pictures in pixels; None for a need of captions, of which at least so many tokens are sure.
    """

    key: str
    split: str
    count: int
    size: int | None


class Languages(NamedTuple):
    """Languages of captions that one key of a params.yaml asks for; none means all that there are."""

    key: str
    languages: tuple[str, ...]

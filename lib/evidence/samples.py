"""Kept strips of drawn pictures (`lib.evidence.strips`) as figures: under their prompts, with the reader's marks."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from lib.evidence import grids
from lib.evidence.shown import Shown
from lib.evidence.strips import read_strip


def table(shown: Shown, strip: str) -> pd.DataFrame:
    """A row a picture of a strip: its prompt as it was given, the same in English, whether it is right."""
    return pd.DataFrame(
        [
            {"prompt": prompt.text, "english": prompt.english, "right": mark}
            for prompt in shown.pictures[strip]
            for mark in prompt.right
        ]
    )


def under_prompts(
    folder: Path, shown: Shown, strip: str, heading: str, count: int, columns: int = 8
) -> tuple[Figure, pd.DataFrame]:
    """The first pictures of a strip with one picture a prompt, each under its prompt.

    Titles are in English, since few machines have Chinese letters, and a figure must not differ between machines; the
    table has every prompt as it was given.

    Args:
        folder: of the strip.
        heading: what drew them; how many are right is added.
        count: of pictures.

    Returns:
        The figure, and its rows of `table`.
    """
    frame = table(shown, strip)[:count]
    marks = list(frame["right"])
    images = read_strip(folder / f"{strip}.png")[:count]
    heading = f"{heading} {grids.counted(marks)}"
    return grids.picture_grid(images, columns, list(frame["english"]), marks=marks, heading=heading), frame

"""Picture and prompt in, ranked pictures out: in- and outpainting, and editing without a mask.

    python -m lib.edit picture.png "a blue star on a white background" --model muse --hole 16 16 32 32

`--hole` draws a rectangle anew, `--keep` all but one, `--mask` the white pixels of a picture file. With none of them
the whole picture moves towards the prompt (lib/decoding/editing.py). `lib.generate.Painter.edit` does the same.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from lib.errors import command_line
from lib.generate import Painter, add_options, show
from lib.painter.painting import Paintings, check_path

BOX = ("LEFT", "TOP", "WIDTH", "HEIGHT")


def mask_of(side: tuple[int, int], given: dict) -> np.ndarray | None:
    """What `--hole`, `--keep` or `--mask` says of a picture of that height and width, bool [H, W]; None without any.

    Raises:
        EaselError: a rectangle that is not inside the picture, or a file that cannot be read.
    """
    from lib.painter import canvas

    if given["mask"]:
        return canvas.read_mask(given["mask"])
    if given["keep"]:
        return ~canvas.box(side, *given["keep"])
    return canvas.box(side, *given["hole"]) if given["hole"] else None


@command_line
def main(arguments: list[str]) -> None:
    """Command line: edits, prints the scores, writes the grid."""
    parser = argparse.ArgumentParser(prog="python -m lib.edit", description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path, help="a picture file of the size that the model draws")
    parser.add_argument("prompt", help="what it shall show, in quotation marks")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--hole", type=int, nargs=4, metavar=BOX, help="pixels that are drawn anew: inpainting")
    where.add_argument("--keep", type=int, nargs=4, metavar=BOX, help="pixels that stay, and no others: outpainting")
    where.add_argument("--mask", type=Path, help="a picture file: its white pixels are drawn anew")
    parser.add_argument("--model", required=True, help="<study> or <study>/<model>, a masked one")
    add_options(parser)
    settings = parser.add_argument_group("without a mask")
    settings.add_argument("--iterations", type=int, default=argparse.SUPPRESS, help="passes")
    settings.add_argument("--share", type=float, default=argparse.SUPPRESS, help="of the tokens that each draws anew")
    given = vars(parser.parse_args(arguments))
    out, folder, model = (given.pop(name) for name in ("out", "folder", "model"))
    check_path(out, "--out")
    from lib.painter.canvas import read_picture

    picture = read_picture(given.pop("picture"))
    mask = mask_of(picture.shape[:2], {name: given.pop(name) for name in ("hole", "keep", "mask")})
    with Painter(folder, model=model) as painter:
        show(Paintings([painter.edit(picture, mask=mask, **given)]), out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

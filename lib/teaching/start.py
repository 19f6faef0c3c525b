"""How a notebook to play with begins: so many cores, and figures that are shown, once each."""

import os

from IPython import get_ipython
from IPython.core.pylabtools import select_figure_formats

from lib import hardware


def start(cores: int) -> None:
    """Limits the kernel to so many cores, and has figures shown as PNG. Call before torch, jax or numpy is imported.

    The kernel's own choice of a backend is one of the variables that `use_cores` drops, and says that it does. With it
    a figure would be shown twice: as what a cell returns, and as what is open at its end.
    """
    os.environ.pop("MPLBACKEND", None)
    hardware.use_cores(cores)
    if shell := get_ipython():
        select_figure_formats(shell, {"png"})

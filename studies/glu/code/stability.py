"""Loss spikes and lost runs, counted from the losses of all batches of a training."""

import numpy as np

WINDOW = 20  # batches of the running mean


def spikes(losses: np.ndarray, rise: float) -> int:
    """How often the loss jumps: stretches of batches above the lowest mean of earlier batches by more than `rise`.

    The bar is the lowest running mean (over WINDOW batches) so far; a stretch ends when the loss is back below the bar,
    so one long excursion counts once. A loss that is no number lies above every bar.

    Args:
        losses: [steps], nats.
    """
    values = np.nan_to_num(np.asarray(losses, np.float64), nan=np.inf, posinf=np.inf)
    if len(values) <= WINDOW:
        return 0
    count, above, lowest = 0, False, np.inf
    for step in range(WINDOW, len(values)):
        lowest = min(lowest, values[step - WINDOW : step].mean())
        now = bool(values[step] > lowest + rise)
        count += now and not above
        above = now
    return int(count)


def lost(losses: np.ndarray, useless: float) -> bool:
    """Whether a run ended without having learned: its last batches lie above `useless` nats, or are no numbers."""
    last = np.asarray(losses, np.float64)[-WINDOW:].mean()
    return not last < useless

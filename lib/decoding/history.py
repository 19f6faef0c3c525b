"""What the passes of a decoder did, counted over the rows of a batch."""

import numpy as np
import torch

from lib.decoding.predictor import Decoded


def accepted_lengths(decoded: Decoded) -> np.ndarray:
    """In how many passes 0, 1, 2, … tokens were fixed, int64 [most + 1]; passes of a complete row do not count."""
    numbers = torch.arange(decoded.accepted.shape[1], device=decoded.passes.device)
    counted = decoded.accepted[numbers < decoded.passes.unsqueeze(1)]
    return torch.bincount(counted).cpu().numpy()


def changes(decoded: Decoded) -> tuple[np.ndarray, np.ndarray]:
    """Changes of the token at the k-th slot of the window, between passes that both leave the slot open.

    Figure 8 of Teng et al. 2025 (arXiv:2510.08994) shows such trajectories.

    Args:
        decoded: with a trace.

    Returns:
        int64 [trace slots] changes, and int64 [trace slots] in how many pairs of passes they were looked for. A slot is
        numbered by where it stood before the later pass; the first one is fixed by every pass of most decoders.
    """
    before, after = decoded.trace[:-1], decoded.trace[1:]  # [passes − 1, B, slots]
    moved = decoded.accepted.T[1:, :, None]  # slots by which the window's front went on in the later pass
    place = torch.arange(before.shape[2], device=before.device) - moved  # of the same slot after it
    still_open = (before >= 0) & (place >= 0)
    changed = still_open & (after.gather(2, place.clamp(min=0)) != before)
    return tuple(found.sum(dim=(0, 1)).cpu().numpy() for found in (changed, still_open))


def added(counts: list[np.ndarray]) -> np.ndarray:
    """The sum of counts [k] of several lengths k."""
    longest = max(map(len, counts))
    return np.sum([np.pad(one, (0, longest - len(one))) for one in counts], axis=0)

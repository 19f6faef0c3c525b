"""ZipAR (He et al. 2024, arXiv:2412.04062, equation 1): a row of the picture begins once the row above it has `ahead`
tokens to the right of where it would write, so that several rows are written at once, each token of a pass drawn on its
own. Training-free.

Lossy: a token is drawn without those on its upper right that are not there yet, and nothing corrects for it. Where the
token before a row's first slot is not known yet, the last one of the row above stands for it (as in the authors' code),
and is read again when it is known. Slots that are not written are masked; the authors' code lets them take part with
keys of zero. With `ahead` = columns it is autoregressive sampling, with the same tokens from the same seeds.

The order depends on nothing that is drawn: rows × ahead + columns passes, about, for every picture alike.
"""

from typing import NamedTuple

import torch

from lib.decoding.noise import RowRandom
from lib.decoding.predictor import Decoded, ScatteredPredictor
from lib.errors import EaselError


class Pass(NamedTuple):
    """What a pass gives and predicts, slots in reading order.

    Attributes:
        slots: the slots that are predicted.
        sources: the slots (−1 for BOS) whose tokens are given as those at slots − 1.
        write: which predictions are drawn from; the others only bring the cache up to date.
    """

    slots: list[int]
    sources: list[int]
    write: list[bool]


def plan(rows: int, columns: int, ahead: int) -> list[Pass]:
    """All passes of a picture of rows × columns slots."""
    count = [0] * rows  # tokens of every row
    stood_in: set[int] = set()  # rows whose first slot was predicted from a stand-in
    passes = []
    while count[-1] < columns:
        items = []
        before = count.copy()
        for row in range(rows):
            slot, above = row * columns + before[row], before[row - 1] if row else columns
            if row in stood_in and above == columns:
                stood_in.remove(row)
                items.append((row * columns, row * columns - 1, False))
            if before[row] == columns or (above < columns and above - before[row] < ahead):
                continue
            source = slot - 1
            if before[row] == 0 and above < columns:
                stood_in.add(row)
                source = (row - 1) * columns + above - 1
            items.append((slot, source, True))
            count[row] += 1
        passes.append(Pass(*map(list, zip(*items, strict=True))))
    return passes


def decode(predictor: ScatteredPredictor, random: RowRandom, *, ahead: int, columns: int | None = None) -> Decoded:
    """ZipAR.

    Args:
        ahead: tokens that a row must be ahead of the next one, 1 … columns (the paper's window size).
        columns: of the picture; None for a square one.

    Raises:
        EaselError: an option outside its range, or random numbers for another number of rows.
    """
    length = predictor.length
    columns = round(length**0.5) if columns is None else columns
    if columns < 1 or length % columns:
        raise EaselError(f"a picture of {length} slots does not have {columns} columns; set columns.")
    if not 1 <= ahead <= columns:
        raise EaselError(f"a row can be 1 … {columns} tokens ahead of the next one, not {ahead}.")
    if random.rows != predictor.rows:
        raise EaselError(f"{predictor.rows} pictures need a seed each, got {random.rows} seeds.")
    device, batch = random.device, predictor.rows
    noise = random.gumbel(length, predictor.codes)
    tokens = torch.full((batch, 1 + length), predictor.codes, device=device)  # slot s is column s + 1, BOS is column 0
    written = torch.zeros(length, dtype=torch.bool, device=device)
    passes = plan(length // columns, columns, ahead)
    for slots, sources, write in passes:
        slots, sources, write = (torch.tensor(values, device=device) for values in (slots, sources, write))
        inputs = tokens[:, sources + 1]  # [B, K]
        log_p = predictor.predict_at(inputs, slots.expand(batch, -1), written.expand(batch, -1))  # [B, K, V]
        drawn = (log_p + noise[:, slots]).argmax(dim=-1)
        # Written alike where they were already: no shape depends on what is on the device.
        tokens[:, slots + 1] = torch.where(write, drawn, tokens[:, slots + 1])
        written[slots] = True
    accepted = torch.tensor([sum(write) for _, _, write in passes], device=device)
    return Decoded(
        tokens=tokens[:, 1:].clone(),
        passes=torch.full((batch,), len(passes), device=device),
        accepted=accepted.expand(batch, -1),
    )

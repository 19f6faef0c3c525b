"""Figures of the notebooks in notebooks/play/, in the style of all others."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lib.decoding.predictor import Decoded
from lib.evidence import figures, grids
from lib.teaching import gaussians

OPEN, CLOSED = 0.28, 0.85  # how strongly a draft and a fixed token are coloured
MOST = 14  # passes of a table that are shown


def curves(losses: Mapping[str, np.ndarray], smooth: int, label: str) -> Figure:
    """Training losses of several networks from the same seeds: each seed by itself, and the differences to the first.

    Args:
        losses: name → [steps, seeds].
        smooth: steps that a point is the mean of.
        label: of the loss, which both panels are in.
    """
    means = {name: _blocks(np.asarray(values), smooth) for name, values in losses.items()}
    first, *others = means
    seeds = next(iter(means.values())).shape[1]
    with figures.style():
        figure, (left, right) = figures.axes("double", columns=2, aspect=0.62)
        for seed in range(seeds):
            look = {"linestyle": figures.LINES[seed % len(figures.LINES)], "marker": ""}
            for number, (name, values) in enumerate(means.items()):
                steps = smooth * (np.arange(len(values)) + 0.5)
                left.plot(steps, values[:, seed], label=f"{name}, seed {seed}", **(figures.series(number) | look))
            for number, name in enumerate(others, start=1):
                gap = means[name][:, seed] - means[first][:, seed]
                # Without the first fall of the loss, which would hide the rest.
                right.plot(
                    steps[1:], gap[1:], label=f"{name} − {first}, seed {seed}", **(figures.series(number) | look)
                )
        right.axhline(0, color="0.5", linewidth=0.8)
        left.set(xlabel="training step", ylabel=label)
        right.set(xlabel="training step", ylabel=f"difference in {label}")
        left.legend()
        right.legend()
    return figure


def _blocks(values: np.ndarray, size: int) -> np.ndarray:
    whole = len(values) // size * size
    return values[:whole].reshape(-1, size, *values.shape[1:]).mean(axis=1)


def passes(decoded: Decoded, row: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture after every pass of its decoding.

    Args:
        decoded: with a trace of as many slots as the picture has.

    Returns:
        int [passes, length], its tokens and drafts, and bool [passes, length], which of them are fixed.
    """
    tokens, count = decoded.tokens[row].numpy(), int(decoded.passes[row])
    done = decoded.accepted[row, :count].cumsum(0).numpy()  # [passes]
    table = np.tile(tokens, (count, 1))
    for number, front in enumerate(done):
        drafts = decoded.trace[number, row].numpy()
        table[number, front:] = drafts[: len(tokens) - front]
    return table, np.arange(len(tokens)) < done[:, None]


def drafts(tables: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Drafts pass by pass, a panel a decoder: pale what may change, strong and framed what is fixed."""
    colours = np.array([_rgb(name) for name in list(figures.PALETTE.values())[1:]])  # [7, 3]
    most = min(max(len(tokens) for tokens, _ in tables.values()), MOST)
    slots = next(iter(tables.values()))[0].shape[1]
    with figures.style():
        figure, panels = figures.axes("double", columns=len(tables), aspect=most / slots * 1.15 + 0.12, sharey=True)
        for panel, (name, (tokens, fixed)) in zip(np.atleast_1d(panels), tables.items(), strict=True):
            tokens, fixed = tokens[:MOST], fixed[:MOST]
            strength = np.where(fixed, CLOSED, OPEN)[..., None]
            panel.imshow(1 - strength * (1 - colours[tokens % len(colours)]), aspect="equal")
            for (number, slot), token in np.ndenumerate(tokens):
                weight = "bold" if fixed[number, slot] else "normal"
                panel.text(slot, number, token, ha="center", va="center", fontsize=6, fontweight=weight)
            panel.set(title=f"{name}: {len(fixed)} passes", xlabel="slot", ylim=(most - 0.5, -0.5))
            panel.set_xticks(range(slots))
            panel.set_yticks(range(most), range(1, most + 1))
            panel.grid(False)
        np.atleast_1d(panels)[0].set_ylabel("pass")
    return figure


def _rgb(colour: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def distances(found: Mapping[str, float], chance: float, label: str) -> Figure:
    """How far what each decoder draws lies from the law; left of the line, chance alone explains it."""
    names = list(found)
    with figures.style():
        figure, axes = figures.axes("single", aspect=0.07 * len(names) + 0.25)
        for number, far in enumerate((False, True)):
            chosen = [name for name in names if (found[name] > chance) == far]
            label_of = ("explained by chance", "not the law")[number]
            look = figures.series(number) | {"linestyle": "none"}
            axes.plot([found[name] for name in chosen], [names.index(name) for name in chosen], label=label_of, **look)
        axes.axvline(chance, color="0.5", linestyle="--", linewidth=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel=label, xlim=(0, 1.08 * max(chance, *found.values())))
        axes.invert_yaxis()
        axes.legend()
    return figure


def strip(
    pictures: np.ndarray, columns: int, titles: Sequence[str] | None = None, rows: Sequence[str] | None = None
) -> Figure:
    """Pictures uint8 [N, S, S, 3] in rows of `columns`, with titles, and texts beside the rows."""
    return grids.picture_grid(pictures, columns, titles, rows=rows)


def paths(runs: Mapping[str, tuple[Sequence[Tensor], Tensor]], shown: int = 40) -> Figure:
    """Points of a `TwoGaussians` law on their way, a panel a sampler, and where they end beside the law's density.

    Args:
        runs: sampler → what it passed through, tensors [B], and its ends.
        shown: how many of the points are drawn as lines.
    """
    line, thin = np.linspace(-2.2, 2.2, 400), {"linestyle": "-", "marker": ""}
    with figures.style():
        ratios = {"width_ratios": [2, 1] * len(runs)}
        figure, panels = figures.axes("double", columns=2 * len(runs), aspect=2.2, sharey=True, gridspec_kw=ratios)
        for number, (name, (path, ends)) in enumerate(runs.items()):
            way, end = panels[2 * number], panels[2 * number + 1]
            points = torch.stack([*path, ends.flatten()])[:, :shown].numpy()  # [passes + 1, shown]
            way.plot(range(len(points)), points, color="0.55", linewidth=0.5, **thin)
            way.set(title=name, xlabel="pass", ylim=(-2.6, 2.6))
            bar = {"density": True, "orientation": "horizontal", "color": figures.PALETTE["sky blue"]}
            end.hist(ends.flatten().numpy(), 60, range=(-2.2, 2.2), **bar)
            end.plot(gaussians.density(line), line, color=figures.PALETTE["vermillion"], linewidth=1.0, **thin)
            end.set(xlabel="density")
            end.grid(False)
        panels[0].set_ylabel("x")
    return figure


def errors(found: Mapping[str, Mapping[int, float]], chance: float, label: str) -> Figure:
    """A distance over the number of passes, a line a sampler, and what chance alone gives."""
    with figures.style():
        figure, axes = figures.axes("single", aspect=0.75)
        for number, (name, values) in enumerate(found.items()):
            axes.plot(list(values), list(values.values()), label=name, **figures.series(number))
        axes.axhline(chance, color="0.5", linestyle="--", linewidth=0.8, label="chance, one time in twenty")
        axes.set(xscale="log", yscale="log", xlabel="passes", ylabel=label)
        ticks = sorted({passes for values in found.values() for passes in values})
        axes.set_xticks(ticks, ticks)
        axes.set_yticks((0.03, 0.1, 0.3, 1), ("0.03", "0.1", "0.3", "1"))
        axes.minorticks_off()
        axes.legend(loc="lower left")
    return figure

"""Curves of the selector's benchmark: what was found, and how good the map was."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ainerd_bluesky.bench.selection import SelectionBenchmark
from ainerd_bluesky.bench.selection_rows import (
    FARTHEST,
    GRID,
    RANDOM,
    SELECTOR,
    Outcome,
)
from ainerd_bluesky.bench.selection_scenarios import (
    FIND_RARE,
    GRIDS,
    MAP_MARKS,
    MAP_PHASES,
    grid_name,
)

__all__ = ["draw_selection", "found_shares"]

Floats = NDArray[np.float64]

_COLORS = {SELECTOR: "C0", RANDOM: "0.5", FARTHEST: "C2", GRID: "C1"}
_MOST_SCANS = 300
_QUARTILES = (0.25, 0.75)


def draw_selection(benchmark: SelectionBenchmark, folder: Path) -> list[Path]:
    """Draw the curves of the main scenarios and save them as PNG.

    Parameters
    ----------
    benchmark : SelectionBenchmark
        With both main scenarios.
    folder : Path
        Where to write; it must exist.

    Returns
    -------
    list of Path
        ``selection-found.png`` and ``selection-map.png``.
    """
    drawn = {
        "selection-found.png": (_draw_found, FIND_RARE.name),
        "selection-map.png": (_draw_errors, MAP_PHASES.name),
    }
    for name, (draw, scenario) in drawn.items():
        figure = Figure(figsize=(5.6, 3.8), layout="constrained")
        draw(figure.subplots(), benchmark.outcome(scenario))
        FigureCanvasAgg(figure)
        figure.savefig(folder / name, format="png", dpi=120)
    return [folder / name for name in drawn]


def found_shares(runs: Floats, scans: NDArray[np.int64]) -> Floats:
    """Return which share of the rare classes each run had found after so many scans.

    Parameters
    ----------
    runs : ndarray of shape (n_campaigns, n_repeats, n_rare)
        Scan at which each class was found.
    scans : ndarray of int64, shape (n_scans,)
        Numbers of scans.

    Returns
    -------
    ndarray of float64, shape (n_campaigns * n_repeats, n_scans)
        0 to 1.
    """
    each = runs.reshape(-1, runs.shape[-1])
    return np.asarray((each[:, None, :] <= scans[:, None]).mean(axis=-1))


def _draw_found(axes: Axes, outcome: Outcome) -> None:
    scans = np.arange(1, _MOST_SCANS + 1)
    for policy in outcome.results:
        found = found_shares(outcome.runs(policy), scans)
        # Thirds make the median a staircase: the mean tells more here.
        axes.plot(scans, found.mean(axis=0), color=_COLORS[policy], label=policy)
        if policy in {SELECTOR, RANDOM}:
            band = np.quantile(found, _QUARTILES, axis=0)
            axes.fill_between(scans, *band, color=_COLORS[policy], alpha=0.15, lw=0)
    axes.set_xlabel("scans")
    axes.set_ylabel("share of rare classes found\n(mean, quartiles)")
    axes.set_title(outcome.scenario.name)
    axes.legend()


def _draw_errors(axes: Axes, outcome: Outcome) -> None:
    for policy, scans, errors in _error_curves(outcome):
        low, middle, high = np.quantile(errors, [0.25, 0.5, 0.75], axis=0)
        axes.plot(scans, middle, color=_COLORS[policy], label=policy)
        axes.fill_between(scans, low, high, color=_COLORS[policy], alpha=0.15, lw=0)
    axes.set_yscale("log")
    axes.set_xlabel("scans")
    axes.set_ylabel("share of the map labelled wrongly\n(median, quartiles)")
    axes.set_title(outcome.scenario.name)
    axes.legend()


def _error_curves(outcome: Outcome) -> Iterator[tuple[str, Floats, Floats]]:
    for policy in (SELECTOR, RANDOM, FARTHEST):
        runs = outcome.runs(policy)
        yield policy, np.array(MAP_MARKS, float), runs.reshape(-1, runs.shape[-1])
    grids = np.array([outcome.runs(grid_name(n))[:, 0] for n in GRIDS])
    yield GRID, grids[..., 0].mean(axis=1), grids[..., 1].T

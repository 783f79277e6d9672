"""What the campaigns of a scenario say, as lines of a table."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.selection_scenarios import (
    GRID_STEPS,
    GRIDS,
    MAP_MARKS,
    NO_WORSE,
    Scenario,
    grid_name,
)

__all__ = [
    "FARTHEST",
    "GRID",
    "RANDOM",
    "SELECTOR",
    "Outcome",
    "SelectionRow",
    "rows_of",
    "scans_needed",
]

Floats = NDArray[np.float64]

SELECTOR, RANDOM, GRID, FARTHEST = "selector", "random", "grid", "farthest point"
"""Names of the policies."""
# An error of a fiftieth of a percent is not better than one of a tenth.
_NEGLIGIBLE_ERROR = 0.005
_N_RESAMPLES = 400
_INTERVAL = (0.05, 0.95)


@dataclass(frozen=True)
class Outcome:
    """What every policy did in the campaigns of one scenario.

    Parameters
    ----------
    scenario : Scenario
        Of what kind the campaigns are.
    results : dict of str to list
        By policy: for each campaign, for each repeat, scans at which the rare classes
        were found, or errors of the map at the scenario's marks; of a grid, its number
        of scans and the error of its map.
    """

    scenario: Scenario
    results: dict[str, list[list[list[float]]]]

    def runs(self, policy: str) -> Floats:
        """Return the results of a policy, campaigns by repeats by numbers."""
        return np.array(self.results[policy], dtype=float)


@dataclass(frozen=True)
class SelectionRow:
    """One line of the table.

    Parameters
    ----------
    scenario : str
        Of which campaigns, or what else was measured.
    subject : str
        What is compared.
    own, other : float
        Figure of the selector and of what it is compared with; nan if there is none.
    unit : str
        Of both.
    value : float
        What the target is about: their ratio, or the figure itself.
    interval : tuple of float
        Where nine of ten values lie if the campaigns are drawn again from themselves;
        nan if that makes no sense.
    target : float, optional
        Most that the value may be; None if it only informs.
    """

    scenario: str
    subject: str
    own: float
    other: float
    unit: str
    value: float
    interval: tuple[float, float] = (math.nan, math.nan)
    target: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        return None if self.target is None else self.value <= self.target


def rows_of(outcome: Outcome) -> list[SelectionRow]:
    """Compare the selector with every other policy of a scenario.

    Parameters
    ----------
    outcome : Outcome
        What they did.

    Returns
    -------
    list of SelectionRow
        Medians over the campaigns.
    """
    is_find = outcome.scenario.task == "find"
    return list(_find_rows(outcome) if is_find else _map_rows(outcome))


def scans_needed(curve: Floats, error: float) -> float:
    """Return after how many scans a curve over `MAP_MARKS` is down at an error.

    Parameters
    ----------
    curve : ndarray of shape (n_marks,)
        Errors.
    error : float
        To be reached.

    Returns
    -------
    float
        Between two marks by a straight line; infinite if it is never reached.

    Examples
    --------
    >>> round(scans_needed(np.array([0.4, 0.2, 0.1]), 0.3), 3)
    15.0
    """
    below = np.flatnonzero(curve <= error)
    if len(below) == 0:
        return math.inf
    first = int(below[0])
    if first == 0:
        return float(MAP_MARKS[0])
    before, after = curve[first - 1 : first + 1]
    left, right = MAP_MARKS[first - 1 : first + 1]
    return float(left + (right - left) * (before - error) / (before - after))


Compare = Callable[[Floats, Floats], tuple[float, float]]
"""Takes runs of the selector and of another policy, returns a figure of each."""


def _row(
    outcome: Outcome, other: str, compare: Compare, **named: object
) -> SelectionRow:
    runs, others = outcome.runs(SELECTOR), outcome.runs(other)
    own_figure, other_figure = compare(runs, others)
    rng = np.random.default_rng(0)
    ratios = []
    for drawn in rng.integers(len(runs), size=(_N_RESAMPLES, len(runs))):
        own, peer = compare(runs[drawn], others[drawn])
        ratios.append(own / peer)
    # Linear interpolation between infinities would give nan.
    low, high = np.quantile(ratios, _INTERVAL, method="nearest").tolist()
    return SelectionRow(
        scenario=outcome.scenario.name,
        own=own_figure,
        other=other_figure,
        value=own_figure / other_figure,
        interval=(low, high),
        **named,  # type: ignore[arg-type] # subject, unit and target
    )


def _find_rows(outcome: Outcome) -> Iterator[SelectionRow]:
    target = outcome.scenario.target or NO_WORSE
    for policy in (RANDOM, GRID, FARTHEST):
        if policy in outcome.results:
            yield _row(
                outcome,
                policy,
                _last_median,
                subject=f"scans to all rare / {policy}",
                unit="scans",
                target=target if policy == RANDOM else None,
            )


def _map_rows(outcome: Outcome) -> Iterator[SelectionRow]:
    for n_steps in GRIDS:
        name = grid_name(n_steps)
        if name in outcome.results:
            error = float(np.median(outcome.runs(name)[..., 1]))
            yield _row(
                outcome,
                name,
                _scans_to_grid,
                subject=f"scans to error {error:.3f} / {name}",
                unit="scans",
                target=outcome.scenario.target if n_steps == GRID_STEPS else None,
            )
    for subject, compare in (
        ("mean error / random", _mean_error),
        ("last error / random", _last_error),
    ):
        yield _row(
            outcome,
            RANDOM,
            compare,
            subject=subject,
            unit="of the map",
            target=NO_WORSE,
        )


def _last_median(own: Floats, other: Floats) -> tuple[float, float]:
    return float(np.median(own[..., -1])), float(np.median(other[..., -1]))


def _scans_to_grid(own: Floats, grid: Floats) -> tuple[float, float]:
    n_scans, error = np.median(grid, axis=(0, 1)).tolist()
    return scans_needed(np.median(own, axis=(0, 1)), error), n_scans


def _mean_error(own: Floats, other: Floats) -> tuple[float, float]:
    return _worth(own.mean()), _worth(other.mean())


def _last_error(own: Floats, other: Floats) -> tuple[float, float]:
    return _worth(own[..., -1].mean()), _worth(other[..., -1].mean())


def _worth(error: float) -> float:
    return max(float(error), _NEGLIGIBLE_ERROR)

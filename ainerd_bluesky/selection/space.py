"""Where candidates lie: axes with limits and costs, grids and boxes of conditions."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.protocols import LARGEST, Candidate

__all__ = [
    "Axis",
    "axis_as_json",
    "axis_from_json",
    "box_candidates",
    "grid_candidates",
    "is_within",
    "scale_coordinates",
    "seconds_to",
]

_ROUNDING = 1e-9
_FEWEST_DIGITS, _MOST_DIGITS = 6, 17


@dataclass(frozen=True)
class Axis:
    """One coordinate of the candidates.

    Parameters
    ----------
    name : str
        Such as ``temperature``.
    low, high : float
        Limits: nothing beyond is ever suggested. Where both are finite, distances are
        measured in units of their difference, else of the candidates' range.
    seconds_per_unit : float
        Time that a change takes: a motor's or a temperature ramp's.
    settle : float
        Time to wait after any change, in seconds.
    is_log : bool
        Whether distances are those of logarithms: shear rates span decades.

    Raises
    ------
    SelectionError
        If the limits are no interval, have no logarithm though `is_log`, a time is
        negative, or a number is beyond 1e100.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    seconds_per_unit: float = 0.0
    settle: float = 0.0
    is_log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise SelectionError(
                f"axis {self.name!r} needs low < high, got {self.low} and {self.high}"
            )
        if self.is_log and math.isfinite(self.low) and not self.low > 0:
            raise SelectionError(
                f"axis {self.name!r} is logarithmic and needs low > 0, got {self.low}"
            )
        limits = (self.low, self.high)
        if not all(abs(at) <= LARGEST for at in limits if math.isfinite(at)):
            raise SelectionError(
                f"axis {self.name!r} needs limits to {LARGEST:g} either way, or none, "
                f"got {self.low} and {self.high}"
            )
        times = (self.seconds_per_unit, self.settle)
        if not all(0 <= seconds <= LARGEST for seconds in times):
            raise SelectionError(
                f"axis {self.name!r} needs times >= 0, to {LARGEST:g} s, got "
                f"seconds_per_unit {self.seconds_per_unit} and settle {self.settle}"
            )

    @property
    def is_bounded(self) -> bool:
        """Whether both limits are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def on_scale(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values as distances are measured: themselves or logarithms."""
        return np.log10(values) if self.is_log else values


def axis_as_json(axis: Axis) -> dict[str, Any]:
    """Return an axis as JSON values; a missing limit is None."""
    values = asdict(axis)
    for limit in ("low", "high"):
        values[limit] = values[limit] if math.isfinite(values[limit]) else None
    return values


def axis_from_json(values: Mapping[str, Any]) -> Axis:
    """Make an axis from what `axis_as_json` returned."""
    return Axis(**{key: value for key, value in values.items() if value is not None})


def scale_coordinates(
    coordinates: NDArray[np.float64], axes: Sequence[Axis] = ()
) -> NDArray[np.float64]:
    """Scale each coordinate to 0 to 1 by its limits or, without any, its range.

    Parameters
    ----------
    coordinates : ndarray of shape (n_candidates, n_coordinates)
        In whatever units.
    axes : sequence of Axis, optional
        One for each coordinate.

    Returns
    -------
    ndarray of float64, same shape
        A coordinate that is the same for all becomes a constant.

    Examples
    --------
    >>> scale_coordinates(np.array([[10.0, 5.0], [20.0, 5.0], [30.0, 5.0]]))[:, 0]
    array([0. , 0.5, 1. ])
    >>> scale_coordinates(np.array([[10.0], [30.0]]), [Axis("T", 0.0, 100.0)])[:, 0]
    array([0.1, 0.3])
    """
    scaled = np.array(coordinates, dtype=float)
    for column, axis in enumerate(axes):
        scaled[:, column] = axis.on_scale(scaled[:, column])
    low, high = scaled.min(axis=0), scaled.max(axis=0)
    for column, axis in enumerate(axes):
        if axis.is_bounded:
            limits = axis.on_scale(np.array([axis.low, axis.high]))
            low[column], high[column] = limits
    spread = high - low
    return np.asarray((scaled - low) / np.where(spread > 0, spread, 1.0))


def is_within(
    coordinates: NDArray[np.float64], axes: Sequence[Axis]
) -> NDArray[np.bool_]:
    """Tell which candidates lie inside the limits of all axes.

    Parameters
    ----------
    coordinates : ndarray of shape (n_candidates, n_coordinates)
        In the units of the axes.
    axes : sequence of Axis
        One for each coordinate, or none.

    Returns
    -------
    ndarray of bool, shape (n_candidates,)
        True inside; a limit itself is inside, and so is what rounding put beyond it by
        1e-9 of the range.
    """
    inside = np.ones(len(coordinates), dtype=bool)
    for column, axis in enumerate(axes):
        values = coordinates[:, column]
        spread = axis.high - axis.low if axis.is_bounded else np.ptp(values)
        slack = _ROUNDING * spread
        inside &= (axis.low - slack <= values) & (values <= axis.high + slack)
    return inside


def seconds_to(
    coordinates: NDArray[np.float64],
    here: NDArray[np.float64] | None,
    axes: Sequence[Axis],
) -> NDArray[np.float64]:
    """Compute how long it takes to get to candidates.

    All axes move at the same time, so the slowest decides.

    Parameters
    ----------
    coordinates : ndarray of shape (n_candidates, n_coordinates)
        Where to go.
    here : ndarray of shape (n_coordinates,), optional
        Where the experiment stands; None if that is not known.
    axes : sequence of Axis
        One for each coordinate, or none.

    Returns
    -------
    ndarray of float64, shape (n_candidates,)
        Seconds; 0 while nothing is known of where the experiment stands.

    Examples
    --------
    >>> stage = Axis("x", seconds_per_unit=2.0, settle=1.0)
    >>> seconds_to(np.array([[0.0], [3.0]]), np.array([0.0]), [stage])
    array([0., 7.])
    """
    seconds = np.zeros(len(coordinates))
    if here is None:
        return seconds
    for column, axis in enumerate(axes):
        way = np.abs(coordinates[:, column] - here[column])
        needed = way * axis.seconds_per_unit + np.where(way > 0, axis.settle, 0.0)
        np.maximum(seconds, needed, out=seconds)
    return seconds


def grid_candidates(
    values: Mapping[str, Sequence[float]], *, exposure: float = 0.0, sample: str = ""
) -> list[Candidate]:
    """Make a candidate of every combination of conditions.

    Parameters
    ----------
    values : mapping of str to sequence of float
        Values of each axis.
    exposure : float
        Time of one measurement, in seconds.
    sample : str
        What is measured under these conditions.

    Returns
    -------
    list of Candidate
        The last axis changes fastest; names tell the conditions, with as many digits
        as it takes to tell them apart.

    Raises
    ------
    SelectionError
        If an axis has no value.

    Examples
    --------
    >>> [found.name for found in grid_candidates({"T": [20, 30], "shear": [0.5]})]
    ['T=20 shear=0.5', 'T=30 shear=0.5']
    """
    empty = sorted(name for name, column in values.items() if len(column) == 0)
    if empty or not values:
        raise SelectionError(f"each axis needs values, got none for {empty or 'any'}")
    points = list(itertools.product(*values.values()))
    return _conditions(tuple(values), points, exposure, sample)


def box_candidates(
    axes: Sequence[Axis], n_candidates: int, *, exposure: float = 0.0, sample: str = ""
) -> list[Candidate]:
    """Sample a box of continuous conditions evenly, without any chance.

    Parameters
    ----------
    axes : sequence of Axis
        All with finite limits.
    n_candidates : int
        How many.
    exposure : float
        Time of one measurement, in seconds.
    sample : str
        What is measured under these conditions.

    Returns
    -------
    list of Candidate
        The first n of a longer list lie where the list of n does; names tell the
        conditions, with as many digits as it takes to tell them apart.

    Raises
    ------
    SelectionError
        If a limit is not finite or there are to be no candidates.

    Notes
    -----
    An additive recurrence with powers of the generalised golden ratio [1]_.

    References
    ----------
    .. [1] M. Roberts, The unreasonable effectiveness of quasirandom sequences (2018).
    """
    open_axes = [axis.name for axis in axes if not axis.is_bounded]
    if open_axes or not axes or n_candidates < 1:
        raise SelectionError(
            "a box needs axes with finite limits and n_candidates >= 1, got "
            f"{n_candidates} and no limits for {open_axes or 'no axes'}"
        )
    ratio = 2.0
    for _ in range(64):
        ratio = (1.0 + ratio) ** (1.0 / (len(axes) + 1))
    steps = ratio ** -np.arange(1.0, len(axes) + 1)
    fractions = (0.5 + steps * np.arange(1, n_candidates + 1)[:, None]) % 1.0
    columns = [
        _within(axis, column) for axis, column in zip(axes, fractions.T, strict=True)
    ]
    names = tuple(axis.name for axis in axes)
    points = [tuple(point) for point in np.column_stack(columns).tolist()]
    return _conditions(names, points, exposure, sample)


def _within(axis: Axis, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values at fractions of an axis, none beyond its limits."""
    low, high = axis.on_scale(np.array([axis.low, axis.high]))
    values = low + fractions * (high - low)
    if axis.is_log:
        values = 10.0**values
    return np.asarray(np.clip(values, axis.low, axis.high))


def _conditions(
    names: Sequence[str],
    points: Sequence[tuple[float, ...]],
    exposure: float,
    sample: str,
) -> list[Candidate]:
    start = f"{sample} " if sample else ""
    return [
        Candidate(start + told, tuple(map(float, point)), exposure, sample)
        for told, point in zip(_told(names, points), points, strict=True)
    ]


def _told(names: Sequence[str], points: Sequence[tuple[float, ...]]) -> list[str]:
    """Write points with the fewest digits that keep different ones apart."""
    n_points = len(set(points))
    told: list[str] = []
    for n_digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
        told = [
            " ".join(
                f"{name}={value:.{n_digits}g}"
                for name, value in zip(names, point, strict=True)
            )
            for point in points
        ]
        if len(set(told)) == n_points:
            break
    return told

"""What chance alone would give: values exchanged between rows, and p-values."""

from enum import StrEnum
from math import exp, lgamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError

__all__ = [
    "Exchange",
    "draw_exchanges",
    "is_shared",
    "joint_p_values",
    "lowest_p_value",
    "mostly_alone",
    "permutation_p_value",
    "suitable_exchange",
]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_ROUNDING = 1e-9


class Exchange(StrEnum):
    """Which rows may change places if a property has nothing to do with dynamics."""

    GROUPS = "groups"
    """Whole groups: rows of one group share a value, and keep sharing one."""
    WITHIN = "within"
    """Rows of one group among themselves: what differs between groups is left alone."""
    TIME = "time"
    """Steps of a process: all values are shifted along time, the end to the start."""


def suitable_exchange(
    values: Floats, groups: NDArray[Any], times: Floats | None
) -> Exchange:
    """Choose the exchange that does not count one observation twice.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        The property.
    groups : ndarray of shape (n_rows,)
        Rows with equal entries belong together: one sample, or one run.
    times : ndarray of shape (n_rows,) or None
        Seconds; None where the order of the rows means nothing.

    Returns
    -------
    Exchange
        `groups` where each group has one value, and most rows have others in their
        group. Otherwise `time`, because neighbours in a process are alike; where times
        are not known, `within`, or `groups` of one row each.

    Notes
    -----
    Rows that stand alone are no independent observations: of two unrelated series of
    40 runs that remember themselves over ten, values exchanged freely seem to go
    together in most cases.
    """
    is_timed = times is not None and bool(np.isfinite(times).all())
    if is_shared(values, groups) and not (is_timed and mostly_alone(groups)):
        return Exchange.GROUPS
    return Exchange.TIME if is_timed else Exchange.WITHIN


def is_shared(values: Floats, groups: NDArray[Any]) -> bool:
    """Return whether each group has one value.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        The property.
    groups : ndarray of shape (n_rows,)
        Rows with equal entries belong together.

    Returns
    -------
    bool
        Always true of groups of one row each.
    """
    codes = _codes(groups)
    return bool((values == values[_first_of(codes)[codes]]).all())


def mostly_alone(groups: NDArray[Any]) -> bool:
    """Return whether most rows have no other row in their group.

    Parameters
    ----------
    groups : ndarray of shape (n_rows,)
        Rows with equal entries belong together.

    Returns
    -------
    bool
        Then the groups say little of what is independent.
    """
    codes = _codes(groups)
    return bool((np.bincount(codes)[codes] == 1).mean() > 0.5)


def draw_exchanges(
    exchange: Exchange,
    groups: NDArray[Any],
    times: Floats | None,
    *,
    n_draws: int,
    rng: np.random.Generator,
) -> Indices:
    """Draw which row's value each row gets.

    Parameters
    ----------
    exchange : Exchange
        What may change places.
    groups : ndarray of shape (n_rows,)
        Rows with equal entries belong together.
    times : ndarray of shape (n_rows,) or None
        Seconds; needed for `time` only.
    n_draws : int
        How many at most: fewer shifts along time, if that is all there are.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    ndarray of int, shape (n_draws, n_rows)
        ``values[result]`` are values as they could have been.

    Raises
    ------
    ConfigError
        If values are to be shifted along a time that is not known.
    """
    codes = _codes(groups)
    match exchange:
        case Exchange.GROUPS:
            first = _first_of(codes)
            swapped = rng.permuted(np.tile(first, (n_draws, 1)), axis=1)
            return np.asarray(swapped[:, codes])
        case Exchange.WITHIN:
            shuffled = np.argsort(codes + rng.random((n_draws, len(codes))), axis=1)
            return _in_places(np.argsort(codes, kind="stable"), shuffled)
        case Exchange.TIME:
            if times is None or not np.isfinite(times).all():
                raise ConfigError("values shift along time, but not every row has one")
            order = np.argsort(times, kind="stable")
            steps = _steps(len(order), n_draws, rng)
            return _in_places(
                order, order[(np.arange(len(order)) + steps) % len(order)]
            )


def lowest_p_value(exchange: Exchange, values: Floats, groups: NDArray[Any]) -> float:
    """Tell how small a p-value so few rows can give, at the best.

    Parameters
    ----------
    exchange : Exchange
        What may change places.
    values : ndarray of shape (n_rows,)
        The property.
    groups : ndarray of shape (n_rows,)
        Rows with equal entries belong together.

    Returns
    -------
    float
        One over the number of different ways to exchange the values.
    """
    codes = _codes(groups)
    match exchange:
        case Exchange.TIME:
            return 1 / len(values)
        case Exchange.GROUPS:
            parts = [values[_first_of(codes)]]
        case Exchange.WITHIN:
            parts = [values[codes == code] for code in range(codes.max() + 1)]
    return exp(-sum(_log_n_ways(part) for part in parts))


def permutation_p_value(statistics: Floats) -> float:
    """Compute how often chance does at least as well.

    Parameters
    ----------
    statistics : ndarray of shape (1 + n_draws,)
        Of the values as they are, then of exchanged ones; larger is more.

    Returns
    -------
    float
        (k + 1) / (n_draws + 1), where k draws reach the first entry: never 0.

    Examples
    --------
    >>> permutation_p_value(np.array([2.0, 1.0, 3.0, 0.0]))
    0.5
    """
    return float(_n_as_good(statistics)[0] / len(statistics))


def joint_p_values(statistics: Floats) -> Floats:
    """Compute how often chance does at least as well in any of several measures.

    Parameters
    ----------
    statistics : ndarray of shape (n_measures, 1 + n_draws)
        Of the values as they are, then of exchanged ones, the same for all measures;
        larger is more.

    Returns
    -------
    ndarray of shape (n_measures,)
        Share of the draws whose best measure is as rare, among draws of that measure,
        as this one: at most the number of measures times the p-value of each.

    Notes
    -----
    Ranks compare measures whatever their distributions [1]_: of one with a long tail
    to bad values the best hardly leaves its scatter. Among equally rare ones the
    distance from the mean decides, in units of the scatter, for few draws have few
    ranks.

    References
    ----------
    .. [1] P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing (Wiley,
       1993), for the smallest of several p-values.

    Examples
    --------
    >>> joint_p_values(np.array([[9.0, 1.0, 0.0, 2.0], [1.0, 1.0, 0.0, 2.0]]))
    array([0.25, 0.75])
    """
    n_as_good = np.array([_n_as_good(one) for one in statistics])
    middle = statistics.mean(axis=1, keepdims=True)
    scatter = statistics.std(axis=1, keepdims=True)
    scores = (statistics - middle) / np.where(scatter > 0, scatter, 1.0)
    return np.array(
        [
            ((n_as_good < n) | ((n_as_good == n) & (scores >= score - _ROUNDING)))
            .any(axis=0)
            .mean()
            for n, score in zip(n_as_good[:, 0], scores[:, 0], strict=True)
        ]
    )


def _n_as_good(statistics: Floats) -> Indices:
    """Count, for each entry, those that reach it; itself is one."""
    # The same arrangement, summed up in another order, is the same statistic.
    enough = statistics - _ROUNDING * np.maximum(1.0, np.abs(statistics))
    return len(statistics) - np.searchsorted(np.sort(statistics), enough, "left")


def _codes(groups: NDArray[Any]) -> Indices:
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def _first_of(codes: Indices) -> Indices:
    """Return one row of each group."""
    return np.unique(codes, return_index=True)[1]


def _steps(n_rows: int, n_draws: int, rng: np.random.Generator) -> Indices:
    """Return by how much to shift: every step once, or some where they are many."""
    if n_rows - 1 <= n_draws:
        return np.arange(1, n_rows)[:, None]
    return rng.integers(n_rows, size=(n_draws, 1))


def _in_places(order: Indices, drawn: Indices) -> Indices:
    """Give the rows in this order what was drawn for them."""
    indices = np.empty_like(drawn)
    indices[:, order] = drawn
    return indices


def _log_n_ways(values: Floats) -> float:
    """Return the logarithm of the number of different orders of some values."""
    counts = np.unique(values, return_counts=True)[1]
    return lgamma(len(values) + 1) - sum(lgamma(count + 1) for count in counts)

"""Which frames the multi-tau scheme multiplies: levels, delays and ages."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PairPlan", "coarser", "multi_tau_lags", "pair_plan"]

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairPlan:
    """Products of frames to sum: one entry for each delay, in rising order.

    Parameters
    ----------
    n_frames : int
        Length of the series.
    levels : ndarray of int64, shape (n_lags,)
        How often frames have been summed by two.
    steps : ndarray of int64, shape (n_lags,)
        Delay in frames of that level.
    edges : ndarray of int64, shape (n_lags, n_ages + 1)
        The earlier frames of the pairs of age i are edges[i] .. edges[i + 1] - 1, in
        frames of the level.
    """

    n_frames: int
    levels: Integers
    steps: Integers
    edges: Integers

    @property
    def lags(self) -> Integers:
        """Delays in frames, shape (n_lags,)."""
        return self.steps << self.levels

    @property
    def shape(self) -> tuple[int, int]:
        """Number of delays and of ages."""
        return self.edges.shape[0], self.edges.shape[1] - 1

    def ranges(self, lag_index: int) -> Iterator[tuple[int, int]]:
        """Yield start and stop of the earlier frames of each age at one delay."""
        edges = self.edges[lag_index].tolist()
        yield from pairwise(edges)


def multi_tau_lags(n_frames: int, lags_per_level: int = 8) -> Integers:
    """List the delays of the multi-tau scheme.

    Parameters
    ----------
    n_frames : int
        Length of the series.
    lags_per_level : int
        Delays at full time resolution; each later level doubles the frame time and
        adds the upper half as many.

    Returns
    -------
    ndarray of int64, shape (n_lags,)
        Delays in frames, rising.

    Examples
    --------
    >>> multi_tau_lags(40, 4)
    array([ 1,  2,  3,  4,  6,  8, 12, 16, 24, 32])
    """
    return pair_plan(n_frames, lags_per_level).lags


def pair_plan(n_frames: int, lags_per_level: int = 8, n_ages: int = 1) -> PairPlan:
    """Lay out the products of the multi-tau scheme, sorted by age.

    Parameters
    ----------
    n_frames : int
        Length of the series.
    lags_per_level : int
        Delays at full time resolution.
    n_ages : int
        Ranges of equal width that the age (t1 + t2)/2 is divided into.

    Returns
    -------
    PairPlan
        A pair of summed frames has the age of its centre.
    """
    steps = list(_steps(n_frames, lags_per_level))
    levels, delays = np.array(steps, dtype=np.int64).reshape(-1, 2).T
    # Frame t of a level ends at (t + 1) 2^level, and the age of a pair, counted from
    # the start of the first frame, is (t + (delay + 1)/2) 2^level.
    borders = np.arange(n_ages + 1) * n_frames / n_ages
    first = np.ceil(borders / 2.0 ** levels[:, None] - (delays[:, None] + 1) / 2)
    n_pairs = (n_frames >> levels) - delays
    edges = np.clip(first, 0, n_pairs[:, None]).astype(np.int64)
    return PairPlan(n_frames, levels, delays, edges)


def coarser(frames: NDArray[Any], axis: int = -1) -> NDArray[Any]:
    """Sum frames by two along an axis; an odd last one is dropped."""
    n_pairs = frames.shape[axis] // 2
    frames = np.moveaxis(frames, axis, 0)
    summed = frames[: 2 * n_pairs : 2] + frames[1 : 2 * n_pairs : 2]
    return np.moveaxis(summed, 0, axis)


def _steps(n_frames: int, lags_per_level: int) -> Iterator[tuple[int, int]]:
    """Yield level and delay, in frames of that level, of each delay in turn."""
    level, first = 0, 1
    while n_frames >> level > first:
        for steps in range(first, lags_per_level + 1):
            if steps < n_frames >> level:
                yield level, steps
        level, first = level + 1, lags_per_level // 2 + 1

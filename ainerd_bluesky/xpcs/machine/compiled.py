"""Inner loops compiled by numba: the same sums as in numpy, several times faster.

Only `ainerd_bluesky.xpcs.machine.acceleration` opens this module, and only where
numba is installed.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "add_lag_pairs",
    "add_level_pairs",
    "add_pair_sums",
    "add_time_pairs",
]

Array = NDArray[Any]

# Sums may be taken in any order, so that they use the whole width of the processor.
# No nan comes here: it is in frames that are not good.
_ANY_ORDER = {"reassoc", "contract", "nsz", "nnan"}


@njit(cache=True, nogil=True, fastmath=_ANY_ORDER)
def _dot(first: Array, second: Array) -> Any:  # noqa: ANN401 - float32 or float64
    total = first[0] * second[0]
    for index in range(1, len(first)):
        total += first[index] * second[index]
    return total


@njit(cache=True, nogil=True)
def _halve(series: Array, halved: Array) -> None:
    """Write sums of neighbours, into another array for the sake of vector units."""
    for index in range(len(halved)):
        halved[index] = series[2 * index] + series[2 * index + 1]


@njit(cache=True, nogil=True)
def _add_products(
    series: Array,
    lag: int,
    step: int,
    edges: Array,
    factor: float,
    products: Array,
) -> None:
    """Add the products at one delay, age by age."""
    for age in range(edges.shape[1] - 1):
        start, stop = edges[lag, age], edges[lag, age + 1]
        if stop > start:
            product = _dot(series[start:stop], series[start + step : stop + step])
            products[lag, age] += factor * product


@njit(cache=True, nogil=True)
def _add_pixel(  # noqa: PLR0913 - numba compiles arrays, not objects
    series: Array,
    work: Array,
    wide: Array,
    limit: float,
    levels: Array,
    steps: Array,
    edges: Array,
    factor: float,
    products: Array,
) -> None:
    """Add the products of one pixel at each delay; work and wide are overwritten."""
    narrow, n_frames, level, is_wide = series, len(series), 0, False
    # No sum of products is above that of squares (Cauchy-Schwarz), which at most
    # doubles when frames are summed by two.
    bound = float(_dot(series, series))
    for lag in range(len(levels)):
        while level < levels[lag]:
            n_frames, level, bound = n_frames // 2, level + 1, 2 * bound
            if is_wide:
                _halve(wide[(level + 1) % 2], wide[level % 2, :n_frames])
            else:
                halved = work[level % 2, :n_frames]
                _halve(narrow, halved)
                narrow = halved
        if not is_wide and bound >= limit:
            is_wide = True
            wide[level % 2, :n_frames] = narrow
        if is_wide:
            frames = wide[level % 2]
            _add_products(frames, lag, steps[lag], edges, factor, products)
        else:
            _add_products(narrow, lag, steps[lag], edges, factor, products)


@njit(cache=True, nogil=True)
def add_pair_sums(  # noqa: PLR0913 - numba compiles arrays, not objects
    series: Array,
    levels: Array,
    steps: Array,
    edges: Array,
    groups: Array,
    weights: Array,
    limit: float,
    products: Array,
    sums: Array,
) -> None:
    """Add products and sums of some pixels to those of their groups.

    `series` holds a pixel in each row, the frames first; sums of products that may
    reach `limit` are taken in float64.
    """
    n_frames = sums.shape[1]
    work, wide = np.empty((2, n_frames), series.dtype), np.empty((2, n_frames))
    for pixel in range(len(groups)):
        weight, frames = weights[pixel], series[pixel, :n_frames]
        total, product = sums[groups[pixel]], products[groups[pixel]]
        for frame in range(n_frames):
            total[frame] += weight * frames[frame]
        _add_pixel(frames, work, wide, limit, levels, steps, edges, weight**2, product)


@njit(cache=True, nogil=True)
def add_lag_pairs(
    times: Array,
    values: Array,
    starts: Array,
    factors: Array,
    rows: Array,
    total: Array,
) -> None:
    """Add the products of all pairs of events of each pixel to its row, by delay."""
    for pixel in range(len(factors)):
        row = total[rows[pixel]]
        for first in range(starts[pixel], starts[pixel + 1]):
            value = values[first] * factors[pixel]
            for later in range(first + 1, starts[pixel + 1]):
                row[times[later] - times[first]] += value * values[later]


@njit(cache=True, nogil=True)
def add_time_pairs(
    times: Array, values: Array, ends: Array, order: Array, total: Array
) -> None:
    """Add the products of all pairs of events of a pixel to a symmetric map.

    `order` goes through the events by time, so that one row after the other is filled.
    """
    n_times = len(total)
    row = np.zeros(n_times)
    position = 0
    for time in range(n_times):
        while position < len(order) and times[order[position]] == time:
            first = order[position]
            for later in range(first, ends[first]):
                row[times[later]] += values[first] * values[later]
            position += 1
        for other in range(time, n_times):
            total[time, other] += row[other]
            row[other] = 0
    for time in range(n_times):
        for other in range(time):
            total[time, other] = total[other, time]


@njit(cache=True, nogil=True)
def _merge(times: Array, values: Array, n_times: int) -> int:
    """Sum the events of a pixel by two frames, and return how many are left."""
    n_merged = 0
    for event in range(len(times)):
        time = times[event] // 2
        if time >= n_times:
            break
        if n_merged > 0 and times[n_merged - 1] == time:
            values[n_merged - 1] += values[event]
        else:
            times[n_merged], values[n_merged] = time, values[event]
            n_merged += 1
    return n_merged


@njit(cache=True, nogil=True)
def _age(edges: Array, time: int) -> int:
    """Return the range between two edges that a time lies in."""
    age = 0
    while edges[age + 1] <= time:
        age += 1
    return age


@njit(cache=True, nogil=True)
def _add_near_pairs(
    times: Array,
    values: Array,
    first_lag: int,
    steps: Array,
    edges: Array,
    products: Array,
) -> None:
    """Add the products of the events of a pixel at the delays of one level."""
    lowest, highest = steps[0], steps[-1]
    for first in range(len(times)):
        for later in range(first + 1, len(times)):
            step = times[later] - times[first]
            if step > highest:
                break
            if step >= lowest:
                lag = first_lag + step - lowest
                age = _age(edges[lag], times[first])
                products[lag, age] += values[first] * values[later]


@njit(cache=True, nogil=True)
def add_level_pairs(  # noqa: PLR0913 - numba compiles arrays, not objects
    times: Array,
    values: Array,
    starts: Array,
    n_frames: int,
    levels: Array,
    steps: Array,
    edges: Array,
    groups: Array,
    weights: Array,
    products: Array,
) -> None:
    """Add the products of the events of each pixel to its group, level by level."""
    largest = np.max(np.diff(starts)) if len(weights) > 0 else 0
    work_times, work = np.empty(largest, times.dtype), np.empty(largest)
    for pixel in range(len(weights)):
        first, stop = starts[pixel], starts[pixel + 1]
        size = stop - first
        work_times[:size], work[:size] = times[first:stop], values[first:stop]
        work[:size] *= weights[pixel]
        level, lag = 0, 0
        while lag < len(levels) and size > 1:
            while level < levels[lag]:
                level += 1
                size = _merge(work_times[:size], work[:size], n_frames >> level)
            n_lags = 1
            while lag + n_lags < len(levels) and levels[lag + n_lags] == level:
                n_lags += 1
            _add_near_pairs(
                work_times[:size],
                work[:size],
                lag,
                steps[lag : lag + n_lags],
                edges,
                products[groups[pixel]],
            )
            lag += n_lags

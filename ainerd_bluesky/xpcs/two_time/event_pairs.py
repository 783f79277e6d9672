"""Sums over pairs of events in the same pixel, by delay or by two blocks of frames."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.sparse import csr_array

from ainerd_bluesky.xpcs.data.pixel_events import PixelEvents
from ainerd_bluesky.xpcs.machine.acceleration import compiled_kernels

__all__ = ["lag_pair_sums", "time_pair_sums"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# A pair costs about as much as so many points of a transform, compiled and in numpy.
_POINTS_PER_PAIR = (0.15, 1.5)
# A pair of the map costs as much as so many elements of a product of matrices.
_ELEMENTS_PER_PAIR = 60
_ROWS_AT_ONCE = 256
# Of temporary arrays: 32 MiB in float64.
_WORK_ELEMENTS = 2**22
# Below it the error of a transform, about 1e-15 of its largest sum, rounds away.
_EXACT_IN_TRANSFORM = 1e13


def lag_pair_sums(
    events: PixelEvents, factors: Floats, rows: Integers, n_rows: int, engine: str
) -> Floats:
    """Sum products of values over all pairs of events, by their delay.

    A pixel with many events is transformed instead, so that its cost does not grow with
    the square of their number.

    Parameters
    ----------
    events : PixelEvents
        In frames.
    factors : ndarray of float64, shape (n_pixels,)
        Of the products in each pixel.
    rows : ndarray of int64, shape (n_pixels,)
        Row of the result that each pixel belongs to.
    n_rows : int
        Number of rows.
    engine : str
        "numpy" does without compiled kernels.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_times - 1)
        For lags from 1.
    """
    kernels = None if engine == "numpy" else compiled_kernels()
    total = np.zeros((n_rows, events.n_times))
    sizes = np.diff(events.starts)
    n_points = next_fast_len(2 * events.n_times, real=True)
    cost = _POINTS_PER_PAIR[kernels is None] * sizes * (sizes - 1.0) / 2
    is_crowded = cost > n_points * np.log2(max(n_points, 2))
    sparse = events.of_pixels(~is_crowded) if is_crowded.any() else events
    if kernels is None:
        _add_pairs(sparse, factors, rows, total)
    else:
        kernels.add_lag_pairs(
            sparse.times, sparse.values, sparse.starts, factors, rows, total
        )
    _add_transformed(events, np.flatnonzero(is_crowded), factors, rows, total)
    return total[:, 1:]


def time_pair_sums(events: PixelEvents, engine: str) -> NDArray[np.float32]:
    """Sum products of values over all pairs of events, by both times.

    Parameters
    ----------
    events : PixelEvents
        In frames or blocks.
    engine : str
        "numpy" does without compiled kernels.

    Returns
    -------
    ndarray of float32, shape (n_times, n_times)
        Symmetric; the diagonal holds the squares.
    """
    n_times, sizes = events.n_times, np.diff(events.starts)
    is_crowded = _ELEMENTS_PER_PAIR * sizes**2.0 > float(n_times) ** 2
    total = np.zeros((n_times, n_times), np.float32)
    sparse = events.of_pixels(~is_crowded)
    kernels = None if engine == "numpy" else compiled_kernels()
    if kernels is None:
        frames = csr_array(
            (sparse.values, (sparse.times, sparse.pixels)),
            shape=(n_times, len(sizes)),
        )
        for start in range(0, n_times, _ROWS_AT_ONCE):
            part = frames[start : start + _ROWS_AT_ONCE]
            total[start : start + _ROWS_AT_ONCE] = (part @ frames.T).toarray()
    else:
        ends = np.repeat(sparse.starts[1:], np.diff(sparse.starts))
        order = np.argsort(sparse.times, kind="stable")
        kernels.add_time_pairs(sparse.times, sparse.values, ends, order, total)
    _add_outer_products(events, np.flatnonzero(is_crowded), total)
    return total


def _add_pairs(
    events: PixelEvents, factors: Floats, rows: Integers, total: Floats
) -> None:
    """Add the products of all pairs to the row of their pixel."""
    pixels = events.pixels
    values = events.values * factors[pixels]
    for first, later in events.pairs(events.n_times):
        place = rows[pixels[first]] * events.n_times
        place += events.times[later] - events.times[first]
        np.add.at(total.reshape(-1), place, values[first] * events.values[later])


def _add_transformed(
    events: PixelEvents,
    pixels: Integers,
    factors: Floats,
    rows: Integers,
    total: Floats,
) -> None:
    """Add autocorrelations of whole pixels, as transforms of their power spectra."""
    # One sum for all pixels of the same factor: whole numbers, that can be rounded.
    keys = np.stack([rows[pixels].astype(np.float64), factors[pixels]], axis=1)
    for row, factor in np.unique(keys, axis=0):
        alike = pixels[(keys == (row, factor)).all(axis=1)]
        size = next_fast_len(2 * events.n_times, real=True)
        power, squares = np.zeros(size // 2 + 1), 0.0
        for series in _dense(events, alike, size):
            spectrum = rfft(series, size, axis=1)
            power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
            squares += float((series**2).sum())
        products = irfft(power, size)[: events.n_times]
        is_whole = bool((events.values == np.trunc(events.values)).all())
        if is_whole and squares < _EXACT_IN_TRANSFORM:
            products = np.rint(products)
        total[int(row)] += factor * products


def _add_outer_products(
    events: PixelEvents, pixels: Integers, total: NDArray[np.float32]
) -> None:
    for series in _dense(events, pixels, events.n_times):
        for start in range(0, events.n_times, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            total[rows] += series[:, rows].T @ series


def _dense(events: PixelEvents, pixels: Integers, size: int) -> Iterator[Floats]:
    """Yield values of some pixels after the other, shape (n_pixels, n_times)."""
    at_once = max(1, _WORK_ELEMENTS // max(size, 1))
    for start in range(0, len(pixels), at_once):
        part = pixels[start : start + at_once]
        series = np.zeros((len(part), events.n_times))
        for row, pixel in zip(series, part, strict=True):
            inside = slice(*events.starts[pixel : pixel + 2])
            row[events.times[inside]] = events.values[inside]
        yield series

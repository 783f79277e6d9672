"""A two-time map of any size as a sample of fixed size."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs.machine.blocks import row_blocks

__all__ = ["MIN_FRAMES", "SAMPLE_SIZE", "Maps", "area_weights", "as_maps", "to_sample"]

Maps: TypeAlias = NDArray[np.floating] | Sequence[NDArray[np.floating]]
"""One map (n, n), an array of maps (n_maps, n, n), or a list of maps of any sizes."""

Floats: TypeAlias = NDArray[np.float32]

SAMPLE_SIZE = 64
"""Rows and columns of a sample."""

MIN_FRAMES = 32
"""Rows and columns of the smallest map that can be classified."""

# Entries that are worked on in one go: maps of up to 512 frames are one block.
_BLOCK, _TILE = 2**18, 256


@lru_cache(maxsize=32)
def area_weights(n_frames: int, size: int) -> NDArray[np.float32]:
    """Compute the share of every frame in every sample row.

    Parameters
    ----------
    n_frames, size : int
        Rows before and after.

    Returns
    -------
    ndarray of float32, shape (size, n_frames)
        Overlap of the intervals; each row adds up to one. Read-only.

    Examples
    --------
    >>> (3 * area_weights(3, 2)).round().tolist()
    [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]
    """
    edges = np.linspace(0.0, n_frames, size + 1)
    frames = np.arange(n_frames)
    upper = np.minimum(edges[1:, None], frames + 1)
    lower = np.maximum(edges[:-1, None], frames)
    weights = np.asarray(np.maximum(upper - lower, 0.0) * size / n_frames, np.float32)
    weights.setflags(write=False)
    return weights


def as_maps(maps: Maps) -> list[NDArray[np.floating]]:
    """List the maps in whatever way they were handed over.

    Parameters
    ----------
    maps : ndarray of shape (n, n) or (n_maps, n, n), or list of ndarray
        One map, several of one size, or several of any sizes.

    Returns
    -------
    list of ndarray
        Each map by itself, not yet checked.

    Examples
    --------
    >>> [each.shape for each in as_maps(np.ones((2, 40, 40)))]
    [(40, 40), (40, 40)]
    """
    if isinstance(maps, np.ndarray) and maps.ndim <= 2:
        return [maps]
    return [np.asarray(two_time) for two_time in maps]


def to_sample(two_time: ArrayLike, size: int = SAMPLE_SIZE) -> NDArray[np.float32]:
    """Resample a map to a fixed size by exact area averaging.

    Both halves are averaged, the shot-noise diagonal is replaced by its neighbours,
    and an entry beyond all its neighbours is brought back to them. Values keep their
    meaning: no contrast stays 1. Entries that are not finite (dark frames) have no
    weight: missing frames at the ends are cut off, and what wider gaps leave empty gets
    the mean of what is known at the same delay.

    Parameters
    ----------
    two_time : array_like of shape (n_frames, n_frames)
        At least 32 frames.
    size : int
        Rows and columns of the sample.

    Returns
    -------
    ndarray of float32, shape (size, size)
        Symmetric and finite.

    Raises
    ------
    TwoTimeError
        If the map is not square, too small, or nowhere finite off its diagonal.
    """
    values = np.asarray(two_time, np.float32)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise TwoTimeError(f"two_time must be square, got shape {values.shape}")
    n_frames = len(values)
    if n_frames < MIN_FRAMES:
        raise TwoTimeError(f"two_time has {n_frames} frames, needs {MIN_FRAMES}")
    is_known = np.isfinite(values)
    np.fill_diagonal(is_known, val=False)
    if not is_known.any():
        raise TwoTimeError(
            f"two_time of {n_frames} frames has no finite value off its diagonal"
        )

    known = np.flatnonzero(is_known.any(axis=0) | is_known.any(axis=1))
    measured = slice(known[0], known[-1] + 1)
    sample = _averaged(values[measured, measured], size)
    return np.ascontiguousarray(0.5 * (sample + sample.T))


def _averaged(values: Floats, size: int) -> NDArray[np.floating]:
    """Average what is finite; an entry without any gets the mean at its delay."""
    n_frames = len(values)
    weights = area_weights(n_frames, size)
    total, share = np.zeros((2, size, n_frames), np.float32)
    is_complete = True
    for rows in row_blocks(n_frames, n_frames, _BLOCK):
        smooth = _smooth_rows(values, rows)
        is_finite = np.isfinite(smooth)
        # Only rows of the sample that these rows have a share in.
        reached = slice(rows.start * size // n_frames, -(-rows.stop * size // n_frames))
        part = weights[reached, rows]
        if is_finite.all():
            share[reached] += part.sum(axis=1, keepdims=True)
        else:
            is_complete = False
            smooth[~is_finite] = 0
            share[reached] += part @ is_finite.astype(np.float32)
        total[reached] += part @ smooth
    sample: Floats = total @ weights.T
    if is_complete:
        return sample
    share = share @ weights.T
    filled = sample / np.maximum(share, np.float32(1e-6))
    return _filled(filled, share > 1e-3).astype(np.float32)


def _smooth_rows(values: Floats, rows: slice) -> Floats:
    """Return some rows of a map without shot noise and outliers."""
    n_frames = len(values)
    first, last = max(rows.start - 1, 0), min(rows.stop + 1, n_frames)
    wide = np.empty((last - first, n_frames), np.float32)
    # Few columns at a time: every row of a map is another page of memory.
    for start in range(0, n_frames, _TILE):
        columns = slice(start, start + _TILE)
        mirrored = values[columns, first:last].T
        wide[:, columns] = _even(values[first:last, columns], mirrored)
    # The mean of the entries beside it stands for each entry of the diagonal.
    before, after = _beside(values)
    places = np.arange(first, last)
    wide[places - first, places] = 0.5 * (before[places] + after[places])
    # Rows beyond the ends of a map are those before them, mirrored.
    ends = (int(first == rows.start), int(last == rows.stop))
    padded = np.pad(wide, (ends, (1, 1)), mode="reflect")
    return _without_outliers(padded)


def _beside(values: Floats) -> tuple[Floats, Floats]:
    """Return what stands before and after each entry of the diagonal."""
    beside = _even(np.diagonal(values, 1), np.diagonal(values, -1))
    return np.append(beside[0], beside), np.append(beside, beside[-1])


def _even(values: Floats, mirrored: Floats) -> Floats:
    """Average both halves, so that a transposed map gives the same bits."""
    mean = 0.5 * (values + mirrored)
    is_finite = np.isfinite(mean)
    if is_finite.all():
        return np.asarray(mean)
    one = np.where(np.isfinite(values), values, mirrored)
    other = np.where(np.isfinite(mirrored), mirrored, values)
    return np.where(is_finite, mean, 0.5 * (one + other))


def _without_outliers(padded: Floats) -> Floats:
    """Bring every entry but the outermost into the range of its eight neighbours."""
    # Ridges, steps and edges have neighbours of their own height; a hot pixel has none.
    lowest = _of_neighbours(padded, np.fmin)
    highest = _of_neighbours(padded, np.fmax)
    return np.minimum(np.maximum(padded[1:-1, 1:-1], lowest), highest)


def _of_neighbours(padded: Floats, extreme: np.ufunc) -> Floats:
    """Take the extreme of eight neighbours; those that are not finite do not count."""
    beside = extreme(padded[:, :-2], padded[:, 2:])
    rows = extreme(beside, padded[:, 1:-1])
    above_and_below = extreme(rows[:-2], rows[2:])
    return np.asarray(extreme(above_and_below, beside[1:-1]))


def _filled(
    sample: NDArray[np.floating], is_known: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """Give unknown entries the mean at their delay: any other value draws a block."""
    delays = np.abs(np.subtract.outer(np.arange(len(sample)), np.arange(len(sample))))
    n_known = np.bincount(delays[is_known], minlength=len(sample))
    total = np.bincount(delays[is_known], sample[is_known], minlength=len(sample))
    there = np.flatnonzero(n_known)
    means = np.interp(delays, there, total[there] / n_known[there])
    return np.where(is_known, sample, means)

"""A two-time map of any size as a sample of fixed size."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import TwoTimeError

__all__ = ["MIN_FRAMES", "SAMPLE_SIZE", "Maps", "area_weights", "as_maps", "to_sample"]

Maps: TypeAlias = NDArray[np.floating] | Sequence[NDArray[np.floating]]
"""One map (n, n), an array of maps (n_maps, n, n), or a list of maps of any sizes."""

Floats: TypeAlias = NDArray[np.float32]

SAMPLE_SIZE = 64
"""Rows and columns of a sample."""

MIN_FRAMES = 32
"""Rows and columns of the smallest map that can be classified."""


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
    is_known = np.isfinite(values) & ~np.eye(n_frames, dtype=bool)
    if not is_known.any():
        raise TwoTimeError(
            f"two_time of {n_frames} frames has no finite value off its diagonal"
        )

    known = np.flatnonzero(is_known.any(axis=0) | is_known.any(axis=1))
    measured = slice(known[0], known[-1] + 1)
    values = _symmetric(values)[measured, measured]
    smooth = _without_outliers(_without_shot_noise(values))
    weights = area_weights(len(smooth), size)
    sample = _averaged(smooth, weights)
    return np.ascontiguousarray(0.5 * (sample + sample.T))


def _symmetric(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average both halves, so that a transposed map gives the same bits."""
    mean = 0.5 * (values + values.T)
    if np.isfinite(mean).all():
        return np.asarray(mean)
    only = np.where(np.isfinite(values), values, values.T)
    return np.where(np.isfinite(mean), mean, 0.5 * (only + only.T))


def _without_shot_noise(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace each diagonal entry by the mean of the entries beside it."""
    beside = np.diagonal(values, 1)
    smooth = values.copy()
    np.fill_diagonal(
        smooth,
        0.5 * (np.append(beside[0], beside) + np.append(beside, beside[-1])),
    )
    return smooth


def _without_outliers(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring every entry into the range of its eight neighbours."""
    # Ridges, steps and edges have neighbours of their own height; a hot pixel has none.
    padded = np.pad(values, 1, mode="reflect")
    lowest = _of_neighbours(padded, np.fmin)
    highest = _of_neighbours(padded, np.fmax)
    return np.minimum(np.maximum(values, lowest), highest)


def _of_neighbours(padded: NDArray[np.float32], extreme: np.ufunc) -> Floats:
    """Take the extreme of eight neighbours; those that are not finite do not count."""
    beside = extreme(padded[:, :-2], padded[:, 2:])
    rows = extreme(beside, padded[:, 1:-1])
    above_and_below = extreme(rows[:-2], rows[2:])
    return np.asarray(extreme(above_and_below, beside[1:-1]))


def _averaged(
    values: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Average what is finite; an entry without any gets the mean at its delay."""
    is_finite = np.isfinite(values)
    if is_finite.all():
        return np.asarray(weights @ values @ weights.T)
    total = weights @ np.where(is_finite, values, np.float32(0)) @ weights.T
    share = weights @ is_finite.astype(np.float32) @ weights.T
    filled = total / np.maximum(share, np.float32(1e-6))
    return _filled(filled, share > 1e-3).astype(np.float32)


def _filled(sample: Floats, is_known: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Give unknown entries the mean at their delay: any other value draws a block."""
    delays = np.abs(np.subtract.outer(np.arange(len(sample)), np.arange(len(sample))))
    n_known = np.bincount(delays[is_known], minlength=len(sample))
    total = np.bincount(delays[is_known], sample[is_known], minlength=len(sample))
    there = np.flatnonzero(n_known)
    means = np.interp(delays, there, total[there] / n_known[there])
    return np.where(is_known, sample, means)

"""Photons of one q-bin, as an array of counts or as events: what both can tell."""

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.data.series import Counts

__all__ = [
    "BinCounts",
    "CountSeries",
    "frame_sums",
    "is_sparse",
    "of_pixels",
    "pixel_moments",
    "repeats_before",
    "row_sums",
]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

BinCounts: TypeAlias = Counts | BinEvents
"""Photons: an array of shape (n_frames, n_pixels), or the entries that are not 0."""

_BLOCK_FRAMES = 128
# Frames that tell whether counts are plainly dense: so many times the limit and more.
_FRAMES_TO_SAMPLE = 64
_PLAINLY_DENSE = 2.0


class CountSeries(Protocol):
    """Photons of all q-bins: a `PixelSeries` or an `EventSeries`."""

    n_frames: int
    n_q_bins: int

    @property
    def saturation(self) -> int | None:
        """Upper limit of the detector's numbers, where they have one."""

    @property
    def n_bytes(self) -> int:
        """Memory that the photons take."""

    @property
    def is_missing(self) -> Bools:
        """Whether a frame could not be read, shape (n_frames,)."""

    def __iter__(self) -> Iterator[BinCounts]: ...

    def static_bins(self, q_bin: int) -> NDArray[np.int64] | None:
        """Return which static bin each pixel of a q-bin belongs to."""


def frame_sums(counts: BinCounts, is_wanted: Bools | None = None) -> Floats:
    """Sum the photons of each frame.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons.
    is_wanted : ndarray of bool, shape (n_pixels,), optional
        Pixels to sum over; all if not given.

    Returns
    -------
    ndarray of float64, shape (n_frames,)
        Photons.
    """
    if is_wanted is None:
        is_wanted = np.ones(counts.shape[1], bool)
    if isinstance(counts, BinEvents):
        values = counts.counts * is_wanted[counts.pixel_index]
        return _binned(counts.frame_index, values, counts.n_frames)
    if 2 * np.count_nonzero(is_wanted) < len(is_wanted):
        return np.asarray(counts[:, is_wanted].sum(axis=1, dtype=np.float64))
    # A copy of the few other columns instead of all that are wanted.
    totals = counts.sum(axis=1, dtype=np.float64)
    if not is_wanted.all():
        totals -= counts[:, ~is_wanted].sum(axis=1, dtype=np.float64)
    return np.asarray(totals)


def row_sums(totals: Floats, n_rows: int | None) -> Floats:
    """Sum photons of frames over the frames of each row of an averaged map.

    Parameters
    ----------
    totals : ndarray of float64, shape (n_frames,)
        Photons.
    n_rows : int, optional
        Rows of the map, edges as of `numpy.array_split`; frames if not given.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        Photons; not longer than `totals`.
    """
    if n_rows is None or not 0 < n_rows < len(totals):
        return totals
    sizes = [len(frames) for frames in np.array_split(totals, n_rows)]
    return np.asarray(np.add.reduceat(totals, np.cumsum([0, *sizes[:-1]])))


def pixel_moments(counts: BinCounts, is_good: Bools) -> tuple[Floats, Floats, Floats]:
    """Sum the photons of the good frames, and their squares.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons.
    is_good : ndarray of bool, shape (n_frames,)
        Frames to look at.

    Returns
    -------
    totals, squares : ndarray of float64, shape (n_pixels,)
        Sums over the good frames.
    brightness : ndarray of float64, shape (n_good,)
        Sums over the pixels, of the good frames alone.
    """
    if isinstance(counts, BinEvents):
        events = counts.by_pixel.at_times(is_good)
        pixels, values = events.pixels, events.values
        brightness = _binned(events.times, values, counts.n_frames)[is_good]
        totals = _binned(pixels, values, counts.n_pixels)
        return totals, _binned(pixels, values**2, counts.n_pixels), brightness

    totals, squares = np.zeros((2, counts.shape[1]))
    frames = np.flatnonzero(is_good)
    brightness = np.empty(len(frames))
    is_all = len(frames) == len(counts)
    for start in range(0, len(frames), _BLOCK_FRAMES):
        rows = slice(start, start + _BLOCK_FRAMES)
        # Single precision is far finer than any bound, and half the time.
        block = np.asarray(counts[rows if is_all else frames[rows]], np.float32)
        totals += np.add.reduce(block, axis=0)
        brightness[rows] = np.add.reduce(block, axis=1)
        squares += np.einsum("tp,tp->p", block, block)
    return totals, squares, brightness


def repeats_before(counts: BinCounts) -> Bools:
    """Find frames that equal the one before, pixel by pixel.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons.

    Returns
    -------
    ndarray of bool, shape (n_frames - 1,)
        From the second frame on.
    """
    if not isinstance(counts, BinEvents):
        is_repeated = np.empty(max(len(counts) - 1, 0), bool)
        for start in range(0, len(is_repeated), _BLOCK_FRAMES):
            frames = counts[start : start + _BLOCK_FRAMES + 1]
            stop = start + len(frames) - 1
            is_repeated[start:stop] = (frames[1:] == frames[:-1]).all(axis=1)
        return is_repeated
    events = counts.by_pixel
    pixels, times = events.pixels, events.times
    is_same = (np.diff(pixels) == 0) & (np.diff(times) == 1)
    is_same &= np.diff(events.values) == 0
    n_lit = np.bincount(times, minlength=counts.n_frames)
    n_same = np.bincount(times[1:][is_same], minlength=counts.n_frames)
    return np.asarray((n_same[1:] == n_lit[1:]) & (n_lit[1:] == n_lit[:-1]))


def of_pixels(counts: BinCounts, is_wanted: Bools) -> BinCounts:
    """Return the photons of some pixels, which are numbered anew.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons.
    is_wanted : ndarray of bool, shape (n_pixels,)
        Pixels to keep.

    Returns
    -------
    ndarray or BinEvents
        In the same form; not copied if all are kept.
    """
    if is_wanted.all():
        return counts
    if isinstance(counts, BinEvents):
        return counts.of_pixels(is_wanted)
    return counts[:, is_wanted]


def is_sparse(counts: BinCounts, occupancy: float) -> bool:
    """Return whether fewer pixels have photons than a share of them.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons.
    occupancy : float
        Of all pixels in all frames.

    Returns
    -------
    bool
        False for a bin without pixels or frames. A long array is not counted to the
        end: it is dense if 64 frames of it, in equal steps, hold twice that share.
    """
    n_frames, n_pixels = counts.shape
    photons = counts.counts if isinstance(counts, BinEvents) else counts
    if photons.ndim == 2 and n_frames > 2 * _FRAMES_TO_SAMPLE:
        sample = photons[:: n_frames // _FRAMES_TO_SAMPLE]
        if np.count_nonzero(sample) >= _PLAINLY_DENSE * occupancy * sample.size:
            return False
    return bool(np.count_nonzero(photons) < occupancy * n_frames * n_pixels)


def _binned(
    labels: NDArray[np.integer], values: NDArray[np.number], n_labels: int
) -> Floats:
    return np.asarray(np.bincount(labels, values, n_labels), np.float64)

"""Two-time correlation maps of photon counts, frames read block by block."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.series import Counts, PixelSeries

__all__ = ["two_time_map", "two_time_maps"]

_EXACT_IN_FLOAT32 = 2**24
# Temporary arrays of at most 128 MiB in float64.
_WORK_ELEMENTS = 2**24
# Of a stack that may be a memory map: few enough to be read at once.
_BLOCK_FRAMES = 64


def two_time_map(counts: Counts) -> NDArray[np.float32]:
    r"""Correlate every frame with every other one over the pixels of one q-bin.

    Each frame is divided by its own mean, so that the intensity of the beam drops out.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels)
        Photons of one q-bin, finite and not negative.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_frames)
        Symmetric, baseline 1; the diagonal holds the shot noise. Rows and columns of
        frames without photons are nan.

    Raises
    ------
    FrameStackError
        If `counts` has another number of dimensions, or holds no real numbers.

    Notes
    -----
    .. math::
        C(t_1, t_2) = \frac{\langle I(p, t_1) I(p, t_2)\rangle_p}
                           {\langle I(p, t_1)\rangle_p \langle I(p, t_2)\rangle_p}

    Products of counts are summed in float32 as long as every sum is a whole number
    below 2^24, which float32 holds exactly, and in float64 otherwise.

    References
    ----------
    .. [1] G. Brown, P. A. Rikvold, M. Sutton, M. Grant, Speckle from phase-ordering
       systems, Phys. Rev. E 56, 6601 (1997).
    .. [2] M. Sutton, K. Laaziri, F. Livet, F. Bley, Using coherence to measure
       two-time correlation functions, Opt. Express 11, 2268 (2003).
    .. [3] O. Bikondoa, On the use of two-time correlation functions for X-ray photon
       correlation spectroscopy data analysis, J. Appl. Cryst. 50, 357 (2017).

    Examples
    --------
    >>> two_time_map(np.array([[1, 3], [3, 1]]))
    array([[1.25, 0.75], [0.75, 1.25]], dtype=float32)
    """
    counts = np.asarray(counts)
    if counts.ndim != 2:
        raise FrameStackError(
            f"counts must have shape (n_frames, n_pixels), got {counts.shape}"
        )
    if counts.dtype.kind not in "biuf":
        raise FrameStackError(f"counts must be real numbers, got {counts.dtype}")
    n_frames, n_pixels = counts.shape
    sums = counts.sum(axis=1, dtype=np.float64)
    products = _frame_products(counts, sums)
    sums[sums == 0] = np.nan

    two_time = np.empty((n_frames, n_frames), np.float32)
    rows_at_once = max(1, _WORK_ELEMENTS // max(n_frames, 1))
    for start in range(0, n_frames, rows_at_once):
        rows = slice(start, start + rows_at_once)
        two_time[rows] = products[rows] / (np.outer(sums[rows], sums) / n_pixels)
    return two_time


def two_time_maps(
    frames: Counts | Iterable[Counts],
    roi_map: NDArray[np.integer],
    *,
    n_q_bins: int | None = None,
) -> NDArray[np.float32]:
    """Correlate every frame with every other one in each q-bin.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, n_rows, n_cols), or iterable of such blocks
        Photons.
    roi_map : ndarray of int, shape (n_rows, n_cols)
        Label of each pixel, 1 .. n_q_bins; 0 for a pixel that is not used.
    n_q_bins : int, optional
        Number of q-bins; the highest label if not given.

    Returns
    -------
    ndarray of float32, shape (n_q_bins, n_frames, n_frames)
        A `two_time_map` of each q-bin; nan for a bin without pixels.
    """
    series = PixelSeries(roi_map, n_q_bins)
    for block in _blocks_of(frames):
        series.append(block)
    maps = np.empty((series.n_q_bins, series.n_frames, series.n_frames), np.float32)
    for index, counts in enumerate(series):
        maps[index] = two_time_map(counts)
    return maps


def _blocks_of(
    frames: Counts | Iterable[Counts],
) -> Iterator[Counts]:
    if isinstance(frames, np.ndarray) and frames.ndim == 3:
        for start in range(0, len(frames), _BLOCK_FRAMES):
            yield frames[start : start + _BLOCK_FRAMES]
    else:
        yield from frames


def _frame_products(counts: Counts, sums: NDArray[np.float64]) -> NDArray[np.floating]:
    """Return the sums over pixels of I(t1) I(t2), shape (n_frames, n_frames)."""
    n_frames, n_pixels = counts.shape
    # No sum of products is above the largest count times the largest frame sum.
    bound = float(counts.max()) * sums.max() if counts.size > 0 else 0.0
    is_exact = counts.dtype.kind in "biu" and bound < _EXACT_IN_FLOAT32
    dtype: type[np.floating] = np.float32 if is_exact else np.float64
    products = np.zeros((n_frames, n_frames), dtype)
    pixels_at_once = max(1, _WORK_ELEMENTS // max(n_frames, 1))
    for start in range(0, n_pixels, pixels_at_once):
        part: NDArray[np.floating] = counts[:, start : start + pixels_at_once].astype(
            dtype
        )
        products += part @ part.T
    return products

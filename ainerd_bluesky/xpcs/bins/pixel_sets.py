"""Sums over all pixels but one block at a time, what divides them, and errors."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.xpcs.bins.q_bin import BinLayout

__all__ = [
    "binned",
    "frame_factors",
    "jackknife",
    "leaving_out",
    "pixel_blocks",
    "ratio",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Steps by the golden ratio spread the few pixels of small static bins over the blocks.
_GOLDEN = 0.618034


def pixel_blocks(static_bins: Integers, n_blocks: int) -> Integers:
    """Divide pixels into blocks of neighbours.

    Each block gets an equal part of each static bin.

    Parameters
    ----------
    static_bins : ndarray of int64, shape (n_pixels,)
        Static bin of each pixel, from 0 without gaps.
    n_blocks : int
        Number of blocks; there are fewer for fewer pixels.

    Returns
    -------
    ndarray of int64, shape (n_pixels,)
        Block of each pixel, from 0 without gaps.
    """
    sizes = np.bincount(static_bins)
    order = np.argsort(static_bins, kind="stable")
    rank = np.empty(len(static_bins))
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    shift = np.arange(len(sizes)) * _GOLDEN % 1
    block = (rank + shift[static_bins]) * n_blocks / sizes[static_bins]
    return np.unique(block.astype(np.int64), return_inverse=True)[1]


def binned(labels: Integers, values: Floats, n_labels: int) -> Floats:
    """Sum values of the same label.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        From 0 to n_labels - 1.
    values : ndarray of float64, shape (n,)
        What is summed.
    n_labels : int
        Number of labels.

    Returns
    -------
    ndarray of float64, shape (n_labels,)
        0 for a label that nothing has.
    """
    return np.asarray(np.bincount(labels, values, n_labels), np.float64)


def leaving_out(values: Floats) -> Floats:
    """Sum over blocks: all of them, then all but each one in turn.

    Parameters
    ----------
    values : ndarray of float64, shape (n_blocks, ...)
        Sums over the pixels of each block.

    Returns
    -------
    ndarray of float64, shape (n_blocks + 1, ...)
        The total first.
    """
    total = values.sum(axis=0)
    return np.concatenate([total[None], total - values])


def frame_factors(
    sums: Floats,
    n_pixels: Floats,
    is_used: NDArray[np.bool_],
    q_bin: BinLayout,
    normalisation: str,
) -> Floats:
    """Return what the sum over pixels of each frame is divided by.

    Parameters
    ----------
    sums : ndarray of float64, shape (n_sets, n_frames)
        Counts of each set of pixels, after division by their own means.
    n_pixels : ndarray of float64, shape (n_sets,)
        Pixels of each set.
    is_used : ndarray of bool, shape (n_frames,)
        Frames that take part.
    q_bin : BinLayout
        For its monitor.
    normalisation : str
        As in `CorrelationConfig`.

    Returns
    -------
    ndarray of float64, shape (n_sets, n_frames)
        0 for a frame that takes no part.
    """
    if normalisation in {"none", "symmetric"}:
        return n_pixels[:, None] * is_used
    if normalisation == "monitor" and q_bin.monitor is not None:
        beam = np.where(is_used, q_bin.monitor, 0.0)
        return ratio(sums.sum(axis=1), beam.sum(), fill=0.0)[:, None] * beam
    return sums


def jackknife(g2: Floats) -> Floats:
    """Estimate the covariance between delays.

    Parameters
    ----------
    g2 : ndarray of float64, shape (n_blocks, n_lags, n_ages)
        Without each block in turn.

    Returns
    -------
    ndarray of float64, shape (n_ages, n_lags, n_lags)
        nan where there are fewer than two blocks.
    """
    n_blocks = len(g2)
    if n_blocks < 2:
        return np.full((g2.shape[2], g2.shape[1], g2.shape[1]), np.nan)
    deviations = np.moveaxis(g2 - g2.mean(axis=0), 2, 0)
    covariance: Floats = np.swapaxes(deviations, 1, 2) @ deviations
    return (n_blocks - 1) / n_blocks * covariance


def ratio(values: Floats, norms: ArrayLike, fill: float = np.nan) -> Floats:
    """Divide, where the norm is above 0.

    Parameters
    ----------
    values : ndarray of float64
        Any shape.
    norms : array_like
        That can be broadcast to it.
    fill : float
        What stands where the norm is not above 0.

    Returns
    -------
    ndarray of float64
        Of the shape of `values`.
    """
    norms = np.broadcast_to(norms, values.shape)
    quotient = np.full(values.shape, fill)
    np.divide(values, norms, out=quotient, where=norms > 0)
    return quotient

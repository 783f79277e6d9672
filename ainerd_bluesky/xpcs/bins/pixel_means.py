"""Time means of single pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.bins.pixel_sets import binned
from ainerd_bluesky.xpcs.bins.q_bin import EventBin, QBin
from ainerd_bluesky.xpcs.data.pixel_events import PixelEvents

__all__ = ["PixelMeans", "pixel_means"]

Floats = NDArray[np.float64]

_WORK_ELEMENTS = 2**22


@dataclass(frozen=True, eq=False)
class PixelMeans:
    """Time means of single pixels, and what follows from them.

    Parameters
    ----------
    weights : ndarray of float64, shape (n_pixels,)
        One over the time mean of a pixel; 0 for one without photons.
    sums, self_pairs : ndarray of float64, shape (n_frames,)
        Sums over pixels of counts times weight, and times its square.
    correction : float
        Mean over pixels of the variance of the time mean, relative to its square.
    """

    weights: Floats
    sums: Floats
    self_pairs: Floats
    correction: float


def pixel_means(q_bin: QBin | EventBin) -> PixelMeans:
    """Average each pixel over the good frames.

    A count divided by a mean that it is part of has a product with any other one that
    is too low by the variance of the mean, relative to its square: -Var/(N m^2) where
    frames are independent.

    Parameters
    ----------
    q_bin : QBin or EventBin
        Photons.

    Returns
    -------
    PixelMeans
        For `normalise_pixels`.
    """
    if isinstance(q_bin, EventBin):
        return _event_pixel_means(q_bin.good_events, int(q_bin.is_good.sum()))
    n_frames, n_pixels = q_bin.counts.shape
    n_good = int(q_bin.is_good.sum())
    weights, correction = np.zeros(n_pixels), np.zeros(n_pixels)
    sums, self_pairs = np.zeros(n_frames), np.zeros(n_frames)
    step = max(1, _WORK_ELEMENTS // max(n_frames, 1))
    for start in range(0, n_pixels, step):
        part = slice(start, start + step)
        counts = q_bin.counts[:, part].astype(np.float64)
        counts[~q_bin.is_good] = 0
        means = counts.sum(axis=0) / max(n_good, 1)
        weights[part] = _inverse(means)
        sums += counts @ weights[part]
        self_pairs += counts @ weights[part] ** 2
        squares = np.einsum("tp,tp->p", counts, counts) - n_good * means**2
        variance = squares / max(n_good - 1, 1)
        correction[part] = variance * weights[part] ** 2 / max(n_good, 1)
    n_lit = max(int((weights > 0).sum()), 1)
    return PixelMeans(weights, sums, self_pairs, correction.sum() / n_lit)


def _event_pixel_means(events: PixelEvents, n_good: int) -> PixelMeans:
    pixels, n_pixels = events.pixels, len(events.starts) - 1
    totals = binned(pixels, events.values, n_pixels)
    means = totals / max(n_good, 1)
    weights = _inverse(means)
    squares = binned(pixels, events.values**2, n_pixels) - n_good * means**2
    correction = squares / max(n_good - 1, 1) * weights**2 / max(n_good, 1)
    values = events.values * weights[pixels]
    n_lit = max(int((weights > 0).sum()), 1)
    return PixelMeans(
        weights=weights,
        sums=binned(events.times, values, events.n_times),
        self_pairs=binned(events.times, values * weights[pixels], events.n_times),
        correction=correction.sum() / n_lit,
    )


def _inverse(values: Floats) -> Floats:
    inverse = np.zeros_like(values)
    np.divide(1.0, values, out=inverse, where=values > 0)
    return inverse

"""Static bins of a q-bin: their pixels, their photons, and how sure their means are."""

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.bins.pixel_sets import binned, ratio
from ainerd_bluesky.xpcs.bins.q_bin import EventBin, QBin
from ainerd_bluesky.xpcs.data.pixel_events import PixelEvents

__all__ = ["event_sums", "static_ranges", "static_sums", "static_variance"]

Floats = NDArray[np.float64]

# Sums convert what they add: counts of a few frames at a time.
_COUNTS_AT_ONCE = 2**22


def static_ranges(q_bin: QBin) -> tuple[slice, ...]:
    """Return the columns of each static bin of an arranged q-bin.

    Parameters
    ----------
    q_bin : QBin
        With the pixels of each static bin side by side.

    Returns
    -------
    tuple of slice
        One of each static bin; none where there are no pixels.
    """
    edges = np.concatenate([[0], np.cumsum(np.bincount(q_bin.static_bins))]).tolist()
    return tuple(map(slice, edges[:-1], edges[1:]))


def static_sums(q_bin: QBin | EventBin) -> Floats:
    """Sum the counts over the pixels of each static bin.

    Parameters
    ----------
    q_bin : QBin or EventBin
        Arranged.

    Returns
    -------
    ndarray of float64, shape (n_static, n_frames)
        Photons; of events, those in good frames.
    """
    if isinstance(q_bin, EventBin):
        return event_sums(q_bin.good_events, q_bin.static_bins)
    starts = [pixels.start for pixels in static_ranges(q_bin)]
    if not starts:
        return np.zeros((0, len(q_bin.counts)))
    counts = q_bin.counts
    dtype: type[np.number] = np.float64
    if (
        counts.dtype.kind == "u"
        and np.iinfo(counts.dtype).max * counts.shape[1] < 2**32
    ):
        # A third of the time that larger types take.
        dtype = np.uint32
    sums = np.empty((len(starts), len(counts)))
    step = max(1, _COUNTS_AT_ONCE // counts.shape[1])
    for start in range(0, len(counts), step):
        frames = slice(start, start + step)
        sums[:, frames] = np.add.reduceat(counts[frames], starts, 1, dtype).T
    return sums


def event_sums(events: PixelEvents, static_bins: NDArray[np.int64]) -> Floats:
    """Sum events over the pixels of each static bin.

    Parameters
    ----------
    events : PixelEvents
        Photons.
    static_bins : ndarray of int64, shape (n_pixels,)
        Static bin of each pixel, from 0 without gaps.

    Returns
    -------
    ndarray of float64, shape (n_static, n_frames)
        Photons.
    """
    n_static = int(static_bins.max(initial=-1)) + 1
    places = static_bins[events.pixels] * events.n_times + events.times
    sums = binned(places, events.values, n_static * events.n_times)
    return sums.reshape(n_static, events.n_times)


def static_variance(
    sums: Floats, n_pixels: Floats, is_used: NDArray[np.bool_]
) -> float:
    r"""Estimate what time means of static bins take off a product.

    Counts divided by a mean that they are part of have products that are too low by the
    variance of that mean, relative to its square, and the means of frames that divide
    these again take off that of the mean over all static bins. What the static bins
    have in common, such as the flicker of the beam, drops out.

    Parameters
    ----------
    sums : ndarray of float64, shape (n_static, n_frames)
        Photons in each static bin and frame; 0 in frames that take no part.
    n_pixels : ndarray of float64, shape (n_static,)
        Pixels of each static bin.
    is_used : ndarray of bool, shape (n_frames,)
        Frames that take part.

    Returns
    -------
    float
        0 for fewer than two static bins with photons, or frames.

    Notes
    -----
    With the share p of the pixels, photons s of a static bin over their time mean, and
    N frames that are independent,

    .. math::
        v = \frac{1}{N (N - 1)} \sum_t \sum_b p_b
            \left[s_b(t) - \sum_c p_c s_c(t)\right]^2

    Examples
    --------
    >>> sums = np.array([[4.0, 6.0, 5.0], [6.0, 4.0, 5.0]])
    >>> round(static_variance(sums, np.array([1.0, 1.0]), np.ones(3, bool)), 6)
    0.013333
    """
    n_used = int(is_used.sum())
    totals = sums.sum(axis=1)
    n_pixels = np.where(totals > 0, n_pixels, 0.0)
    if n_used < 2 or np.count_nonzero(n_pixels) < 2:
        return 0.0
    share = n_pixels / n_pixels.sum()
    deviations = ratio(sums * n_used, totals[:, None], fill=0.0)
    deviations -= share @ deviations
    squares = np.einsum("bt,bt->b", deviations, deviations)
    return float(share @ squares) / (n_used * (n_used - 1))

"""Intensity autocorrelation g2: multi-tau from counts, or all lags from a map."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FrameStackError, TwoTimeError
from ainerd_bluesky.xpcs.two_time import Counts

__all__ = [
    "OneTime",
    "g2_err_from_two_time",
    "g2_from_two_time",
    "multi_tau_g2",
    "multi_tau_lags",
]

Floats = NDArray[np.float64]

# n blocks tell a standard error to 1 / sqrt(2 (n - 1)): 16 % and 24 %.
_N_PIXEL_BLOCKS = 20
_N_AGE_BLOCKS = 10


@dataclass(frozen=True, eq=False)
class OneTime:
    """Intensity autocorrelation of every q-bin.

    Parameters
    ----------
    lags : ndarray of int64, shape (n_lags,)
        Delays in frames, rising from 1.
    g2 : ndarray of float64, shape (n_q_bins, n_lags)
        Baseline 1; nan where a bin has no pixel or no pair of frames with photons.
    g2_err : ndarray of float64, shape (n_q_bins, n_lags)
        One standard error; nan where there are fewer than two pixels.
    g2_cov : ndarray of float64, shape (n_q_bins, n_lags, n_lags)
        Covariance between delays; its diagonal is the square of `g2_err`.
    """

    lags: NDArray[np.int64]
    g2: Floats
    g2_err: Floats
    g2_cov: Floats


def multi_tau_lags(n_frames: int, lags_per_level: int = 8) -> NDArray[np.int64]:
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
    lags = [steps << level for level, steps in _steps(n_frames, lags_per_level)]
    return np.array(lags, dtype=np.int64)


def multi_tau_g2(counts: Iterable[Counts], *, lags_per_level: int = 8) -> OneTime:
    r"""Correlate counts in time with the multi-tau scheme.

    Pairs of frames are summed before the division, and every frame is divided by its
    own mean, so that neither frames without photons nor the intensity of the beam
    change the result. The shot noise of a frame with itself does not enter.

    Parameters
    ----------
    counts : iterable of ndarray, shape (n_frames, n_pixels)
        Photons of each q-bin: a `PixelSeries`, or a list.
    lags_per_level : int
        Delays before the time resolution is halved.

    Returns
    -------
    OneTime
        With errors from a jackknife over 20 blocks of neighbouring pixels, which holds
        for slow dynamics too, where points in time are not independent.

    Raises
    ------
    FrameStackError
        If there is no bin, or the bins differ in their number of frames.

    Notes
    -----
    .. math::
        g_2(\tau) = \frac{\sum_{t,p} I(p, t) I(p, t + \tau)}
                         {P \sum_t \bar I(t) \bar I(t + \tau)}

    with the frames of a level summed by 2, 4, 8 ...

    References
    ----------
    .. [1] K. Schätzel, Noise on photon correlation data: I. Autocorrelation functions,
       Quantum Opt. 2, 287 (1990).
    .. [2] D. Magatti, F. Ferri, Fast multi-tau real-time software correlator for
       dynamic light scattering, Appl. Opt. 40, 4011 (2001).

    Examples
    --------
    >>> one_time = multi_tau_g2([np.array([[1, 3], [1, 3], [2, 6]])])
    >>> one_time.lags, one_time.g2
    (array([1, 2]), array([[1.25, 1.25]]))
    """
    bins = [_one_bin(np.asarray(bin_counts), lags_per_level) for bin_counts in counts]
    lengths = {n_frames for n_frames, _, _ in bins}
    if len(lengths) != 1:
        raise FrameStackError(
            f"bins must exist and be equally long, got n_frames {sorted(lengths)}"
        )
    cov = np.stack([bin_cov for _, _, bin_cov in bins])
    return OneTime(
        lags=multi_tau_lags(lengths.pop(), lags_per_level),
        g2=np.stack([g2 for _, g2, _ in bins]),
        g2_err=np.sqrt(np.diagonal(cov, axis1=1, axis2=2)),
        g2_cov=cov,
    )


def g2_from_two_time(two_time: NDArray[np.floating]) -> Floats:
    """Average two-time maps along lines of equal delay.

    Parameters
    ----------
    two_time : ndarray of shape (..., n_frames, n_frames)
        Symmetric maps; nan where unknown.

    Returns
    -------
    ndarray of float64, shape (..., n_frames - 1)
        For lags 1 .. n_frames - 1; nan where no element is known.

    Examples
    --------
    >>> g2_from_two_time(np.array([[9, 1.3, 1.1], [1.3, 9, 1.5], [1.1, 1.5, 9]]))
    array([1.4, 1.1])
    """
    g2 = np.full(_lag_shape(two_time), np.nan)
    for lag in range(1, two_time.shape[-1]):
        values = np.diagonal(two_time, lag, axis1=-2, axis2=-1)
        g2[..., lag - 1] = _block_means(values, [0])[..., 0]
    return g2


def g2_err_from_two_time(two_time: NDArray[np.floating]) -> Floats:
    """Estimate the standard error of `g2_from_two_time`.

    Parameters
    ----------
    two_time : ndarray of shape (..., n_frames, n_frames)
        Symmetric maps; nan where unknown.

    Returns
    -------
    ndarray of float64, shape (..., n_frames - 1)
        From the scatter between ten blocks of age; nan at long lags, where a block
        would hold fewer than two elements.
    """
    g2_err = np.full(_lag_shape(two_time), np.nan)
    for lag in range(1, two_time.shape[-1] - 2 * _N_AGE_BLOCKS + 1):
        values = np.diagonal(two_time, lag, axis1=-2, axis2=-1)
        starts = [
            block * values.shape[-1] // _N_AGE_BLOCKS for block in range(_N_AGE_BLOCKS)
        ]
        means = _block_means(values, starts)
        scatter = means - means.mean(axis=-1, keepdims=True)
        variance = (scatter**2).sum(axis=-1) / (_N_AGE_BLOCKS - 1)
        g2_err[..., lag - 1] = np.sqrt(variance / _N_AGE_BLOCKS)
    return g2_err


def _lag_shape(two_time: NDArray[np.floating]) -> tuple[int, ...]:
    if two_time.ndim < 2 or two_time.shape[-1] != two_time.shape[-2]:
        raise TwoTimeError(
            f"two_time must have shape (..., n, n), got {two_time.shape}"
        )
    if two_time.dtype.kind not in "biuf":
        raise TwoTimeError(f"two_time must hold real numbers, got {two_time.dtype}")
    return (*two_time.shape[:-2], max(two_time.shape[-1] - 1, 0))


def _block_means(values: NDArray[np.floating], starts: list[int]) -> Floats:
    """Return means of the finite values from each start to the next, last axis."""
    is_known = np.isfinite(values)
    known = np.where(is_known, values, 0.0).astype(np.float64)
    total = np.add.reduceat(known, starts, axis=-1)
    n_known = np.add.reduceat(is_known.astype(np.int64), starts, axis=-1)
    means = np.full(total.shape, np.nan)
    np.divide(total, n_known, out=means, where=n_known > 0)
    return means


def _steps(n_frames: int, lags_per_level: int) -> Iterator[tuple[int, int]]:
    """Yield level and delay, in frames of that level, of each delay in turn."""
    level, first = 0, 1
    while n_frames >> level > first:
        for steps in range(first, lags_per_level + 1):
            if steps < n_frames >> level:
                yield level, steps
        level, first = level + 1, lags_per_level // 2 + 1


def _one_bin(counts: Counts, lags_per_level: int) -> tuple[int, Floats, Floats]:
    """Return the number of frames, g2 and its covariance of one q-bin."""
    n_frames, n_pixels = counts.shape
    steps = list(_steps(n_frames, lags_per_level))
    blocks = np.array_split(np.arange(n_pixels), min(_N_PIXEL_BLOCKS, n_pixels) or 1)
    sums = np.stack(
        [counts[:, pixels].sum(axis=1, dtype=np.float64) for pixels in blocks]
    )
    products = np.stack([_pair_sums(counts[:, pixels], steps) for pixels in blocks])

    sizes = np.array([len(pixels) for pixels in blocks], dtype=np.float64)
    total_sums, total_products = sums.sum(axis=0), products.sum(axis=0)
    g2 = _ratio(total_products[None], total_sums[None], np.array([n_pixels]), steps)[0]
    # Each replicate leaves one block of pixels out.
    replicates = _ratio(
        total_products - products, total_sums - sums, n_pixels - sizes, steps
    )
    n_blocks = len(blocks)
    deviations = replicates - replicates.mean(axis=0)
    if n_blocks < 2:
        deviations = np.full_like(deviations, np.nan)
    cov = (n_blocks - 1) / n_blocks * deviations.T @ deviations
    return n_frames, g2, cov


def _pair_sums(counts: Counts, steps: list[tuple[int, int]]) -> Floats:
    """Return the sum of I(t) I(t + lag) over times and pixels for each delay."""
    frames = np.ascontiguousarray(counts.T, dtype=np.float64)
    sums = np.zeros(len(steps))
    level = 0
    for index, (wanted, lag) in enumerate(steps):
        while level < wanted:
            frames, level = _coarser(frames), level + 1
        sums[index] = np.einsum("pt,pt->", frames[:, :-lag], frames[:, lag:])
    return sums


def _ratio(
    products: Floats, sums: Floats, n_pixels: Floats, steps: list[tuple[int, int]]
) -> Floats:
    """Return g2, shape (n_sets, n_lags), of several sets of pixels."""
    norms = np.zeros_like(products)
    level = 0
    for index, (wanted, lag) in enumerate(steps):
        while level < wanted:
            sums, level = _coarser(sums), level + 1
        norms[:, index] = np.einsum("st,st->s", sums[:, :-lag], sums[:, lag:])
    g2 = np.full_like(products, np.nan)
    np.divide(products * n_pixels[:, None], norms, out=g2, where=norms > 0)
    return g2


def _coarser(frames: Floats) -> Floats:
    """Return frames summed by two along the last axis; an odd last one is dropped."""
    n_pairs = frames.shape[-1] // 2
    return frames[..., : 2 * n_pairs : 2] + frames[..., 1 : 2 * n_pairs : 2]

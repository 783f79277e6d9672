"""Intensity autocorrelation g2: multi-tau from counts, or all lags from a map."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import FrameStackError, TwoTimeError
from ainerd_bluesky.xpcs.bins.q_bin import checked_bin
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.data.series import Counts
from ainerd_bluesky.xpcs.lags.multi_tau import multi_tau_lags, pair_plan
from ainerd_bluesky.xpcs.lags.pair_ratios import PairRatios, pair_ratios

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


def multi_tau_g2(
    counts: Iterable[Counts | BinEvents],
    *,
    lags_per_level: int = 8,
    config: CorrelationConfig | None = None,
    static_bins: Iterable[ArrayLike | None] | None = None,
    is_good: ArrayLike | None = None,
    monitor: ArrayLike | None = None,
) -> OneTime:
    r"""Correlate counts in time with the multi-tau scheme.

    Pairs of frames are summed before the division, unless `config` wants the mean of
    their ratios. Every count is divided as `config` says; by default neither frames
    without photons nor the intensity of the beam change the result. The shot noise of
    a frame with itself does not enter.

    Parameters
    ----------
    counts : iterable of ndarray, shape (n_frames, n_pixels), or of BinEvents
        Photons of each q-bin: a `PixelSeries`, an `EventSeries`, or a list. A frame
        with nan is bad.
    lags_per_level : int
        Delays before the time resolution is halved; 8 are those of boost-corr.
    config : CorrelationConfig, optional
        Normalisation and estimator; the defaults of that class if not given.
    static_bins : iterable of array_like of int, shape (n_pixels,), optional
        Label of the static bin of each pixel, or None for one static bin; for each
        q-bin in turn.
    is_good : array_like of bool, shape (n_frames,), optional
        Frames that take part; all if not given. The others cost nothing and stand for
        no photons and no time, inside summed frames too.
    monitor : array_like of shape (n_frames,), optional
        Beam monitor.

    Returns
    -------
    OneTime
        With errors from a jackknife over 20 blocks of neighbouring pixels, which holds
        for slow dynamics too, where points in time are not independent.

    Raises
    ------
    FrameStackError
        If there is no bin, the bins differ in their number of frames, or another
        argument does not fit them.

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
    config = CorrelationConfig() if config is None else config
    labels = repeat(None) if static_bins is None else static_bins
    ratios: list[PairRatios] = []
    lengths: set[int] = set()
    for bin_counts, bin_labels in zip(counts, labels, strict=static_bins is not None):
        q_bin = checked_bin(bin_counts, bin_labels, is_good, monitor)
        n_frames = len(q_bin.is_good)
        lengths.add(n_frames)
        plan = pair_plan(n_frames, lags_per_level)
        ratios.append(pair_ratios(q_bin, plan, config, _N_PIXEL_BLOCKS))
    if len(lengths) != 1:
        raise FrameStackError(
            f"bins must exist and be equally long, got n_frames {sorted(lengths)}"
        )

    cov = np.stack([ratio.cov[0] for ratio in ratios])
    return OneTime(
        lags=multi_tau_lags(lengths.pop(), lags_per_level),
        g2=np.stack([ratio.g2[:, 0] for ratio in ratios]),
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

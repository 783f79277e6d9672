"""Correlation against delay and age of the sample, from counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.xpcs.bins.q_bin import checked_bin
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.lags.multi_tau import pair_plan
from ainerd_bluesky.xpcs.lags.pair_ratios import pair_ratios

__all__ = ["AgeLag", "age_lag_map"]

Floats = NDArray[np.float64]

_STATIC = CorrelationConfig()


@dataclass(frozen=True, eq=False)
class AgeLag:
    """Correlation of one q-bin against age and delay.

    Parameters
    ----------
    ages : ndarray of float64, shape (n_ages,)
        Centre of each range of the age (t1 + t2)/2, in frames.
    lags : ndarray of int64, shape (n_lags,)
        Delays in frames, rising from 1.
    g2 : ndarray of float64, shape (n_ages, n_lags)
        Baseline 1; nan where no pair of frames of that age has that delay.
    g2_cov : ndarray of float64, shape (n_ages, n_lags, n_lags), or None
        Covariance between the delays of each age, where it is known.
    n_pairs : ndarray of int64, shape (n_ages, n_lags)
        Pairs of good frames; a product of summed frames holds all those of its frames.
    replicates : ndarray of float64, shape (n_blocks, n_ages, n_lags), or None
        g2 without each block of pixels in turn, which tells how ages vary together.
    """

    ages: Floats
    lags: NDArray[np.int64]
    g2: Floats
    g2_cov: Floats | None
    n_pairs: NDArray[np.int64]
    replicates: Floats | None = None


def age_lag_map(  # noqa: PLR0913 - keyword-only, each one a choice of its own
    counts: ArrayLike | BinEvents,
    *,
    n_ages: int,
    lags_per_level: int = 8,
    n_blocks: int = 20,
    config: CorrelationConfig = _STATIC,
    static_bins: ArrayLike | None = None,
    is_good: ArrayLike | None = None,
    monitor: ArrayLike | None = None,
) -> AgeLag:
    r"""Correlate counts of one q-bin at the delays of the multi-tau scheme, by age.

    For samples whose dynamics change during the scan. Ten ages cost about half as much
    again as `multi_tau_g2`, which has one.

    Parameters
    ----------
    counts : array_like of shape (n_frames, n_pixels), or BinEvents
        Photons; a frame with nan counts as bad.
    n_ages : int
        Ranges of equal width that the scan is divided into.
    lags_per_level : int
        Delays before the time resolution is halved.
    n_blocks : int
        Blocks of neighbouring pixels for the jackknife.
    config : CorrelationConfig
        Normalisation and estimator.
    static_bins : array_like of int, shape (n_pixels,), optional
        Label of the static bin of each pixel; one static bin if not given.
    is_good : array_like of bool, shape (n_frames,), optional
        Frames that take part; all if not given.
    monitor : array_like of shape (n_frames,), optional
        Beam monitor.

    Returns
    -------
    AgeLag
        With the covariance of a jackknife over blocks of pixels, which holds for slow
        dynamics too.

    Raises
    ------
    ConfigError
        If there is to be no age.

    Notes
    -----
    .. math::
        g_2(a, \tau) = \frac{P \sum_{t \in a} \sum_p I(p, t) I(p, t + \tau)}
                            {\sum_{t \in a} S(t) S(t + \tau)}

    with I the counts after normalisation, S their sum over the P pixels, and
    t + tau/2 within the range of age a.

    References
    ----------
    .. [1] O. Bikondoa, On the use of two-time correlation functions for X-ray photon
       correlation spectroscopy data analysis, J. Appl. Cryst. 50, 357 (2017).

    Examples
    --------
    >>> age_lag = age_lag_map([[1, 3], [1, 3], [2, 2], [2, 2]], n_ages=2)
    >>> age_lag.ages, age_lag.lags
    (array([0.5, 2.5]), array([1, 2, 3]))
    >>> age_lag.g2[:, 0]
    array([1.25, 1.  ])
    """
    if n_ages < 1:
        raise ConfigError(f"n_ages must be at least 1, got {n_ages}")

    q_bin = checked_bin(counts, static_bins, is_good, monitor)
    n_frames = len(q_bin.is_good)
    plan = pair_plan(n_frames, lags_per_level, n_ages)
    ratios = pair_ratios(q_bin, plan, config, n_blocks)
    return AgeLag(
        ages=(np.arange(n_ages) + 0.5) * n_frames / n_ages - 0.5,
        lags=plan.lags,
        g2=ratios.g2.T,
        g2_cov=ratios.cov,
        n_pairs=ratios.n_pairs.T,
        replicates=np.moveaxis(ratios.replicates, 1, 2),
    )

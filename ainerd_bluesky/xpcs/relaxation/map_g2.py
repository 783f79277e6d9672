"""g2 of a two-time map: its decay without a model, and its errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.bins.normalisation import pair_counts
from ainerd_bluesky.xpcs.lags.one_time import g2_err_from_two_time
from ainerd_bluesky.xpcs.relaxation.map_noise import MapNoise, map_noise

__all__ = ["FEWEST_LAGS", "OVER", "MapDecay", "g2_err_of_map", "map_decay"]

Floats = NDArray[np.float64]

OVER = 0.1
"""Where less than this share of the contrast is left, the decay is over."""
FEWEST_LAGS = 3
"""Fewer delays are the noise of neighbouring frames."""


@dataclass(frozen=True, eq=False)
class MapDecay:
    """What g2 of a map says about its decay.

    Parameters
    ----------
    baseline, beta : float
        Level at long delays, and contrast.
    shape : ndarray of float64, shape (n_frames - 1,)
        What is left of the contrast, from 0 to 1, for lags from 1.
    """

    baseline: float
    beta: float
    shape: Floats

    def noise(self, two_time: NDArray[np.floating]) -> MapNoise:
        """Return the noise of the map that this is the decay of."""
        time = np.arange(len(two_time))
        correlation = self.with_start[np.abs(time[:, None] - time)]
        return map_noise(two_time, correlation, self.beta, self.baseline)

    @property
    def with_start(self) -> Floats:
        """The shape for lags from 0."""
        return np.concatenate([[1.0], self.shape])


def map_decay(g2: Floats) -> MapDecay | None:
    """Split g2 into baseline, contrast and shape.

    Parameters
    ----------
    g2 : ndarray of float64, shape (n_lags,)
        For all lags from 1; nan where unknown.

    Returns
    -------
    MapDecay or None
        None where there is no contrast.
    """
    if not np.isfinite(g2).any():
        return None
    baseline = _baseline(g2)
    above = np.nan_to_num(g2 - baseline)
    beta = float(above[:FEWEST_LAGS].mean())
    if not beta > 0:
        return None
    return MapDecay(baseline, beta, np.clip(above / beta, 0, 1))


def g2_err_of_map(two_time: NDArray[np.floating], g2: Floats) -> Floats:
    r"""Estimate the standard error of g2 of a map.

    Elements along a line of equal delay share speckles over the time of relaxation, so
    that the scatter between parts of the run is too small an error for slow dynamics.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        Symmetric map; nan where unknown.
    g2 : ndarray of float64, shape (n_frames - 1,)
        Its `g2_from_two_time`.

    Returns
    -------
    ndarray of float64, shape (n_frames - 1,)
        nan where no element is known. Of a map without contrast, from the scatter
        between ten parts of the run. See `map_noise` for what a diagonal that was
        filled in hides.

    Notes
    -----
    With `MapNoise`, for M = n_frames - lag elements and dynamics in equilibrium,

    .. math:: P\,\mathrm{var}(g_2) = \sum_k \frac{M - |k|}{M^2}
        \left[S_k^2 + S_{k - \tau} S_{k + \tau} + \dots\right]
    """
    decay = map_decay(g2)
    if decay is None or len(g2) < FEWEST_LAGS:
        return g2_err_from_two_time(two_time)
    noise = decay.noise(two_time)
    beta, shot = noise.beta, noise.shot_noise
    # Beyond the map no element shares anything.
    model = np.concatenate([decay.with_start, np.zeros(len(two_time))])
    lit = beta * model
    lit[0] += shot
    is_known = np.isfinite(two_time).any(axis=0)
    variance = np.full(g2.shape, np.nan)
    for lag, n_pairs in enumerate(pair_counts(is_known).tolist(), start=1):
        k = np.arange(len(two_time) - lag)
        near, far, left = np.abs(k - lag), k + lag, model[lag]
        shared = lit[k] ** 2 + lit[near] * lit[far]
        shared += beta**3 * left**2 * (model[k] ** 2 + model[near] * model[far])
        shared[0] += shot * left * beta * (2 * beta + shot)
        if lag < len(k):
            shared[lag] += shot * left * beta**2 * np.sqrt(model[2 * lag])
        shared[1:] *= 2
        if n_pairs > 0:
            variance[lag - 1] = shared @ (len(k) - k) / (len(k) * n_pairs)
    return np.sqrt(variance / noise.n_pixels)


def _baseline(g2: Floats) -> float:
    """Return the level that g2 ends at, or 1 if it does not get there."""
    first, middle, last = (
        float(np.nanmean(part)) if np.isfinite(part).any() else 1.0
        for part in (g2[:FEWEST_LAGS], *np.array_split(g2, 3)[1:])
    )
    is_level = middle - last < OVER * (first - last)
    return last if is_level else min(1.0, last)

"""Cuts across the diagonal of a two-time map, and their fits with errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.relaxation.decay import derivatives, is_determined
from ainerd_bluesky.xpcs.relaxation.fit import RelaxationFit, fit_relaxation
from ainerd_bluesky.xpcs.relaxation.map_noise import MapNoise, block_width, map_noise
from ainerd_bluesky.xpcs.relaxation.shared_fit import (
    CurveSet,
    SharedFit,
    fit_shared_contrast,
    fits_of,
)

__all__ = ["CUTS_PER_MAP", "MapCuts", "fit_cuts"]

Floats = NDArray[np.float64]

CUTS_PER_MAP = 7
"""Wider cuts average more elements, narrower ones resolve the age better."""

# The contrast that fewer cuts tell is the opinion of one of them.
_FEWEST_CUTS = 3


@dataclass(frozen=True, eq=False)
class MapCuts:
    """Means of the elements of a map around each age, lag by lag.

    Parameters
    ----------
    centres : ndarray of float64, shape (n_ages,)
        Ages in frames.
    width : int
        Range of ages of one cut, in frames.
    means : ndarray of float64, shape (n_ages, n_frames)
        Mean at each lag; nan where no element is known, as at lag 0.
    counts : ndarray of float64, shape (n_ages, n_frames)
        Elements known.
    """

    centres: Floats
    width: int
    means: Floats
    counts: Floats

    @classmethod
    def of_map(
        cls, two_time: NDArray[np.floating], centres: Floats, width: int
    ) -> "MapCuts":
        """Cut a map at these ages.

        Parameters
        ----------
        two_time : ndarray of shape (n_frames, n_frames)
            Symmetric map; nan where unknown.
        centres : ndarray of shape (n_ages,)
            Ages (t1 + t2)/2 in frames.
        width : int
            Range of ages of one cut, in frames.

        Returns
        -------
        MapCuts
            Without the diagonal.
        """
        n_frames = len(two_time)
        means = np.full((len(centres), n_frames), np.nan)
        counts = np.zeros((len(centres), n_frames))
        for lag in range(1, n_frames):
            values = np.diagonal(two_time, lag).astype(np.float64)
            is_known = np.isfinite(values)
            sums = np.concatenate([[0.0], np.cumsum(np.where(is_known, values, 0.0))])
            known = np.concatenate([[0], np.cumsum(is_known)])
            # The element t of this diagonal has the age t + lag/2.
            first = np.ceil(centres - width / 2 - lag / 2).clip(0, n_frames - lag)
            last = np.ceil(centres + width / 2 - lag / 2).clip(0, n_frames - lag)
            start, stop = first.astype(np.int64), last.astype(np.int64)
            counts[:, lag] = known[stop] - known[start]
            total = sums[stop] - sums[start]
            found = counts[:, lag] > 0
            np.divide(total, counts[:, lag], out=means[:, lag], where=found)
        return cls(centres, width, means, counts)

    @property
    def curves(self) -> CurveSet:
        """The cuts as points to fit, delays in units of the map."""
        x = np.arange(1, self.means.shape[1]) / self.means.shape[1]
        return CurveSet(
            x, np.nan_to_num(self.means[:, 1:]), np.sqrt(self.counts[:, 1:])
        )

    def elements(self, index: int, of_lags: Floats) -> Floats:
        """Spread what each lag of a cut is weighted with over blocks of the map.

        Parameters
        ----------
        index : int
            Which cut.
        of_lags : ndarray of shape (n_frames - 1,)
            Weights of lags 1 .. n_frames - 1.

        Returns
        -------
        ndarray of float64, shape (n_blocks, n_blocks)
            Symmetric, as `MapNoise` takes it.
        """
        n_frames = self.means.shape[1]
        width = block_width(n_frames)
        n_blocks = -(-n_frames // width)
        each = np.zeros(n_frames)
        np.divide(of_lags, self.counts[index, 1:], out=each[1:], where=of_lags != 0)
        # Twice the ages of the cut, whole numbers: t1 + t2.
        centre = 2 * self.centres[index]
        sums = np.arange(np.ceil(centre - self.width), np.ceil(centre + self.width))
        first = np.arange(n_frames)
        second = sums[:, None].astype(np.int64) - first
        inside = (second >= 0) & (second < n_frames)
        lag = np.abs(second - first)[inside]
        block = (first // width * n_blocks + second // width)[inside]
        total = np.bincount(block, each[lag], minlength=n_blocks**2)
        return total.reshape(n_blocks, n_blocks).astype(np.float64)


def fit_cuts(
    two_time: NDArray[np.floating],
    cuts: MapCuts,
    frame_time: float,
    *,
    is_contrast_shared: bool,
) -> list[RelaxationFit]:
    """Fit the relaxation of each cut.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        The map.
    cuts : MapCuts
        Its cuts, which may overlap.
    frame_time : float
        Start-to-start time of frames, in seconds.
    is_contrast_shared : bool
        Hold contrast and baseline at those of all cuts together.

    Returns
    -------
    list of RelaxationFit
        One for each cut.
    """
    contrast = None
    if is_contrast_shared:
        widest = max(cuts.width, len(two_time) // CUTS_PER_MAP, 1)
        contrast = _Contrast.of_map(two_time, widest)
    fits = []
    for index, count in enumerate(cuts.counts):
        seen = count > 0
        fit = fit_relaxation(
            np.flatnonzero(seen) * frame_time,
            cuts.means[index][seen],
            count[seen] ** -0.5,
            absolute_errors=False,
            held=None if contrast is None else (contrast.beta, contrast.baseline),
        )
        if contrast is not None and fit.relaxation_rate > 0:
            fit = contrast.with_errors(fit, cuts, index, frame_time)
        fits.append(fit)
    return fits


@dataclass(frozen=True, eq=False)
class _Contrast:
    """Contrast and baseline of a map, the elements they follow from, and their noise.

    `beta_weights` and `baseline_weights` are the derivatives by its elements, in
    blocks.
    """

    beta: float
    baseline: float
    beta_weights: Floats
    baseline_weights: Floats
    beta_err: float
    baseline_err: float
    noise: MapNoise

    @classmethod
    def of_map(cls, two_time: NDArray[np.floating], width: int) -> "_Contrast | None":
        """Fit cuts that do not overlap; None where too few of them can be trusted."""
        n_frames = len(two_time)
        apart = MapCuts.of_map(two_time, np.arange(width / 2, n_frames, width), width)
        curves = apart.curves

        def errors_of(fit: SharedFit) -> Floats:
            noise = _noise_of(fit, apart, two_time)
            return _errors(fit, apart, noise)

        found = fit_shared_contrast(curves, errors_of)
        if found is None:
            return None
        fit, errors = found
        fits = fits_of(fit, errors, curves, 1.0)
        if sum(one.is_trusted for one in fits) < _FEWEST_CUTS:
            return None
        beta, _, _, baseline = fit.values[0]
        return cls(
            beta=float(beta),
            baseline=float(baseline),
            beta_weights=_elements(apart, fit.estimator[0, 0]),
            baseline_weights=_elements(apart, fit.estimator[0, 3]),
            beta_err=float(errors[0, 0]),
            baseline_err=float(errors[0, 3]),
            noise=_noise_of(fit, apart, two_time),
        )

    def with_errors(
        self, fit: RelaxationFit, cuts: MapCuts, index: int, frame_time: float
    ) -> RelaxationFit:
        """Return the fit of one cut with the errors that the noise makes."""
        seen = cuts.counts[index, 1:] > 0
        x = np.flatnonzero(seen).astype(np.float64) + 1
        log_rate = np.log(fit.relaxation_rate * frame_time)
        values = np.array([self.beta, log_rate, fit.alpha, self.baseline])
        weight = np.sqrt(cuts.counts[index, 1:][seen])[:, None]
        slopes = derivatives(x, values) * weight
        inverse = np.linalg.pinv(slopes[:, 1:3])
        of_lags = np.zeros((2, len(seen)))
        of_lags[:, seen] = inverse * weight.T
        by_contrast = -inverse @ slopes[:, [0, 3]]
        errors = np.array([self.beta_err, 0.0, 0.0, self.baseline_err])
        for row in range(2):
            elements = (
                cuts.elements(index, of_lags[row])
                + by_contrast[row, 0] * self.beta_weights
                + by_contrast[row, 1] * self.baseline_weights
            )
            errors[1 + row] = np.sqrt(self.noise.variance(elements))
        is_trusted = fit.is_trusted and is_determined(x, values, errors)
        return RelaxationFit.of_logarithm(
            values, errors, frame_time, is_trusted=is_trusted
        )


def _elements(cuts: MapCuts, estimator: Floats) -> Floats:
    """Spread the weights of all cuts, shape (n_cuts, n_lags), over the map."""
    return np.asarray(sum(map(cuts.elements, range(len(estimator)), estimator)))


def _errors(fit: SharedFit, cuts: MapCuts, noise: MapNoise) -> Floats:
    """Return standard errors of all values, shape (n_cuts, 4)."""
    variance = np.zeros(fit.values.shape)
    for index, parameter in np.ndindex(*variance.shape):
        if index == 0 or parameter in {1, 2}:
            elements = _elements(cuts, fit.estimator[index, parameter])
            variance[index, parameter] = noise.variance(elements)
    # Contrast and baseline are those of all cuts.
    variance[:, [0, 3]] = variance[0, [0, 3]]
    return np.sqrt(variance)


def _noise_of(
    fit: SharedFit, cuts: MapCuts, two_time: NDArray[np.floating]
) -> MapNoise:
    """Read the noise of a map whose rate follows that of its cuts."""
    beta, _, _, baseline = fit.values[0]
    inside = np.flatnonzero(fit.is_inside)
    if len(inside) == 0:
        inside = np.arange(len(fit.values))
    time = np.arange(len(two_time))
    log_rate = np.interp(time, cuts.centres[inside], fit.values[inside, 1])
    warped = np.cumsum(np.exp(log_rate)) / len(two_time)
    alpha = float(np.median(fit.values[inside, 2]))
    distance = np.abs(warped[:, None] - warped)
    correlation = np.exp(-2 * distance**alpha)
    return map_noise(two_time, correlation, float(beta), float(baseline))

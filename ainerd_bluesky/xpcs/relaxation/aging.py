"""Relaxation along the age of a sample."""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs.lags.age_lag import AgeLag
from ainerd_bluesky.xpcs.relaxation.decay import smoothed
from ainerd_bluesky.xpcs.relaxation.fit import (
    RelaxationFit,
    fit_power_law,
    fit_relaxation,
)
from ainerd_bluesky.xpcs.relaxation.map_cuts import CUTS_PER_MAP, MapCuts, fit_cuts
from ainerd_bluesky.xpcs.relaxation.shared_fit import (
    CurveSet,
    SharedFit,
    fit_shared_contrast,
    fits_of,
)

__all__ = [
    "RelaxationByAge",
    "aging_exponent",
    "fit_age_lag",
    "fit_relaxation_by_age",
]

Floats = NDArray[np.float64]

# Upper end of the interval of one standard error.
_ONE_SIGMA = 0.8413447


@dataclass(frozen=True, eq=False)
class RelaxationByAge:
    """Relaxation fits along the age of a sample; every array has shape (n_ages,).

    Parameters
    ----------
    age : ndarray of float64
        Centre of each cut, in seconds.
    relaxation_rate, relaxation_rate_err : ndarray of float64
        Gamma, in 1/s; nan where unknown, as in the arrays below.
    beta, beta_err : ndarray of float64
        Speckle contrast.
    alpha, alpha_err : ndarray of float64
        Stretching or compressing exponent.
    baseline, baseline_err : ndarray of float64
        Value at long delay; an error of 0 means that it was held at 1.
    is_trusted : ndarray of bool
        Whether the cut determines rate, contrast and exponent.
    """

    age: Floats
    relaxation_rate: Floats
    beta: Floats
    alpha: Floats
    baseline: Floats
    relaxation_rate_err: Floats
    beta_err: Floats
    alpha_err: Floats
    baseline_err: Floats
    is_trusted: NDArray[np.bool_]

    @classmethod
    def of_fits(cls, age: Floats, fits: list[RelaxationFit]) -> "RelaxationByAge":
        """Return the fits of these ages."""
        columns = zip(*map(astuple, fits), strict=True)
        return cls(age, *map(np.array, columns))


def fit_age_lag(
    age_lag: AgeLag, frame_time: float, *, is_contrast_shared: bool = True
) -> RelaxationByAge:
    """Fit the relaxation at each age of a correlation from counts.

    Errors follow from the jackknife over pixels, through all ages together, and hold
    for slow dynamics too, where neither delays nor ages are independent.

    Parameters
    ----------
    age_lag : AgeLag
        Correlation against age and delay, from `age_lag_map`.
    frame_time : float
        Start-to-start time of frames, in seconds.
    is_contrast_shared : bool
        Fit one contrast and one baseline to all ages: they belong to beam and detector,
        not to the age of the sample. The baseline is held at 1 where the delays do not
        reach it.

    Returns
    -------
    RelaxationByAge
        One fit for each age.
    """
    error = _errors_of_points(age_lag)
    weight = np.divide(1.0, error, out=np.zeros_like(error), where=error > 0)
    scale = float(age_lag.lags.max(initial=1))
    curves = CurveSet(age_lag.lags / scale, np.nan_to_num(age_lag.g2), weight)
    shared = None
    if is_contrast_shared:
        shared = fit_shared_contrast(curves, lambda fit: _errors(fit, curves, age_lag))
    if shared is None:
        fits = _fit_each(age_lag, error, frame_time)
    else:
        fits = fits_of(*shared, curves, scale * frame_time)
    return RelaxationByAge.of_fits(age_lag.ages * frame_time, fits)


def fit_relaxation_by_age(
    two_time: NDArray[np.floating],
    frame_time: float,
    *,
    age_width: int | None = None,
    age_step: int = 1,
    is_contrast_shared: bool = True,
) -> RelaxationByAge:
    """Fit the relaxation at each age of a two-time map.

    A cut gathers the elements (t1, t2), off the diagonal, with (t1 + t2)/2 within
    `age_width` frames around the age, and averages those of equal lag. Where counts are
    at hand, `fit_age_lag` knows its errors better.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        Symmetric map; nan where unknown.
    frame_time : float
        Start-to-start time of frames, in seconds.
    age_width : int, optional
        Width of a cut in frames; a seventh of the map if not given.
    age_step : int
        Distance from cut to cut in frames. The first is centred at age_step/2, as
        that of the published cuts of width and step 1 is at 0.5 [1]_.
    is_contrast_shared : bool
        Hold contrast and baseline at those that fit all cuts together, where at least
        three tell them: they belong to beam and detector, not to the age of the
        sample, and a short cut cannot tell them from a slow relaxation.

    Returns
    -------
    RelaxationByAge
        One fit for each cut. Cuts that overlap are not independent. Errors are those
        of Gaussian speckle with the noise of the map, see `map_noise`.

    Raises
    ------
    TwoTimeError
        If `two_time` is not square, or holds no real numbers.

    References
    ----------
    .. [1] T. Konstantinova, L. Wiegart, M. Rakitin, A. M. DeGennaro, A. M. Barbour,
       Machine learning for analysis of speckle dynamics: quantification and outlier
       detection, arXiv:2201.07889 (2022).
    """
    two_time = np.asarray(two_time)
    if two_time.ndim != 2 or two_time.shape[0] != two_time.shape[1]:
        raise TwoTimeError(f"two_time must be square, got shape {two_time.shape}")
    if two_time.dtype.kind not in "biuf":
        raise TwoTimeError(f"two_time must hold real numbers, got {two_time.dtype}")

    n_frames = len(two_time)
    width = max(1, n_frames // CUTS_PER_MAP) if age_width is None else age_width
    centres = np.arange(age_step / 2, n_frames, age_step)
    cuts = MapCuts.of_map(two_time, centres, width)
    fits = fit_cuts(two_time, cuts, frame_time, is_contrast_shared=is_contrast_shared)
    return RelaxationByAge.of_fits(centres * frame_time, fits)


def aging_exponent(fits: RelaxationByAge) -> tuple[float, float]:
    """Find how the relaxation time grows with age, as age^mu.

    Parameters
    ----------
    fits : RelaxationByAge
        Cuts that do not overlap; those that are not trusted are left out.

    Returns
    -------
    exponent, exponent_err : float
        mu (1 for full aging, 0 for none, negative where dynamics accelerate) and its
        standard error; nan for fewer than three trusted cuts.

    References
    ----------
    .. [1] L. C. E. Struik, Physical aging in amorphous polymers and other materials
       (Elsevier, 1978).
    """
    keep = fits.is_trusted
    exponent, error = fit_power_law(
        fits.age[keep], fits.relaxation_rate[keep], fits.relaxation_rate_err[keep]
    )
    return -exponent, error


def _errors_of_points(age_lag: AgeLag) -> Floats:
    """Return smooth standard errors, shape (n_ages, n_lags); 0 where unknown."""
    if age_lag.g2_cov is None:
        return np.where(age_lag.n_pairs > 0, np.maximum(age_lag.n_pairs, 1) ** -0.5, 0)
    variance = np.diagonal(age_lag.g2_cov, axis1=1, axis2=2)
    error = np.zeros_like(age_lag.g2)
    for known, out, row in zip(
        np.isfinite(age_lag.g2) & (variance > 0), error, variance, strict=True
    ):
        if known.any():
            out[known] = smoothed(np.sqrt(row[known]))
    return error


def _errors(fit: SharedFit, curves: CurveSet, age_lag: AgeLag) -> Floats:
    """Return standard errors of the parameters, shape (n_ages, 4)."""
    if age_lag.replicates is not None:
        n_blocks = len(age_lag.replicates)
        deviations = age_lag.replicates - age_lag.replicates.mean(axis=0)
        moved = np.einsum("ckap,bap->bck", fit.estimator, np.nan_to_num(deviations))
        variance = (n_blocks - 1) / n_blocks * (moved**2).sum(axis=0)
        # An error from so few blocks is itself uncertain: Student's distribution.
        return np.asarray(np.sqrt(variance) * stdtrit(n_blocks - 1, _ONE_SIGMA))
    if age_lag.g2_cov is not None:
        known = np.nan_to_num(age_lag.g2_cov)
        variance = np.einsum(
            "ckap,apq,ckaq->ck", fit.estimator, known, fit.estimator, optimize=True
        )
        return np.asarray(np.sqrt(variance))
    return fit.errors_from_scatter(curves)


def _fit_each(age_lag: AgeLag, error: Floats, frame_time: float) -> list[RelaxationFit]:
    """Fit each age on its own."""
    fits = []
    for index, (g2, known) in enumerate(zip(age_lag.g2, error > 0, strict=True)):
        cov = None if age_lag.g2_cov is None else age_lag.g2_cov[index]
        fits.append(
            fit_relaxation(
                age_lag.lags[known] * frame_time,
                g2[known],
                error[index][known],
                g2_cov=None if cov is None else cov[np.ix_(known, known)],
                absolute_errors=cov is not None,
            )
        )
    return fits

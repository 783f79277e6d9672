"""Relaxation along the age of a sample: cuts across the diagonal of a map."""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs.relaxation import (
    RelaxationFit,
    fit_power_law,
    fit_relaxation,
)

__all__ = ["RelaxationByAge", "aging_exponent", "fit_relaxation_by_age"]

Floats = NDArray[np.float64]

# Wider cuts average more elements, narrower ones resolve the age better.
_CUTS_PER_MAP = 7
# The median of fewer cuts is the opinion of one of them.
_FEWEST_CUTS = 3
# Ends the search where the cuts leave the contrast open.
_MAX_TURNS = 30
# Far below the error of any measured contrast.
_CONVERGED = 1e-3


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
        Value at long delay.
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
    `age_width` frames around the age, and averages those of equal lag.

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
        One fit for each cut. Cuts that overlap are not independent.

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
    width = max(1, n_frames // _CUTS_PER_MAP) if age_width is None else age_width
    held = _shared_contrast(two_time, width) if is_contrast_shared else None
    centres = np.arange(age_step / 2, n_frames, age_step)
    means, counts = _age_cuts(two_time, centres, width)
    fits = _fit_cuts(means, counts, frame_time, held)
    columns = zip(*map(astuple, fits), strict=True)
    return RelaxationByAge(centres * frame_time, *map(np.array, columns))


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


def _shared_contrast(
    two_time: NDArray[np.floating], width: int
) -> tuple[float, float] | None:
    """Fit contrast and baseline of all cuts together; None where few tell them."""
    # In turn: rates and exponents with these two held, then these two with the
    # decays held, which is linear.
    centres = np.arange(width / 2, len(two_time), width)
    means, counts = _age_cuts(two_time, centres, width)
    weight = np.sqrt(counts)
    fits = _fit_cuts(means, counts)
    if sum(fit.is_trusted for fit in fits) < _FEWEST_CUTS:
        return None
    trusted = [(fit.beta, fit.baseline) for fit in fits if fit.is_trusted]
    beta, baseline = np.median(trusted, axis=0)
    lags = np.arange(means.shape[1])
    for _ in range(_MAX_TURNS):
        before = beta
        fits = _fit_cuts(means, counts, held=(beta, baseline))
        decay = np.array(
            [np.exp(-2 * (fit.relaxation_rate * lags) ** fit.alpha) for fit in fits]
        )
        is_used = (counts > 0) & np.isfinite(decay)
        columns = np.stack([decay[is_used], np.ones(is_used.sum())], axis=1)
        beta, baseline = np.linalg.lstsq(
            columns * weight[is_used][:, None], means[is_used] * weight[is_used]
        )[0]
        if abs(beta - before) < _CONVERGED * beta:
            break
    return float(beta), float(baseline)


def _fit_cuts(
    means: Floats,
    counts: Floats,
    frame_time: float = 1.0,
    held: tuple[float, float] | None = None,
) -> list[RelaxationFit]:
    return [
        fit_relaxation(
            np.flatnonzero(count) * frame_time,
            g2[count > 0],
            count[count > 0] ** -0.5,
            absolute_errors=False,
            held=held,
        )
        for g2, count in zip(means, counts, strict=True)
    ]


def _age_cuts(
    two_time: NDArray[np.floating], centres: Floats, width: int
) -> tuple[Floats, Floats]:
    """Return means and counts of each cut at each lag, shape (n_ages, n_frames)."""
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
        np.divide(total, counts[:, lag], out=means[:, lag], where=counts[:, lag] > 0)
    return means, counts

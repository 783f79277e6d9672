"""The stretched exponential that relaxation fits share: model, start, trust."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALPHA_BOUNDS",
    "N_PARAMETERS",
    "Curve",
    "decay",
    "derivatives",
    "is_determined",
    "log_rate_bounds",
    "smoothed",
    "starting_values",
]

Floats = NDArray[np.float64]

N_PARAMETERS = 4
"""Contrast, logarithm of the rate, exponent, baseline: in this order everywhere."""

ALPHA_BOUNDS = (0.2, 3.0)
"""Wider than what dynamics show (2 is ballistic): a fit at a bound is not trusted."""

_ALPHA_STARTS = (0.5, 1.0, 2.0)
# A value is trusted from two standard errors above zero on.
_LARGEST_RELATIVE_ERROR = 0.5
# Delays on either side that tell a standard error better than one alone does.
_NEIGHBOURS = 2


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a correlation function, delays in units of the longest one.

    Parameters
    ----------
    x : ndarray of float64, shape (n_points,)
        Delays, positive, in units of the longest.
    g2 : ndarray of float64, shape (n_points,)
        Correlation function, finite.
    weight : ndarray of float64, shape (n_points,)
        One over the standard errors, or proportional to it.
    covariance : ndarray of float64, shape (n_points, n_points), or None
        Of the points, where it is known.
    is_absolute : bool
        Whether the weights are one over the standard errors.
    """

    x: Floats
    g2: Floats
    weight: Floats
    covariance: Floats | None = None
    is_absolute: bool = True


def decay(x: Floats, log_rate: Floats | float, alpha: Floats | float) -> Floats:
    """Return exp(-2 (Gamma x)^alpha), in the shape of the arguments together."""
    exponent = 2 * np.exp(alpha * (log_rate + np.log(x)))
    # Keeps the result above the subnormal numbers, which are slow and underflow.
    return np.asarray(np.exp(-np.minimum(exponent, 700.0)))


def derivatives(x: Floats, values: Floats) -> Floats:
    """Return derivatives by beta, log rate, alpha, baseline; shape (n_points, 4)."""
    beta, log_rate, alpha, _ = values
    log_x = log_rate + np.log(x)
    shape = decay(x, log_rate, alpha)
    # Beyond exp(6) the decay is over, and its slope 0 whatever the factor.
    slope = -beta * shape * 2 * np.exp(np.minimum(alpha * log_x, 6.0))
    return np.stack([shape, slope * alpha, slope * log_x, np.ones_like(x)], axis=1)


def log_rate_bounds(x: Floats) -> tuple[float, float]:
    """Return bounds that lie outside what `is_determined` lets pass."""
    return float(np.log(1e-3)), float(np.log(30 / x.min()))


def starting_values(
    curve: Curve, held: tuple[float, float] | None = None
) -> Floats | None:
    """Return the best point of a coarse grid of rates and exponents.

    Parameters
    ----------
    curve : Curve
        The points.
    held : tuple of float, optional
        Contrast and baseline; by linear least squares at each point if not given.

    Returns
    -------
    ndarray of float64, shape (4,), or None
        Contrast, logarithm of the rate, exponent, baseline; None if nothing falls.
    """
    rates = np.geomspace(0.1, 3 / curve.x.min(), 24)
    rate, alpha = (grid.ravel() for grid in np.meshgrid(rates, _ALPHA_STARTS))
    shape = np.exp(-2 * (rate[:, None] * curve.x) ** alpha[:, None])
    weight = curve.weight**2 / np.sum(curve.weight**2)
    if held is not None:
        misfit = (curve.g2 - held[1] - held[0] * shape) ** 2 @ weight
        best = int(np.argmin(misfit))
        return np.array([held[0], np.log(rate[best]), alpha[best], held[1]])
    centred = shape - (shape @ weight)[:, None]
    mean = float(curve.g2 @ weight)
    variance = (centred**2) @ weight
    overlap = (centred * (curve.g2 - mean)) @ weight
    beta = np.divide(overlap, variance, out=np.zeros_like(rate), where=variance > 0)
    gain = beta * overlap * (beta > 0)
    best = int(np.argmax(gain))
    if not gain[best] > 1e-24:
        return None
    baseline = mean - beta[best] * float(shape[best] @ weight)
    return np.array([beta[best], np.log(rate[best]), alpha[best], baseline])


def is_determined(x: Floats, values: Floats, errors: Floats) -> bool:
    """Ask whether the points at `x` tell contrast, rate and exponent.

    Parameters
    ----------
    x : ndarray of shape (n_points,)
        Delays.
    values, errors : ndarray of shape (4,)
        Contrast, logarithm of the rate, exponent and baseline, and their errors.

    Returns
    -------
    bool
        True if the errors are below half the values, something of the decay is seen,
        and it is not over before the first delay.
    """
    beta, log_rate, alpha, _ = values
    beta_err, log_rate_err, alpha_err, _ = errors
    rate = np.exp(log_rate)
    return bool(
        np.isfinite(errors).all()
        and log_rate_err < _LARGEST_RELATIVE_ERROR
        and beta_err < _LARGEST_RELATIVE_ERROR * beta
        and alpha_err < _LARGEST_RELATIVE_ERROR * alpha
        and rate * x.max() > 0.1
        and rate * x.min() < 1
    )


def smoothed(errors: Floats) -> Floats:
    """Return the geometric mean of each standard error and its neighbours.

    Errors of a jackknife are uncertain themselves. As weights they would favour the
    points whose error came out too small, and so make those of a fit too small.

    Parameters
    ----------
    errors : ndarray of shape (n_points,)
        Positive, in the order of the delays.

    Returns
    -------
    ndarray of float64, shape (n_points,)
        Over two delays on either side, fewer at the ends.

    Examples
    --------
    >>> smoothed(np.array([1.0, 1.0, 8.0]))
    array([2., 2., 2.])
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(errors))])
    index = np.arange(len(errors))
    first = np.maximum(index - _NEIGHBOURS, 0)
    last = np.minimum(index + _NEIGHBOURS + 1, len(errors))
    return np.asarray(np.exp((logs[last] - logs[first]) / (last - first)))

"""Relaxation fits of several correlation functions that share contrast and baseline."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ainerd_bluesky.xpcs.relaxation.decay import (
    ALPHA_BOUNDS,
    N_PARAMETERS,
    Curve,
    decay,
    derivatives,
    is_determined,
    log_rate_bounds,
    starting_values,
)
from ainerd_bluesky.xpcs.relaxation.fit import RelaxationFit, fit_relaxation

__all__ = ["CurveSet", "SharedFit", "fit_shared_contrast", "fits_of"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Fewer points do not tell rate and exponent apart from their noise.
_MIN_POINTS = 6
# A baseline that is known worse than to this part of the contrast is held at 1.
_VAGUE_BASELINE = 0.2


@dataclass(frozen=True, eq=False)
class CurveSet:
    """Correlation functions at the same delays.

    Parameters
    ----------
    x : ndarray of float64, shape (n_points,)
        Delays, positive and rising, in units of the longest.
    g2 : ndarray of float64, shape (n_curves, n_points)
        Correlation functions; anything finite where unknown.
    weight : ndarray of float64, shape (n_curves, n_points)
        Proportional to one over the standard errors; 0 where unknown.
    """

    x: Floats
    g2: Floats
    weight: Floats

    @property
    def is_fitted(self) -> Bools:
        """Whether a curve has enough points, shape (n_curves,)."""
        return np.asarray((self.weight > 0).sum(axis=1) >= _MIN_POINTS)


@dataclass(frozen=True, eq=False)
class SharedFit:
    """Parameters of all curves and how they follow the points.

    Parameters
    ----------
    values : ndarray of float64, shape (n_curves, 4)
        Contrast, logarithm of the rate, exponent, baseline.
    estimator : ndarray of float64, shape (n_curves, 4, n_curves, n_points)
        Derivatives of these parameters by the points, at the solution: what turns the
        covariance of the points, between curves too, into that of the parameters.
    residuals : ndarray of float64, shape (n_curves, n_points)
        Points minus curves, times the weights.
    is_inside : ndarray of bool, shape (n_curves,)
        Whether a curve has enough points and no parameter at a bound.
    """

    values: Floats
    estimator: Floats
    residuals: Floats
    is_inside: Bools

    def errors_from_scatter(self, curves: CurveSet) -> Floats:
        """Return errors that follow from the residuals of points that are independent.

        Parameters
        ----------
        curves : CurveSet
            What was fitted.

        Returns
        -------
        ndarray of float64, shape (n_curves, 4)
            Of the values.
        """
        is_known = curves.weight > 0
        variance = np.zeros_like(curves.weight)
        np.divide(1.0, curves.weight**2, out=variance, where=is_known)
        n_spare = int(is_known.sum()) - 2 - 2 * int(curves.is_fitted.sum())
        chi2 = float(np.sum(self.residuals**2)) / max(n_spare, 1)
        scatter = np.einsum("ckap,ap->ck", self.estimator**2, variance)
        return np.asarray(np.sqrt(chi2 * scatter))


def fit_shared_contrast(
    curves: CurveSet, errors_of: Callable[[SharedFit], Floats]
) -> tuple[SharedFit, Floats] | None:
    """Fit curves of one contrast and one baseline, at 1 where they do not reach it.

    Parameters
    ----------
    curves : CurveSet
        The points.
    errors_of : callable
        Returns the standard errors of the values of a fit, shape (n_curves, 4).

    Returns
    -------
    fit : SharedFit
        The parameters.
    errors : ndarray of float64, shape (n_curves, 4)
        Their standard errors. None is returned where the curves show no decay.
    """
    if not curves.is_fitted.any():
        return None
    fit = _fit_together(curves)
    if fit is None:
        return None
    errors = errors_of(fit)
    # Decided by the error alone: by the value, only high or low ones would be held.
    if errors[curves.is_fitted, 3].max() < _VAGUE_BASELINE * fit.values[0, 0]:
        return fit, errors
    fit = _fit_together(curves, baseline=1.0)
    return None if fit is None else (fit, errors_of(fit))


def fits_of(
    fit: SharedFit, errors: Floats, curves: CurveSet, scale: float
) -> list[RelaxationFit]:
    """Return the fit of each curve.

    Parameters
    ----------
    fit : SharedFit
        The parameters.
    errors : ndarray of shape (n_curves, 4)
        Their standard errors.
    curves : CurveSet
        What was fitted.
    scale : float
        The longest delay, in seconds.

    Returns
    -------
    list of RelaxationFit
        Unknown where a curve has too few points.
    """
    fits = []
    for index in range(len(curves.g2)):
        if not curves.is_fitted[index]:
            fits.append(RelaxationFit.unknown())
            continue
        seen = curves.x[curves.weight[index] > 0]
        is_trusted = fit.is_inside[index] and is_determined(
            seen, fit.values[index], errors[index]
        )
        fits.append(
            RelaxationFit.of_logarithm(
                fit.values[index], errors[index], scale, is_trusted=bool(is_trusted)
            )
        )
    return fits


def _fit_together(curves: CurveSet, baseline: float | None = None) -> SharedFit | None:
    """Fit rate and exponent of each curve, contrast and baseline of all together.

    Parameters
    ----------
    curves : CurveSet
        The points.
    baseline : float, optional
        Baseline, where it is known; fitted if not given.

    Returns
    -------
    SharedFit or None
        None where all curves together show no decay.
    """
    start = _starting_point(curves, baseline)
    if start is None:
        return None
    layout = _Layout(curves, is_baseline_free=baseline is None)
    found = least_squares(
        lambda free: layout.residuals(layout.filled(free, start)),
        np.clip(start, layout.lower, layout.upper)[layout.is_free],
        jac=lambda free: layout.jacobian(layout.filled(free, start)),
        bounds=(layout.lower[layout.is_free], layout.upper[layout.is_free]),
        x_scale="jac",
        gtol=None,
        max_nfev=100,
    )
    parameters = layout.filled(found.x, start)
    at_bound = np.zeros(len(start), bool)
    at_bound[layout.is_free] = found.active_mask != 0
    return SharedFit(
        values=layout.by_curve(parameters),
        estimator=layout.estimator(np.asarray(found.jac)),
        residuals=-found.fun.reshape(curves.g2.shape),
        is_inside=curves.is_fitted & ~layout.by_curve(at_bound).any(axis=1),
    )


def _starting_point(curves: CurveSet, baseline: float | None) -> Floats | None:
    """Return contrast, baseline, and all rates and exponents, near the solution."""
    power = curves.weight**2
    total = power.sum(axis=0)
    is_known = total > 0
    pooled = (power * curves.g2).sum(axis=0)[is_known] / total[is_known]
    whole = fit_relaxation(curves.x[is_known], pooled, total[is_known] ** -0.5)
    if not np.isfinite(whole.relaxation_rate):
        return None
    held = (whole.beta, whole.baseline if baseline is None else baseline)
    starts = np.array([[np.log(whole.relaxation_rate), whole.alpha]] * len(curves.g2))
    for index in np.flatnonzero(curves.is_fitted):
        seen = curves.weight[index] > 0
        points = Curve(
            curves.x[seen], curves.g2[index][seen], curves.weight[index][seen]
        )
        start = starting_values(points, held)
        if start is not None:
            starts[index] = start[1:3]
    return np.concatenate([held, *starts.T])


class _Layout:
    """One vector of parameters: contrast, baseline, log rates, exponents."""

    def __init__(self, curves: CurveSet, *, is_baseline_free: bool) -> None:
        self._curves = curves
        n_curves = len(curves.g2)
        each = np.arange(n_curves)
        # Columns of contrast, log rate, exponent and baseline of each curve.
        self._columns = np.stack(
            [0 * each, 2 + each, 2 + n_curves + each, 0 * each + 1], axis=1
        )
        rates = log_rate_bounds(curves.x)
        low = [[0.0, -np.inf], [rates[0]] * n_curves, [ALPHA_BOUNDS[0]] * n_curves]
        high = [[np.inf, np.inf], [rates[1]] * n_curves, [ALPHA_BOUNDS[1]] * n_curves]
        self.lower, self.upper = np.concatenate(low), np.concatenate(high)
        self.is_free = np.ones(2 + 2 * n_curves, bool)
        self.is_free[1] = is_baseline_free
        self.is_free[self._columns[~curves.is_fitted, 1:3]] = False

    def filled(self, free: Floats, start: Floats) -> Floats:
        parameters = start.copy()
        parameters[self.is_free] = free
        return parameters

    def by_curve(self, parameters: NDArray[Any]) -> NDArray[Any]:
        return parameters[self._columns]

    def residuals(self, parameters: Floats) -> Floats:
        beta, log_rate, alpha, baseline = self.by_curve(parameters).T[..., None]
        model = beta * decay(self._curves.x, log_rate, alpha) + baseline
        residuals = self._curves.weight * (model - self._curves.g2)
        return np.asarray(residuals.ravel())

    def jacobian(self, parameters: Floats) -> Floats:
        shape = (*self._curves.g2.shape, len(parameters))
        jacobian = np.zeros(shape)
        for index, values in enumerate(self.by_curve(parameters)):
            slopes = derivatives(self._curves.x, values)
            slopes *= self._curves.weight[index][:, None]
            jacobian[index][:, self._columns[index]] = slopes
        return jacobian.reshape(-1, len(parameters))[:, self.is_free]

    def estimator(self, jacobian: Floats) -> Floats:
        weight = self._curves.weight
        full = np.zeros((len(self.is_free), weight.size))
        # Columns differ by orders of magnitude, and a rate out of sight has none.
        scale = np.linalg.norm(jacobian, axis=0)
        scale[scale == 0] = 1
        inverse = np.linalg.pinv(jacobian / scale, rcond=1e-9) / scale[:, None]
        full[self.is_free] = inverse * weight.ravel()
        return full[self._columns].reshape(-1, N_PARAMETERS, *weight.shape)

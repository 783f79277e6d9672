"""Relaxation rates from correlation functions, of a whole run or age by age."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from ainerd_bluesky.xpcs.relaxation.decay import (
    ALPHA_BOUNDS,
    N_PARAMETERS,
    Curve,
    decay,
    derivatives,
    is_determined,
    log_rate_bounds,
    smoothed,
    starting_values,
)

__all__ = [
    "RelaxationFit",
    "fit_power_law",
    "fit_relaxation",
]

Floats = NDArray[np.float64]

# Two points more than parameters, for the scatter to mean anything.
_MIN_POINTS = 6


@dataclass(frozen=True)
class RelaxationFit:
    """Parameters of one relaxation with their standard errors; nan where unknown.

    Parameters
    ----------
    relaxation_rate, relaxation_rate_err : float
        Gamma, in 1/s.
    beta, beta_err : float
        Speckle contrast.
    alpha, alpha_err : float
        Stretching (< 1) or compressing (> 1) exponent.
    baseline, baseline_err : float
        Value at long delay; an error of 0 means that it was held at 1.
    is_trusted : bool
        Whether the data determine rate, contrast and exponent.
    """

    relaxation_rate: float
    beta: float
    alpha: float
    baseline: float
    relaxation_rate_err: float
    beta_err: float
    alpha_err: float
    baseline_err: float
    is_trusted: bool

    @property
    def relaxation_time(self) -> float:
        """1 / Gamma in seconds; nan where the rate is unknown."""
        return 1 / self.relaxation_rate if self.relaxation_rate > 0 else float("nan")

    @classmethod
    def unknown(cls) -> "RelaxationFit":
        """Return the fit that says nothing."""
        nan = float("nan")
        return cls(nan, nan, nan, nan, nan, nan, nan, nan, is_trusted=False)

    @classmethod
    def of_logarithm(
        cls, values: Floats, errors: Floats, scale: float, *, is_trusted: bool
    ) -> "RelaxationFit":
        """Return the fit with this contrast, log rate, exponent and baseline.

        Parameters
        ----------
        values, errors : ndarray of shape (4,)
            Parameters and their standard errors; errors that are infinite are unknown.
        scale : float
            The unit of time of the rate, in seconds.
        is_trusted : bool
            Whether the data determine them.

        Returns
        -------
        RelaxationFit
            Rate in 1/s.
        """
        beta, log_rate, alpha, baseline = (float(value) for value in values)
        beta_err, log_rate_err, alpha_err, baseline_err = (
            float(error) if np.isfinite(error) else float("nan") for error in errors
        )
        rate = float(np.exp(log_rate)) / scale
        return cls(
            relaxation_rate=rate,
            beta=beta,
            alpha=alpha,
            baseline=baseline,
            relaxation_rate_err=rate * log_rate_err,
            beta_err=beta_err,
            alpha_err=alpha_err,
            baseline_err=baseline_err,
            is_trusted=is_trusted,
        )


def fit_relaxation(
    tau: ArrayLike,
    g2: ArrayLike,
    g2_err: ArrayLike | None = None,
    *,
    g2_cov: ArrayLike | None = None,
    absolute_errors: bool = True,
    held: tuple[float, float] | None = None,
) -> RelaxationFit:
    r"""Fit one stretched or compressed exponential to a correlation function.

    Where the baseline is not reached inside the window it is held at 1, its value for
    a fluctuating sample without static scattering.

    Parameters
    ----------
    tau : array_like of shape (n_lags,)
        Delays, in seconds, positive.
    g2 : array_like of shape (n_lags,)
        Correlation function; points that are not finite are left out.
    g2_err : array_like of shape (n_lags,), optional
        Standard errors, used as weights. Errors of the parameters grow with them, and
        with the scatter about the fit where that is larger. Without them every point
        weighs the same and the scatter alone sets the errors.
    g2_cov : array_like of shape (n_lags, n_lags), optional
        Covariance of the points. Neighbouring delays see the same speckles, so errors
        that ignore it come out too small for slow dynamics. The weights are then the
        `g2_err` of each delay and its neighbours, in the order given.
    absolute_errors : bool
        False if only the ratios of `g2_err` mean something: weights, and no more.
    held : tuple of float, optional
        Contrast and baseline, where they are known: only rate and exponent are then
        fitted.

    Returns
    -------
    RelaxationFit
        With `is_trusted` False, and nan where nothing can be said, if the data do not
        determine the relaxation: no decay in the window, or over before the first
        delay.

    Notes
    -----
    .. math:: g_2(\tau) = \beta \exp\left[-2 (\Gamma\tau)^\alpha\right] + b

    References
    ----------
    .. [1] A. Madsen, R. L. Leheny, H. Guo, M. Sprung, O. Czakkel, Beyond simple
       exponential correlation functions and equilibrium dynamics in x-ray photon
       correlation spectroscopy, New J. Phys. 12, 055001 (2010).

    Examples
    --------
    >>> tau = np.arange(1, 60) * 0.1
    >>> fit = fit_relaxation(tau, 1 + 0.3 * np.exp(-2 * 0.8 * tau))
    >>> round(fit.relaxation_rate, 3), round(fit.beta, 3), fit.is_trusted
    (0.8, 0.3, True)
    """
    tau, g2 = np.asarray(tau, np.float64), np.asarray(g2, np.float64)
    err = np.ones_like(g2) if g2_err is None else np.asarray(g2_err, np.float64)
    is_used = np.isfinite(tau) & (tau > 0) & np.isfinite(g2) & np.isfinite(err)
    is_used &= err > 0
    if is_used.sum() < _MIN_POINTS:
        return RelaxationFit.unknown()

    weight, covariance = 1 / err[is_used], None
    if g2_cov is not None:
        covariance = np.asarray(g2_cov, np.float64)[np.ix_(is_used, is_used)]
        weight = 1 / smoothed(err[is_used])
    scale = float(tau[is_used].max())
    curve = Curve(
        x=tau[is_used] / scale,
        g2=g2[is_used],
        weight=weight,
        covariance=covariance,
        is_absolute=absolute_errors and g2_err is not None,
    )
    return _in_seconds(_fit(curve) if held is None else _fit_held(curve, held), scale)


def fit_power_law(x: ArrayLike, y: ArrayLike, y_err: ArrayLike) -> tuple[float, float]:
    """Fit y ~ x^p by weighted least squares of the logarithms.

    Parameters
    ----------
    x, y, y_err : array_like of shape (n,)
        Positive values and the standard errors of `y`; other points are left out.

    Returns
    -------
    exponent, exponent_err : float
        The exponent and its standard error, which grows with scatter beyond the
        errors; nan for fewer than three points or a single x.

    Examples
    --------
    >>> fit_power_law([1, 2, 4, 8], [3, 12, 48, 192], [0.1, 0.1, 0.1, 0.1])[0]
    2.0
    """
    x, y, y_err = (np.asarray(values, np.float64) for values in (x, y, y_err))
    is_used = np.isfinite(x) & np.isfinite(y) & np.isfinite(y_err)
    is_used &= (x > 0) & (y > 0) & (y_err > 0)
    if is_used.sum() < 3 or np.ptp(x[is_used]) == 0:
        return float("nan"), float("nan")

    log_x, log_y = np.log(x[is_used]), np.log(y[is_used])
    weight = (y[is_used] / y_err[is_used]) ** 2
    dx = log_x - np.average(log_x, weights=weight)
    dy = log_y - np.average(log_y, weights=weight)
    spread = float(np.sum(weight * dx**2))
    exponent = float(np.sum(weight * dx * dy)) / spread
    chi2 = float(np.sum(weight * (dy - exponent * dx) ** 2)) / (len(dx) - 2)
    return round(exponent, 12), float(np.sqrt(max(1.0, chi2) / spread))


def _fit_held(curve: Curve, held: tuple[float, float]) -> RelaxationFit:
    """Fit rate and exponent alone."""
    start = starting_values(curve, held)
    if start is None:
        return RelaxationFit.unknown()
    return _solve(curve, start, np.array([False, True, True, False]))


def _fit(curve: Curve) -> RelaxationFit:
    """Fit with a free baseline and, if that is not trusted, with the baseline 1."""
    start = starting_values(curve)
    if start is None:
        return RelaxationFit.unknown()
    free = _solve(curve, start, np.ones(N_PARAMETERS, bool))
    if free.is_trusted or not np.mean(curve.g2) > 1:
        return free
    held_start = np.array([max(curve.g2[0] - 1, 1e-6), *start[1:3], 1.0])
    held = _solve(curve, held_start, np.array([True, True, True, False]))
    return held if held.is_trusted else free


def _solve(curve: Curve, start: Floats, is_free: NDArray[np.bool_]) -> RelaxationFit:
    # The logarithm keeps the rate positive, over decades.
    rates = log_rate_bounds(curve.x)
    lower = np.array([0.0, rates[0], ALPHA_BOUNDS[0], -np.inf])
    upper = np.array([np.inf, rates[1], ALPHA_BOUNDS[1], np.inf])

    def filled(free: Floats) -> Floats:
        values = start.copy()
        values[is_free] = free
        return values

    def residuals(free: Floats) -> Floats:
        beta, log_rate, alpha, baseline = filled(free)
        model = beta * decay(curve.x, log_rate, alpha) + baseline
        return np.asarray(curve.weight * (model - curve.g2))

    def jacobian(free: Floats) -> Floats:
        return curve.weight[:, None] * derivatives(curve.x, filled(free))[:, is_free]

    found = least_squares(
        residuals,
        np.clip(start, lower, upper)[is_free],
        jac=jacobian,
        bounds=(lower[is_free], upper[is_free]),
        x_scale="jac",
        gtol=None,
        max_nfev=60,
    )
    values = filled(found.x)
    errors = np.zeros(N_PARAMETERS)
    errors[is_free] = _standard_errors(curve, found.jac, found.fun)
    is_inside = not found.active_mask.any()
    is_trusted = bool(found.success and is_inside) and is_determined(
        curve.x, values, errors
    )
    return RelaxationFit.of_logarithm(values, errors, 1.0, is_trusted=is_trusted)


def _standard_errors(curve: Curve, jacobian: Floats, residuals: Floats) -> Floats:
    """Return the errors of the free parameters; `jacobian` holds the weights."""
    n_points, n_free = jacobian.shape
    unknown = np.full(n_free, np.inf)
    _, singular, right = np.linalg.svd(jacobian, full_matrices=False)
    # Parameters that only act together cannot be told apart: no error is large enough.
    if n_points <= n_free or not singular[-1] > 1e-10 * singular[0]:
        return unknown
    inverse = (right.T / singular**2) @ right
    if curve.covariance is not None:
        estimator = inverse @ (jacobian.T * curve.weight)
        covariance = estimator @ curve.covariance @ estimator.T
    else:
        chi2 = float(residuals @ residuals) / (n_points - n_free)
        chi2 *= _correlation_length(residuals)
        covariance = inverse * (max(1.0, chi2) if curve.is_absolute else chi2)
    return np.asarray(np.sqrt(np.diag(covariance).clip(0)))


def _correlation_length(residuals: Floats) -> float:
    """Return how many neighbouring residuals make one independent one."""
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    length = 1.0
    # Up to the first sign change: beyond it the sum is noise, and would be zero.
    for shift in range(1, len(centred) // 4):
        correlation = float(centred[:-shift] @ centred[shift:])
        if correlation <= 0 or power == 0:
            break
        length += 2 * correlation / power
    return length


def _in_seconds(fit: RelaxationFit, scale: float) -> RelaxationFit:
    return replace(
        fit,
        relaxation_rate=fit.relaxation_rate / scale,
        relaxation_rate_err=fit.relaxation_rate_err / scale,
    )

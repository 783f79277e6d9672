"""Field correlations g1(t1, t2) for every word of the vocabulary."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.vocabulary import Label

__all__ = ["Dynamics", "draw_dynamics", "g1"]

Parameters: TypeAlias = dict[str, Any]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Dynamics:
    """What a simulated sample does during one scan.

    Parameters
    ----------
    label : Label
        The word for it; it decides which parameters are needed.
    parameters : dict
        Numbers of the model, see Notes of :func:`g1`. Rates are in units of one
        over the window (the time from the first to the last frame).
    """

    label: Label
    parameters: Parameters


def g1(dynamics: Dynamics, time: Floats, q_ratio: float = 1.0) -> NDArray[np.float32]:
    r"""Compute the field correlation of every pair of frames.

    Parameters
    ----------
    dynamics : Dynamics
        What the sample does.
    time : ndarray of shape (n_frames,)
        Time of each frame in units of the window, 0 to 1, ascending.
    q_ratio : float
        q relative to the q at which `dynamics` is stated.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_frames)
        Symmetric, positive semi-definite, one on the diagonal.

    Raises
    ------
    ConfigError
        If the label has no dynamics of its own (`invalid`).

    Notes
    -----
    Most words share one law in a warped time s, which is positive semi-definite for
    every rate that may depend on age [1]_:

    .. math:: g_1 = \exp(-|s_1 - s_2|^\alpha),\quad
              s(t) = (q/q_0)^2 \int_0^t \Gamma(t')\,dt',\quad 0 < \alpha \le 2

    `two-step` is a sum of two such terms, `oscillatory` a product with a periodic
    kernel whose period does not depend on q.

    References
    ----------
    .. [1] A. Madsen, R. Leheny, H. Guo, M. Sprung and O. Czakkel, New J. Phys. 12,
       055001 (2010).

    Examples
    --------
    >>> dynamics = Dynamics(Label.STATIONARY, {"rate": 1.0, "alpha": 1.0})
    >>> g1(dynamics, np.array([0.0, 1.0]))[0, 1].round(4)
    np.float32(0.3679)
    """
    if dynamics.label not in _MODELS:
        raise ConfigError(f"there are no dynamics called {dynamics.label.value!r}")
    model = _MODELS[dynamics.label]
    correlation = model(dynamics.parameters, np.asarray(time, np.float64), q_ratio**2)
    return correlation.astype(np.float32)


def draw_dynamics(label: Label, rng: np.random.Generator) -> Dynamics:
    """Draw dynamics of one kind with wide, but never borderline, parameters.

    What is excluded, so that the word is true: a `static` map loses more than a
    tenth of its contrast nowhere; the rate of an `aging` or `accelerating` one changes
    at least four times, smoothly; that of a `transition` at least six times, within
    3 % of the window; an `intermittent` one has three events or more, each taking at
    least three quarters of the contrast; an `oscillatory` one keeps at least 30 % of
    it in the first echo; the two decays of a `two-step` one are a factor of twenty
    apart, and the second is seen.

    Parameters
    ----------
    label : Label
        Which kind.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    Dynamics
        With this label.

    Raises
    ------
    ConfigError
        If the label is `invalid`, which is a defect of the data and no dynamics.
    """
    if label not in _DRAWS:
        raise ConfigError(f"cannot draw dynamics called {label.value!r}")
    return Dynamics(label, _DRAWS[label](rng))


# ---- models: parameters, time, square of the q ratio -> g1


def _kww(warped_time: Floats, alpha: float) -> Floats:
    distance = np.abs(warped_time[:, None] - warped_time[None, :])
    return np.exp(-(distance**alpha))


def _relaxing(parameters: Parameters, time: Floats, q_factor: float) -> Floats:
    return _kww(parameters["rate"] * q_factor * time, parameters["alpha"])


def _drifting(parameters: Parameters, time: Floats, q_factor: float) -> Floats:
    """Rate that goes by a power law from `rate` to `rate / slowing`."""
    exponent, slowing = parameters["exponent"], parameters["slowing"]
    # rate (1 + t/t0)^-exponent, t0 such that the last rate is rate / slowing
    start = 1.0 / (slowing ** (1.0 / exponent) - 1.0)
    if np.isclose(exponent, 1.0):
        integral = start * np.log1p(time / start)
    else:
        grown = (1.0 + time / start) ** (1.0 - exponent)
        integral = start * (grown - 1.0) / (1.0 - exponent)
    return _kww(parameters["rate"] * q_factor * integral, parameters["alpha"])


def _reversed_drift(parameters: Parameters, time: Floats, q_factor: float) -> Floats:
    return _drifting(parameters, 1.0 - time, q_factor)


def _stepping(parameters: Parameters, time: Floats, q_factor: float) -> Floats:
    """Slow drift with a sudden advance of the warped time at each event."""
    warped = parameters["rate"] * time
    for event, jump in zip(parameters["events"], parameters["jumps"], strict=True):
        warped = warped + jump / (1.0 + np.exp(-_steep(time - event, 0.002)))
    return _kww(warped * q_factor, parameters["alpha"])


def _switching(parameters: Parameters, time: Floats, q_factor: float) -> Floats:
    """Integral of a rate that goes from one value to another by a sigmoid."""
    width, change = parameters["width"], parameters["change"]
    after = width * np.logaddexp(0.0, _steep(time - change, width))
    difference = parameters["second_rate"] - parameters["first_rate"]
    warped = parameters["first_rate"] * time + difference * after
    return _kww(warped * q_factor, parameters["alpha"])


def _steep(time: Floats, width: float) -> Floats:
    return np.clip(time / width, -500.0, 500.0)


def _echoing(parameters: Parameters, time: Floats, q_factor: float) -> Floats:
    delay = time[:, None] - time[None, :]
    phase = np.sin(np.pi * parameters["n_periods"] * delay) ** 2
    # exp(-k sin^2) is positive semi-definite: a von Mises kernel on the circle.
    periodic = np.exp(-parameters["depth"] * phase)
    return np.asarray(periodic * _relaxing(parameters, time, q_factor))


def _two_steps(parameters: Parameters, time: Floats, q_factor: float) -> Floats:
    slow = _kww(parameters["slow_rate"] * q_factor * time, parameters["slow_alpha"])
    fast = _kww(parameters["fast_rate"] * q_factor * time, parameters["fast_alpha"])
    return np.asarray(parameters["plateau"] * slow + (1 - parameters["plateau"]) * fast)


_MODELS: MappingProxyType[Label, Callable[[Parameters, Floats, float], Floats]] = (
    MappingProxyType(
        {
            Label.STATIC: _relaxing,
            Label.STATIONARY: _relaxing,
            Label.AGING: _drifting,
            Label.ACCELERATING: _reversed_drift,
            Label.INTERMITTENT: _stepping,
            Label.TRANSITION: _switching,
            Label.OSCILLATORY: _echoing,
            Label.TWO_STEP: _two_steps,
            # Relaxation between any two frames, whatever q.
            Label.NO_SIGNAL: lambda _parameters, time, _q_factor: np.eye(time.size),
        }
    )
)


# ---- draws: one source of chance -> parameters


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_static(rng: np.random.Generator) -> Parameters:
    alpha = rng.uniform(0.7, 1.8)
    decay = rng.uniform(0.0, 0.05)
    return {"rate": decay ** (1.0 / alpha), "alpha": alpha}


def _draw_stationary(rng: np.random.Generator) -> Parameters:
    return {"rate": _log_uniform(rng, 1.0, 50.0), "alpha": rng.uniform(0.75, 1.9)}


def _draw_drifting(rng: np.random.Generator) -> Parameters:
    slowing = _log_uniform(rng, 4.0, 40.0)
    middle_rate = _log_uniform(rng, 2.5, 25.0)
    return {
        "rate": middle_rate * np.sqrt(slowing),
        "slowing": slowing,
        "exponent": _log_uniform(rng, 0.6, 8.0),
        "alpha": rng.uniform(0.75, 1.9),
    }


def _draw_stepping(rng: np.random.Generator) -> Parameters:
    n_events = int(rng.integers(3, 10))
    gaps = 0.3 / (n_events + 1) + 0.7 * rng.dirichlet(np.full(n_events + 1, 2.0))
    alpha = rng.uniform(0.9, 1.6)
    return {
        "rate": rng.uniform(0.0, 0.4),
        "events": tuple(np.cumsum(gaps)[:-1].tolist()),
        "jumps": tuple(rng.uniform(0.85, 2.5, n_events).tolist()),
        "alpha": alpha,
    }


def _draw_switching(rng: np.random.Generator) -> Parameters:
    ratio = _log_uniform(rng, 6.0, 60.0)
    slow = _log_uniform(rng, 0.3, 6.0)
    first, second = (slow, slow * ratio) if rng.random() < 0.5 else (slow * ratio, slow)
    return {
        "first_rate": first,
        "second_rate": second,
        "change": rng.uniform(0.25, 0.75),
        "width": _log_uniform(rng, 0.001, 0.006),
        "alpha": rng.uniform(0.75, 1.9),
    }


def _draw_echoing(rng: np.random.Generator) -> Parameters:
    n_periods = _log_uniform(rng, 2.5, 11.0)
    alpha = rng.uniform(0.8, 1.6)
    first_echo = rng.uniform(0.3, 0.97)
    decay = (-0.5 * np.log(first_echo)) ** (1.0 / alpha)
    return {
        "n_periods": n_periods,
        "depth": rng.uniform(0.5, 3.0),
        "rate": float(decay * n_periods),
        "alpha": alpha,
    }


def _draw_two_steps(rng: np.random.Generator) -> Parameters:
    slow_rate = _log_uniform(rng, 0.35, 1.5)
    fast_rate = _log_uniform(rng, max(20.0 * slow_rate, 12.0), 50.0)
    return {
        "slow_rate": slow_rate,
        "slow_alpha": rng.uniform(0.9, 1.8),
        "fast_rate": fast_rate,
        "fast_alpha": rng.uniform(0.9, 1.6),
        "plateau": rng.uniform(0.5, 0.78),
    }


_DRAWS: MappingProxyType[Label, Callable[[np.random.Generator], Parameters]] = (
    MappingProxyType(
        {
            Label.STATIC: _draw_static,
            Label.STATIONARY: _draw_stationary,
            Label.AGING: _draw_drifting,
            Label.ACCELERATING: _draw_drifting,
            Label.INTERMITTENT: _draw_stepping,
            Label.TRANSITION: _draw_switching,
            Label.OSCILLATORY: _draw_echoing,
            Label.TWO_STEP: _draw_two_steps,
            Label.NO_SIGNAL: lambda _rng: {},
        }
    )
)

"""A simulated shear experiment: stress drives the dynamics, the weather does not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics
from ainerd_bluesky.xpcs.simulate.speckle import simulate_map

__all__ = ["RheologySet", "simulate_rheology"]

Floats = NDArray[np.float64]
_SCAN_INTERVAL = 57.0
_FRAME_TIME = 0.1
_N_FRAMES = 96
_STRESS_OF_UNIT_RATE = 2000.0
"""Pa at which the relaxation rate is 1/s."""
_SHEARED = 2.0
"""Scans between two rests."""


@dataclass(frozen=True, eq=False)
class RheologySet:
    """Scans of one sample in a rheometer, and what the rheometer wrote.

    Parameters
    ----------
    two_time : ndarray of float32, shape (n_runs, n_frames, n_frames)
        One map a scan.
    frame_time : float
        Start-to-start time of frames, in seconds.
    times : ndarray of shape (n_runs,)
        Start of each scan, in seconds since the first time step.
    relaxation_rate : ndarray of shape (n_runs,)
        The truth, in 1/s: proportional to the shear stress.
    steps : mapping of str to ndarray of shape (n_steps,)
        One time step a second: `time` in s, `shear_rate` in 1/s, `shear_stress` in Pa,
        and `room_temperature` in degrees Celsius, which has no influence.
    """

    two_time: NDArray[np.float32]
    frame_time: float
    times: Floats
    relaxation_rate: Floats
    steps: Mapping[str, Floats]


def simulate_rheology(n_runs: int, seed: int = 0) -> RheologySet:
    """Simulate shear, rest and shear again, scanned all the while.

    After each shear of random strength the stress decays slowly during a rest of random
    length. The room's temperature wanders as slowly as the stress.

    Parameters
    ----------
    n_runs : int
        Scans, 57 s apart.
    seed : int
        The same seed gives the same experiment.

    Returns
    -------
    RheologySet
        With known truth.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(0.0, n_runs * _SCAN_INTERVAL)
    shear_rate, stress = _stress(time, rng)
    times = np.arange(n_runs, dtype=np.float64) * _SCAN_INTERVAL
    rates = stress[times.astype(int)] / _STRESS_OF_UNIT_RATE
    window = _FRAME_TIME * (_N_FRAMES - 1)
    maps = [_scan(rate * window, rng) for rate in rates]
    steps = {
        "time": time,
        "shear_rate": shear_rate,
        "shear_stress": stress,
        "room_temperature": _wandering(n_runs, rng)[
            (time // _SCAN_INTERVAL).astype(int)
        ],
    }
    return RheologySet(np.stack(maps), _FRAME_TIME, times, rates, steps)


def _stress(time: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return shear rate and stress: each cycle a shear, then a decay at rest."""
    shear_rate, stress = np.zeros_like(time), np.zeros_like(time)
    start = 0.0
    while start <= time[-1]:
        strength = float(rng.choice([10.0, 30.0, 100.0]))
        end = start + _SCAN_INTERVAL * (_SHEARED + rng.uniform(3, 9))
        cycle = (time >= start) & (time < end)
        rest = np.maximum(time[cycle] - start - _SHEARED * _SCAN_INTERVAL, 0.0)
        shear_rate[cycle] = np.where(rest > 0, 0.0, strength)
        stress[cycle] = 1500.0 * strength**0.4 * (1 + rest / 60.0) ** -0.8
        start = end
    return shear_rate, stress


def _scan(rate: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the map of a stationary relaxation; the rate is that of a window."""
    dynamics = Dynamics(Label.STATIONARY, {"rate": rate, "alpha": 1.0})
    two_time, _ = simulate_map(dynamics, _N_FRAMES, 400, 2, 1.0, rng)
    return two_time


def _wandering(n_runs: int, rng: np.random.Generator) -> Floats:
    """Return a temperature that remembers itself over some ten scans."""
    temperature = np.empty(n_runs)
    deviation = rng.standard_normal()
    for run in range(n_runs):
        temperature[run] = 22.0 + 0.5 * deviation
        deviation = 0.8 * deviation + 0.6 * rng.standard_normal()
    return temperature

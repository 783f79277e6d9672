"""What a detector's readings say in time, as numbers without a scale."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import FrameStackError

__all__ = [
    "CHANNELS",
    "FEATURES",
    "MIN_READINGS",
    "Feature",
    "detector_series",
    "series_features",
]

CHANNELS = ("intensity", "std", "max", "com_x", "com_y", "sigma_x", "sigma_y")
"""Readings of one region in every frame, in the order of the rows of a series.

Mean, standard deviation and maximum of the pixels; centre of mass and width of the
intensity along columns (x) and rows (y), in pixels.
"""

MIN_READINGS = 16
"""Frames of the shortest series."""

_N_BLOCKS = 10
_TINY = 1e-7
# The widest that a reading may be, in robust standard deviations, to count as usual.
_USUAL = 5.0
_LAGS = (1, 2, 4)
_QUANTITIES = {
    "intensity": "mean intensity",
    "contrast": "contrast of the pixels",
    "max": "brightest pixel",
    "com_x": "centre of mass in x",
    "com_y": "centre of mass in y",
    "sigma_x": "width in x",
    "sigma_y": "width in y",
}
# Statistic of one channel: words, and whether it is kept as a decimal logarithm.
_STATISTICS = {
    "spread": ("spread", True),
    "noise": ("frame-to-frame noise", True),
    "slow": ("spread over noise", True),
    "drift": ("drift from start to end", True),
    "drift_noise": ("drift over noise", True),
    "outliers": ("share of jumps out of range", True),
    "tail": ("largest deviation over spread", True),
    "range": ("range", True),
    "jump": ("largest jump over noise", True),
    "wander": ("wander between tenths of the series", True),
    "wander_noise": ("wander over noise", True),
    "memory_1": ("correlation of neighbouring frames", False),
    "memory_2": ("correlation over two frames", False),
    "memory_4": ("correlation over four frames", False),
    "memory_long": ("correlation over a tenth of the series", False),
    "step_memory_1": ("correlation of neighbouring steps", False),
    "step_memory_2": ("correlation of steps over two frames", False),
    "bursts": ("noise of the noisiest tenth over the usual", True),
    "excursion": ("longest excursion", True),
}
_PAIRS = (
    ("intensity", "com_x"),
    ("intensity", "com_y"),
    ("com_x", "com_y"),
    ("intensity", "contrast"),
    ("intensity", "sigma_x"),
    ("intensity", "sigma_y"),
)


@dataclass(frozen=True)
class Feature:
    """One number about a series.

    Parameters
    ----------
    name : str
        Short and unique.
    words : str
        What it measures.
    is_log : bool
        Whether the number is a decimal logarithm.
    """

    name: str
    words: str
    is_log: bool


FEATURES = (
    *(
        Feature(f"{channel}.{name}", f"{words} of the {quantity}", is_log)
        for (channel, quantity), (name, (words, is_log)) in product(
            _QUANTITIES.items(), _STATISTICS.items()
        )
    ),
    *(
        Feature(
            f"{one}:{other}",
            f"correlation of {_QUANTITIES[one]} and {_QUANTITIES[other]}",
            is_log=False,
        )
        for one, other in _PAIRS
    ),
    Feature("contrast.level", "contrast of the pixels", is_log=True),
    Feature("intensity.dark", "share of frames below half the intensity", is_log=False),
    Feature("all.repeated", "share of frames equal to the one before", is_log=False),
)
"""What `series_features` gives, in its order."""


def detector_series(
    frames: NDArray[np.generic], roi_mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Compute the readings of one region in every frame.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, n_rows, n_cols)
        Detector counts.
    roi_mask : ndarray of bool, shape (n_rows, n_cols)
        True inside the region.

    Returns
    -------
    ndarray of float64, shape (7, n_frames)
        The channels of `CHANNELS`; centre and width are nan in frames without counts.

    Raises
    ------
    FrameStackError
        If mask and frames do not fit, or no pixel is inside.

    Examples
    --------
    >>> detector_series(np.ones((1, 2, 2)), np.ones((2, 2), bool))[:4, 0].tolist()
    [1.0, 0.0, 1.0, 0.5]
    """
    if roi_mask.shape != frames.shape[1:] or not roi_mask.any():
        raise FrameStackError(
            f"roi_mask has shape {roi_mask.shape} and {int(roi_mask.sum())} pixels, "
            f"frames have shape {frames.shape}"
        )
    rows, columns = np.nonzero(roi_mask)
    counts = frames[:, rows, columns].astype(np.float64)
    (com_x, sigma_x), (com_y, sigma_y) = (
        _centre_and_width(counts, positions.astype(np.float64))
        for positions in (columns, rows)
    )
    level, spread, top = counts.mean(axis=1), counts.std(axis=1), counts.max(axis=1)
    return np.stack([level, spread, top, com_x, com_y, sigma_x, sigma_y])


def series_features(series: ArrayLike) -> NDArray[np.float64]:
    """Compute the features of one series.

    Readings are compared with their own median and spread, so that neither the
    brightness of the region nor its size nor the number of frames matters much.

    Parameters
    ----------
    series : array_like of shape (7, n_frames)
        The channels of `CHANNELS`; a reading that is not finite counts as the median.

    Returns
    -------
    ndarray of float64, shape (n_features,)
        In the order of `FEATURES`, finite.

    Notes
    -----
    A `FrameStackError` says that the shape is another, that there are fewer than 16
    frames, or that half of a channel is not finite.
    """
    relative, contrast = _relative(_filled(series))
    statistics = [value for x in relative.values() for value in _statistics(x).values()]
    pairs = [_rank_correlation(relative[one], relative[other]) for one, other in _PAIRS]
    is_dark = relative["intensity"] < 0.5
    steps = np.abs([np.diff(x) for x in relative.values()])
    is_repeated = (steps < _TINY).all(axis=0)
    levels = (contrast, is_dark.mean(), is_repeated.mean())
    return np.array([*statistics, *pairs, *levels])


def _centre_and_width(
    counts: NDArray[np.float64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total = counts.sum(axis=1)
    weight = np.where(total > 0, total, np.nan)
    centre = counts @ positions / weight
    return centre, np.sqrt(np.maximum(counts @ positions**2 / weight - centre**2, 0.0))


def _filled(series: ArrayLike) -> NDArray[np.float64]:
    readings = np.array(series, np.float64)
    if readings.ndim != 2 or len(readings) != len(CHANNELS):
        raise FrameStackError(
            f"a series has shape ({len(CHANNELS)}, n_frames), got {readings.shape}"
        )
    if readings.shape[1] < MIN_READINGS:
        raise FrameStackError(
            f"a series of {readings.shape[1]} frames is too short, it takes "
            f"{MIN_READINGS}"
        )
    is_known = np.isfinite(readings)
    for name, known in zip(CHANNELS, is_known, strict=True):
        if known.mean() < 0.5:
            raise FrameStackError(
                f"{int((~known).sum())} of {len(known)} readings of {name} are not "
                "finite: give what the detector measured"
            )
    median = np.nanmedian(np.where(is_known, readings, np.nan), axis=1, keepdims=True)
    return np.where(is_known, readings, median)


def _relative(
    readings: NDArray[np.float64],
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Divide by what each channel usually is; centres of mass by the widths."""
    intensity, std, top, com_x, com_y, sigma_x, sigma_y = readings
    levels = np.maximum(np.abs(np.median(readings, axis=1)), 1e-9)
    relative = {
        "intensity": intensity / levels[0],
        "contrast": std / levels[0],
        "max": top / levels[2],
        "com_x": com_x / levels[5],
        "com_y": com_y / levels[6],
        "sigma_x": sigma_x / levels[5],
        "sigma_y": sigma_y / levels[6],
    }
    return relative, float(np.log10(levels[1] / levels[0]))


def _statistics(x: NDArray[np.float64]) -> dict[str, float]:
    """Compute every statistic of one channel, named as in `_STATISTICS`."""
    found = {**dict(_sizes(x)), **dict(_memories(x))}
    return {name: float(found[name]) for name in _STATISTICS}


def _sizes(x: NDArray[np.float64]) -> Iterator[tuple[str, float]]:
    """Yield how far the readings go."""
    steps = np.diff(x)
    noise = _spread(steps) / np.sqrt(2) + _TINY
    usual = _spread(x) + _TINY
    low, high = np.percentile(x, [5, 95])
    # The 5 % to 95 % range of a Gaussian is 3.29 standard deviations.
    spread = (high - low) / 3.29 + _TINY
    n_end = max(len(x) // _N_BLOCKS, 3)
    drift = abs(np.median(x[:n_end]) - np.median(x[-n_end:]))
    blocks = np.array_split(x, _N_BLOCKS)
    wander = np.ptp([np.median(block) for block in blocks])
    unrest = [_spread(block) + _TINY for block in blocks]
    deviation = np.abs(x - np.median(x))
    yield "spread", np.log10(spread)
    yield "noise", np.log10(noise)
    yield "slow", np.log10(spread / noise)
    yield "drift", np.log10(drift + 10 * _TINY)
    yield "drift_noise", np.log10(drift / noise + 0.01)
    yield "outliers", np.log10((deviation > _USUAL * usual).mean() + 1e-4)
    yield "tail", np.log10(deviation.max() / usual + 0.01)
    yield "range", np.log10(np.ptp(x) + _TINY)
    yield "jump", np.log10(np.abs(steps).max() / noise + 0.01)
    yield "wander", np.log10(wander + _TINY)
    yield "wander_noise", np.log10(wander / noise + 0.01)
    yield "bursts", np.log10(max(unrest) / np.median(unrest))


def _memories(x: NDArray[np.float64]) -> Iterator[tuple[str, float]]:
    """Yield how long the readings remember, single frames that stand out clipped."""
    median, usual = np.median(x), _spread(x) + _TINY
    kept = np.clip(x, median - _USUAL * usual, median + _USUAL * usual)
    kept = kept - kept.mean()
    steps = np.diff(x)
    steps = np.clip(steps, *np.percentile(steps, [2.5, 97.5]))
    steps = steps - steps.mean()
    for lag in _LAGS:
        yield f"memory_{lag}", _correlation(kept, lag)
    yield "memory_long", _correlation(kept, max(len(x) // _N_BLOCKS, 1))
    for lag in _LAGS[:2]:
        yield f"step_memory_{lag}", _correlation(steps, lag)
    # A sum of independent readings strays by the square root of their number.
    stray = np.ptp(np.cumsum(kept))
    scale = np.sqrt(len(x) * ((kept**2).mean() + _TINY**2))
    yield "excursion", np.log10(stray / scale + 0.01)


def _spread(x: NDArray[np.float64]) -> float:
    """Compute the standard deviation of the usual readings."""
    return 1.4826 * float(np.median(np.abs(x - np.median(x))))


def _correlation(centred: NDArray[np.float64], lag: int) -> float:
    variance = float((centred**2).mean()) + _TINY**2
    return float((centred[lag:] * centred[:-lag]).mean()) / variance


def _rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    first, second = (
        np.argsort(np.argsort(x, kind="stable"), kind="stable").astype(np.float64)
        for x in (one, other)
    )
    return abs(float(np.corrcoef(first, second)[0, 1]))

"""The quality gate of two-time maps, wherever they come from."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.quality.checks import Quality

__all__ = ["MIN_MAP_FRAMES", "check_map", "signal_to_noise"]

MIN_MAP_FRAMES = 32
"""Smallest two-time map that a statement is made about."""

# Noise has one maximum, whatever its spread: one element in twenty there is a limit.
_CLIPPED_FRACTION = 0.05
# One frame that outweighs all the others is an event, and no dynamics.
_EVENT_SHARE = 0.5
# Above what rounding can do, far below what half a map does.
_ASYMMETRY = 0.01
# A few units in the last place of float32.
_FLAT = 1e-6
# Correlations are about 1; float32 holds sums of squares of what lies in between.
_SMALLEST, _LARGEST = 1e-15, 1e15


def check_map(
    two_time: NDArray[np.floating], *, max_missing_fraction: float = 0.1
) -> Quality:
    """Ask whether an array is a two-time map that a statement can be made about.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        The map; rows and columns of frames without photons may be nan. The diagonal
        is not looked at.
    max_missing_fraction : float
        Largest fraction of such frames; half of them is always too much.

    Returns
    -------
    Quality
        Not ok with `not-square`, `not-numbers`, `too-small`, `nan`, `out-of-range`
        (values that float32 cannot square), `constant`, `asymmetric`, `blank` (rows of
        zeros between others), `saturated` (many elements at one upper limit) or
        `single-event` (one frame holds most of the variation); with the remark
        `missing-frames` where a few rows are nan.
    """
    two_time = np.asarray(two_time)
    if two_time.ndim != 2 or two_time.shape[0] != two_time.shape[1]:
        return Quality.refusal(
            "not-square", f"a two-time map is square, got shape {two_time.shape}"
        )
    if two_time.dtype.kind not in "biuf":
        return Quality.refusal(
            "not-numbers", f"a two-time map holds real numbers, got {two_time.dtype}"
        )
    n_frames = len(two_time)
    if n_frames < MIN_MAP_FRAMES:
        return Quality.refusal(
            "too-small", f"{n_frames} frames, at least {MIN_MAP_FRAMES} are needed"
        )
    values = two_time.astype(np.float64)
    np.fill_diagonal(values, np.nan)
    is_known = np.isfinite(values)
    # A frame is missing as row and as column; with only one of them the map is damaged.
    is_present = is_known.any(axis=0) | is_known.any(axis=1)
    n_missing = n_frames - int(is_present.sum())
    missing = f"{n_missing} of {n_frames} frames have no finite value"
    if n_missing > max_missing_fraction * n_frames or 2 * n_missing >= n_frames:
        most = f"at most {100 * min(max_missing_fraction, 0.5):g} % may be missing"
        return Quality.refusal("nan", f"{missing}, {most}")
    values = values[np.ix_(is_present, is_present)]
    n_unknown = int((~np.isfinite(values)).sum()) - len(values)
    if n_unknown > 0:
        return Quality.refusal("nan", f"{n_unknown} elements of the map are not finite")
    remarks = [Quality.remark("missing-frames", missing)] if n_missing > 0 else []
    return Quality.good().merge(*remarks, *islice(_map_refusals(values), 1))


def signal_to_noise(two_time: NDArray[np.floating]) -> float:
    """Compare the contrast of a two-time map with the noise of its mean.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        The map, baseline 1; nan where unknown.

    Returns
    -------
    float
        Mean next to the diagonal, above 1 or above the mean far from it, over the
        standard error of a mean over n_frames elements; 0 where nothing is known. About
        1 for a map without signal.
    """
    n_frames = len(two_time)
    # The white noise of a map does not go on along a diagonal, correlations do: the
    # differences of neighbours there hold the noise alone.
    known = np.where(np.isfinite(two_time), two_time, np.nan)
    near = [np.diagonal(known, lag).astype(np.float64) for lag in (1, 2, 3)]
    steps = np.concatenate([np.diff(values) for values in near])
    steps = steps[np.isfinite(steps)]
    level = np.concatenate(near)
    level = level[np.isfinite(level)]
    far = known[: n_frames // 3, -(n_frames // 3) :]
    far = far[np.isfinite(far)]
    if len(steps) < 2 or len(level) == 0:
        return 0.0
    reference = min(1.0, float(far.mean())) if far.size > 0 else 1.0
    contrast = max(float(level.mean()) - reference, 0.0)
    noise = float(steps.std() / np.sqrt(2 * n_frames))
    return contrast / max(noise, 1e-9)


def _map_refusals(values: NDArray[np.float64]) -> Iterator[Quality]:
    """Yield what is wrong with a map that is finite off its nan diagonal."""
    off = values[~np.eye(len(values), dtype=bool)]
    largest = float(np.abs(off).max())
    if largest > _LARGEST or 0 < largest < _SMALLEST:
        yield Quality.refusal(
            "out-of-range",
            f"the largest element is {largest:.3g}, a map lies between "
            f"{_SMALLEST:g} and {_LARGEST:g}: scale it to the baseline 1",
        )
    spread = float(off.std())
    if spread <= _FLAT * abs(float(off.mean())):
        yield Quality.refusal(
            "constant", f"all elements have the value {off.mean():.6g}"
        )
    asymmetry = float(np.nanmean(np.abs(values - values.T)))
    if asymmetry > _ASYMMETRY * spread:
        yield Quality.refusal(
            "asymmetric",
            f"C(t1, t2) and C(t2, t1) differ by {asymmetry:.3g} in the mean, the "
            f"spread of the map is {spread:.3g}",
        )
    is_zero = np.nan_to_num(values) == 0
    is_blank = is_zero.all(axis=1)
    # Maps of few photons are full of single zeros: those are counts, not gaps.
    if is_blank.mean() > 0.1 and is_zero[~is_blank][:, ~is_blank].mean() < 0.5:
        yield Quality.refusal(
            "blank", f"{int(is_blank.sum())} of {len(values)} rows hold only zeros"
        )
    clipped = float((off == off.max()).mean())
    if clipped > _CLIPPED_FRACTION:
        yield Quality.refusal(
            "saturated",
            f"{100 * clipped:.1f} % of the elements sit at the maximum {off.max():.4g}",
        )
    deviation = np.nan_to_num((values - np.median(off)) ** 2)
    share = 2 * float(deviation.sum(axis=1).max()) / float(deviation.sum())
    if share > _EVENT_SHARE:
        yield Quality.refusal(
            "single-event",
            f"frame {int(deviation.sum(axis=1).argmax())} holds "
            f"{100 * share:.0f} % of the variation of the map",
        )

"""The quality gate of two-time maps, wherever they come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.machine.blocks import row_blocks
from ainerd_bluesky.xpcs.quality.checks import Quality

__all__ = ["MIN_MAP_FRAMES", "check_map", "signal_to_noise"]

Floats = NDArray[np.float64]

MIN_MAP_FRAMES = 32
"""Smallest two-time map that a statement is made about."""

# Noise has one maximum, whatever its spread: one element in twenty there is a limit.
_CLIPPED_FRACTION = 0.05
_BLANK_FRACTION = 0.1
# One frame that outweighs all the others is an event, and no dynamics.
_EVENT_SHARE = 0.5
# Above what rounding can do, far below what half a map does.
_ASYMMETRY = 0.01
# A few units in the last place of float32.
_FLAT = 1e-6
# Correlations are about 1; float32 holds sums of squares of what lies in between.
_SMALLEST, _LARGEST = 1e-15, 1e15
# Elements, and rows of a tile, that are looked at in one go: the cache of a core has
# room for them.
_BLOCK, _TILE = 2**17, 256


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
    is_known = np.isfinite(two_time)
    np.fill_diagonal(is_known, val=False)
    # A frame is missing as row and as column; with only one of them the map is damaged.
    is_present = is_known.any(axis=0) | is_known.any(axis=1)
    n_present = int(is_present.sum())
    n_missing = n_frames - n_present
    missing = f"{n_missing} of {n_frames} frames have no finite value"
    if n_missing > max_missing_fraction * n_frames or 2 * n_missing >= n_frames:
        most = f"at most {100 * min(max_missing_fraction, 0.5):g} % may be missing"
        return Quality.refusal("nan", f"{missing}, {most}")
    # What is known lies in rows and columns of frames that are present.
    n_unknown = n_present * (n_present - 1) - int(np.count_nonzero(is_known))
    if n_unknown > 0:
        return Quality.refusal("nan", f"{n_unknown} elements of the map are not finite")
    if n_missing == 0:
        return Quality.good().merge(*islice(_map_refusals(two_time), 1))
    present = two_time[np.ix_(is_present, is_present)]
    remark = Quality.remark("missing-frames", missing)
    return Quality.good().merge(remark, *islice(_map_refusals(present), 1))


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
    near = [np.diagonal(two_time, lag).astype(np.float64) for lag in (1, 2, 3)]
    near = [np.where(np.isfinite(values), values, np.nan) for values in near]
    steps = np.concatenate([np.diff(values) for values in near])
    steps = steps[np.isfinite(steps)]
    level = np.concatenate(near)
    level = level[np.isfinite(level)]
    far = two_time[: n_frames // 3, -(n_frames // 3) :]
    far = far[np.isfinite(far)]
    if len(steps) < 2 or len(level) == 0:
        return 0.0
    reference = min(1.0, float(far.mean())) if far.size > 0 else 1.0
    contrast = max(float(level.mean()) - reference, 0.0)
    noise = float(steps.std() / np.sqrt(2 * n_frames))
    return contrast / max(noise, 1e-9)


def _map_refusals(two_time: NDArray[Any]) -> Iterator[Quality]:
    """Yield what is wrong with a map that is finite off its diagonal."""
    # What overflows is out of range, and that is said first.
    with np.errstate(over="ignore", invalid="ignore"):
        seen = _look(two_time)
    if seen.largest > _LARGEST or 0 < seen.largest < _SMALLEST:
        yield Quality.refusal(
            "out-of-range",
            f"the largest element is {seen.largest:.3g}, a map lies between "
            f"{_SMALLEST:g} and {_LARGEST:g}: scale it to the baseline 1",
        )
    if seen.spread <= _FLAT * abs(seen.mean):
        yield Quality.refusal(
            "constant", f"all elements have the value {seen.mean:.6g}"
        )
    if seen.asymmetry > _ASYMMETRY * seen.spread:
        yield Quality.refusal(
            "asymmetric",
            f"C(t1, t2) and C(t2, t1) differ by {seen.asymmetry:.3g} in the mean, "
            f"the spread of the map is {seen.spread:.3g}",
        )
    is_blank = seen.n_zeros == len(two_time) - 1
    # Maps of few photons are full of single zeros: those are counts, not gaps.
    if is_blank.mean() > _BLANK_FRACTION and _share_of_zeros(two_time, ~is_blank) < 0.5:
        yield Quality.refusal(
            "blank", f"{int(is_blank.sum())} of {len(two_time)} rows hold only zeros"
        )
    if seen.clipped > _CLIPPED_FRACTION:
        yield Quality.refusal(
            "saturated",
            f"{100 * seen.clipped:.1f} % of the elements sit at the maximum "
            f"{seen.highest:.4g}",
        )
    share = 2 * float(seen.of_rows.max()) / float(seen.of_rows.sum())
    if share > _EVENT_SHARE:
        yield Quality.refusal(
            "single-event",
            f"frame {int(seen.of_rows.argmax())} holds {100 * share:.0f} % of the "
            "variation of the map",
        )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is known of the elements off the diagonal.

    The largest by size, the highest and its share of all, mean and standard deviation,
    mean difference of mirror images, squared deviation and number of zeros by row.
    """

    largest: float
    highest: float
    clipped: float
    mean: float
    spread: float
    asymmetry: float
    of_rows: Floats
    n_zeros: NDArray[np.int64]


def _look(two_time: NDArray[Any]) -> _Seen:
    """Look at every element, and at its mirror image."""
    n_frames, dtype = len(two_time), np.promote_types(two_time.dtype, np.float32)
    # Sums of what is about zero lose no digits, and one bright frame does not move it.
    center = float(np.median(np.diagonal(two_time, 1)))
    filler = two_time[0, 1]
    lowest, highest, n_highest = np.inf, -np.inf, 0
    sums, squares = np.empty((2, n_frames))
    n_zeros = np.zeros(n_frames, dtype=np.int64)
    for rows in row_blocks(n_frames, n_frames, _BLOCK):
        diagonal = np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)
        values = two_time[rows].astype(dtype)
        values[diagonal] = filler
        lowest = min(lowest, float(values.min()))
        if values.max() > highest:
            highest, n_highest = float(values.max()), 0
        n_highest += int(np.count_nonzero(values == highest))
        if (is_zero := values == 0).any():
            n_zeros[rows] = np.count_nonzero(is_zero, axis=1) - (filler == 0)
        values -= center
        values[diagonal] = 0
        sums[rows] = values.sum(axis=1)
        squares[rows] = np.einsum("ij,ij->i", values, values)
    n_others = n_frames - 1
    n_elements = n_frames * n_others
    mean = sums.sum() / n_elements
    # One bright frame moves the mean of all, and hardly the middle one of the rows.
    middle = np.median(sums) / n_others
    return _Seen(
        largest=max(abs(lowest), abs(highest)),
        highest=highest,
        clipped=(n_highest - n_frames * (filler == highest)) / n_elements,
        mean=center + float(mean),
        spread=float(np.sqrt(max(squares.sum() / n_elements - mean**2, 0.0))),
        asymmetry=_asymmetry(two_time, dtype) / n_elements,
        of_rows=squares - 2 * middle * sums + n_others * middle**2,
        n_zeros=n_zeros,
    )


def _asymmetry(two_time: NDArray[Any], dtype: np.dtype[Any]) -> float:
    """Add up the differences of mirror images, tile by tile above the diagonal."""
    total, starts = 0.0, range(0, len(two_time), _TILE)
    for top, left in combinations_with_replacement(starts, 2):
        rows, columns = slice(top, top + _TILE), slice(left, left + _TILE)
        mirrored = two_time[columns, rows].T
        difference = np.subtract(two_time[rows, columns], mirrored, dtype=dtype)
        if top == left:
            np.fill_diagonal(difference, 0)
        sides = 1 if top == left else 2
        total += sides * float(np.abs(difference).sum())
    return total


def _share_of_zeros(two_time: NDArray[Any], is_kept: NDArray[np.bool_]) -> float:
    kept = two_time[np.ix_(is_kept, is_kept)]
    return 1 - np.count_nonzero(kept) / max(kept.size, 1)

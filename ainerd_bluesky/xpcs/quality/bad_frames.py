"""Which frames of a scan can be correlated: given, unreadable, dark or bright ones."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter, median_filter
from scipy.special import betainc

from ainerd_bluesky.errors import FrameStackError

__all__ = ["LOST_FRACTION", "BadFrames", "find_bad_frames"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

LOST_FRACTION = 0.1
"""A beam that flickers stays above a tenth of its usual level; a closed shutter, which
leaves only background, does not."""

# Long enough for a sharp median, short enough to follow drifts and steps.
_WINDOW = 31
# Of a good frame to be left out: one in 10^5, if the beam flickers like noise.
_CHANCE = 1e-5
# What is left of the usual level behind a closed shutter.
_DARK_FRACTION = 0.01
# No beam is steadier than this (standard deviation) for long.
_SMALLEST_FLICKER = 0.05
# The median of a Poisson number may lie so far below its mean.
_MEDIAN_LAG = np.log(2)
_NAMED = 8


@dataclass(frozen=True, eq=False)
class BadFrames:
    """Outcome of the search for frames that cannot be correlated.

    Parameters
    ----------
    is_good : ndarray of bool, shape (n_frames,)
        False for a bad frame.
    reasons : tuple of str
        One sentence for each kind of defect, with the numbers of the frames, from 0.
    """

    is_good: Bools
    reasons: tuple[str, ...] = ()


def find_bad_frames(
    photons: ArrayLike,
    *,
    given: Iterable[int] = (),
) -> BadFrames:
    """Find frames to leave out, from a list and from the brightness of each frame.

    A frame is compared with the median of the 31 around it, so that drifts and steps
    of the beam pass, and with the spread of all frames about theirs, so that flicker,
    speckle and counting statistics pass, whatever their size.

    Parameters
    ----------
    photons : array_like of shape (n_frames,)
        Photons of each frame in all usable pixels together: sums, not means, for their
        counting statistics to be known. nan for a frame that could not be read.
    given : iterable of int
        Frames known to be bad, counted from 0.

    Returns
    -------
    BadFrames
        Calls a good frame bad once in 10^4 frames at a normal flicker of 10 %, once in
        10^3 at 20 % (standard deviation), which costs frames and no accuracy; a
        dropped one is found from about 12 photons per frame on (before that it may be
        empty by chance, and does no harm), one of 1.5 times the brightness from 500
        photons on and up to a flicker of 9 % (standard deviation).

    Raises
    ------
    FrameStackError
        If `given` holds frames that do not exist.

    Examples
    --------
    >>> bad = find_bad_frames([100, 101, 99, 0, 100, 210, 98, np.nan, 102, 99])
    >>> bad.is_good.nonzero()[0]
    array([0, 1, 2, 4, 6, 8, 9])
    >>> bad.reasons[1]
    '1 of 10 frames are far too dark: 3'
    """
    photons = np.asarray(photons, np.float64)
    listed = np.unique(np.array(list(given), dtype=np.int64))
    n_frames = len(photons)
    if len(listed) > 0 and not (listed[0] >= 0 and listed[-1] < n_frames):
        raise FrameStackError(
            f"bad frames must lie in 0 .. {n_frames - 1}, got {listed.tolist()}"
        )

    is_listed = np.zeros(n_frames, bool)
    is_listed[listed] = True
    is_dark, is_bright = _outliers(photons, ~is_listed & np.isfinite(photons))
    found = {
        "are named as bad": is_listed,
        "could not be read": ~np.isfinite(photons),
        "are far too dark": is_dark,
        "are far too bright": is_bright,
    }
    return BadFrames(
        is_good=~np.logical_or.reduce(list(found.values())),
        reasons=tuple(
            f"{int(is_bad.sum())} of {n_frames} frames {what}: {_numbers(is_bad)}"
            for what, is_bad in found.items()
            if is_bad.any()
        ),
    )


def _outliers(photons: Floats, is_known: Bools) -> tuple[Bools, Bools]:
    """Return which of the known frames are far too dark, and which far too bright."""
    is_dark, is_bright = np.zeros((2, len(photons)), bool)
    known = photons[is_known]
    if len(known) == 0 or not known.any():
        return is_dark, is_bright
    level = median_filter(known, size=min(_WINDOW, len(known)), mode="nearest")
    # A run of lost frames is its own median: what is about it decides, near enough for
    # a beam that fades not to be lost, and where it is all but dark the whole scan.
    near = max(_WINDOW, min(8 * _WINDOW, len(known) // 4))
    for usual, share in (
        (maximum_filter(level, size=near, mode="nearest"), LOST_FRACTION),
        (float(np.quantile(known, 0.9)), _DARK_FRACTION),
    ):
        level = np.where(level < share * usual, usual, level)
    level += _MEDIAN_LAG
    # Quartiles, because the outliers must not set their own bound.
    spread = float(np.diff(np.quantile(known / level, [0.25, 0.75]))[0]) / 1.349
    flicker = np.maximum(spread**2 - 1 / level, _SMALLEST_FLICKER**2)
    is_dark[is_known] = _is_below(known, level, flicker)
    is_bright[is_known] = _is_above(known, level, flicker)
    return is_dark, is_bright


# Counts of a beam that flickers follow a negative binomial distribution, of which the
# incomplete beta function is the sum.


def _is_below(photons: Floats, level: Floats, flicker: Floats) -> Bools:
    """Return where so many photons or fewer are all but impossible."""
    shape = 1 / flicker
    chance = betainc(shape, np.floor(photons) + 1, shape / (shape + level))
    return np.asarray((photons < level) & (chance < _CHANCE))


def _is_above(photons: Floats, level: Floats, flicker: Floats) -> Bools:
    """Return where so many photons or more are all but impossible."""
    shape = 1 / flicker
    chance = betainc(np.maximum(photons, 1), shape, level / (shape + level))
    return np.asarray((photons > level) & (chance < _CHANCE))


def _numbers(is_bad: Bools) -> str:
    """Name the first frames, and say if there are more."""
    frames = np.flatnonzero(is_bad)
    listed = ", ".join(map(str, frames[:_NAMED]))
    return listed if len(frames) <= _NAMED else f"{listed}, ..."

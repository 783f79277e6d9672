"""What no good detector series has, whatever a gate has learnt."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.ml.series_features import FEATURES

__all__ = ["find_faults", "has_fault"]

_NAMES = [feature.name for feature in FEATURES]
# Relative noise that not even 1e10 photons in every frame would fall below by chance.
_STILL = np.log10(1e-6)
_VARYING = {
    "intensity": "mean intensity",
    "contrast": "contrast of the pixels",
    "com_x": "centre of mass in x",
    "com_y": "centre of mass in y",
    "sigma_x": "width in x",
    "sigma_y": "width in y",
}
# Feature, sign and limit of the bad side, and what a series beyond it is.
_FAULTS = (
    ("intensity.dark", 1, 0.5, "half of the frames or more are without intensity"),
    ("all.repeated", 1, 0.05, "every twentieth frame or more repeats the one before"),
    # Few photons give the same maximum often, a detector at its limit always.
    ("max.range", -1, _STILL, "the brightest pixel is the same in every frame"),
    *(
        (f"{channel}.noise", -1, _STILL, f"the {words} stands still")
        for channel, words in _VARYING.items()
    ),
)
_COLUMNS = [_NAMES.index(name) for name, *_ in _FAULTS]
_SIGNS = np.array([sign for _, sign, _, _ in _FAULTS], np.float64)
_LIMITS = np.array([limit for _, _, limit, _ in _FAULTS], np.float64)


def find_faults(X: ArrayLike) -> list[list[str]]:
    """Say for which faults a series cannot be good.

    A dead, frozen or saturated detector is steadier than any good one: what was learnt
    from series that vary would call it excellent.

    Parameters
    ----------
    X : array_like of shape (n_series, n_features)
        What `series_features` gives.

    Returns
    -------
    list of list of str
        The faults of each series; none for most.
    """
    return [
        [_FAULTS[index][-1] for index in np.flatnonzero(row)] for row in _is_beyond(X)
    ]


def has_fault(X: ArrayLike) -> NDArray[np.bool_]:
    """Tell which series have one of the faults of `find_faults`, shape (n_series,)."""
    return np.asarray(_is_beyond(X).any(axis=1))


def _is_beyond(X: ArrayLike) -> NDArray[np.bool_]:
    values = np.asarray(X, np.float64)[:, _COLUMNS]
    return np.asarray(_SIGNS * values >= _SIGNS * _LIMITS)

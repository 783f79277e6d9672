"""Descriptions of a two-time map to hold a fingerprint against."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from ainerd_bluesky.ml.maps import to_sample
from ainerd_bluesky.xpcs.lags.one_time import g2_from_two_time

__all__ = ["BASELINES", "Represent", "one_time", "principal_20", "raw_pixels"]

Maps: TypeAlias = Sequence[NDArray[np.float32]]
Represent: TypeAlias = Callable[[Maps], NDArray[np.floating]]
"""Maps in, one row of numbers for each out."""


def one_time(maps: Maps) -> NDArray[np.float64]:
    """Average along the diagonals: g2, one number for each delay.

    Parameters
    ----------
    maps : sequence of ndarray of shape (n, n)
        Maps of one size.

    Returns
    -------
    ndarray of float64, shape (n_maps, n - 1)
        Without delay zero, which holds shot noise.
    """
    return g2_from_two_time(np.stack(maps))


def raw_pixels(maps: Maps) -> NDArray[np.float32]:
    """Take the map as it is.

    Parameters
    ----------
    maps : sequence of ndarray of shape (n, n)
        Maps of one size.

    Returns
    -------
    ndarray of float32, shape (n_maps, n * n)
        Every entry.
    """
    return np.stack(maps).reshape(len(maps), -1)


def principal_20(maps: Maps) -> NDArray[np.float32]:
    """Project on the twenty directions in which these maps differ most.

    Parameters
    ----------
    maps : sequence of ndarray of shape (n, n)
        Maps of any sizes.

    Returns
    -------
    ndarray of float32, shape (n_maps, 20)
        Fewer columns where there are fewer maps.
    """
    samples = np.stack([to_sample(two_time) for two_time in maps])
    pixels = samples.reshape(len(samples), -1)
    return np.asarray(
        PCA(min(20, len(maps)), random_state=0).fit_transform(pixels), np.float32
    )


BASELINES: dict[str, Represent] = {
    "g2": one_time,
    "raw": raw_pixels,
    "PCA-20": principal_20,
}
"""What needs no training; `principal_20` sees the maps that it is measured with."""

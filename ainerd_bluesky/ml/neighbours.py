"""Find the fingerprints nearest to one, exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import FingerprintError

__all__ = ["NearestFingerprints", "Neighbours", "checked_fingerprints"]

Floats = NDArray[np.float64]

_NUMBERS_AT_ONCE = 2**16
"""Numbers whose differences stay in the cache: 512 KiB."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest fingerprints, nearest first.

    Parameters
    ----------
    index : ndarray of int64, shape (n_neighbours,)
        Rows of the known fingerprints.
    distance : ndarray of float64, shape (n_neighbours,)
        Euclidean distances from the point asked for, rising.
    """

    index: NDArray[np.int64]
    distance: Floats


class NearestFingerprints:
    """Known fingerprints that can be asked which of them are nearest.

    Each question compares with every fingerprint: exact, nothing to be built or to
    age, and fast enough for 100,000 runs. Needs numpy only.

    Parameters
    ----------
    Z : array_like of shape (n_samples, n_components)
        Known fingerprints, of one model.

    Raises
    ------
    FingerprintError
        If `Z` is not a table of finite numbers.

    Examples
    --------
    >>> known = NearestFingerprints([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    >>> known.query([0.0, 0.0], n=2).index
    array([0, 2])
    """

    def __init__(self, Z: ArrayLike) -> None:
        self._Z = checked_fingerprints(Z)

    def distances(self, z: ArrayLike) -> Floats:
        """Compute how far every known fingerprint is from a point.

        Parameters
        ----------
        z : array_like of shape (n_components,)
            The point.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            Euclidean distances: 0 exactly where a fingerprint is the point.

        Raises
        ------
        FingerprintError
            If the point has another number of components, or one that is not finite.
        """
        (point,) = checked_fingerprints(np.asarray(z)[None])
        n_components = self._Z.shape[1]
        if len(point) != n_components:
            raise FingerprintError(
                f"a fingerprint of {len(point)} components cannot be compared with "
                f"those of {n_components}: they are of different models"
            )

        squares = np.empty(len(self._Z))
        step = max(1, _NUMBERS_AT_ONCE // max(n_components, 1))
        for start in range(0, len(squares), step):
            difference = self._Z[start : start + step] - point
            # Differences, not products: |a|^2 + |b|^2 - 2ab is not exactly 0 for a = b.
            squares[start : start + step] = np.einsum(
                "ij,ij->i", difference, difference
            )
        return np.sqrt(squares)

    def query(self, z: ArrayLike, n: int = 10) -> Neighbours:
        """Find the fingerprints nearest to a point.

        Parameters
        ----------
        z : array_like of shape (n_components,)
            The point.
        n : int
            How many to find; all that there are, if there are fewer.

        Returns
        -------
        Neighbours
            Nearest first; of equally near ones the one that stands first in `Z`.

        Raises
        ------
        FingerprintError
            If the point does not fit, or `n` is not positive.
        """
        if n < 1:
            raise FingerprintError(f"n must be at least 1, got {n}")

        distances = self.distances(z)
        farthest = np.inf
        if n < len(distances):
            farthest = np.partition(distances, n - 1)[n - 1]
        # Everything as near as the n-th: which of equals a partition takes is chance.
        near = np.flatnonzero(distances <= farthest)
        order = np.argsort(distances[near], kind="stable")[:n]
        return Neighbours(near[order], distances[near[order]])


def checked_fingerprints(Z: ArrayLike) -> Floats:
    """Return fingerprints as a table of numbers that can be compared.

    Parameters
    ----------
    Z : array_like of shape (n_samples, n_components)
        Fingerprints.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_components)
        All finite.

    Raises
    ------
    FingerprintError
        If they are no table, or one holds a number that is not finite.
    """
    values = np.asarray(Z, np.float64)
    if values.ndim != 2:
        raise FingerprintError(
            "fingerprints stand in a table (n_samples, n_components), got shape "
            f"{values.shape}"
        )
    is_bad = ~np.isfinite(values)
    if is_bad.any():
        row, column = np.argwhere(is_bad)[0].tolist()
        raise FingerprintError(
            f"fingerprint {row} of {len(values)} holds {values[row, column]}: leave "
            "out runs that the quality gate refused"
        )
    return values

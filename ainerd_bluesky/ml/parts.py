"""The members of a cluster in few numbers: where they lie and how wide they spread."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

__all__ = ["Parts", "parts_of"]

_MEMBERS_PER_PART = 3
_MOST_PARTS = 16
_MOST_DEVIATIONS = 16
_DIGITS = 5
_N_ROUNDS = 30
_LEAST_SPREAD = 0.1
"""Members that are alike must not make a word that nothing else gets."""

Points = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Parts:
    """Fingerprints as a mixture of normal distributions around several means.

    Parameters
    ----------
    means : tuple of tuple of float
        Mean of each part.
    sizes : tuple of int
        How many fingerprints each part has.
    deviations : tuple of tuple of float
        Of some fingerprints from the mean of their part; their mean square is the
        variance. Empty: as wide as a class of the model.

    Examples
    --------
    >>> Parts(((0.0,), (9.0,)), (5, 1), ((2.0,), (-2.0,))).spread(np.eye(1))
    4.0
    """

    means: Points
    sizes: tuple[int, ...]
    deviations: Points = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave; a `ValueError` says what is odd."""
        given = cls(**document)
        parts = cls(
            means=_points(given.means),
            sizes=tuple(map(int, given.sizes)),
            deviations=_points(given.deviations),
        )
        lengths = {len(point) for point in (*parts.means, *parts.deviations)}
        if not parts.means or len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"its parts have points of lengths {sorted(lengths)}")
        if len(parts.sizes) != len(parts.means) or min(parts.sizes) < 1:
            raise ValueError(f"{len(parts.means)} parts have the sizes {parts.sizes}")
        if not np.isfinite((*parts.means, *parts.deviations)).all():
            raise ValueError("its parts are not finite")
        return parts

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "means": [list(mean) for mean in self.means],
            "sizes": list(self.sizes),
            "deviations": [list(deviation) for deviation in self.deviations],
        }

    def spread(self, whitening: NDArray[np.float64]) -> float:
        """Return the variance within a part, in that within a class of the model.

        Parameters
        ----------
        whitening : ndarray of shape (n_components, n_components)
            The model's.

        Returns
        -------
        float
            1 without deviations, and 0.1 at least.
        """
        if not self.deviations:
            return 1.0
        whitened = np.array(self.deviations) @ whitening
        return max(float((whitened**2).mean()), _LEAST_SPREAD)


def parts_of(Z: NDArray[np.floating[Any]]) -> Parts:
    """Summarise fingerprints so that each of them lies near a part.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        The members of a cluster.

    Returns
    -------
    Parts
        One for three members, 16 at most; found with a fixed seed.

    Examples
    --------
    >>> parts_of(np.array([[1.0, 2.0], [3.0, 2.0]])).means
    ((2.0, 2.0),)
    """
    points = np.asarray(Z, np.float64)
    n_parts = min(_MOST_PARTS, max(1, len(points) // _MEMBERS_PER_PART))
    part = _groups(points, n_parts)
    sizes = np.bincount(part)
    means = _means(points, part)
    return Parts(
        means=_points(means),
        sizes=tuple(sizes.tolist()),
        deviations=_points(_deviations(points - means[part], len(sizes))),
    )


def _groups(points: NDArray[np.float64], n_parts: int) -> NDArray[np.int64]:
    """Return the part of each point by k-means, which starts from the farthest ones."""
    n_distinct = len(np.unique(points, axis=0))
    starts = _far_apart(points, min(n_parts, n_distinct))
    _, part = kmeans2(points, starts, iter=_N_ROUNDS, minit="matrix")
    # A part may have lost all of its members.
    return np.asarray(np.unique(part, return_inverse=True)[1], np.int64)


def _far_apart(points: NDArray[np.float64], n_chosen: int) -> NDArray[np.float64]:
    """Return points of which each is the farthest from those before it."""
    chosen: NDArray[np.float64] = points.mean(axis=0, keepdims=True)
    for _ in range(n_chosen):
        farthest = cdist(points, chosen).min(axis=1).argmax()
        chosen = np.vstack([chosen, points[farthest]])
    return chosen[1:]


def _means(points: NDArray[np.float64], part: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.stack([points[part == index].mean(axis=0) for index in np.unique(part)])


def _deviations(residuals: NDArray[np.float64], n_parts: int) -> NDArray[np.float64]:
    """Return a choice of residuals, evenly from the smallest to the largest."""
    n_samples = len(residuals)
    if n_samples == n_parts:
        return residuals[:0]
    ranked = np.argsort((residuals**2).sum(axis=1), kind="stable")
    n_chosen = min(n_samples, _MOST_DEVIATIONS)
    chosen = ranked[np.linspace(0, n_samples - 1, n_chosen).astype(int)]
    # A mean is nearer to its own members than to what the parts are made of.
    return np.asarray(residuals[chosen] * np.sqrt(n_samples / (n_samples - n_parts)))


def _points(points: Any) -> Points:  # noqa: ANN401 - arrays and what JSON holds
    """Return points in as few digits as they are worth."""
    return tuple(
        tuple(float(f"{number:.{_DIGITS}g}") for number in point) for point in points
    )

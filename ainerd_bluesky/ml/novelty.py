"""How unlike everything known a map is."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["KnownMaps"]

Floats = NDArray[np.float32]

_MOST_AXES = 96
_MOST_KNOWN = 16_000
_N_NEIGHBOURS = 20
_N_LIKE = 150
# A plane through points that lie close together would reach far by chance.
_STIFFNESS = 0.03
_MOST_STEPS = 127
_LEAST_STEP = 1e-9
# Traits are of length one, and kept in steps: what is shorter is nothing.
_LEAST_DISTANCE = 1e-6
_LEAST_SPREAD = 0.01


@dataclass(frozen=True, eq=False)
class KnownMaps:
    """Maps that a model knows, by which it tells what it does not know.

    The traits of known maps lie on a surface, because few things make a map: how fast,
    how far, since when. A map is far from what is known if it lies far from the plane
    through its nearest known neighbours [1]_, which sees between them too, where they
    are sparse. Noise alone moves a map off the surface, so each is compared with
    held-out maps of like signal to noise only.

    Parameters
    ----------
    mean : ndarray of float32, shape (n_traits,)
        Mean traits of the known maps.
    axes : ndarray of float32, shape (n_traits, n_axes)
        Directions in which they differ most.
    places : ndarray of int8, shape (n_known, n_axes)
        Their places along these axes, in steps.
    steps : ndarray of float32, shape (n_axes,)
        Length of a step along each axis.
    signal_to_noise : ndarray of float32, shape (n_held_out,)
        Of maps that nothing was learned from; rising.
    distances : ndarray of float32, shape (n_held_out,)
        How far they lie from what is known.

    References
    ----------
    .. [1] S. T. Roweis and L. K. Saul, Nonlinear dimensionality reduction by locally
       linear embedding, Science 290, 2323 (2000), for the weights of the neighbours.
    .. [2] J. Lei et al., Distribution-free predictive inference for regression, J. Am.
       Stat. Assoc. 113, 1094 (2018), section 5.2: scores divided by their local spread.
    """

    mean: Floats
    axes: Floats
    places: NDArray[np.int8]
    steps: Floats
    signal_to_noise: Floats
    distances: Floats

    @classmethod
    def fit(
        cls, learned: Floats, held_out: Floats, signal_to_noise: NDArray[np.floating]
    ) -> Self:
        """Keep what is needed of maps.

        Parameters
        ----------
        learned : ndarray of shape (n_learned, n_traits)
            Traits of maps that the network learned from; of more than 16,000 these are
            picked evenly.
        held_out : ndarray of shape (n_held_out, n_traits)
            Traits of maps that nothing was learned from.
        signal_to_noise : ndarray of shape (n_held_out,)
            Of these; see `map_features.signal_to_noise`.

        Returns
        -------
        KnownMaps
            The same for the same maps.
        """
        mean = learned.mean(axis=0)
        rest = (learned - mean).astype(np.float64)
        _, vectors = np.linalg.eigh(rest.T @ rest)
        axes = vectors[:, ::-1][:, :_MOST_AXES].astype(np.float32)
        n_known = min(_MOST_KNOWN, len(learned))
        picked = np.linspace(0, len(learned) - 1, n_known).round().astype(int)
        places = (learned[picked] - mean) @ axes
        steps = np.maximum(np.abs(places).max(axis=0) / _MOST_STEPS, _LEAST_STEP)
        order = np.argsort(signal_to_noise, kind="stable")
        known = cls(
            mean,
            np.ascontiguousarray(axes),
            np.round(places / steps).astype(np.int8),
            steps.astype(np.float32),
            np.asarray(signal_to_noise[order], np.float32),
            np.zeros(len(order), np.float32),
        )
        distances = known.distances_of(held_out[order]).astype(np.float32)
        return replace(known, distances=distances)

    def with_more(
        self, learned: Floats, held_out: Floats, signal_to_noise: NDArray[np.floating]
    ) -> "KnownMaps":
        """Know some more maps beside all that are known.

        Parameters
        ----------
        learned : ndarray of shape (n_learned, n_traits)
            Traits, by the same encoder, of maps to be known.
        held_out : ndarray of shape (n_held_out, n_traits)
            Traits of others of their kind.
        signal_to_noise : ndarray of shape (n_held_out,)
            Of these.

        Returns
        -------
        KnownMaps
            What was measured before stays; maps that come again count once.
        """
        places = np.round((learned - self.mean) @ self.axes / self.steps)
        # What lies beyond all that was known stays at its edge: steps are kept short.
        places = np.clip(places, -_MOST_STEPS, _MOST_STEPS).astype(np.int8)
        known = replace(
            self, places=np.unique(np.concatenate([self.places, places]), axis=0)
        )
        added = np.asarray(signal_to_noise, np.float32)
        is_kept = ~np.isin(self.signal_to_noise, added)
        distances = known.distances_of(held_out).astype(np.float32)
        ratios = np.concatenate([self.signal_to_noise[is_kept], added])
        order = np.argsort(ratios, kind="stable")
        return replace(
            known,
            signal_to_noise=ratios[order],
            distances=np.concatenate([self.distances[is_kept], distances])[order],
        )

    def distances_of(self, traits: Floats) -> NDArray[np.float64]:
        """Compute how far maps lie from what is known.

        Parameters
        ----------
        traits : ndarray of shape (n_maps, n_traits)
            As the encoder gives them.

        Returns
        -------
        ndarray of float64, shape (n_maps,)
            Distance from the plane through the twenty nearest known maps. A map has
            the same bits alone or in company.
        """
        return np.array(
            [
                _distance_from_plane((row - self.mean) @ self.axes, *self._known)
                for row in traits
            ]
        )

    @cached_property
    def _known(self) -> tuple[Floats, Floats]:
        """Places of the known maps in full precision, and their squared lengths."""
        places = self.places * self.steps
        return places, np.square(places).sum(axis=1)

    def novelty(
        self, traits: Floats, signal_to_noise: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Compute the share of known maps that lie closer, for their noise.

        Parameters
        ----------
        traits : ndarray of shape (n_maps, n_traits)
            As the encoder gives them.
        signal_to_noise : ndarray of shape (n_maps,)
            Of the maps.

        Returns
        -------
        ndarray of float64, shape (n_maps,)
            0 (amid what is known) to 1 (farther off than every known map).
        """
        oddness = self._oddness(self.distances_of(traits), signal_to_noise)
        closer = np.searchsorted(self._known_oddness, oddness, "left")
        return np.asarray(closer / len(self._known_oddness), np.float64)

    @cached_property
    def _known_oddness(self) -> NDArray[np.float64]:
        """How odd the held-out maps are; rising."""
        return np.sort(
            self._oddness(self.distances.astype(np.float64), self.signal_to_noise)
        )

    def _oddness(
        self, distances: NDArray[np.float64], signal_to_noise: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Compute by how many standard deviations distances are longer than usual."""
        n_like = min(_N_LIKE, len(self.distances))
        below, above = (
            np.searchsorted(self.signal_to_noise, signal_to_noise, side)
            for side in ("left", "right")
        )
        first = np.clip((below + above - n_like) // 2, 0, len(self.distances) - n_like)
        # Of noisy maps, distances are long and spread as widely as they are long.
        like = _logarithm(self.distances[first[:, None] + np.arange(n_like)])
        spread = np.maximum(like.std(axis=1), _LEAST_SPREAD)
        return np.asarray((_logarithm(distances) - like.mean(axis=1)) / spread)


def _logarithm(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.log(np.maximum(distances.astype(np.float64), _LEAST_DISTANCE))


def _distance_from_plane(place: Floats, known: Floats, squares: Floats) -> float:
    """Compute the distance from the plane through the nearest known places."""
    n_near = min(_N_NEIGHBOURS, len(known))
    near = np.argpartition(squares - 2 * (known @ place), n_near - 1)[:n_near]
    offsets = (known[near] - place).astype(np.float64)
    likeness = offsets @ offsets.T
    # On top of copies of one known map all offsets are zero.
    stiffness = _STIFFNESS * np.trace(likeness) / n_near or 1.0
    weights = np.linalg.solve(likeness + stiffness * np.eye(n_near), np.ones(n_near))
    return float(np.linalg.norm(weights @ offsets / weights.sum()))

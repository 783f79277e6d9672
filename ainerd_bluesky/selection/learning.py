"""All that a selector has learned of its candidates, in one place."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.beliefs import Beliefs, Finding
from ainerd_bluesky.selection.neighbours import Neighbours
from ainerd_bluesky.selection.patches import Patches
from ainerd_bluesky.selection.protocols import Observation
from ainerd_bluesky.selection.situation import Strategy
from ainerd_bluesky.selection.strategies import RareLabel, WantedProperty

__all__ = ["Learner"]

Floats = NDArray[np.float64]


class Learner:
    """Turn observations into what strategies look at.

    Parameters
    ----------
    points : ndarray of shape (n_candidates, n_coordinates)
        Scaled coordinates.
    vocabulary : sequence of str
        The labels.
    length_scales : sequence of float
        See `Beliefs`.
    strategy : Strategy
        Decides what else is followed: a property, patches of rare labels.

    Raises
    ------
    SelectionError
        If the strategy follows more than one property.
    """

    def __init__(
        self,
        points: Floats,
        vocabulary: Sequence[str],
        length_scales: Sequence[float],
        strategy: Strategy,
    ) -> None:
        n_labels = len(vocabulary)
        self._column = {label: i for i, label in enumerate(vocabulary)}
        self.beliefs = Beliefs(points, n_labels, np.array(length_scales))
        self.neighbours = Neighbours(points, n_labels)
        self._patches = _patches(strategy, points, n_labels)
        self._n_points = len(points)
        self.sightings = np.zeros(n_labels)
        self._followed = _followed_property(strategy)

    def learn(self, index: int, observation: Observation) -> None:
        """Learn one observation that was checked.

        Parameters
        ----------
        index : int
            Its candidate.
        observation : Observation
            Accepted or refused.
        """
        if observation.is_refused:
            self.beliefs.learn(index, None)
            return
        probabilities = self._probabilities(observation)
        value = self._value(observation)
        self.beliefs.learn(index, Finding(probabilities, observation.novelty, value))
        self.neighbours.learn(index, probabilities)
        if self._patches is not None:
            self._patches.learn(index, probabilities)
        self.sightings[self._column[observation.label]] += observation.confidence

    def patches(self) -> Floats:
        """Return the chance of each candidate to lie in the patch of each label.

        Returns
        -------
        ndarray of float64, shape (n_candidates, n_labels)
            All 0 unless the strategy looks for rare labels.
        """
        if self._patches is None:
            return np.zeros((self._n_points, len(self._column)))
        return self._patches.forecast()

    def _value(self, observation: Observation) -> float:
        if self._followed is None:
            return math.nan
        return self._followed.value(observation.value_of(self._followed.key))

    def _probabilities(self, observation: Observation) -> Floats:
        """Return a probability for each word of the vocabulary."""
        row = np.zeros(len(self._column))
        for label, probability in observation.probabilities.items():
            row[self._column[label]] = probability
        row = row / row.sum() if row.sum() > 0 else np.full(len(row), 1 / len(row))
        if observation.label not in observation.probabilities:
            # A person's label, or a beamline's own word, that the model does not know.
            confidence = min(observation.confidence, 1.0)
            row *= 1.0 - confidence
            row[self._column[observation.label]] += confidence
        return np.asarray(row)


def _patches(strategy: Strategy, points: Floats, n_labels: int) -> Patches | None:
    """Return what a search for rare labels learns with; None if there is none."""
    for part in strategy.leaves:
        if isinstance(part, RareLabel):
            return Patches(points, n_labels, share=part.share, crossover=part.crossover)
    return None


def _followed_property(strategy: Strategy) -> WantedProperty | None:
    """Return the strategy that wants a property; there may be one such."""
    wanted = [part for part in strategy.leaves if isinstance(part, WantedProperty)]
    if len({(part.key, part.is_log) for part in wanted}) > 1:
        raise SelectionError(
            "a selector follows one property, got "
            f"{', '.join(part.name for part in wanted)}"
        )
    return wanted[0] if wanted else None

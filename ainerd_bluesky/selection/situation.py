"""What a strategy looks at, and what it is asked."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.beliefs import Forecast

__all__ = ["Situation", "Strategy", "require_strategy"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Situation:
    """What a strategy may look at.

    Parameters
    ----------
    forecast : Forecast
        What is expected of each candidate.
    vocabulary : sequence of str
        The labels, in the order of the forecast.
    chance : ndarray of float64, shape (n_candidates,)
        More than 0, to 1; drawn once for each candidate.
    n_refused : ndarray of int64, shape (n_candidates,)
        How often the gate refused its measurement.
    is_free : ndarray of bool, shape (n_candidates,)
        What may be chosen.
    n_used : mapping of str to int
        How often each strategy has chosen, by its name.
    sightings : ndarray of float64, shape (n_labels,)
        How often each label was the answer, weighed by its confidence.
    local_labels : ndarray of float64, shape (n_candidates, n_labels)
        Probabilities of the labels by the nearest results alone.
    patches : ndarray of float64, shape (n_candidates, n_labels)
        Chance that a candidate lies in the patch of a label; 0 unless a strategy
        looks for rare labels.
    """

    forecast: Forecast
    vocabulary: Sequence[str]
    chance: Floats
    n_refused: NDArray[np.int64]
    is_free: NDArray[np.bool_]
    n_used: Mapping[str, int]
    sightings: Floats
    local_labels: Floats
    patches: Floats

    def column(self, label: str) -> int:
        """Return the place of a label in the forecast."""
        return list(self.vocabulary).index(label)


class Strategy(ABC):
    """Scores candidates; a frozen dataclass whose fields are JSON values."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What a decision calls it."""

    @abstractmethod
    def score(self, situation: Situation) -> Floats | None:
        """Return a score of 0 or more for each candidate; None if it has no answer."""

    @abstractmethod
    def tell(self, situation: Situation, index: int) -> str:
        """Say in words why a candidate has its score."""

    def pick(self, situation: Situation) -> "tuple[Strategy, Floats] | None":
        """Return who chooses and the scores; None if there is no answer."""
        scores = self.score(situation)
        return None if scores is None else (self, scores)

    def unknown_labels(self, vocabulary: Sequence[str]) -> Sequence[str]:
        """Return the labels that it looks for and the vocabulary lacks."""
        unknown = [part.unknown_labels(vocabulary) for part in self.parts]
        return [label for labels in unknown for label in labels]

    @property
    def parts(self) -> "Sequence[Strategy]":
        """The strategies that it is mixed of; none unless it is a mixture."""
        return ()

    @property
    def choosers(self) -> "Sequence[Strategy]":
        """The strategies under whose names it may choose."""
        return (self,)

    @property
    def leaves(self) -> "Sequence[Strategy]":
        """The strategies that it is made of, at any depth, that are no mixtures."""
        return [leaf for part in self.parts for leaf in part.leaves] or [self]


def require_strategy(strategy: object) -> None:
    """Refuse what is no strategy.

    Parameters
    ----------
    strategy : object
        Perhaps what makes one.

    Raises
    ------
    SelectionError
        If it is none.
    """
    if not isinstance(strategy, Strategy):
        cure = ": call it, with ()" if callable(strategy) else ""
        raise SelectionError(
            "a strategy is needed, such as discovery() or Coverage(), got "
            f"{strategy!r}{cure}"
        )

"""What makes a candidate worth measuring: one class for each answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.situation import Situation, Strategy
from ainerd_bluesky.vocabulary import Label

__all__ = [
    "Boundary",
    "Chance",
    "Coverage",
    "Novelty",
    "RareLabel",
    "Remeasure",
    "Uncertainty",
    "WantedLabel",
    "WantedProperty",
]

Floats = NDArray[np.float64]

# A class that was seen once or twice, perhaps by mistake, is still looked for a little.
_RARITY_POWER = 3.0
_ROOM_POWER = 1.2
_LEAST_DOUBT = 0.05


@dataclass(frozen=True)
class Chance(Strategy):
    """Draw by chance: what no other strategy can do worse than, in the long run."""

    name: ClassVar[str] = "chance"

    def score(self, situation: Situation) -> Floats:
        """Return what was drawn."""
        return situation.chance

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the place in the draw."""
        ahead = situation.is_free & (situation.chance > situation.chance[index])
        return (
            f"number {1 + int(ahead.sum())} of a random order, so that nothing is left "
            "out for good"
        )


@dataclass(frozen=True)
class Coverage(Strategy):
    """Go where the way to all that is measured or awaited is longest."""

    name: ClassVar[str] = "coverage"

    def score(self, situation: Situation) -> Floats:
        """Return the room around each candidate, 1 for the largest."""
        return situation.forecast.room

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the distance."""
        return _far(situation, index)


@dataclass(frozen=True)
class Novelty(Strategy):
    """Look where dynamics is unlike everything known.

    Parameters
    ----------
    exploration : float
        Weight of what is not known against the expected novelty.
    """

    exploration: float = 1.0
    name: ClassVar[str] = "novelty"

    def __post_init__(self) -> None:
        _check_exploration(self.exploration)

    def score(self, situation: Situation) -> Floats:
        """Return the expected novelty plus a bonus for the unknown."""
        forecast = situation.forecast
        return forecast.novelty + self.exploration * (1.0 - forecast.support)

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the expected novelty and how much is known."""
        expected = f"expected novelty {situation.forecast.novelty[index]:.2f}"
        return f"{expected}, {_known(situation, index)}"


@dataclass(frozen=True)
class Uncertainty(Strategy):
    """Look where the class is most open."""

    name: ClassVar[str] = "uncertainty"

    def score(self, situation: Situation) -> Floats:
        """Return the entropy of the expected labels, 1 if all are equally likely."""
        p = np.clip(situation.forecast.labels, 1e-12, 1.0)
        return np.asarray(-(p * np.log(p)).sum(axis=1) / np.log(max(p.shape[1], 2)))

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the two most likely labels."""
        expected = situation.forecast.labels[index]
        return f"its class is open, {_two_likeliest(situation.vocabulary, expected)}"


@dataclass(frozen=True)
class RareLabel(Strategy):
    """Look where labels may hide that were hardly ever seen.

    A class that takes up little room announces itself in the log-odds of its
    neighbours before any of its own samples is measured; see `Patches`.

    Parameters
    ----------
    share : float
        Share of the space that a rare class takes up, about.
    crossover : float
        Width of the crossover around it, as a fraction of the range.
    meeting : float
        How much likelier a rare class is where known ones meet: 0 if not at all.
    """

    share: float = 0.007
    crossover: float = 0.03
    meeting: float = 2.0
    name: ClassVar[str] = "rare label"

    def __post_init__(self) -> None:
        if not (0 < self.share < 1 and self.crossover > 0 and self.meeting >= 0):
            raise SelectionError(
                "need a share within 0 to 1, crossover > 0 and meeting >= 0, got "
                f"{self.share}, {self.crossover} and {self.meeting}"
            )

    def score(self, situation: Situation) -> Floats:
        """Return the chance to be in a patch, weighed by how rare its label is."""
        chance = situation.patches @ self._rarity(situation)
        doubt = 1.0 - situation.forecast.labels.max(axis=1)
        prior = 1.0 + self.meeting * doubt / max(float(doubt.mean()), 1e-12)
        return np.asarray(chance * prior * situation.forecast.room**_ROOM_POWER)

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the rare label that is most likely there."""
        chance = situation.patches[index]
        rare = int(np.argmax(chance * self._rarity(situation)))
        return (
            f"{situation.vocabulary[rare]}, seen {situation.sightings[rare]:.1f} times "
            f"so far, may hide here with {chance[rare]:.3f}"
        )

    @staticmethod
    def _rarity(situation: Situation) -> Floats:
        rarity = (1.0 + situation.sightings) ** -_RARITY_POWER
        is_dynamics = np.array([w != Label.NO_SIGNAL for w in situation.vocabulary])
        return np.asarray(rarity * is_dynamics)


@dataclass(frozen=True)
class WantedLabel(Strategy):
    """Look for samples that show certain dynamics.

    Parameters
    ----------
    wanted : mapping of str to float
        Weight of each wanted label, more than 0.
    exploration : float
        Weight of what is not known against the expected probability.
    """

    wanted: Mapping[str, float]
    exploration: float = 0.3

    def __post_init__(self) -> None:
        _check_exploration(self.exploration)
        if not self.wanted or not all(0 < w < np.inf for w in self.wanted.values()):
            raise SelectionError(
                "need a wanted label or more, with weights of more than 0, got "
                f"{dict(self.wanted)}"
            )
        # What the caller does to a dictionary later on is not wanted here.
        object.__setattr__(self, "wanted", dict(self.wanted))

    def unknown_labels(self, vocabulary: Sequence[str]) -> Sequence[str]:
        """Return the labels that nobody can find."""
        return [label for label in self.wanted if label not in vocabulary]

    @property
    def name(self) -> str:
        """Name what is wanted."""
        return f"wanted {' or '.join(self.wanted)}"

    def score(self, situation: Situation) -> Floats:
        """Return the expected weight plus a bonus for the unknown."""
        expected = self._expected(situation) / max(self.wanted.values())
        return expected + self.exploration * (1.0 - situation.forecast.support)

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the expected probability and how much is known."""
        labels = situation.forecast.labels[index]
        expected = sum(labels[situation.column(label)] for label in self.wanted)
        return (
            f"{' or '.join(self.wanted)} expected with {expected:.2f}, "
            f"{_known(situation, index)}"
        )

    def _expected(self, situation: Situation) -> Floats:
        columns = [situation.column(label) for label in self.wanted]
        weights = np.array(list(self.wanted.values()))
        return np.asarray(situation.forecast.labels[:, columns] @ weights)


@dataclass(frozen=True)
class WantedProperty(Strategy):
    """Look for samples of which a property has a wanted value.

    Parameters
    ----------
    key : str
        Property, such as ``relaxation_rate``.
    target : float
        Wanted value.
    tolerance : float
        What counts as reached: in units of the property, or in decades if `is_log`.
    is_log : bool
        Whether to compare logarithms: rates and times span decades.
    exploration : float
        Weight of what is not known against the chance to reach the target.
    """

    key: str
    target: float
    tolerance: float
    is_log: bool = False
    exploration: float = 0.3

    def __post_init__(self) -> None:
        _check_exploration(self.exploration)
        if not (0 < self.tolerance < np.inf and np.isfinite(self.target)):
            raise SelectionError(
                "need a finite target and a tolerance > 0, got "
                f"{self.target} and {self.tolerance}"
            )
        if self.is_log and not self.target > 0:
            raise SelectionError(f"a logarithm needs a target > 0, got {self.target}")

    @property
    def name(self) -> str:
        """Name what is wanted."""
        return f"wanted {self.key} {self.target:g}"

    def value(self, measured: float) -> float:
        """Return a measured property on the scale it is compared on; nan if unknown."""
        if self.is_log:
            return float(np.log10(measured)) if measured > 0 else float("nan")
        return measured

    def score(self, situation: Situation) -> Floats | None:
        """Return the chance to be within the tolerance; None while nothing is known."""
        forecast = situation.forecast
        if np.isnan(forecast.value).all():
            return None
        away = forecast.value - self.value(self.target)
        spread = np.maximum(forecast.value_std, self.tolerance)
        within = ndtr((self.tolerance - away) / spread)
        within = within - ndtr((-self.tolerance - away) / spread)
        highest = max(float(within.max()), 1e-12)
        unknown = self.exploration * (1.0 - forecast.support)
        return np.asarray(within / highest + unknown)

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the expected value."""
        value = situation.forecast.value[index]
        expected = 10**value if self.is_log else value
        return (
            f"{self.key} {expected:.3g} expected, {self.target:.3g} wanted, "
            f"{_known(situation, index)}"
        )


@dataclass(frozen=True)
class Boundary(Strategy):
    """Map where labels change.

    A measurement settles the label of the room around it; what it is worth is how open
    that label is, times how much room there is.

    Parameters
    ----------
    reach : float
        Power of the room. More spreads out, less keeps closer to the boundary.
    """

    reach: float = 0.8
    name: ClassVar[str] = "boundary"

    def __post_init__(self) -> None:
        if not 0 <= self.reach < np.inf:
            raise SelectionError(f"reach must be finite and >= 0, got {self.reach}")

    def score(self, situation: Situation) -> Floats:
        """Return how close two labels come, times the room around a candidate."""
        ordered = np.sort(situation.local_labels, axis=1)
        margin = ordered[:, -1] - (ordered[:, -2] if ordered.shape[1] > 1 else 0.0)
        # Neighbours that agree may do so by chance: no place is ever quite settled.
        doubt = 1.0 - margin + _LEAST_DOUBT
        return np.asarray(doubt * situation.forecast.room**self.reach)

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the labels that meet there."""
        expected = situation.local_labels[index]
        return (
            f"{_two_likeliest(situation.vocabulary, expected)} by its neighbours, "
            f"{_far(situation, index)}"
        )


@dataclass(frozen=True)
class Remeasure(Strategy):
    """Measure again what the quality gate refused, as often as the selector allows."""

    name: ClassVar[str] = "remeasure"

    def score(self, situation: Situation) -> Floats | None:
        """Return a score for what was refused, higher the fewer times it was."""
        again = situation.is_free & (situation.n_refused > 0)
        if not again.any():
            return None
        return np.where(again, 1.0 / np.maximum(situation.n_refused, 1), 0.0)

    def tell(self, situation: Situation, index: int) -> str:
        """Tell how often it was refused."""
        return f"refused {situation.n_refused[index]} times by the quality gate so far"


def _far(situation: Situation, index: int) -> str:
    distance = situation.forecast.distance[index]
    if not np.isfinite(distance):
        return "nothing is measured or awaited anywhere"
    return f"{distance:.2f} of the range away from all that is measured or awaited"


def _known(situation: Situation, index: int) -> str:
    return f"known to {100 * situation.forecast.support[index]:.0f} % from neighbours"


def _two_likeliest(vocabulary: Sequence[str], expected: Floats) -> str:
    best = np.argsort(-expected, kind="stable")[:2]
    return " or ".join(f"{vocabulary[i]} ({expected[i]:.2f})" for i in best)


def _check_exploration(exploration: float) -> None:
    if not 0 <= exploration < np.inf:
        raise SelectionError(f"exploration must be finite and >= 0, got {exploration}")

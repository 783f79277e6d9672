"""Selectors: look for the unknown, or for a wanted class of dynamics."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.acquisition import (
    Expectation,
    expect,
    scale_coordinates,
)
from ainerd_bluesky.selection.protocols import Candidate, Observation, Suggestion
from ainerd_bluesky.vocabulary import DYNAMICS

__all__ = [
    "NeighbourSelector",
    "NoveltySelector",
    "WantedLabelSelector",
    "load_selector",
]

_TIE_BREAK = 1e-6


class NeighbourSelector(ABC):
    """Score candidates by what their measured neighbours let expect.

    The score is the expected value plus `exploration` times what is not known yet; a
    suggested candidate counts as known while its result is awaited, so that several
    suggestions at once spread out. No candidate is suggested twice.

    Parameters
    ----------
    candidates : sequence of Candidate
        What can be measured; names differ, coordinates have one length.
    length_scale : float, optional
        Distance, as a fraction of the range of a coordinate, over which neighbours
        are alike.
    exploration : float, optional
        Weight of the unknown against the expected value.
    random_state : int, optional
        Decides between candidates of the same score.

    Raises
    ------
    SelectionError
        If names repeat, coordinates do not fit together, or a setting is out of
        bounds.
    """

    prior: float

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        length_scale: float = 0.2,
        exploration: float = 1.0,
        random_state: int = 0,
    ) -> None:
        _check_candidates(candidates)
        if not length_scale > 0 or not exploration >= 0:
            raise SelectionError(
                "need length_scale > 0 and exploration >= 0, got "
                f"{length_scale} and {exploration}"
            )

        self.candidates = tuple(candidates)
        self.length_scale = length_scale
        self.exploration = exploration
        self.random_state = random_state
        self._index = {c.name: i for i, c in enumerate(self.candidates)}
        self._points = scale_coordinates(
            np.array([c.coordinates for c in self.candidates], dtype=float)
        )
        self._pending: list[str] = []
        self._observations: dict[str, Observation] = {}
        chance = np.random.default_rng(random_state)
        self._tie_break = _TIE_BREAK * chance.random(len(self.candidates))

    @abstractmethod
    def value(self, observation: Observation) -> float:
        """Return how good a measurement was, 0 to 1."""

    @abstractmethod
    def describe(self, mean: float) -> str:
        """Say in words what is expected of a candidate."""

    @property
    def observations(self) -> tuple[Observation, ...]:
        """What was ingested, one per candidate, in order of arrival."""
        return tuple(self._observations.values())

    @property
    def n_left(self) -> int:
        """Number of candidates that were neither measured nor suggested."""
        return len(self._free())

    def suggest(self, n_suggestions: int = 1) -> list[Suggestion]:
        """Return the best candidates, best first.

        Parameters
        ----------
        n_suggestions : int, optional
            How many; fewer come when fewer are left, none when none is left.

        Returns
        -------
        list of Suggestion
            Each is awaited from now on and not suggested again.

        Raises
        ------
        SelectionError
            If the number is less than one.
        """
        if n_suggestions < 1:
            raise SelectionError(f"n_suggestions must be >= 1, got {n_suggestions}")
        n_suggestions = min(n_suggestions, self.n_left)
        return [self._suggest_one() for _ in range(n_suggestions)]

    def ingest(self, observations: Sequence[Observation]) -> None:
        """Learn from measurements; a second one of a candidate replaces the first.

        Parameters
        ----------
        observations : sequence of Observation
            Of candidates, whether they were suggested or not.

        Raises
        ------
        SelectionError
            If a name is not a candidate's, or a novelty is not within 0 to 1.
        """
        for observation in observations:
            if observation.name not in self._index:
                raise SelectionError(
                    f"{observation.name!r} is not a candidate; those are "
                    f"{', '.join(self._index)}"
                )
            if not 0 <= observation.novelty <= 1:
                raise SelectionError(
                    f"novelty of {observation.name!r} must be within 0 to 1, got "
                    f"{observation.novelty}"
                )

        for observation in observations:
            self._observations[observation.name] = observation
            if observation.name in self._pending:
                self._pending.remove(observation.name)

    def state(self) -> dict[str, Any]:
        """Return all that makes the next suggestion, as JSON values."""
        return {
            "kind": type(self).__name__,
            "settings": self._settings(),
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "observations": [asdict(seen) for seen in self.observations],
            "pending": list(self._pending),
        }

    def restore(
        self, observations: Sequence[Observation], pending: Sequence[str]
    ) -> None:
        """Take over what another selector of the same candidates had learned.

        Parameters
        ----------
        observations : sequence of Observation
            What it had ingested.
        pending : sequence of str
            Names it had suggested and not been told of.

        Raises
        ------
        SelectionError
            If a name is not a candidate's.
        """
        unknown = sorted(set(pending) - set(self._index))
        if unknown:
            raise SelectionError(f"pending {unknown} are not candidates")
        self.ingest(observations)
        self._pending = list(pending)

    def _settings(self) -> dict[str, Any]:
        return {
            "length_scale": self.length_scale,
            "exploration": self.exploration,
            "random_state": self.random_state,
        }

    def _free(self) -> list[int]:
        taken = {*self._observations, *self._pending}
        return [i for name, i in self._index.items() if name not in taken]

    def _suggest_one(self) -> Suggestion:
        free = np.array(self._free())
        points = self._points[free]
        learned = self._expect(points)
        # What is awaited will be known, though nobody knows what it will be.
        awaited = self._points_of([*self._observations, *self._pending])
        known = expect(
            points,
            awaited,
            np.zeros(len(awaited)),
            length_scale=self.length_scale,
            prior=0.0,
        ).support
        score = learned.mean + self.exploration * (1.0 - known)
        best = int(np.argmax(score + self._tie_break[free]))
        candidate = self.candidates[free[best]]
        self._pending.append(candidate.name)
        reason = self._reason(candidate, learned, best)
        return Suggestion(candidate, float(score[best]), reason)

    def _expect(self, points: NDArray[np.float64]) -> Expectation:
        values = np.array([self.value(seen) for seen in self.observations])
        return expect(
            points,
            self._points_of(self._observations),
            values,
            length_scale=self.length_scale,
            prior=self.prior,
        )

    def _points_of(self, names: Iterable[str]) -> NDArray[np.float64]:
        index = [self._index[name] for name in names]
        return np.asarray(self._points[np.array(index, dtype=int)])

    def _reason(self, candidate: Candidate, learned: Expectation, best: int) -> str:
        if not self._observations:
            return f"{candidate.name}: nothing is measured yet, a start like any other."
        nearest = self.observations[learned.nearest[best]]
        return (
            f"{candidate.name}: {self.describe(float(learned.mean[best]))}; its "
            f"nearest measured neighbour {nearest.name} is {nearest.label} "
            f"({nearest.confidence:.2f}) and covers it to "
            f"{100 * learned.support[best]:.0f} %."
        )


class NoveltySelector(NeighbourSelector):
    """Look where the dynamics is unlike everything known.

    Parameters
    ----------
    candidates : sequence of Candidate
        What can be measured.
    length_scale, exploration, random_state : optional
        See `NeighbourSelector`.

    Examples
    --------
    >>> selector = NoveltySelector([Candidate("a", (0.0,)), Candidate("b", (1.0,))])
    >>> selector.ingest([Observation("a", "aging", 0.9, novelty=0.1)])
    >>> [suggestion.candidate.name for suggestion in selector.suggest()]
    ['b']
    """

    prior = 0.5

    def value(self, observation: Observation) -> float:
        """Return the novelty; a refused run teaches nothing about dynamics."""
        return observation.novelty if observation.probabilities else 0.0

    def describe(self, mean: float) -> str:
        """Say in words what is expected of a candidate."""
        return f"expected novelty {mean:.2f}"


class WantedLabelSelector(NeighbourSelector):
    """Look for samples that show certain dynamics.

    Parameters
    ----------
    candidates : sequence of Candidate
        What can be measured.
    wanted : mapping of str to float
        Weight of each wanted label, more than 0; one label alone is all the weight.
    length_scale, exploration, random_state : optional
        See `NeighbourSelector`.

    Raises
    ------
    SelectionError
        If nothing is wanted, a label is not in the vocabulary, or a weight is not
        positive.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        wanted: Mapping[str, float],
        *,
        length_scale: float = 0.2,
        exploration: float = 0.3,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            candidates,
            length_scale=length_scale,
            exploration=exploration,
            random_state=random_state,
        )
        unknown = sorted(set(wanted) - set(DYNAMICS))
        if unknown or not wanted:
            raise SelectionError(
                f"wanted labels must be of {', '.join(DYNAMICS)}, got "
                f"{unknown or 'none'}"
            )
        if not all(weight > 0 for weight in wanted.values()):
            raise SelectionError(f"weights must be more than 0, got {dict(wanted)}")
        self.wanted = dict(wanted)
        self._weight = {
            label: weight / max(wanted.values()) for label, weight in wanted.items()
        }
        self.prior = sum(self._weight.values()) / len(DYNAMICS)

    def value(self, observation: Observation) -> float:
        """Return the weighted probability of the wanted labels."""
        return sum(
            weight * observation.probabilities.get(label, 0.0)
            for label, weight in self._weight.items()
        )

    def describe(self, mean: float) -> str:
        """Say in words what is expected of a candidate."""
        return f"{' or '.join(self.wanted)} expected with {mean:.2f}"

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "wanted": self.wanted}


_KINDS: dict[str, type[NeighbourSelector]] = {
    kind.__name__: kind for kind in (NoveltySelector, WantedLabelSelector)
}


def load_selector(state: Mapping[str, Any]) -> NeighbourSelector:
    """Make a selector that goes on where another one was.

    Parameters
    ----------
    state : mapping
        From `NeighbourSelector.state`.

    Returns
    -------
    NeighbourSelector
        Gives the same suggestions as the other one would.

    Raises
    ------
    SelectionError
        If the state is not one.
    """
    try:
        kind = _KINDS[state["kind"]]
        candidates = [
            Candidate(item["name"], tuple(item["coordinates"]))
            for item in state["candidates"]
        ]
        observations = [Observation(**item) for item in state["observations"]]
        pending = [str(name) for name in state["pending"]]
        settings = dict(state["settings"])
    except (KeyError, TypeError) as error:
        raise SelectionError(f"not the state of a selector: {error!r}") from error
    selector = kind(candidates, **settings)
    selector.restore(observations, pending)
    return selector


def _check_candidates(candidates: Sequence[Candidate]) -> None:
    names = [candidate.name for candidate in candidates]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        raise SelectionError(
            f"candidates need names of their own, got {repeated or 'no candidates'}"
        )
    lengths = {len(candidate.coordinates) for candidate in candidates}
    if len(lengths) != 1:
        raise SelectionError(
            f"all candidates need as many coordinates, got {sorted(lengths)}"
        )
    for candidate in candidates:
        if not np.isfinite(candidate.coordinates).all():
            raise SelectionError(
                f"coordinates of {candidate.name!r} must be finite, got "
                f"{candidate.coordinates}"
            )

"""The selector: suggests what to measure next and learns from what came of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.books import Books
from ainerd_bluesky.selection.checks import (
    as_plain,
    check_candidates,
    check_observation,
    check_strategy,
    check_vocabulary,
)
from ainerd_bluesky.selection.choosing import Choice, choose
from ainerd_bluesky.selection.decisions import Decision
from ainerd_bluesky.selection.history import FORMAT_VERSION
from ainerd_bluesky.selection.learning import Learner
from ainerd_bluesky.selection.protocols import Candidate, Observation, Suggestion
from ainerd_bluesky.selection.settings import SelectorSettings
from ainerd_bluesky.selection.situation import Situation, Strategy
from ainerd_bluesky.selection.space import (
    Axis,
    axis_as_json,
    is_within,
    scale_coordinates,
    seconds_to,
)
from ainerd_bluesky.selection.strategy_json import strategy_as_json
from ainerd_bluesky.selection.telling import (
    OPERATOR,
    as_suggestion,
    decide,
    decide_by_hand,
    tell,
)
from ainerd_bluesky.vocabulary import DYNAMICS

__all__ = ["StrategySelector"]

Floats = NDArray[np.float64]


class StrategySelector(Books):
    """Choose among candidates by a strategy, and learn from their results.

    A suggested candidate is awaited until its result is ingested or it is released;
    what is awaited counts as known, so that several suggestions at once spread out.
    A measured candidate is not suggested again. Everything that happens is kept as
    events, so the state can be saved, loaded and replayed to the same decisions.

    Parameters
    ----------
    candidates : sequence of Candidate
        What can be measured; names differ, coordinates have one length.
    strategy : Strategy
        What makes a candidate worth measuring.
    axes : sequence of Axis, optional
        Names, limits and costs of the coordinates. Candidates outside the limits are
        never suggested.
    vocabulary : sequence of str, optional
        The labels that results may have, besides `invalid`.
    settings : SelectorSettings, optional
        How it learns and weighs.

    Raises
    ------
    SelectionError
        If candidates, axes, vocabulary and strategy do not fit together.

    Examples
    --------
    >>> from ainerd_bluesky.selection import Coverage
    >>> line = [Candidate(name, (place,)) for name, place in zip("abc", (0, 3, 9))]
    >>> selector = StrategySelector(line, Coverage())
    >>> selector.ingest([Observation("a", "aging", 0.9, 0.1, {"aging": 0.9})])
    >>> [suggestion.candidate.name for suggestion in selector.suggest(2)]
    ['c', 'b']
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        strategy: Strategy,
        *,
        axes: Sequence[Axis] = (),
        vocabulary: Sequence[str] = DYNAMICS,
        settings: SelectorSettings | None = None,
    ) -> None:
        self.settings = settings or SelectorSettings()
        self.candidates = as_plain(candidates)
        self._coordinates = check_candidates(self.candidates, axes)
        self.vocabulary = check_vocabulary(vocabulary)
        check_strategy(strategy, self.vocabulary)

        self.strategy = strategy
        self.axes = tuple(axes)
        self._points = scale_coordinates(self._coordinates, self.axes)
        self._exposure = np.array([c.exposure for c in self.candidates])
        self._axis_names = [axis.name for axis in self.axes] or [
            f"x{column}" for column in range(self._coordinates.shape[1])
        ]
        chance = np.random.default_rng(self.settings.random_state)
        n = len(self.candidates)
        self._chance = (1.0 + chance.permutation(n)) / n
        super().__init__(
            self.candidates,
            is_within(self._coordinates, self.axes),
            self.settings.max_remeasures,
            self._header(),
        )
        self._n_used: Counter[str] = Counter()
        self._by_hand: dict[str, Decision] = {}
        self._here: int | None = None
        self._start_learning()

    @property
    def taken(self) -> tuple[Suggestion, ...]:
        """What a person took and no run measures yet, in the order of taking."""
        return tuple(
            as_suggestion(self.candidates[self._ledger.index[name]], decision)
            for name, decision in self._by_hand.items()
            if self._ledger.pending.get(name) == ""
        )

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
            If the number is less than one, or a strategy gives scores that are not
            numbers.
        """
        if n_suggestions < 1:
            raise SelectionError(f"n_suggestions must be >= 1, got {n_suggestions}")
        suggestions = []
        for _ in range(min(n_suggestions, self.n_left)):
            suggestion = self._suggestion(self._choose())
            self._take("suggest", suggestion.candidate.name, suggestion.strategy)
            suggestions.append(suggestion)
        return suggestions

    def take(self, name: str) -> None:
        """Note that a candidate is going to be measured because a person wants it.

        A series measures it before all that is suggested, also if it was measured
        before; `release` takes the wish back.

        Parameters
        ----------
        name : str
            The candidate.
        """
        decision = self._decision_by_hand(name)
        self._take("take", name, OPERATOR)
        self._by_hand[name] = decision

    def ingest(self, observations: Sequence[Observation]) -> None:
        """Learn from measurements, all of them or, if one is refused, none.

        A second observation of a run replaces the first, so nothing is counted twice
        when results are asked for again; one that says the same changes nothing. A
        replacement makes the selector learn everything afresh, which takes as long as
        learning it took.

        Parameters
        ----------
        observations : sequence of Observation
            Of candidates, whether they were suggested or not.
        """
        # Gone through more than once: a generator would end after the first time.
        observations = tuple(observations)
        for observation in observations:
            check_observation(observation, self._ledger.index, self.vocabulary)
        self._ledger.check(observations)
        plain = [Observation(**seen.as_json()) for seen in observations]

        is_replaced = False
        for observation in plain:
            if self._ledger.knows(observation):
                continue
            self._history.add({"event": "observe", **observation.as_json()})
            if self._ledger.add(observation):
                self._learn(observation)
            else:
                is_replaced = True
        if is_replaced:
            self._start_learning()

    def expected_labels(self) -> dict[str, tuple[str, float]]:
        """Return the likeliest label of each candidate, measured or not: the map."""
        labels = self._learner.neighbours.labels()
        best = labels.argmax(axis=1)
        return {
            candidate.name: (self.vocabulary[column], float(row[column]))
            for candidate, column, row in zip(
                self.candidates, best, labels, strict=True
            )
        }

    def report(self) -> dict[str, Any]:
        """Return where the campaign stands, as JSON values."""
        trust = self._learner.beliefs.label_trust
        names = [*(f"{scale:g}" for scale in self.settings.length_scales), "none"]
        return {
            "strategy": self.strategy.name,
            **self._ledger.report(),
            "decisions": dict(self._n_used),
            "trust_in_length_scales": {
                name: round(float(weight), 4)
                for name, weight in zip(names, trust, strict=True)
            },
            "state_hash": self.state_hash,
        }

    def state(self) -> dict[str, Any]:
        """Return all that makes the next decision, as JSON values."""
        return {
            **self._header(),
            "events": list(self._history.events),
            "state_hash": self.state_hash,
        }

    def copy(self) -> "StrategySelector":
        """Return another one in the same state, which goes its own way from here on."""
        other = StrategySelector(
            self.candidates,
            self.strategy,
            axes=self.axes,
            vocabulary=self.vocabulary,
            settings=self.settings,
        )
        for event in self._history.events:
            other.redo(event)
        return other

    def redo(self, event: Mapping[str, Any]) -> None:
        """Let an event of a saved state happen again; nothing is decided anew.

        Parameters
        ----------
        event : mapping
            One of the events of `state`.

        Raises
        ------
        SelectionError
            If there is no such event.
        """
        values = {key: value for key, value in event.items() if key != "event"}
        try:
            match event["event"]:
                case "suggest":
                    self._take("suggest", **values)
                case "take":
                    self.take(values["name"])
                case "observe":
                    self.ingest([Observation(**values)])
                case "release":
                    self.release(**values)
                case "run":
                    self.note_run(**values)
                case "exclude":
                    self.exclude(**values)
                case "readmit":
                    self.readmit(**values)
                case other:
                    raise SelectionError(f"unknown event {other!r} in a state")
        except (KeyError, TypeError) as error:
            raise SelectionError(f"not an event: {event!r} ({error!r})") from error

    def _header(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "candidates": [candidate.as_json() for candidate in self.candidates],
            "strategy": strategy_as_json(self.strategy),
            "axes": [axis_as_json(axis) for axis in self.axes],
            "vocabulary": list(self.vocabulary),
            "settings": {
                **asdict(self.settings),
                "length_scales": list(map(float, self.settings.length_scales)),
            },
        }

    def _take(self, event: str, name: str, strategy: str) -> None:
        self._ledger.take(name)
        self._by_hand.pop(name, None)
        self._n_used[strategy] += 1
        self._here = self._ledger.index[name]
        self._history.add({"event": event, "name": name, "strategy": strategy})

    def _start_learning(self) -> None:
        """Learn all observations afresh."""
        self._learner = Learner(
            self._points, self.vocabulary, self.settings.length_scales, self.strategy
        )
        for observation in self._ledger.observations:
            self._learn(observation)

    def _learn(self, observation: Observation) -> None:
        self._learner.learn(self._ledger.index[observation.name], observation)

    def _choose(self) -> Choice:
        learner, ledger = self._learner, self._ledger
        situation = Situation(
            forecast=learner.beliefs.forecast(ledger.pending_index),
            vocabulary=self.vocabulary,
            chance=self._chance,
            n_refused=ledger.n_refused,
            is_free=ledger.is_free,
            n_used=self._n_used,
            sightings=learner.sightings,
            local_labels=learner.neighbours.labels(),
            patches=learner.patches(),
        )
        return choose(self.strategy, situation, self._cost(), self.settings.cost_weight)

    def _cost(self) -> Floats:
        here = None if self._here is None else self._coordinates[self._here]
        return self._exposure + seconds_to(self._coordinates, here, self.axes)

    def _decision_by_hand(self, name: str) -> Decision:
        index = self._ledger.index_of(name)
        return decide_by_hand(
            self.candidates[index],
            self._axis_names,
            cost=float(self._cost()[index]),
            number=self._n_used.total(),
            n_candidates=self.n_left + (not self._ledger.is_free[index]),
            n_observations=len(self._ledger.observations),
            state_hash=self.state_hash,
        )

    def _suggestion(self, choice: Choice) -> Suggestion:
        nearest = choice.situation.forecast.nearest[choice.chosen]
        seen = self._ledger.latest(self.candidates[nearest].name)
        reason = tell(choice, self.candidates, seen if nearest >= 0 else None)
        decision = decide(
            choice,
            self.candidates,
            self._axis_names,
            number=self._n_used.total(),
            reason=reason,
            n_observations=len(self._ledger.observations),
            state_hash=self.state_hash,
        )
        return as_suggestion(self.candidates[choice.chosen], decision)

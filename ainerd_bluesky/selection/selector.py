"""The selector: suggests what to measure next and learns from what came of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.checks import (
    as_plain,
    check_candidates,
    check_observation,
    check_strategy,
    check_vocabulary,
)
from ainerd_bluesky.selection.choosing import Choice, choose
from ainerd_bluesky.selection.decisions import Decision
from ainerd_bluesky.selection.history import FORMAT_VERSION, History
from ainerd_bluesky.selection.learning import Learner
from ainerd_bluesky.selection.ledger import Ledger
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
from ainerd_bluesky.selection.telling import OPERATOR, decide, decide_by_hand, tell
from ainerd_bluesky.vocabulary import DYNAMICS

__all__ = ["StrategySelector"]

Floats = NDArray[np.float64]


class StrategySelector:
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
        self._ledger = Ledger(
            self.candidates,
            is_within(self._coordinates, self.axes),
            self.settings.max_remeasures,
        )
        self._history = History(self._header())
        self._n_used: Counter[str] = Counter()
        self._by_hand: dict[str, Decision] = {}
        self._here: int | None = None
        self._start_learning()

    @property
    def observations(self) -> tuple[Observation, ...]:
        """What was ingested, one per run, in order of arrival."""
        return tuple(self._ledger.observations)

    @property
    def pending(self) -> tuple[str, ...]:
        """Names of the candidates whose results are awaited."""
        return tuple(self._ledger.pending)

    @property
    def awaited_runs(self) -> dict[str, str]:
        """Runs whose results are awaited, and the candidate of each."""
        return {
            run_uid: name for name, run_uid in self._ledger.pending.items() if run_uid
        }

    @property
    def taken(self) -> tuple[Suggestion, ...]:
        """What a person took and no run measures yet, in the order of taking."""
        return tuple(
            _as_suggestion(self.candidates[self._ledger.index[name]], decision)
            for name, decision in self._by_hand.items()
            if self._ledger.pending.get(name) == ""
        )

    @property
    def n_left(self) -> int:
        """Number of candidates that may still be suggested."""
        return int(self._ledger.is_free.sum())

    @property
    def state_hash(self) -> str:
        """Sha256 of all that makes the next decision."""
        return self._history.state_hash

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

    def release(self, name: str, *, is_tried: bool = True) -> None:
        """Give up waiting for a candidate: no result will come.

        Parameters
        ----------
        name : str
            An awaited candidate.
        is_tried : bool, optional
            Whether it counts as a measurement that gave nothing, after which
            `max_remeasures` says if it may be suggested again; False if the beam never
            was on it.
        """
        self._ledger.release(name, is_tried=is_tried)
        self._history.add({"event": "release", "name": name, "is_tried": is_tried})

    def note_run(self, name: str, run_uid: str) -> None:
        """Note which run measures a candidate, to find its result after a crash.

        Parameters
        ----------
        name : str
            The candidate.
        run_uid : str
            The run.
        """
        self._ledger.note_run(name, run_uid)
        self._history.add({"event": "run", "name": name, "run_uid": run_uid})

    def name_of_run(self, run_uid: str) -> str:
        """Return the candidate that a run measures; an unknown run is an error."""
        return self._ledger.name_of_run(run_uid)

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
        return _as_suggestion(self.candidates[choice.chosen], decision)


def _as_suggestion(candidate: Candidate, decision: Decision) -> Suggestion:
    return Suggestion(
        candidate=candidate,
        score=decision.score,
        reason=decision.reason,
        strategy=decision.strategy,
        cost=decision.cost,
        decision=decision,
    )

"""A selector as the optimizer of blop and of bluesky-adaptive, which share one form."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import Observation, StrategySelector, Suggestion

__all__ = ["SelectorOptimizer"]

_ID = "_id"
_POLL_INTERVAL = 0.5

Point = dict[str, Any]


class SelectorOptimizer:
    """Give a selector the verbs of blop's and bluesky-adaptive's `Optimizer`.

    It also has those of `TrialFaultAware` (failures are released),
    `SupportsStoppingCriteria` (ends with the candidates) and `Checkpointable`, and
    `evaluate` is their evaluation function. Neither package is imported.

    Parameters
    ----------
    selector : StrategySelector
        Chooses.
    sample : str
        Name of the actuator that brings a sample into the beam: the key of the sample
        in a suggested point. Coordinates stand under the names of the axes.
    summary_of : callable
        Returns the summary of a run's result, by its uid; None while there is none.
    timeout : float, optional
        Longest wait for a label, in seconds.
    poll_interval : float, optional
        Seconds between two looks.
    save : callable, optional
        Called with the selector at each checkpoint.

    Examples
    --------
    >>> from ainerd_bluesky.selection import Candidate, Coverage
    >>> shelf = [Candidate("A", (20.0,)), Candidate("B", (30.0,))]
    >>> selector = StrategySelector(shelf, Coverage())
    >>> optimizer = SelectorOptimizer(selector, "stage", lambda run_uid: None)
    >>> sorted(point["stage"] for point in optimizer.suggest(2))
    ['A', 'B']
    """

    def __init__(
        self,
        selector: StrategySelector,
        sample: str,
        summary_of: Callable[[str], Mapping[str, Any] | None],
        *,
        timeout: float = 600.0,
        poll_interval: float = _POLL_INTERVAL,
        save: Callable[[StrategySelector], None] | None = None,
    ) -> None:
        self.selector = selector
        self._sample = sample
        self._summary_of = summary_of
        self._timeout = timeout
        self._poll_interval = poll_interval
        self._save = save
        self._evaluated: dict[str, Mapping[str, Any]] = {}

    def suggest(self, num_points: int | None = None) -> list[Point]:
        """Return points to measure next, best first.

        Parameters
        ----------
        num_points : int, optional
            How many; one unless given.

        Returns
        -------
        list of dict
            For each: `_id`, the name of its candidate; the sample, the coordinates,
            and `decision`, a JSON text to be put into the start document, next to the
            name of its `campaign`.

        Raises
        ------
        SelectionError
            If no candidate is left: both packages would submit an empty plan.
        """
        suggestions = self.selector.suggest(num_points or 1)
        if not suggestions:
            raise SelectionError("no candidate is left to suggest")
        return [self._point(suggestion) for suggestion in suggestions]

    def evaluate(
        self, uid: str, suggestions: Sequence[Mapping[str, Any]]
    ) -> list[Point]:
        """Wait for the label of a run, in a thread of these packages.

        Parameters
        ----------
        uid : str
            The run.
        suggestions : sequence of mapping
            The one point that it measured.

        Returns
        -------
        list of dict
            `_id`, `run_uid`, `label`, `confidence` and `novelty`: their events take
            no nested values. All that the result says is kept for `ingest`.

        Raises
        ------
        SelectionError
            If there are several points, or no label comes in time.
        """
        if len(suggestions) != 1:
            raise SelectionError(
                f"a run has one label: ask for one point at a time, got "
                f"{len(suggestions)} for run {uid!r}"
            )
        deadline = time.monotonic() + self._timeout
        while (summary := self._summary_of(uid)) is None:
            if time.monotonic() > deadline:
                raise SelectionError(
                    f"run {uid!r} has no label after {self._timeout:g} s"
                )
            time.sleep(self._poll_interval)
        name = str(suggestions[0][_ID])
        self._evaluated[name] = {**summary, "run_uid": uid}
        words = self.selector.vocabulary
        seen = Observation.from_summary(name, self._evaluated[name], words)
        return [{_ID: name, "run_uid": uid, **_outcome(seen)}]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Learn from outcomes.

        Parameters
        ----------
        points : sequence of mapping
            From `evaluate`; or whole summaries of results, each with the name of its
            candidate as `_id`, whether it was suggested or not.

        Raises
        ------
        SelectionError
            If a point names no candidate or lacks a part of a summary.
        """
        if not all(_ID in point for point in points):
            raise SelectionError(f"outcomes need {_ID!r}, the candidate: {points!r}")
        names = [str(point[_ID]) for point in points]
        self.selector.ingest(
            [
                Observation.from_summary(
                    name, self._evaluated.get(name, point), self.selector.vocabulary
                )
                for name, point in zip(names, points, strict=True)
            ]
        )
        for name in names:
            self._evaluated.pop(name, None)

    def get_best_points(self) -> list[tuple[str, Point, Point]]:
        """Return the most novel of the accepted results.

        A map of labels has no best point, but both packages ask for one.

        Returns
        -------
        list of tuple
            Name, place and outcome; empty if there is none.
        """
        accepted = [seen for seen in self.selector.observations if not seen.is_refused]
        if not accepted:
            return []
        best = max(accepted, key=lambda seen: seen.novelty)
        return [(best.name, {self._sample: best.name}, _outcome(best))]

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Release candidates whose measurement failed."""
        for suggestion in suggestions:
            name = str(suggestion.get(_ID))
            if name in self.selector.pending:
                self.selector.release(name)

    def should_stop(self) -> tuple[bool, str | None]:
        """Tell whether all is measured, and say so."""
        if self.selector.n_left:
            return False, None
        return True, "no candidate is left to suggest"

    def checkpoint(self) -> None:
        """Write the state where the maker of this object wanted it."""
        if self._save is not None:
            self._save(self.selector)

    def _point(self, suggestion: Suggestion) -> Point:
        candidate, decision = suggestion.candidate, suggestion.decision
        place = {} if decision is None else decision.coordinates
        told = {} if decision is None else {"decision": json.dumps(decision.as_json())}
        sample = {self._sample: candidate.sample or candidate.name}
        return {_ID: candidate.name, **place, **sample, **told}


def _outcome(seen: Observation) -> Point:
    """Return the part of an observation that every one has, as plain values."""
    return {
        "label": str(seen.label),
        "confidence": seen.confidence,
        "novelty": seen.novelty,
    }

"""The books of a selector: what became of each candidate, whoever chose it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.selection.history import History
from ainerd_bluesky.selection.ledger import Ledger
from ainerd_bluesky.selection.protocols import Candidate, Observation

__all__ = ["Books"]


class Books:
    """Status of each candidate, and everything that happened, as events.

    Parameters
    ----------
    candidates : sequence of Candidate
        With names of their own.
    is_within : ndarray of bool, shape (n_candidates,)
        Which lie inside the limits.
    max_remeasures : int
        How often a candidate may be tried again.
    header : mapping
        What the selector was made with, as JSON values.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        is_within: NDArray[np.bool_],
        max_remeasures: int,
        header: Mapping[str, Any],
    ) -> None:
        self.candidates = tuple(candidates)
        self._ledger = Ledger(self.candidates, is_within, max_remeasures)
        self._history = History(header)

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
    def n_left(self) -> int:
        """Number of candidates that may still be suggested."""
        return int(self._ledger.is_free.sum())

    @property
    def left(self) -> tuple[Candidate, ...]:
        """Candidates that may still be suggested."""
        return tuple(self.candidates[i] for i in np.flatnonzero(self._ledger.is_free))

    @property
    def excluded(self) -> dict[str, str]:
        """Candidates that are not suggested until they are readmitted, and why."""
        return dict(self._ledger.excluded)

    @property
    def state_hash(self) -> str:
        """Sha256 of all that makes the next decision."""
        return self._history.state_hash

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

    def exclude(self, name: str, why: str) -> None:
        """Do not suggest a candidate until it is readmitted; a person may take it.

        Parameters
        ----------
        name : str
            The candidate.
        why : str
            For whoever asks.
        """
        self._ledger.exclude(name, str(why))
        self._history.add({"event": "exclude", "name": name, "why": str(why)})

    def readmit(self, name: str) -> None:
        """Let an excluded candidate be suggested as if it never had been excluded."""
        self._ledger.readmit(name)
        self._history.add({"event": "readmit", "name": name})

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

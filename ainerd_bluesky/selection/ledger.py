"""Who was measured, refused, awaited: the books a selector keeps of its candidates."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.protocols import Candidate, Observation

__all__ = ["Ledger"]


class Ledger:
    """Status of every candidate.

    Parameters
    ----------
    candidates : sequence of Candidate
        With names of their own.
    is_within : ndarray of bool, shape (n_candidates,)
        Which lie inside the limits; no other is ever free.
    max_remeasures : int
        How often a candidate may be tried again after the gate refused it or its run
        gave nothing.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        is_within: NDArray[np.bool_],
        max_remeasures: int,
    ) -> None:
        self.index = {candidate.name: i for i, candidate in enumerate(candidates)}
        self.observations: list[Observation] = []
        self.pending: dict[str, str] = {}
        """Awaited candidates and the run of each; empty until it is noted."""
        self.n_refused = np.zeros(len(candidates), dtype=np.int64)
        self.is_measured = np.zeros(len(candidates), dtype=bool)
        self.excluded: dict[str, str] = {}
        """Candidates that are not free until they are readmitted, and why."""
        self._n_released = np.zeros(len(candidates), dtype=np.int64)
        self._is_within = is_within
        self._max_remeasures = max_remeasures
        self._place_of_run: dict[str, int] = {}
        self._runs: dict[str, str] = {}
        self._latest: dict[str, Observation] = {}

    @property
    def is_free(self) -> NDArray[np.bool_]:
        """Which candidates may be suggested."""
        n_failed = self.n_refused + self._n_released
        free = self._is_within & ~self.is_measured
        free &= n_failed <= self._max_remeasures
        free[self.pending_index] = False
        free[[self.index[name] for name in self.excluded]] = False
        return free

    @property
    def pending_index(self) -> NDArray[np.int64]:
        """Awaited candidates as indices."""
        return np.array([self.index[name] for name in self.pending], dtype=np.int64)

    def latest(self, name: str) -> Observation | None:
        """Return the last observation of a candidate; None if there is none."""
        return self._latest.get(name)

    def index_of(self, name: str) -> int:
        """Return the place of a candidate; a `SelectionError` if there is none such."""
        self._check_candidate(name)
        return self.index[name]

    def take(self, name: str) -> None:
        """Note that a candidate is going to be measured.

        Parameters
        ----------
        name : str
            The candidate.

        Raises
        ------
        SelectionError
            If there is no such candidate, or it is awaited already.
        """
        self._check_candidate(name)
        if name in self.pending:
            raise SelectionError(
                f"{name!r} is awaited already: ingest its result or release it first"
            )
        self.pending[name] = ""

    def release(self, name: str, *, is_tried: bool) -> None:
        """Note that nothing will come of a suggestion.

        Parameters
        ----------
        name : str
            An awaited candidate.
        is_tried : bool
            Whether that counts as a measurement that gave nothing.

        Raises
        ------
        SelectionError
            If it is not awaited.
        """
        if name not in self.pending:
            raise SelectionError(
                f"{name!r} is not awaited; those are {list(self.pending) or 'none'}"
            )
        del self.pending[name]
        self._n_released[self.index[name]] += is_tried

    def exclude(self, name: str, why: str) -> None:
        """Let a candidate be free no more, for now; an unknown one is an error."""
        self._check_candidate(name)
        self.excluded[name] = why

    def readmit(self, name: str) -> None:
        """Let an excluded candidate be free again.

        Parameters
        ----------
        name : str
            The candidate.

        Raises
        ------
        SelectionError
            If it is not excluded.
        """
        if name not in self.excluded:
            raise SelectionError(
                f"{name!r} is not excluded; those are {list(self.excluded) or 'none'}"
            )
        del self.excluded[name]

    def note_run(self, name: str, run_uid: str) -> None:
        """Note which run measures a candidate.

        Parameters
        ----------
        name : str
            The candidate.
        run_uid : str
            The run.

        Raises
        ------
        SelectionError
            If there is no such candidate, the run measures another one, or it has no
            uid.
        """
        self._check_candidate(name)
        self._check_run(name, run_uid)
        if not run_uid:
            raise SelectionError(f"the run of {name!r} needs a uid, got {run_uid!r}")
        self._runs[run_uid] = name
        if name in self.pending:
            self.pending[name] = run_uid

    def name_of_run(self, run_uid: str) -> str:
        """Return the candidate that a run measures.

        Parameters
        ----------
        run_uid : str
            The run.

        Returns
        -------
        str
            Name of the candidate.

        Raises
        ------
        SelectionError
            If the run is unknown.
        """
        if run_uid not in self._runs:
            raise SelectionError(
                f"run {run_uid!r} is unknown: say note_run(name, run_uid) when it "
                f"starts; {len(self._runs)} runs are known"
            )
        return self._runs[run_uid]

    def check(self, observations: Sequence[Observation]) -> None:
        """Refuse observations whose runs measured another candidate.

        Parameters
        ----------
        observations : sequence of Observation
            About to be added.

        Raises
        ------
        SelectionError
            If a run is known, or said in the same breath, to measure another one.
        """
        runs: dict[str, str] = {}
        for seen in observations:
            if seen.run_uid:
                self._check_run(seen.name, seen.run_uid)
                if runs.setdefault(seen.run_uid, seen.name) != seen.name:
                    raise SelectionError(
                        f"run {seen.run_uid!r} cannot measure both "
                        f"{runs[seen.run_uid]!r} and {seen.name!r}"
                    )

    def knows(self, observation: Observation) -> bool:
        """Tell whether an observation says nothing that was not said before.

        Parameters
        ----------
        observation : Observation
            Checked, of plain values.

        Returns
        -------
        bool
            True if it equals the one of the same run; without a run, if it equals the
            last one of its candidate and none is awaited.
        """
        name, run_uid = observation.name, observation.run_uid
        if run_uid:
            place = self._place_of_run.get(run_uid)
            return place is not None and self.observations[place] == observation
        return name not in self.pending and self._latest.get(name) == observation

    def add(self, observation: Observation) -> bool:
        """Enter an observation.

        Parameters
        ----------
        observation : Observation
            Checked.

        Returns
        -------
        bool
            Whether it is new; False if it replaces an earlier one of the same run.
        """
        name, run_uid = observation.name, observation.run_uid
        place = self._place_of_run.get(run_uid)
        if place is not None:
            self.observations[place] = observation
            self._recount(name)
            return False
        # A late result of an earlier run is no answer to the run that is awaited now.
        is_late = run_uid in self._runs and self.pending.get(name) != run_uid
        if not is_late:
            self.pending.pop(name, None)
        if run_uid:
            self._place_of_run[run_uid] = len(self.observations)
            self._runs[run_uid] = name
        self.observations.append(observation)
        self._count(observation)
        return True

    def report(self) -> dict[str, Any]:
        """Return how many candidates and observations stand where, as JSON values."""
        accepted = [seen for seen in self.observations if not seen.is_refused]
        return {
            "n_candidates": len(self.index),
            "n_observations": len(self.observations),
            "n_measured": int(self.is_measured.sum()),
            "n_refused": len(self.observations) - len(accepted),
            "n_left": int(self.is_free.sum()),
            "pending": list(self.pending),
            "excluded": dict(self.excluded),
            "labels": dict(Counter(seen.label for seen in accepted)),
        }

    def _count(self, observation: Observation) -> None:
        index = self.index[observation.name]
        self.n_refused[index] += observation.is_refused
        self.is_measured[index] |= not observation.is_refused
        self._latest[observation.name] = observation

    def _recount(self, name: str) -> None:
        index = self.index[name]
        self.n_refused[index], self.is_measured[index] = 0, False
        for observation in self.observations:
            if observation.name == name:
                self._count(observation)

    def _check_candidate(self, name: str) -> None:
        if name not in self.index:
            raise SelectionError(
                f"{name!r} is not a candidate; there are {len(self.index)}, such as "
                f"{next(iter(self.index))!r}"
            )

    def _check_run(self, name: str, run_uid: str) -> None:
        if self._runs.get(run_uid, name) != name:
            raise SelectionError(
                f"run {run_uid!r} measures {self._runs[run_uid]!r}, not {name!r}"
            )

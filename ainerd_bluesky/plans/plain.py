"""Selectors that only suggest and learn, as a campaign sees them."""

from collections.abc import Sequence
from typing import Any

from ainerd_bluesky.selection.protocols import (
    Candidate,
    Observation,
    Selector,
    Suggestion,
)

__all__ = ["PlainSelector"]


class PlainSelector:
    """A selector that only suggests and learns, which the rest is added to.

    Parameters
    ----------
    selector : Selector
        The selector.
    """

    taken: tuple[Suggestion, ...] = ()
    left: tuple[Candidate, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def __init__(self, selector: Selector) -> None:
        self.observations: tuple[Observation, ...] = ()
        self.awaited_runs: dict[str, str] = {}
        self.excluded: dict[str, str] = {}
        self._selector = selector

    @property
    def pending(self) -> tuple[str, ...]:
        """What was exposed and has no result yet."""
        return tuple(self.awaited_runs.values())

    def suggest(self, n_suggestions: int = 1) -> list[Suggestion]:
        """Let it suggest."""
        return self._selector.suggest(n_suggestions)

    def ingest(self, observations: Sequence[Observation]) -> None:
        """Let it learn, and remember what."""
        self._selector.ingest(observations)
        self.observations += tuple(observations)
        for seen in observations:
            self.awaited_runs.pop(seen.run_uid, None)

    def note_run(self, name: str, run_uid: str) -> None:
        """Remember the run: the selector itself does not ask."""
        self.awaited_runs[run_uid] = name

    def release(self, name: str, *, is_tried: bool = True) -> None:  # noqa: ARG002 - protocol
        """Wait no longer for a candidate; the selector itself never did."""
        runs = self.awaited_runs.items()
        self.awaited_runs = {uid: other for uid, other in runs if other != name}

    def exclude(self, name: str, why: str) -> None:
        """Do nothing: it suggests what it likes."""

    def readmit(self, name: str) -> None:
        """Do nothing, likewise."""

    def state(self) -> dict[str, Any]:
        """Nothing: it cannot be saved."""
        return {}

"""When a series of scans ends: budgets and goals."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.selection.protocols import Observation
from ainerd_bluesky.vocabulary import DYNAMICS, Label

__all__ = [
    "AllLabelsSeen",
    "Budget",
    "Goal",
    "HasVocabulary",
    "LabelFound",
    "Spent",
    "WantsLabels",
    "check_goal",
]

_KINDS = tuple(label for label in DYNAMICS if label != Label.NO_SIGNAL)

Goal = Callable[[Sequence[Observation]], bool]
"""Takes all observations so far; tells whether they are enough."""


@dataclass(frozen=True)
class Budget:
    """What a series may use up.

    Parameters
    ----------
    max_scans : int, optional
        Exposures, failed ones included; unset: until no candidate is left.
    max_beam_time : float
        Seconds of exposure.
    max_time : float
        Seconds since the plan was started, whatever happened in them.

    Raises
    ------
    ConfigError
        If one of them is negative or not a number.
    """

    max_scans: int | None = None
    max_beam_time: float = math.inf
    max_time: float = math.inf

    def __post_init__(self) -> None:
        limits = (self.max_scans or 0, self.max_beam_time, self.max_time)
        if not all(limit >= 0 for limit in limits):
            raise ConfigError(f"a budget needs limits >= 0, got {self}")


@dataclass
class Spent:
    """What a series has used up.

    Parameters
    ----------
    n_scans : int
        Exposures, those of an interrupted series with the same state included.
    beam_time : float
        Seconds of exposure, likewise.
    start : float
        When the plan was started, by the monotonic clock.
    """

    n_scans: int = 0
    beam_time: float = 0.0
    start: float = field(default_factory=time.monotonic)

    def book(self, seconds: float) -> None:
        """Add one exposure."""
        self.n_scans += 1
        self.beam_time += seconds

    def why_stop(self, budget: Budget, seconds: float) -> str:
        """Tell why one more exposure is too much.

        Parameters
        ----------
        budget : Budget
            What may be used up.
        seconds : float
            Beam time of the next exposure.

        Returns
        -------
        str
            Empty if it is not.
        """
        if budget.max_scans is not None and self.n_scans >= budget.max_scans:
            return f"{self.n_scans} of {budget.max_scans} scans are done"
        # Sums of frame times are not exact.
        if self.beam_time + seconds > budget.max_beam_time * (1 + 1e-9):
            return (
                f"{self.beam_time:.6g} of {budget.max_beam_time:.6g} s of beam are "
                f"used, and a scan takes {seconds:.6g} s"
            )
        if self.seconds_left(budget) <= 0:
            return f"{budget.max_time:.6g} s have passed"
        return ""

    def seconds_left(self, budget: Budget) -> float:
        """Return how long the series may still take; 0 or less when time is up."""
        return budget.max_time - (time.monotonic() - self.start)


@runtime_checkable
class WantsLabels(Protocol):
    """A goal that asks for certain labels."""

    @property
    def wanted(self) -> Sequence[str]:
        """The labels without which it is not reached."""
        ...


@runtime_checkable
class HasVocabulary(Protocol):
    """A selector that knows which labels results may have, besides `invalid`."""

    vocabulary: Sequence[str]


def check_goal(goal: object, selector: object) -> None:
    """Refuse a goal that can never be reached.

    Parameters
    ----------
    goal : Goal or None
        One that names no labels cannot be judged.
    selector : Selector
        One without a vocabulary may learn any label.

    Raises
    ------
    ConfigError
        If it asks for a label that no result has, or is no goal.
    """
    is_goal = goal is None or (callable(goal) and not isinstance(goal, type))
    if not is_goal:
        raise ConfigError(
            "a goal takes all observations, such as AllLabelsSeen() or a function of "
            f"your own, got {goal!r}"
        )
    if not isinstance(goal, WantsLabels) or not isinstance(selector, HasVocabulary):
        return
    words = {*map(str, selector.vocabulary), str(Label.INVALID)}
    unknown = [str(label) for label in goal.wanted if label not in words]
    if unknown:
        raise ConfigError(
            f"the goal asks for {unknown}, which no result can have; those are "
            f"{', '.join(sorted(words))}: correct it, or make the selector with a "
            "vocabulary that has them"
        )


@dataclass(frozen=True)
class LabelFound:
    """Reached when a label was found often enough.

    Parameters
    ----------
    label : str
        Label that is wanted.
    n_times : int
        In how many scans.
    min_confidence : float
        Less sure labels do not count.

    Raises
    ------
    ConfigError
        If there is no label, or a number is out of bounds.

    Examples
    --------
    >>> seen = [Observation(name, "aging", 0.9, 0.1) for name in "ab"]
    >>> LabelFound("aging", 2)(seen), LabelFound("aging", 2, min_confidence=0.95)(seen)
    (True, False)
    """

    label: str
    n_times: int = 1
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        if not self.label or self.n_times < 1 or not 0 <= self.min_confidence <= 1:
            raise ConfigError(
                "a goal needs a label, n_times >= 1 and min_confidence within 0 to 1, "
                f"got {self}"
            )

    @property
    def wanted(self) -> Sequence[str]:
        """The label."""
        return (self.label,)

    def __call__(self, observations: Sequence[Observation]) -> bool:
        """Count."""
        n_found = sum(
            seen.label == self.label and seen.confidence >= self.min_confidence
            for seen in observations
        )
        return n_found >= self.n_times


@dataclass(frozen=True)
class AllLabelsSeen:
    """Reached when each label was found once at least.

    Parameters
    ----------
    labels : sequence of str
        Labels that are wanted; unset: every kind of dynamics the model knows, which
        the lack of a signal is not.
    min_confidence : float
        Less sure labels do not count.

    Raises
    ------
    ConfigError
        If there are no labels, or one word in their place, or the confidence is out of
        bounds.

    Examples
    --------
    >>> seen = [Observation("a", "aging", 0.9, 0.1)]
    >>> AllLabelsSeen(["aging"])(seen), AllLabelsSeen()(seen)
    (True, False)
    """

    labels: Sequence[str] = _KINDS
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.labels, str) or not self.labels:
            raise ConfigError(f"a goal needs a list of labels, got {self.labels!r}")
        if not 0 <= self.min_confidence <= 1:
            raise ConfigError(
                f"min_confidence must be within 0 to 1, got {self.min_confidence}"
            )

    @property
    def wanted(self) -> Sequence[str]:
        """All labels."""
        return tuple(self.labels)

    def __call__(self, observations: Sequence[Observation]) -> bool:
        """Compare sets."""
        found = {
            seen.label
            for seen in observations
            if seen.confidence >= self.min_confidence
        }
        return found.issuperset(self.labels)

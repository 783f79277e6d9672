"""What a selector is asked and told, and who answers for the results."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Protocol, runtime_checkable

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.decisions import Decision
from ainerd_bluesky.vocabulary import Label

__all__ = [
    "LARGEST",
    "Candidate",
    "Observation",
    "Results",
    "ResumableSelector",
    "Selector",
    "Suggestion",
    "TellsFailures",
    "as_number",
]

LARGEST = 1e100
"""The square of what is larger, summed over many results, is no number any more."""


@dataclass(frozen=True)
class Candidate:
    """A sample, a position on one, or a condition that can be measured.

    Parameters
    ----------
    name : str
        As the sample stage knows it; each candidate has its own.
    coordinates : tuple of float
        Where it lies among the others, such as temperature and composition, in the
        order and units of the selector's axes.
    exposure : float
        Time that its measurement takes, in seconds, without the way to it.
    sample : str
        What it belongs to, where several candidates are of one sample; empty if the
        name says it.
    """

    name: str
    coordinates: tuple[float, ...] = ()
    exposure: float = 0.0
    sample: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the candidate as JSON values, of plain types whatever came in."""
        return {
            "name": str(self.name),
            "coordinates": [float(coordinate) for coordinate in self.coordinates],
            "exposure": float(self.exposure),
            "sample": str(self.sample),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Candidate":
        """Read a candidate back."""
        return cls(**{**values, "coordinates": tuple(values["coordinates"])})


@dataclass(frozen=True)
class Suggestion:
    """A candidate worth measuring next.

    Parameters
    ----------
    candidate : Candidate
        What to measure.
    score : float
        Why it comes before others; larger is better. Scores of different strategies
        cannot be compared.
    reason : str
        The score in a sentence.
    strategy : str
        Name of the strategy that chose it.
    cost : float
        Time to get there and measure, in seconds.
    decision : Decision, optional
        All that led to it, to be kept.
    """

    candidate: Candidate
    score: float
    reason: str
    strategy: str = ""
    cost: float = 0.0
    decision: Decision | None = None


@dataclass(frozen=True)
class Observation:
    """What a measurement of a candidate gave.

    Parameters
    ----------
    name : str
        Name of the candidate.
    label : str
        Its class of dynamics; `invalid` if the quality gate refused the run.
    confidence : float
        Probability of that class.
    novelty : float
        0 to 1, how unlike everything known it is.
    probabilities : mapping of str to float
        Of each class; empty for a refused run.
    physics : mapping of str to float or None
        Properties such as ``relaxation_rate``; None where unknown.
    run_uid : str
        Run of the measurement. A second observation of one run replaces the first.
    """

    name: str
    label: str
    confidence: float
    novelty: float
    probabilities: Mapping[str, float] = field(default_factory=dict)
    physics: Mapping[str, float | None] = field(default_factory=dict)
    run_uid: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether the quality gate refused the run: it says nothing of dynamics."""
        return self.label == Label.INVALID

    def value_of(self, name: str) -> float:
        """Return a property of `physics` as a finite number; nan where unknown."""
        return as_number(self.physics.get(name))

    def as_json(self) -> dict[str, Any]:
        """Return the observation as JSON values, of plain types whatever came in."""
        return {
            "name": str(self.name),
            "label": str(self.label),
            "confidence": float(self.confidence),
            "novelty": float(self.novelty),
            "probabilities": {
                str(label): float(p) for label, p in self.probabilities.items()
            },
            "physics": _numbers(self.physics),
            "run_uid": str(self.run_uid),
        }

    @classmethod
    def from_summary(
        cls,
        name: str,
        summary: Mapping[str, Any],
        vocabulary: Collection[str] | None = None,
    ) -> "Observation":
        """Read the observation of a candidate out of a result's summary.

        Parameters
        ----------
        name : str
            Name of the candidate.
        summary : mapping
            Metadata of the result.
        vocabulary : collection of str, optional
            The words that are known where it goes. Probabilities of others are left
            out and the rest add up to 1; in place of another label stands the model's
            own, `model_label`, if the summary has it.

        Returns
        -------
        Observation
            With the summary's label, confidence, novelty, probabilities and, where it
            has them, physics and run uid.

        Raises
        ------
        SelectionError
            If label, confidence, novelty or probabilities are missing, or one is no
            number.
        """
        try:
            seen = cls(
                name=name,
                label=str(summary["label"]),
                confidence=float(summary["confidence"]),
                novelty=float(summary["novelty"]),
                probabilities={
                    str(label): float(p)
                    for label, p in summary["probabilities"].items()
                },
                physics=_numbers(summary.get("physics") or {}),
                run_uid=str(summary.get("run_uid") or ""),
            )
        except _NO_NUMBER as error:
            raise SelectionError(
                f"summary of {name!r} cannot be used: {error!r}; it has {list(summary)}"
            ) from error
        if vocabulary is None or seen.is_refused:
            return seen
        return _in_words(seen, vocabulary, str(summary.get("model_label")))


_NO_NUMBER = (KeyError, AttributeError, TypeError, ValueError, OverflowError)
"""What reading a summary raises where something is missing or no number."""


def _in_words(
    seen: Observation, vocabulary: Collection[str], model_label: str
) -> Observation:
    """Say an observation in the words of a vocabulary, as far as that is possible."""
    known = {p: seen.probabilities[p] for p in seen.probabilities if p in vocabulary}
    if len(known) < len(seen.probabilities):
        total = sum(known.values())
        # What is no probability stays as it is, to be refused.
        whole = total if 0 < total < 1 else 1.0
        known = {word: p / whole for word, p in known.items()} if total != 0 else {}
    if seen.label in vocabulary or model_label not in vocabulary:
        return replace(seen, probabilities=known)
    confidence = known.get(model_label, seen.confidence)
    return replace(seen, label=model_label, confidence=confidence, probabilities=known)


def _numbers(physics: Mapping[str, Any]) -> dict[str, float]:
    """Keep the usable numbers; physics may hold words and not-a-number as well."""
    numbers = {str(key): as_number(value) for key, value in physics.items()}
    return {key: value for key, value in numbers.items() if not math.isnan(value)}


def as_number(value: object) -> float:
    """Return a number as one that can be reckoned with.

    Parameters
    ----------
    value : object
        Perhaps a number, of Python or numpy.

    Returns
    -------
    float
        Not-a-number if it is none, or beyond 1e100 either way.
    """
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        return math.nan
    return number if abs(number) <= LARGEST else math.nan


class Selector(Protocol):
    """Chooses among candidates."""

    def suggest(self, n_suggestions: int = 1) -> list[Suggestion]:
        """Return the best candidates, best first; none when all are taken."""
        ...

    def ingest(self, observations: Sequence[Observation]) -> None:
        """Learn from measurements."""
        ...


@runtime_checkable
class ResumableSelector(Selector, Protocol):
    """A selector that follows its runs and can go on after a crash."""

    candidates: tuple[Candidate, ...]

    @property
    def observations(self) -> tuple[Observation, ...]:
        """What was ingested, one per run, in order of arrival."""
        ...

    @property
    def pending(self) -> tuple[str, ...]:
        """Names of the candidates whose results are awaited."""
        ...

    @property
    def awaited_runs(self) -> Mapping[str, str]:
        """Runs whose results are awaited, and the candidate of each."""
        ...

    @property
    def taken(self) -> tuple[Suggestion, ...]:
        """What a person took and no run measures yet."""
        ...

    @property
    def n_left(self) -> int:
        """Number of candidates that may still be suggested."""
        ...

    @property
    def left(self) -> Sequence[Candidate]:
        """Candidates that may still be suggested."""
        ...

    @property
    def excluded(self) -> Mapping[str, str]:
        """Candidates that are not suggested until they are readmitted, and why."""
        ...

    @property
    def state_hash(self) -> str:
        """Sha256 of all that makes the next decision."""
        ...

    def take(self, name: str) -> None:
        """Note that a candidate is going to be measured because a person wants it."""
        ...

    def release(self, name: str, *, is_tried: bool = True) -> None:
        """Give up waiting for a candidate: no result will come."""
        ...

    def exclude(self, name: str, why: str) -> None:
        """Do not suggest a candidate until it is readmitted."""
        ...

    def readmit(self, name: str) -> None:
        """Let an excluded candidate be suggested again."""
        ...

    def note_run(self, name: str, run_uid: str) -> None:
        """Note which run measures a candidate."""
        ...

    def name_of_run(self, run_uid: str) -> str:
        """Return the candidate that a run measures; an unknown run is an error."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that makes the next decision, as JSON values."""
        ...

    def copy(self) -> "ResumableSelector":
        """Return another one in the same state, for a dry run."""
        ...

    def redo(self, event: Mapping[str, Any]) -> None:
        """Let an event of a saved state happen again."""
        ...


@runtime_checkable
class Results(Protocol):
    """Knows the results of runs."""

    async def wait(self, run_uid: str, timeout: float) -> dict[str, Any] | None:
        """Return the summary of a run's result; None if it does not come in time."""
        ...


@runtime_checkable
class TellsFailures(Protocol):
    """Knows which runs will never have a result."""

    def has_failed(self, run_uid: str) -> bool:
        """Tell whether no result will come of a run, unless somebody tries again."""
        ...

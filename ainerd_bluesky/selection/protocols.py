"""What a selector is asked and told, and who answers for the results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ainerd_bluesky.errors import SelectionError

__all__ = ["Candidate", "Observation", "Results", "Selector", "Suggestion"]


@dataclass(frozen=True)
class Candidate:
    """A sample that can be measured.

    Parameters
    ----------
    name : str
        As the sample stage knows it.
    coordinates : tuple of float
        Where it lies among the others, such as temperature and composition. Units are
        free: each coordinate is scaled by its range over all candidates.
    """

    name: str
    coordinates: tuple[float, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """A candidate worth measuring next.

    Parameters
    ----------
    candidate : Candidate
        What to measure.
    score : float
        Why it comes before others; larger is better.
    reason : str
        The score in a sentence.
    """

    candidate: Candidate
    score: float
    reason: str


@dataclass(frozen=True)
class Observation:
    """What a measurement of a candidate gave.

    Parameters
    ----------
    name : str
        Name of the candidate.
    label : str
        Its class of dynamics.
    confidence : float
        Probability of that class.
    novelty : float
        0 to 1, how unlike everything known it is.
    probabilities : mapping of str to float
        Of each class; empty for a refused run.
    """

    name: str
    label: str
    confidence: float
    novelty: float
    probabilities: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_summary(cls, name: str, summary: Mapping[str, Any]) -> "Observation":
        """Read the observation of a candidate out of a result's summary.

        Parameters
        ----------
        name : str
            Name of the candidate.
        summary : mapping
            Metadata of the result.

        Returns
        -------
        Observation
            With the summary's label, confidence, novelty and probabilities.

        Raises
        ------
        SelectionError
            If one of them is missing.
        """
        try:
            return cls(
                name=name,
                label=str(summary["label"]),
                confidence=float(summary["confidence"]),
                novelty=float(summary["novelty"]),
                probabilities=dict(summary["probabilities"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SelectionError(
                f"summary of {name!r} is incomplete: {error!r}; it has {list(summary)}"
            ) from error


class Selector(Protocol):
    """Chooses among candidates."""

    def suggest(self, n_suggestions: int = 1) -> list[Suggestion]:
        """Return the best candidates, best first; none when all are taken."""
        ...

    def ingest(self, observations: Sequence[Observation]) -> None:
        """Learn from measurements."""
        ...


class Results(Protocol):
    """Knows the results of runs."""

    async def wait(self, run_uid: str, timeout: float) -> dict[str, Any] | None:
        """Return the summary of a run's result; None if it does not come in time."""
        ...

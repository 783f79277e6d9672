"""A decision as data: what was chosen, out of what, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ainerd_bluesky.errors import SelectionError

__all__ = ["Decision", "Ranked"]


@dataclass(frozen=True)
class Ranked:
    """A candidate as a decision saw it.

    Parameters
    ----------
    name : str
        Name of the candidate.
    score : float
        Its score by the strategy of the decision, costs and awaited results counted.
    cost : float
        Time to get there and measure, in seconds.
    """

    name: str
    score: float
    cost: float


@dataclass(frozen=True)
class Decision:
    """One choice of a selector, complete enough to be told in words years later.

    Parameters
    ----------
    number : int
        From 0 in the life of the selector, across restarts.
    chosen : str
        Name of the candidate.
    coordinates : dict of str to float
        Where it lies, by the names of the axes.
    strategy : str
        Who chose.
    score, cost : float
        Of what was chosen.
    reason : str
        One sentence.
    values : dict of str to float
        The numbers that the reason rests on.
    top : tuple of Ranked
        The best five candidates, best first.
    n_candidates : int
        How many could be chosen.
    n_observations : int
        How many results were known.
    state_hash : str
        Of the selector before the choice.
    run_uid : str
        The run that came of it; empty until there is one.
    """

    number: int
    chosen: str
    coordinates: dict[str, float]
    strategy: str
    score: float
    cost: float
    reason: str
    values: dict[str, float]
    top: tuple[Ranked, ...]
    n_candidates: int
    n_observations: int
    state_hash: str
    run_uid: str = ""

    @property
    def key(self) -> str:
        """Name for a node: number and state, so that no two decisions share it."""
        return f"decision-{self.number:06d}-{self.state_hash[:12]}"

    def of_run(self, run_uid: str) -> "Decision":
        """Return the same decision with the run that came of it."""
        return replace(self, run_uid=run_uid)

    def as_json(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        return {**asdict(self), "top": [asdict(ranked) for ranked in self.top]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Decision":
        """Read a decision back.

        Parameters
        ----------
        values : mapping
            From `as_json`.

        Returns
        -------
        Decision
            Equal to the one that was written.

        Raises
        ------
        SelectionError
            If a field is missing or unknown.
        """
        try:
            top = tuple(Ranked(**item) for item in values["top"])
            return cls(**{**values, "top": top})
        except (KeyError, TypeError) as error:
            raise SelectionError(f"not a decision: {error!r}") from error

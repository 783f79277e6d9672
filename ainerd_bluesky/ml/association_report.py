"""What was found of dynamics against properties: answers, predictions, remarks."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.json_values import as_json

__all__ = ["LEVEL", "Association", "AssociationReport", "Prediction"]

LEVEL = 0.05
"""Adjusted p-value below which an association counts as found."""


@dataclass(frozen=True)
class Association:
    """Whether a property goes with one side of the dynamics.

    Parameters
    ----------
    name : str
        The property.
    dynamics : str
        A quantity of the physics, `label` or `fingerprint`.
    measure : str
        `spearman` and `kendall` (-1 to 1), `mutual_information` (bits), `ridge` and
        `neighbours` (Q2, the share of variance predicted in rows held out).
    value : float
        Of the measure.
    chance : float
        Its mean over exchanged values; of the size, where the sign tells a direction.
    p_value : float
        How often chance does at least as well.
    p_adjusted : float
        The same, adjusted for all that was asked of this property, and for the number
        of properties.
    n_rows : int
        Rows for which both are known.
    n_groups : int
        Groups among them.
    exchange : str
        What was exchanged: `groups`, `within` or `time`.
    """

    name: str
    dynamics: str
    measure: str
    value: float
    chance: float
    p_value: float
    p_adjusted: float
    n_rows: int
    n_groups: int
    exchange: str

    @property
    def is_found(self) -> bool:
        """True where chance is an unlikely explanation, below 5 % after adjustment."""
        return self.p_adjusted < LEVEL


@dataclass(frozen=True, eq=False)
class Prediction:
    """A property as measured and as predicted without the rows of the same fold.

    Parameters
    ----------
    name : str
        The property.
    measure : str
        `ridge` or `neighbours`, whichever did better.
    rows : ndarray of int
        Indices of the rows.
    measured, predicted : ndarray of float64
        Equally long.
    """

    name: str
    measure: str
    rows: NDArray[np.intp]
    measured: NDArray[np.float64]
    predicted: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AssociationReport:
    """What `associate` found.

    Parameters
    ----------
    associations : tuple of Association
        Every answer, by property.
    predictions : tuple of Prediction
        The better prediction of each property.
    remarks : tuple of str
        What limits the answers, in words.
    n_permutations : int
        Exchanges drawn for each answer, at most.
    random_state : int
        Rules all chance.
    """

    associations: tuple[Association, ...]
    predictions: tuple[Prediction, ...]
    remarks: tuple[str, ...]
    n_permutations: int
    random_state: int

    def of(self, name: str) -> tuple[Association, ...]:
        """Return the answers about one property."""
        return tuple(answer for answer in self.associations if answer.name == name)

    def sentence(self, name: str) -> str:
        """Say in words what goes with a property, the strongest answers only."""
        found = [answer for answer in self.of(name) if answer.is_found]
        # Of two rank correlations of one quantity, the first is told.
        ranked = {
            answer.dynamics: answer
            for answer in reversed(found)
            if answer.measure in {"spearman", "kendall"}
        }
        parts = [_rank_words(answer) for answer in reversed(ranked.values())]
        parts += [
            f"the label tells {answer.value:.2f} bit of it (chance {answer.chance:.2f})"
            for answer in found
            if answer.measure == "mutual_information"
        ]
        predicting = [answer for answer in found if answer.dynamics == "fingerprint"]
        if predicting:
            best = max(predicting, key=lambda answer: answer.value)
            parts.append(_prediction_words(best))
        return f"{name}: {'; '.join(parts) or 'nothing found that goes with it'}"

    def as_json(self) -> dict[str, Any]:
        """Return the answers as JSON values."""
        found: dict[str, Any] = as_json(
            {
                "associations": [asdict(answer) for answer in self.associations],
                "remarks": self.remarks,
                "n_permutations": self.n_permutations,
                "random_state": self.random_state,
            }
        )
        return found


def _rank_words(answer: Association) -> str:
    direction = "rises" if answer.value > 0 else "falls"
    return f"{direction} with {answer.dynamics} (rank correlation {answer.value:.2f})"


def _prediction_words(answer: Association) -> str:
    if answer.value <= 0:
        return f"the fingerprint hardly predicts it (Q2 {answer.value:.2f})"
    return f"the fingerprint predicts {answer.value:.0%} of its variance"

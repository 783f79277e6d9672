"""How a selector learns and weighs."""

import math
from dataclasses import dataclass

from ainerd_bluesky.errors import SelectionError

__all__ = ["SelectorSettings"]


@dataclass(frozen=True)
class SelectorSettings:
    """How a selector learns and weighs.

    Parameters
    ----------
    length_scales : tuple of float
        Distances over which neighbours may be alike, as fractions of the range of a
        coordinate; results tell which of them is right.
    max_remeasures : int
        How often a candidate may be tried again after the gate refused it, or after
        it was released without a result.
    cost_weight : float
        0: costs do not count; 1: score per second counts.
    random_state : int
        Decides between candidates of the same score.

    Raises
    ------
    SelectionError
        If one of them is out of bounds.
    """

    length_scales: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    max_remeasures: int = 1
    cost_weight: float = 0.5
    random_state: int = 0

    def __post_init__(self) -> None:
        if not self.length_scales or not all(
            0 < scale < math.inf for scale in self.length_scales
        ):
            raise SelectionError(
                "length_scales need finite fractions of the range, each > 0, got "
                f"{self.length_scales}"
            )
        if self.max_remeasures < 0:
            raise SelectionError(
                f"max_remeasures must be 0 or more, got {self.max_remeasures}"
            )
        if not 0 <= self.cost_weight <= 1:
            raise SelectionError(
                f"cost_weight must be within 0 to 1, got {self.cost_weight}"
            )
        if self.random_state < 0:
            raise SelectionError(
                f"random_state must be 0 or more, got {self.random_state}"
            )

"""One figure of a model, what others reach, and what is wanted."""

import math
from dataclasses import dataclass, field

__all__ = ["ModelRow"]


@dataclass(frozen=True)
class ModelRow:
    """One line of the table.

    Parameters
    ----------
    subject : str
        What was measured.
    value : float
        What came out; nan where it could not be measured, then `note` says why.
    target : float, optional
        What is wanted; None for a line that only informs.
    more_is_better : bool
        Whether the target is a lower bound.
    baselines : dict of str to float
        The same figure of other representations, measured in the same run.
    note : str
        What has to be known to read the figure.
    """

    subject: str
    value: float = math.nan
    target: float | None = None
    more_is_better: bool = False
    baselines: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none or no figure."""
        if self.target is None or math.isnan(self.value):
            return None
        if self.more_is_better:
            return self.value >= self.target
        return self.value <= self.target

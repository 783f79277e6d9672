"""Exposures of spots, and what each spot has had of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dose", "DoseTally", "Floats", "Position"]

Position = tuple[float, ...]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dose:
    """One exposure of one spot, booked before it happened.

    Parameters
    ----------
    sample : str
        Name of the sample.
    position : tuple of float
        Where.
    dose : float
        In the units of `Spots.max_dose`.
    run_uid : str
        Run of the exposure.
    """

    sample: str
    position: Position
    dose: float
    run_uid: str

    def as_json(self) -> dict[str, Any]:
        """Return the exposure as JSON values."""
        return {**asdict(self), "position": list(self.position)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Dose":
        """Read an exposure back."""
        return cls(
            str(values["sample"]),
            tuple(map(float, values["position"])),
            float(values["dose"]),
            str(values["run_uid"]),
        )


class DoseTally:
    """What each spot of one sample has had, counted when it happens.

    Parameters
    ----------
    places : list of tuple of float
        The spots.
    reach : float
        What lies nearer to an exposure than this has had its dose.
    """

    def __init__(self, places: list[Position], reach: float) -> None:
        self.doses: list[Dose] = []
        self.n_exposures = np.zeros(len(places), dtype=np.int64)
        self.dose = np.zeros(len(places))
        self._places = np.array(places, dtype=float)
        self._reach = reach

    def add(self, dose: Dose) -> None:
        """Count an exposure."""
        self.doses.append(dose)
        # An earlier session may have had more motors, or fewer.
        if self._places.shape[1:] == (len(dose.position),):
            is_near = self._is_near(self._places, dose.position)
            self.n_exposures += is_near
            self.dose += dose.dose * is_near

    def near(self, position: Position) -> list[Dose]:
        """Return the exposures that a place has had."""
        doses = [dose for dose in self.doses if len(dose.position) == len(position)]
        if not doses:
            return []
        places = np.array([dose.position for dose in doses])
        return [doses[i] for i in np.flatnonzero(self._is_near(places, position))]

    def _is_near(self, places: Floats, position: Position) -> NDArray[np.bool_]:
        distance = np.linalg.norm(places - np.array(position), axis=1)
        return np.asarray((distance == 0) | (distance < self._reach))

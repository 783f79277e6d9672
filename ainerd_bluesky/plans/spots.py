"""Fresh spots inside samples, and the dose that each has had."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from bluesky.protocols import Movable
from scipy.spatial import KDTree

from ainerd_bluesky.errors import ConfigError, SpotError

__all__ = ["Dose", "Spot", "Spots", "spot_grid"]

Position = tuple[float, ...]

# Positions are computed, and so are no exact multiples of the spacing; doses are sums.
_TOLERANCE = 1e-6
_SHOWN = 3


@dataclass(frozen=True)
class Spot:
    """A place inside a sample.

    Parameters
    ----------
    sample : str
        Name of the sample.
    index : int
        Place in the list of the sample's spots.
    position : tuple of float
        Where the motors go, one value each.
    """

    sample: str
    index: int
    position: Position

    def as_json(self) -> dict[str, Any]:
        """Return what the start document says of it."""
        return {**asdict(self), "position": list(self.position)}


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
        return cls(**{**values, "position": tuple(values["position"])})


class Spots:
    """Places inside samples, none of them exposed beyond its limit.

    What lies nearer to an exposed place than `spacing` has had its dose, too, so the
    list may be changed between two series.

    Parameters
    ----------
    motors : sequence of Movable
        Move inside the sample that the stage has brought into the beam.
    positions : sequence of tuple of float, or mapping of str to such a sequence
        Where the spots are, one value for each motor: of every sample, or of each
        sample by its name.
    spacing : float, optional
        Least distance of two spots, in the units of the motors.
    max_exposures : int, optional
        Exposures that one spot may get.
    max_dose : float, optional
        Dose that one spot may get.
    dose_rate : float, optional
        Dose of one second of beam. With 1, dose is counted in seconds.

    Raises
    ------
    ConfigError
        If a limit is out of bounds, a position does not fit the motors, or two spots
        of a sample are too near to each other.

    Examples
    --------
    >>> spots = Spots([None], [(0.0,), (0.1,)], spacing=0.1)
    >>> spots.book(Dose("gel", (0.0,), 5.12, "4f1c"))
    >>> spots.fresh("gel", 5.12).position
    (0.1,)
    """

    def __init__(
        self,
        motors: Sequence[Movable[float]],
        positions: Sequence[Position] | Mapping[str, Sequence[Position]],
        *,
        spacing: float = 0.0,
        max_exposures: int = 1,
        max_dose: float = math.inf,
        dose_rate: float = 1.0,
    ) -> None:
        if not (spacing >= 0 and max_exposures >= 1 and max_dose > 0 and dose_rate > 0):
            raise ConfigError(
                "spots need spacing >= 0, max_exposures >= 1, max_dose > 0 and "
                f"dose_rate > 0, got {spacing}, {max_exposures}, {max_dose} and "
                f"{dose_rate}"
            )
        lists = positions if isinstance(positions, Mapping) else {"": positions}
        for sample, places in lists.items():
            _check(sample, places, len(motors), spacing)

        self.motors = tuple(motors)
        self.spacing = spacing
        self.max_exposures = max_exposures
        self.max_dose = max_dose
        self.dose_rate = dose_rate
        self._is_for_all = not isinstance(positions, Mapping)
        self._places = {name: _plain(places) for name, places in lists.items()}
        self._doses: dict[str, list[Dose]] = {}

    @property
    def doses(self) -> tuple[Dose, ...]:
        """All exposures, sample by sample."""
        return tuple(itertools.chain.from_iterable(self._doses.values()))

    def dose_of(self, seconds: float) -> float:
        """Return the dose of an exposure.

        Parameters
        ----------
        seconds : float
            Beam time.

        Returns
        -------
        float
            Dose.

        Raises
        ------
        ConfigError
            If no spot could ever take it.
        """
        dose = seconds * self.dose_rate
        if dose > self.max_dose * (1 + _TOLERANCE):
            raise ConfigError(
                f"one scan of {seconds:.6g} s is a dose of {dose:.6g}, more than the "
                f"{self.max_dose:.6g} that a spot may get: take fewer frames, or "
                "attenuate the beam and lower dose_rate"
            )
        return dose

    def fresh(self, sample: str, dose: float) -> Spot:
        """Return the least exposed spot of a sample that can take a dose.

        Parameters
        ----------
        sample : str
            Name of the sample.
        dose : float
            Of the exposure to come.

        Returns
        -------
        Spot
            The first in the list among those with the fewest exposures.

        Raises
        ------
        SpotError
            If there is none.
        """
        spots = self.of_sample(sample)
        free = [spot for spot in spots if self._takes(spot, dose)]
        if not free:
            n_exposures = len(self._doses.get(sample, ()))
            raise SpotError(
                f"sample {sample!r} has no fresh spot left: {len(spots)} spots, "
                f"{n_exposures} exposures; a spot takes {self.max_exposures} with a "
                f"dose of {self.max_dose:.6g} in all"
            )
        return min(free, key=lambda spot: len(self._near(spot)))

    def of_sample(self, sample: str) -> list[Spot]:
        """Return all spots of a sample.

        Parameters
        ----------
        sample : str
            Name of the sample.

        Returns
        -------
        list of Spot
            In the order of the list.

        Raises
        ------
        SpotError
            If none were given.
        """
        key = "" if self._is_for_all else sample
        if key not in self._places:
            raise SpotError(
                f"no spots are known of sample {sample!r}; those of "
                f"{list(self._places)[:_SHOWN]} ... are"
            )
        return [Spot(sample, index, p) for index, p in enumerate(self._places[key])]

    def book(self, dose: Dose) -> None:
        """Note an exposure that is about to happen.

        Parameters
        ----------
        dose : Dose
            The exposure.

        Raises
        ------
        SpotError
            If its place cannot take it.
        """
        if not self._takes(Spot(dose.sample, 0, dose.position), dose.dose):
            raise SpotError(
                f"position {dose.position} of sample {dose.sample!r} cannot take a "
                f"dose of {dose.dose:.6g}: it has had {self._near_json(dose)}"
            )
        self._doses.setdefault(dose.sample, []).append(dose)

    def recall(self, doses: Iterable[Dose]) -> None:
        """Note exposures of an earlier session, each once, whatever the limits are now.

        Parameters
        ----------
        doses : iterable of Dose
            From `doses` of that session.
        """
        for dose in doses:
            of_sample = self._doses.setdefault(dose.sample, [])
            if dose not in of_sample:
                of_sample.append(dose)

    def _takes(self, spot: Spot, dose: float) -> bool:
        near = self._near(spot)
        total = math.fsum([dose, *(item.dose for item in near)])
        is_allowed = total <= self.max_dose * (1 + _TOLERANCE)
        return is_allowed and len(near) < self.max_exposures

    def _near(self, spot: Spot) -> list[Dose]:
        reach = self.spacing * (1 - _TOLERANCE)
        return [
            dose
            for dose in self._doses.get(spot.sample, ())
            if _is_near(dose.position, spot.position, reach)
        ]

    def _near_json(self, dose: Dose) -> list[dict[str, Any]]:
        near = self._near(Spot(dose.sample, 0, dose.position))
        return [item.as_json() for item in near]


def spot_grid(n_rows: int, n_columns: int, spacing: float) -> list[Position]:
    """Lay a grid of spots around the middle of a sample.

    Parameters
    ----------
    n_rows, n_columns : int
        Size of the grid.
    spacing : float
        Distance of neighbours, in the units of the motors.

    Returns
    -------
    list of tuple of float
        Column and row, x and y: to and fro, so that each way is one step.

    Raises
    ------
    ConfigError
        If there is no spot or no spacing.

    Examples
    --------
    >>> spot_grid(2, 2, 0.5)
    [(-0.25, -0.25), (0.25, -0.25), (0.25, 0.25), (-0.25, 0.25)]
    """
    if n_rows < 1 or n_columns < 1 or not 0 < spacing < math.inf:
        raise ConfigError(
            "a grid of spots needs n_rows >= 1, n_columns >= 1 and spacing > 0, got "
            f"{n_rows}, {n_columns} and {spacing}"
        )
    x = [spacing * (column - (n_columns - 1) / 2) for column in range(n_columns)]
    y = [spacing * (row - (n_rows - 1) / 2) for row in range(n_rows)]
    return [
        (value, y[row])
        for row in range(n_rows)
        for value in (x if row % 2 == 0 else reversed(x))
    ]


def _plain(places: Sequence[Position]) -> list[Position]:
    return [tuple(map(float, place)) for place in places]


def _is_near(a: Position, b: Position, reach: float) -> bool:
    return a == b or (len(a) == len(b) and math.dist(a, b) < reach)


def _check(
    sample: str, places: Sequence[Position], n_motors: int, spacing: float
) -> None:
    who = f"spots of sample {sample!r}" if sample else "spots"
    if not places:
        raise ConfigError(f"{who}: need one position at least, got none")
    for place in places:
        if len(place) != n_motors or not all(map(math.isfinite, place)):
            raise ConfigError(
                f"{who}: a position needs {n_motors} finite values, one for each "
                f"motor, got {place}"
            )
    near = KDTree(np.array(places, dtype=float)).query_pairs(spacing * (1 - _TOLERANCE))
    if near:
        a, b = min(near)
        raise ConfigError(
            f"{who}: {tuple(places[a])} and {tuple(places[b])} are nearer to each "
            f"other than {spacing:.6g}"
        )

"""Fresh spots inside samples, none exposed beyond its limit."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from bluesky.protocols import Movable
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ainerd_bluesky.errors import ConfigError, SpotError
from ainerd_bluesky.plans.doses import Dose, DoseTally, Floats, Position

__all__ = ["Spot", "Spots", "spot_grid"]

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
        places = {
            sample: _places(sample, positions, len(motors), spacing)
            for sample, positions in lists.items()
        }

        self.motors = tuple(motors)
        self.spacing = spacing
        self.max_exposures = max_exposures
        self.max_dose = max_dose
        self.dose_rate = dose_rate
        self._is_for_all = not isinstance(positions, Mapping)
        self._places = places
        self._reach = spacing * (1 - _TOLERANCE)
        self._tallies: dict[str, DoseTally] = {}
        self._known: set[Dose] = set()

    @property
    def doses(self) -> tuple[Dose, ...]:
        """All exposures, sample by sample."""
        return tuple(dose for tally in self._tallies.values() for dose in tally.doses)

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
        places, tally = self._of_sample(sample), self._tally(sample)
        free = np.flatnonzero(self._takes(tally.n_exposures, tally.dose, dose))
        if len(free) == 0:
            raise SpotError(
                f"sample {sample!r} has no fresh spot left: {len(places)} spots, "
                f"{len(tally.doses)} exposures; a spot takes {self.max_exposures} with "
                f"a dose of {self.max_dose:.6g} in all"
            )
        index = int(free[tally.n_exposures[free].argmin()])
        return Spot(sample, index, places[index])

    def why_none(self, sample: str, dose: float) -> str:
        """Tell why a sample has no spot that can take a dose; empty if it has one."""
        try:
            self.fresh(sample, dose)
        except SpotError as error:
            return str(error)
        return ""

    def of_sample(self, sample: str) -> list[Spot]:
        """Return all spots of a sample.

        Parameters
        ----------
        sample : str
            Name of the sample.

        Returns
        -------
        list of Spot
            In the order of the list; a sample without any is a `SpotError`.
        """
        places = self._of_sample(sample)
        return [Spot(sample, index, place) for index, place in enumerate(places)]

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
        near = self._tally(dose.sample).near(dose.position)
        total = math.fsum(item.dose for item in near)
        if not self._takes(np.array(len(near)), np.array(total), dose.dose):
            raise SpotError(
                f"position {dose.position} of sample {dose.sample!r} cannot take a "
                f"dose of {dose.dose:.6g}: it has had {len(near)} exposures with a "
                f"dose of {total:.6g}"
            )
        self._add(dose)

    def recall(self, doses: Iterable[Dose]) -> None:
        """Note exposures of an earlier session, each once, whatever the limits are now.

        Parameters
        ----------
        doses : iterable of Dose
            From `doses` of that session.
        """
        for dose in doses:
            if dose not in self._known:
                self._add(dose)

    def _add(self, dose: Dose) -> None:
        self._known.add(dose)
        self._tally(dose.sample).add(dose)

    def _tally(self, sample: str) -> DoseTally:
        if sample not in self._tallies:
            places = self._places.get("" if self._is_for_all else sample, [])
            self._tallies[sample] = DoseTally(places, self._reach)
        return self._tallies[sample]

    def _of_sample(self, sample: str) -> list[Position]:
        key = "" if self._is_for_all else sample
        if key not in self._places:
            raise SpotError(
                f"no spots are known of sample {sample!r}; those of "
                f"{list(self._places)[:_SHOWN]} ... are"
            )
        return self._places[key]

    def _takes(
        self, n_exposures: NDArray[np.int64], had: Floats, dose: float
    ) -> NDArray[np.bool_]:
        """Tell what can take a dose after what it has had."""
        is_allowed = had + dose <= self.max_dose * (1 + _TOLERANCE)
        return np.asarray(is_allowed & (n_exposures < self.max_exposures))


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


def _places(
    sample: str, positions: Iterable[Position], n_motors: int, spacing: float
) -> list[Position]:
    """Return checked positions as tuples of floats."""
    who = f"spots of sample {sample!r}" if sample else "spots"
    try:
        places = [tuple(map(float, position)) for position in positions]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{who}: positions need values: {error}") from error
    if not places:
        raise ConfigError(f"{who}: need one position at least, got none")
    for place in places:
        if len(place) != n_motors or not all(map(math.isfinite, place)):
            raise ConfigError(
                f"{who}: a position needs {n_motors} finite values, one for each "
                f"motor, got {place}"
            )
    near = KDTree(np.array(places)).query_pairs(spacing * (1 - _TOLERANCE))
    if near:
        a, b = min(near)
        raise ConfigError(
            f"{who}: {places[a]} and {places[b]} are nearer to each other than "
            f"{spacing:.6g}"
        )
    return places

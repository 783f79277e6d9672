"""What a campaign may measure: listed, in a table, or on a grid of conditions."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.selection import Axis, grid_candidates

__all__ = ["AxisConfig", "CandidateConfig", "GridConfig", "read_candidates"]

_COLUMNS = ("name", "sample", "exposure")
_N_DIGITS = 12

Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AxisConfig(_Section):
    """One coordinate of the candidates."""

    name: str = Field(min_length=1)
    """Such as `temperature`; a column of the candidates' file."""
    low: float = -math.inf
    """Nothing below is ever suggested."""
    high: float = math.inf
    """Nothing above is ever suggested."""
    seconds_per_unit: Annotated[float, Field(ge=0)] = 0.0
    """Time that a change takes."""
    settle: Annotated[float, Field(ge=0)] = 0.0
    """Seconds to wait after any change."""
    is_log: bool = False
    """Whether distances are those of logarithms: shear rates span decades."""

    @model_validator(mode="after")
    def _check_axis(self) -> "AxisConfig":
        self.make()
        return self

    def make(self) -> Axis:
        """Return the axis of a selector."""
        return Axis(**dict(self))


class CandidateConfig(_Section):
    """Something that can be measured."""

    name: str = Field(min_length=1)
    """Each has its own."""
    coordinates: tuple[Finite, ...] = ()
    """In the order and units of the axes."""
    sample: str = ""
    """As the stage knows it; empty: the name."""
    exposure: Seconds = 0.0
    """Seconds of one measurement."""


class GridConfig(_Section):
    """Candidates at every combination of conditions of one sample."""

    sample: str = Field(min_length=1)
    """As the stage knows it."""
    points: Annotated[dict[str, Annotated[int, Field(ge=2)]], Field(min_length=1)]
    """Number of values from `low` to `high`, both included, by the name of the axis;
    equal steps, or equal factors where the axis is logarithmic."""
    exposure: Seconds = 0.0
    """Seconds of one measurement."""

    def candidates(self, axes: Sequence[AxisConfig]) -> tuple[CandidateConfig, ...]:
        """Return the candidates.

        Parameters
        ----------
        axes : sequence of AxisConfig
            Of the campaign.

        Returns
        -------
        tuple of CandidateConfig
            The last axis changes fastest.

        Raises
        ------
        ConfigError
            If the grid has other axes than the campaign, or one lacks a limit.
        """
        names = [axis.name for axis in axes]
        if sorted(names) != sorted(self.points):
            raise ConfigError(
                f"grid.points names {sorted(self.points)}, axes are {sorted(names)}"
            )
        values = {axis.name: _spread(axis, self.points[axis.name]) for axis in axes}
        found = grid_candidates(values, exposure=self.exposure, sample=self.sample)
        return tuple(
            CandidateConfig(
                name=one.name,
                coordinates=one.coordinates,
                sample=one.sample,
                exposure=one.exposure,
            )
            for one in found
        )


def read_candidates(path: Path, axes: Sequence[str]) -> tuple[CandidateConfig, ...]:
    """Read a table of candidates.

    Parameters
    ----------
    path : Path
        CSV with the columns `name` and those of the axes; `sample` and `exposure` if
        wanted.
    axes : sequence of str
        Names of the axes.

    Returns
    -------
    tuple of CandidateConfig
        One for each row.

    Raises
    ------
    ConfigError
        If the file cannot be read, has no row or other columns, or a row has more or
        fewer cells, a bad value, or the name of another; the text names file and line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read candidates {path}: {error}") from error
    if not rows:
        raise ConfigError(f"{path} holds no candidates")
    _check_columns(path, reader.fieldnames or (), axes)
    lines: dict[str, int] = {}
    candidates = []
    for line, row in rows:
        candidate = _read_row(f"{path}, line {line}", row, axes)
        first = lines.setdefault(candidate.name, line)
        if first != line:
            raise ConfigError(
                f"{path}, line {line}: {candidate.name!r} is in line {first} already: "
                "give each candidate a name of its own"
            )
        candidates.append(candidate)
    return tuple(candidates)


def _check_columns(path: Path, columns: Sequence[str], axes: Iterable[str]) -> None:
    wanted = {"name", *axes}
    unknown = {name for name in columns if name not in {*_COLUMNS, *wanted}}
    twice = {name for name in columns if columns.count(name) > 1}
    missing = wanted - set(columns)
    if unknown or missing or twice:
        raise ConfigError(
            f"{path}: columns {sorted(unknown)} are unknown, {sorted(missing)} are "
            f"missing, {sorted(twice)} are there twice; axes are {sorted(axes)}"
        )


def _read_row(
    where: str, row: Mapping[str | None, str | None], axes: Iterable[str]
) -> CandidateConfig:
    # csv puts what is beyond the header under None, and None where a cell is missing.
    if None in row or None in row.values():
        raise ConfigError(
            f"{where}: more or fewer cells than the header has; write decimals with a "
            "point, and text that holds a comma in quotes"
        )
    try:
        return CandidateConfig(
            name=str(row["name"]),
            coordinates=tuple(float(row[axis] or "") for axis in axes),
            sample=row.get("sample") or "",
            exposure=float(row.get("exposure") or 0.0),
        )
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _spread(axis: AxisConfig, n_points: int) -> list[float]:
    """Return values from one limit of an axis to the other."""
    if not axis.make().is_bounded:
        raise ConfigError(
            f"a grid needs finite limits of axis {axis.name!r}, got low {axis.low} and "
            f"high {axis.high}"
        )
    spread = np.geomspace if axis.is_log else np.linspace
    values = spread(axis.low, axis.high, n_points).tolist()
    # They are arguments of a plan: 0.3 and not 0.30000000000000004.
    return [float(f"{value:.{_N_DIGITS}g}") for value in values]

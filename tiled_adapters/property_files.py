"""Macroscopic properties from a table that another instrument wrote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError, FileFormatError

__all__ = ["PropertyFile", "shown_time"]

Floats = NDArray[np.float64]
_TOO_LARGE = 1e11
"""As seconds since 1970 the year 5138, as milliseconds 1973."""


@dataclass(frozen=True)
class PropertyFile:
    """A table in a text file, and how its rows belong to runs.

    Parameters
    ----------
    path : Path
        Columns with a header, separated by commas, semicolons or tabs.
    on : str
        Column that tells which row belongs to a run: `run_uid` and `sample` must be
        equal, letter by letter; any other column is a time, and the last step before
        the run counts.
    start : str or float, optional
        Where times are seconds from a zero of their own: that zero as an ISO time or in
        seconds since 1970. Otherwise times are seconds since 1970, or ISO times.
    tolerance : float
        Longest time from a step to the start of a run, in seconds.
    """

    path: Path
    on: str = "time"
    start: str | float | None = None
    tolerance: float = 60.0

    @property
    def is_timed(self) -> bool:
        """True where rows are time steps."""
        return self.on not in {"run_uid", "sample"}

    @property
    def zero(self) -> float:
        """When the clock of the table was at 0, in seconds since 1970."""
        if isinstance(self.start, str):
            return _timestamp(self.start, "the start of the table")
        return self.start or 0.0

    def values(self, names: Sequence[str], runs: pd.DataFrame) -> dict[str, Floats]:
        """Return the properties of runs.

        Parameters
        ----------
        names : sequence of str
            Columns.
        runs : pandas.DataFrame
            One row a run, with `run_uid`, `sample` and `time`: its start in seconds
            since 1970, nan where unknown.

        Returns
        -------
        dict of str to ndarray of shape (n_runs,)
            nan for a run that the table does not cover.

        Raises
        ------
        ConfigError
            If a column is missing or does not hold numbers, or no run is covered.

        Notes
        -----
        A file that is no table is a `FileFormatError`.
        """
        table = self._read()
        for name in (self.on, *names):
            if name not in table:
                columns = ", ".join(map(str, table.columns))
                raise ConfigError(f"{self.path} has no column {name!r}, only {columns}")
        matched = (
            self._timed(table, runs) if self.is_timed else self._keyed(table, runs)
        )
        return {
            name: _taken(_numbers(table[name], f"{name} in {self.path}"), matched)
            for name in names
        }

    def _read(self) -> pd.DataFrame:
        try:
            # As text: a sample 001 is not a sample 1.
            table = pd.read_csv(
                self.path, sep=None, engine="python", skipinitialspace=True, dtype=str
            )
        except (OSError, ValueError, pd.errors.ParserError) as error:
            raise FileFormatError(f"{self.path} is no table: {error}") from error
        return table.rename(columns=lambda name: str(name).strip())

    def _keyed(self, table: pd.DataFrame, runs: pd.DataFrame) -> NDArray[np.intp]:
        """Return the row of the table for each run, -1 where there is none."""
        keys = table[self.on].str.strip()
        rows = np.flatnonzero(keys.notna())
        keys = keys.iloc[rows]
        if keys.duplicated().any():
            twice = keys[keys.duplicated()].iloc[0]
            raise ConfigError(f"{self.path} has more than one row for {twice!r}")
        if keys.empty:
            raise ConfigError(f"{self.on} is empty in every row of {self.path}")
        found = pd.Index(keys).get_indexer(pd.Index(runs[self.on].astype(str)))
        matched = np.where(runs[self.on].notna() & (found >= 0), rows[found], -1)
        if (matched < 0).all():
            named = runs[self.on].dropna()
            here = f"the first run {named.iloc[0]!r}" if len(named) else "no run any"
            raise ConfigError(
                f"no {self.on} of {self.path} is that of a run here: it has "
                f"{keys.iloc[0]!r}, {here}"
            )
        return matched

    def _timed(self, table: pd.DataFrame, runs: pd.DataFrame) -> NDArray[np.intp]:
        """Return the last step before each run, -1 where it is too long ago."""
        starts = runs["time"].to_numpy(np.float64)
        if not np.isfinite(starts).any():
            raise ConfigError(
                "no run tells when it was started: join the table on run_uid or sample"
            )
        steps = _seconds(table[self.on], f"{self.on} in {self.path}") + self.zero
        if not np.isfinite(steps).any():
            raise ConfigError(f"{self.on} is empty in every row of {self.path}")
        # Steps without a time go to the end, where they match no run.
        order = np.argsort(steps, kind="stable")
        before = np.searchsorted(steps[order], starts, side="right") - 1
        row = order[before.clip(min=0)]
        late = starts - steps[row]
        matched = np.where((late >= 0) & (late <= self.tolerance), row, -1)
        if (matched < 0).all():
            raise ConfigError(
                f"no run starts within {self.tolerance:g} s after a step of "
                f"{self.path}: its steps are {_range(steps)}, the runs "
                f"{_range(starts)}; {_cure(steps)}"
            )
        return matched


def shown_time(seconds: float) -> str:
    """Return a time as people write it.

    Parameters
    ----------
    seconds : float
        Since 1970.

    Returns
    -------
    str
        In the zone of this machine; the number itself where it is no date.
    """
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
    except (OSError, OverflowError, ValueError):
        return f"{seconds:g} s"


def _taken(values: Floats, matched: NDArray[np.intp]) -> Floats:
    return np.where(matched >= 0, values[matched], math.nan)


def _numbers(column: "pd.Series[str]", what: str) -> Floats:
    try:
        return np.asarray(pd.to_numeric(column), np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} does not hold numbers: {error}") from error


def _seconds(column: "pd.Series[Any]", what: str) -> Floats:
    """Return times as seconds: numbers as they are, texts as ISO times."""
    try:
        return np.asarray(pd.to_numeric(column), np.float64)
    except ValueError:
        return np.array(
            [math.nan if pd.isna(text) else _timestamp(text, what) for text in column]
        )


def _timestamp(text: str, what: str) -> float:
    """Return seconds since 1970; a time without a zone is that of this machine."""
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError as error:
        raise ConfigError(
            f"{what} is {text!r}, not like 2026-05-04T12:30:00"
        ) from error


def _range(times: Floats) -> str:
    low, high = float(np.nanmin(times)), float(np.nanmax(times))
    return f"from {shown_time(low)} to {shown_time(high)}"


def _cure(steps: Floats) -> str:
    if np.nanmax(np.abs(steps)) > _TOO_LARGE:
        return "milliseconds have to be divided by 1000"
    return (
        "a clock that counts from a zero of its own needs to be told when that was "
        "(--csv-start)"
    )

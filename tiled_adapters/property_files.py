"""Macroscopic properties from a table that another instrument wrote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError, FileFormatError

__all__ = ["FIRST_RUN", "PropertyFile"]

Floats = NDArray[np.float64]
FIRST_RUN = "first-run"
"""As `start`: the clock of the table was started together with the first run."""


@dataclass(frozen=True)
class PropertyFile:
    """A table in a text file, and how its rows belong to runs.

    Parameters
    ----------
    path : Path
        Columns with a header, separated by commas, semicolons or tabs.
    on : str
        Column that tells which row belongs to a run: `run_uid` and `sample` must be
        equal; any other column is a time, and the last step before the run counts.
    start : str, optional
        Where times are seconds from a zero of their own: that zero as an ISO time, or
        `first-run`. Otherwise times are seconds since 1970, or ISO times.
    tolerance : float
        Longest time from a step to the start of a run, in seconds.
    """

    path: Path
    on: str = "time"
    start: str | None = None
    tolerance: float = 60.0

    @property
    def is_timed(self) -> bool:
        """True where rows are time steps."""
        return self.on not in {"run_uid", "sample"}

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
            table = pd.read_csv(
                self.path, sep=None, engine="python", skipinitialspace=True
            )
        except (OSError, ValueError, pd.errors.ParserError) as error:
            raise FileFormatError(f"{self.path} is no table: {error}") from error
        return table.rename(columns=lambda name: str(name).strip())

    def _keyed(self, table: pd.DataFrame, runs: pd.DataFrame) -> NDArray[np.intp]:
        """Return the row of the table for each run, -1 where there is none."""
        keys = table[self.on].astype(str).str.strip()
        if keys.duplicated().any():
            twice = keys[keys.duplicated()].iloc[0]
            raise ConfigError(f"{self.path} has more than one row for {twice!r}")
        matched = pd.Index(keys).get_indexer(pd.Index(runs[self.on].astype(str)))
        if (matched < 0).all():
            raise ConfigError(
                f"no {self.on} of {self.path} is that of a run here: it has "
                f"{keys.iloc[0]!r}, the first run {runs[self.on].iloc[0]!r}"
            )
        return matched

    def _timed(self, table: pd.DataFrame, runs: pd.DataFrame) -> NDArray[np.intp]:
        """Return the last step before each run, -1 where it is too long ago."""
        starts = runs["time"].to_numpy(np.float64)
        if not np.isfinite(starts).any():
            raise ConfigError(
                "no run tells when it was started: join the table on run_uid or sample"
            )
        steps = _seconds(table[self.on], f"{self.on} in {self.path}")
        steps = steps + self._zero(float(np.nanmin(starts)))
        order = np.argsort(steps, kind="stable")
        before = np.searchsorted(steps[order], starts, side="right") - 1
        row = order[before.clip(min=0)]
        late = starts - steps[row]
        matched = np.where((late >= 0) & (late <= self.tolerance), row, -1)
        if (matched < 0).all():
            raise ConfigError(
                f"no run starts within {self.tolerance:g} s after a step of "
                f"{self.path}: its steps are from {_shown(steps.min())} to "
                f"{_shown(steps.max())}, the runs from {_shown(np.nanmin(starts))} to "
                f"{_shown(np.nanmax(starts))}; a clock that counts from a zero of its "
                "own needs to be told when that was (--csv-start)"
            )
        return matched

    def _zero(self, first_run: float) -> float:
        match self.start:
            case None:
                return 0.0
            case "first-run":
                return first_run
            case text:
                return _timestamp(text, "the start of the table")


def _taken(values: Floats, matched: NDArray[np.intp]) -> Floats:
    return np.where(matched >= 0, values[matched], math.nan)


def _numbers(column: "pd.Series[float]", what: str) -> Floats:
    try:
        return np.asarray(pd.to_numeric(column), np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} does not hold numbers: {error}") from error


def _seconds(column: "pd.Series[float]", what: str) -> Floats:
    """Return times as seconds: numbers as they are, texts as ISO times."""
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column, np.float64)
    return np.array([_timestamp(str(text), what) for text in column])


def _timestamp(text: str, what: str) -> float:
    """Return seconds since 1970; a time without a zone is that of this machine."""
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError as error:
        raise ConfigError(
            f"{what} is {text!r}, not like 2026-05-04T12:30:00"
        ) from error


def _shown(seconds: float) -> str:
    """Return a time as people write it."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")

"""Properties of runs as they were acquired: of their start documents and streams."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.queries import KeysFilter

from ainerd_bluesky.errors import ConfigError
from tiled_adapters.summaries import UIDS_AT_ONCE, Progress, summary_rows

__all__ = [
    "metadata_values",
    "start_documents",
    "stream_means",
    "value_of",
]


def start_documents(
    raw: Container | None, run_uids: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Read the start documents of runs, many at once.

    Parameters
    ----------
    raw : Container, optional
        The runs as acquired; None where there are none.
    run_uids : sequence of str
        Which ones.

    Returns
    -------
    list of mapping
        One a run; empty where there is no such run, as of an archived file.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(run_uids), UIDS_AT_ONCE):
        if raw is not None:
            some = raw.search(KeysFilter(list(run_uids[start : start + UIDS_AT_ONCE])))
            rows = summary_rows(some, {"start": "start"})
            found |= {row["start"]["uid"]: row["start"] for row in rows}
    return [found.get(uid, {}) for uid in run_uids]


def metadata_values(
    starts: Sequence[Mapping[str, Any]], key: str
) -> NDArray[np.float64]:
    """Look a number up in start documents.

    Parameters
    ----------
    starts : sequence of mapping
        Start documents.
    key : str
        `a.b` is key b inside a.

    Returns
    -------
    ndarray of shape (n_runs,)
        nan where there is none.

    Raises
    ------
    ConfigError
        If no document has it, or one has something else than a number.
    """
    values = [value_of(start, key) for start in starts]
    if all(value is None for value in values):
        raise ConfigError(
            f"none of {len(starts)} runs has {key!r} in its start document; a field of "
            "a stream is written stream/field, and a table given with --csv"
        )
    return np.array([_number(value, f"{key} of a run") for value in values])


def value_of(start: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what stands in a start document; None where nothing does."""
    value: Any = start
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def stream_means(
    raw: Container | None,
    run_uids: Sequence[str],
    name: str,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Read the mean of a field over each run.

    Parameters
    ----------
    raw : Container, optional
        The runs as acquired; None where there are none.
    run_uids : sequence of str
        Which ones.
    name : str
        `stream/field`, such as `baseline/temperature`.
    progress : callable, optional
        Told how many runs have been read.

    Returns
    -------
    ndarray of shape (n_runs,)
        Means of the finite readings; nan where there is none.

    Raises
    ------
    ConfigError
        If no run has that field with a finite reading, or it does not hold numbers.
    """
    values = np.full(len(run_uids), math.nan)
    # One after the other: several readers of its tables at once bring DuckDB down.
    for index, run_uid in enumerate(run_uids if raw is not None else ()):
        values[index] = _mean(raw, run_uid, name)
        if progress is not None:
            progress(index + 1, len(run_uids))
    if np.isnan(values).all():
        raise ConfigError(
            f"none of {len(run_uids)} runs has a field {name!r} with a finite reading"
        )
    return values


def _mean(raw: Container, run_uid: str, name: str) -> float:
    try:
        read = np.asarray(raw[run_uid][name].read())
    except KeyError:
        return math.nan
    try:
        readings = read.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{name} of run {run_uid} holds no numbers: {error}"
        ) from error
    finite = readings[np.isfinite(readings)]
    return float(finite.mean()) if finite.size else math.nan


def _number(value: Any, what: str) -> float:  # noqa: ANN401 - any JSON
    if value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} is {value!r}, not a number") from error

"""Runs of a catalog: their dynamics beside their macroscopic properties."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.queries import Eq

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.ml.association import Dynamics
from ainerd_bluesky.ml.exchange import Exchange
from ainerd_bluesky.vocabulary import Label
from tiled_adapters.property_files import PropertyFile, shown_time
from tiled_adapters.run_properties import (
    metadata_values,
    start_documents,
    stream_means,
    value_of,
)
from tiled_adapters.summaries import Progress, summary_rows

__all__ = ["JoinedRuns", "first_start", "join_runs"]

Floats = NDArray[np.float64]
_PHYSICS = (
    "relaxation_rate",
    "alpha",
    "beta",
    "q_exponent",
    "aging_exponent",
    "non_equilibrium_index",
)
_COLUMNS = {
    "run_uid": "run_uid",
    "label": "label",
    "sample": "sample",
    "fingerprint": "fingerprint",
    "model": "model.sha256",
    **{name: f"physics.{name}" for name in _PHYSICS},
}


@dataclass(frozen=True, eq=False)
class JoinedRuns:
    """Runs with their dynamics and properties, in the order of time.

    Parameters
    ----------
    run_uids : tuple of str
        The runs.
    dynamics : Dynamics
        One row a run.
    properties : dict of str to ndarray of shape (n_runs,)
        nan where unknown.
    exchange : Exchange or None
        What may change places under chance; None where each property decides.
    remarks : tuple of str
        What was left out, and what was taken for granted.
    """

    run_uids: tuple[str, ...]
    dynamics: Dynamics
    properties: dict[str, Floats]
    exchange: Exchange | None
    remarks: tuple[str, ...]


def join_runs(
    results: Container,
    raw: Container | None,
    names: Sequence[str],
    *,
    file: PropertyFile | None = None,
    group: str = "sample",
    progress: Progress | None = None,
) -> JoinedRuns:
    """Bring dynamics and macroscopic properties of runs together.

    Parameters
    ----------
    results : XPCSResultsCatalog
        Analysed runs, or what a search found in them.
    raw : Container, optional
        The runs as acquired; None where there are none.
    names : sequence of str
        Properties: columns of the file if there is one; else keys of start documents
        (`a.b` for a key inside another), or `stream/field`, of which the mean over the
        run is taken.
    file : PropertyFile, optional
        Table to take the properties from.
    group : str
        Runs that belong together: those of one `sample`, each `run` for itself, or
        those with the same value of a key of the start document.
    progress : callable, optional
        Told how many runs of a stream have been read, and of how many.

    Returns
    -------
    JoinedRuns
        Refused runs are left out.

    Raises
    ------
    ConfigError
        If there is no run, or a property or the group is known for none of them.
    """
    rows = list(summary_rows(results.search(Eq("status", "complete")), _COLUMNS))
    accepted = [row for row in rows if row["label"] != Label.INVALID]
    if not accepted:
        raise ConfigError(
            f"none of {len(rows)} analysed runs tells anything about dynamics"
        )
    runs, starts = _by_time(pd.DataFrame(accepted, columns=list(_COLUMNS)), raw)
    uids = tuple(runs["run_uid"])
    properties = (
        {name: _values(name, raw, uids, starts, progress) for name in names}
        if file is None
        else file.values(names, runs)
    )
    groups, n_alone = _groups(runs, starts, group)
    dynamics, remarks = _dynamics(runs, groups)
    return JoinedRuns(
        run_uids=uids,
        dynamics=dynamics,
        properties=properties,
        exchange=Exchange.TIME if file is not None and file.is_timed else None,
        remarks=(
            *_refusals(len(rows) - len(accepted)),
            *_on_clock(file),
            *_on_groups(group, n_alone, len(runs)),
            *_on_unknown(properties),
            *remarks,
        ),
    )


def first_start(results: Container, raw: Container | None) -> float:
    """Return when the first of some runs was started.

    Parameters
    ----------
    results : XPCSResultsCatalog
        Analysed runs, refused ones included: what is narrowed down to some labels may
        lack the first run.
    raw : Container, optional
        The runs as acquired; None where there are none.

    Returns
    -------
    float
        Seconds since 1970.

    Raises
    ------
    ConfigError
        If no run tells.
    """
    uids = [row["run_uid"] for row in summary_rows(results, {"run_uid": "run_uid"})]
    times = _start_times(start_documents(raw, uids))
    if not np.isfinite(times).any():
        raise ConfigError(
            f"none of {len(uids)} runs tells when it was started: give the zero of the "
            "table's clock as an ISO time"
        )
    return float(np.nanmin(times))


def _values(
    name: str,
    raw: Container | None,
    uids: Sequence[str],
    starts: Sequence[Mapping[str, Any]],
    progress: Progress | None,
) -> Floats:
    """Return a property of each run, from a stream or from the start document."""
    if "/" in name:
        return stream_means(raw, uids, name, progress)
    return metadata_values(starts, name)


def _by_time(
    runs: pd.DataFrame, raw: Container | None
) -> tuple[pd.DataFrame, list[Mapping[str, Any]]]:
    """Sort runs by the time of their start; return their start documents as well."""
    starts = start_documents(raw, runs["run_uid"].tolist())
    times = _start_times(starts)
    order = np.argsort(times, kind="stable")
    ordered = runs.assign(time=times).iloc[order].reset_index(drop=True)
    return ordered, [starts[index] for index in order]


def _start_times(starts: Sequence[Mapping[str, Any]]) -> Floats:
    return np.array([start.get("time", math.nan) for start in starts], np.float64)


def _groups(
    runs: pd.DataFrame, starts: Sequence[Mapping[str, Any]], group: str
) -> tuple[NDArray[np.str_], int]:
    """Return what runs belong to, and how many do not say: each stands alone."""
    if group == "run":
        return runs["run_uid"].to_numpy(np.str_), 0
    if group == "sample":
        values = runs["sample"].tolist()
    else:
        values = [value_of(start, group) for start in starts]
    n_alone = sum(value is None for value in values)
    if group != "sample" and n_alone == len(values):
        raise ConfigError(
            f"none of {len(values)} runs has {group!r} in its start document: group "
            "them by a key that they have, by sample or by run"
        )
    groups = [
        f"run {uid}" if value is None else f"group {value}"
        for uid, value in zip(runs["run_uid"], values, strict=True)
    ]
    return np.array(groups), n_alone


def _dynamics(
    runs: pd.DataFrame, groups: NDArray[np.str_]
) -> tuple[Dynamics, list[str]]:
    fingerprints, remarks = _fingerprints(runs)
    dynamics = Dynamics(
        labels=runs["label"].fillna("").to_numpy(np.str_),
        fingerprints=fingerprints,
        physics={
            name: pd.to_numeric(runs[name]).to_numpy(np.float64) for name in _PHYSICS
        },
        groups=groups,
        times=runs["time"].to_numpy(np.float64),
    )
    return dynamics, remarks


def _fingerprints(runs: pd.DataFrame) -> tuple[Floats, list[str]]:
    """Return the fingerprints of the model that made most of them."""
    known = runs[runs["fingerprint"].notna()]
    if known.empty:
        return np.full((len(runs), 1), math.nan), [
            "no run has a fingerprint: process runs again to have them predict"
        ]
    model = known["model"].mode()[0]
    comparable = known[known["model"] == model]
    points = np.array(comparable["fingerprint"].tolist(), np.float64)
    Z = np.full((len(runs), points.shape[1]), math.nan)
    Z[comparable.index] = points
    n_missing = len(runs) - len(comparable)
    if n_missing == 0:
        return Z, []
    return Z, [
        f"{n_missing} of {len(runs)} runs have no fingerprint of the model that made "
        f"most ({model[:12]}): process them again to have them predict"
    ]


def _refusals(n_refused: int) -> list[str]:
    return [f"{n_refused} refused runs are left out"] if n_refused else []


def _on_clock(file: PropertyFile | None) -> list[str]:
    if file is None or file.start is None or not file.is_timed:
        return []
    return [f"{file.on} in {file.path} is counted from {shown_time(file.zero)}"]


def _on_groups(group: str, n_alone: int, n_runs: int) -> list[str]:
    if n_alone == 0:
        return []
    return [f"{n_alone} of {n_runs} runs have no {group}: each stands alone"]


def _on_unknown(properties: Mapping[str, Floats]) -> list[str]:
    return [
        f"{name} is known for {np.isfinite(values).sum()} of {len(values)} runs"
        for name, values in properties.items()
        if not np.isfinite(values).all()
    ]

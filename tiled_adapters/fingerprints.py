"""Fingerprints of runs, as a server has them, and the runs most like one run."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tiled.client.container import Container
from tiled.queries import Comparison, Eq, In, KeyPresent, NotEq

from ainerd_bluesky.errors import FingerprintError
from ainerd_bluesky.ml.neighbours import NearestFingerprints
from ainerd_bluesky.vocabulary import Label
from tiled_adapters.fingerprint_table import FingerprintTable
from tiled_adapters.summaries import UIDS_AT_ONCE, Progress, summary_rows

__all__ = [
    "NearestRuns",
    "comparable",
    "nearest_runs",
    "read_fingerprints",
]

logger = logging.getLogger(__name__)

_COLUMNS = {
    "run_uid": "run_uid",
    "published": "published",
    "fingerprint": "fingerprint",
    "novelty": "novelty",
}
_OVERLAP = 600.0
"""Seconds: clocks of publishers may differ so much."""
_ASKED_FIRST = 5 * UIDS_AT_ONCE
"""Nearest runs of which a search is asked first, before all that it found is listed."""


@dataclass(frozen=True, eq=False)
class NearestRuns:
    """The runs most like one run.

    Parameters
    ----------
    distances : mapping of str to float
        Distance of the fingerprint of each run, by its uid, rising.
    parts : tuple of Container
        Searches that find these runs.
    n_not_compared : int
        Runs that have no fingerprint of this model, refused ones aside.
    """

    distances: Mapping[str, float]
    parts: tuple[Container, ...]
    n_not_compared: int


def comparable(results: Container, model_sha256: str) -> Container:
    """Narrow runs down to those whose fingerprints can be compared.

    Parameters
    ----------
    results : Container
        Of analysed runs, or what a search found in it.
    model_sha256 : str
        Model that made the fingerprints.

    Returns
    -------
    Container
        Runs with a fingerprint of this model.
    """
    return (
        _analysed(results)
        .search(Eq("model.sha256", model_sha256))
        .search(KeyPresent("fingerprint"))
    )


def read_fingerprints(
    results: Container,
    model_sha256: str,
    *,
    folder: Path | None = None,
    is_fresh: bool = False,
    progress: Progress | None = None,
) -> FingerprintTable:
    """Read all fingerprints of one model.

    They are kept in a file, so that the next time only new ones are fetched. Where the
    file does not agree with the server on their number, all are fetched again. Those
    that are not finite are left out, and a warning names their runs.

    Parameters
    ----------
    results : Container
        Of analysed runs; a search in it is ignored.
    model_sha256 : str
        Model that made the fingerprints.
    folder : Path, optional
        Where the file is kept; `$XDG_CACHE_HOME/ainerd-bluesky` unless set.
    is_fresh : bool
        Fetch all, whatever the file holds.
    progress : callable, optional
        Told how many have been fetched, where all are.

    Returns
    -------
    FingerprintTable
        As the server has them now.
    """
    found = comparable(results.new_variation(queries=[]), model_sha256)
    path = FingerprintTable.path(results.uri, model_sha256, folder)
    table = _current(found, path, model_sha256, progress, is_fresh=is_fresh)
    return _finite(table)


def nearest_runs(
    results: Container,
    summary: Mapping[str, Any],
    n: int,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> NearestRuns:
    """Find the runs whose fingerprints are nearest to that of one run.

    Parameters
    ----------
    results : Container
        Of analysed runs, or what a search found in it: the runs to compare with.
    summary : mapping
        Of the run to compare with; it is not among those found.
    n : int
        How many to find.
    folder : Path, optional
        Where fingerprints are kept.
    progress : callable, optional
        Told how many fingerprints have been fetched, where all are.

    Returns
    -------
    NearestRuns
        Of equally near ones, the first by uid comes first.

    Raises
    ------
    FingerprintError
        If the run has no fingerprint or nothing to compare it with, or `n` is below 1.
    """
    if n < 1:
        raise FingerprintError(f"n must be at least 1, got {n}")

    z = _fingerprint_of(summary)
    sha256 = summary["model"]["sha256"]
    found = comparable(results, sha256)
    n_not_compared = len(_analysed(results)) - len(found)
    # Tiled has no public way to ask whether a container is what a search found.
    is_narrowed = bool(results._queries)  # noqa: SLF001
    for is_fresh in (False, True):
        table = read_fingerprints(
            results, sha256, folder=folder, is_fresh=is_fresh, progress=progress
        )
        most = len(table) if is_narrowed else n
        ranked = _ranked(table, z, most, summary["run_uid"])
        chosen = _among(found, list(ranked), n) if is_narrowed else list(ranked)
        _require_company(chosen, summary["model"], n_not_compared)
        parts = _parts(found, chosen)
        # Runs may have been deleted, or analysed with another model, since.
        if is_fresh or sum(map(len, parts)) == len(chosen):
            break
    distances = {uid: ranked[uid] for uid in chosen}
    return NearestRuns(distances, tuple(parts), n_not_compared)


def _analysed(results: Container) -> Container:
    """Return the runs that the quality gate let pass."""
    complete = results.search(Eq("status", "complete"))
    return complete.search(NotEq("label", Label.INVALID.value))


def _fingerprint_of(summary: Mapping[str, Any]) -> Sequence[float]:
    """Return the fingerprint of a run, or say why it has none."""
    uid, fingerprint = summary["run_uid"], summary.get("fingerprint")
    if fingerprint is not None:
        if not np.isfinite(np.array(fingerprint, np.float64)).all():
            raise FingerprintError(
                f"run {uid} has a fingerprint that is not finite: process it again"
            )
        return list(fingerprint)
    if summary.get("status") != "complete":
        raise FingerprintError(f"run {uid} has no result yet: wait for it")
    if summary.get("label") == Label.INVALID:
        reasons = "; ".join(summary.get("quality", {}).get("reasons", ()))
        raise FingerprintError(
            f"run {uid} was refused, so it has no fingerprint: {reasons}"
        )
    raise FingerprintError(
        f"run {uid} was analysed before fingerprints were kept: process it again"
    )


def _ranked(
    table: FingerprintTable, z: Sequence[float], n: int, run_uid: str
) -> dict[str, float]:
    """Return the distances of the nearest other runs, by uid, rising."""
    if len(table) == 0:
        return {}
    # One more, for the run itself is among them.
    nearest = NearestFingerprints(table.Z).query(z, n + 1)
    uids = table.run_uids[nearest.index].tolist()
    ranked = dict(zip(uids, nearest.distance.tolist(), strict=True))
    ranked.pop(run_uid, None)
    return dict(islice(ranked.items(), n))


def _among(found: Container, ranked: Sequence[str], n: int) -> list[str]:
    """Return the first runs that a search found, without listing all if it can be."""
    there: set[str] = set()
    for part in _parts(found, ranked[:_ASKED_FIRST]):
        there |= _uids(part)
        if len(there) >= n:
            break
    else:
        there |= _uids(found)
    return [uid for uid in ranked if uid in there][:n]


def _uids(found: Container) -> set[str]:
    return {row["run_uid"] for row in summary_rows(found, {"run_uid": "run_uid"})}


def _require_company(
    chosen: Sequence[str], model: Mapping[str, Any], n_not_compared: int
) -> None:
    if chosen:
        return
    raise FingerprintError(
        f"no other run here has a fingerprint of model {model['name']} "
        f"{model['version']} ({model['sha256'][:12]}); {n_not_compared} runs were "
        "analysed with another model or before fingerprints were kept: process them "
        "again with this one to compare"
    )


def _parts(found: Container, uids: Sequence[str]) -> list[Container]:
    """Return searches that together find these runs."""
    return [
        found.search(In("run_uid", list(uids[start : start + UIDS_AT_ONCE])))
        for start in range(0, len(uids), UIDS_AT_ONCE)
    ]


def _current(
    found: Container,
    path: Path,
    model_sha256: str,
    progress: Progress | None,
    *,
    is_fresh: bool,
) -> FingerprintTable:
    """Return the fingerprints that a server has, and keep them in a file."""
    known = None if is_fresh else FingerprintTable.load(path, model_sha256)
    if known is not None and len(known) > 0:
        since = float(known.published.max()) - _OVERLAP
        recent = found.search(Comparison("ge", "published", since))
        table = known.updated(_fetch(recent, model_sha256, None))
        if len(table) == len(found):
            if table is not known:
                table.save(path)
            return table
    table = _fetch(found, model_sha256, progress)
    table.save(path)
    return table


def _finite(table: FingerprintTable) -> FingerprintTable:
    """Leave out fingerprints that nothing can be compared with, and name their runs."""
    is_bad = ~np.isfinite(table.Z).all(axis=1)
    if not is_bad.any():
        return table
    uids = table.run_uids[is_bad].tolist()
    logger.warning(
        "left out, for their fingerprints are not finite: %s; process these runs again",
        ", ".join(uids),
    )
    return table.without(uids)


def _fetch(
    found: Container, model_sha256: str, progress: Progress | None
) -> FingerprintTable:
    n_runs = len(found) if progress is not None else 0
    by_uid: dict[str, Mapping[str, Any]] = {}
    for row in summary_rows(found, _COLUMNS):
        by_uid[row["run_uid"]] = row
        if progress is not None:
            progress(len(by_uid), n_runs)
    uids = sorted(by_uid)
    rows = [by_uid[uid] for uid in uids]
    Z = np.array([row["fingerprint"] for row in rows], np.float64)
    return FingerprintTable(
        model_sha256,
        np.array(uids, np.str_),
        Z.reshape(len(uids), -1) if uids else np.zeros((0, 0)),
        np.array([row["published"] for row in rows], np.float64),
        np.array([row["novelty"] for row in rows], np.float64),
    )

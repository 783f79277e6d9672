"""The fingerprints of all runs that one model has analysed, kept close at hand."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.queries import Comparison, Eq, In, KeyPresent, NotEq

from ainerd_bluesky.errors import FingerprintError
from ainerd_bluesky.ml.neighbours import NearestFingerprints
from ainerd_bluesky.vocabulary import Label
from tiled_adapters.summaries import summary_rows

__all__ = [
    "FingerprintTable",
    "NearestRuns",
    "Progress",
    "comparable",
    "nearest_runs",
    "read_fingerprints",
]

logger = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many are done, and of how many."""

_COLUMNS = {
    "run_uid": "run_uid",
    "published": "published",
    "fingerprint": "fingerprint",
}
_OVERLAP = 600.0
"""Seconds: clocks of publishers may differ so much."""
_UIDS_AT_ONCE = 100
"""More would make too long an address."""


@dataclass(frozen=True, eq=False)
class FingerprintTable:
    """Fingerprints of one model, in the order of the uids of their runs.

    Labels are not in it: a person may rename them, and the catalog knows.

    Parameters
    ----------
    model_sha256 : str
        The model.
    run_uids : ndarray of str, shape (n_runs,)
        Rising.
    Z : ndarray of float64, shape (n_runs, n_components)
        Fingerprints.
    published : ndarray of float64, shape (n_runs,)
        When each was published, in seconds since 1970.
    """

    model_sha256: str
    run_uids: NDArray[np.str_]
    Z: NDArray[np.float64]
    published: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.run_uids)

    def only(self, run_uids: Iterable[str]) -> "FingerprintTable":
        """Return the rows of some runs; those that have none are left out."""
        return self._rows(np.isin(self.run_uids, list(run_uids)))

    def updated(self, newer: Self) -> "FingerprintTable":
        """Return the rows of both tables; where both have one, the newer."""
        if len(newer) == 0:
            return self
        kept = self._rows(~np.isin(self.run_uids, newer.run_uids))
        if len(kept) == 0:
            return newer
        joined = FingerprintTable(
            self.model_sha256,
            np.concatenate([kept.run_uids, newer.run_uids]),
            np.concatenate([kept.Z, newer.Z]),
            np.concatenate([kept.published, newer.published]),
        )
        return joined._rows(np.argsort(joined.run_uids))

    def _rows(self, chosen: NDArray[Any]) -> "FingerprintTable":
        return FingerprintTable(
            self.model_sha256,
            self.run_uids[chosen],
            self.Z[chosen],
            self.published[chosen],
        )


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
    file does not agree with the server on their number, all are fetched again.

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
    path = _cache_path(folder or _cache_folder(), results.uri, model_sha256)
    known = None if is_fresh else _load(path, model_sha256)
    if known is not None and len(known) > 0:
        since = float(known.published.max()) - _OVERLAP
        recent = found.search(Comparison("ge", "published", since))
        table = known.updated(_fetch(recent, model_sha256, None))
        if len(table) == len(found):
            _save(table, path)
            return table
    table = _fetch(found, model_sha256, progress)
    _save(table, path)
    return table


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

    Notes
    -----
    A run without a fingerprint, or with nothing to compare it with, is a
    `FingerprintError`.
    """
    z = _fingerprint_of(summary)
    sha256 = summary["model"]["sha256"]
    for is_fresh in (False, True):
        table = read_fingerprints(
            results, sha256, folder=folder, is_fresh=is_fresh, progress=progress
        )
        candidates = _others(results, table, summary["run_uid"])
        n_not_compared = len(_analysed(results)) - len(comparable(results, sha256))
        _require_company(candidates, summary["model"], n_not_compared)
        nearest = NearestFingerprints(candidates.Z).query(z, n)
        uids = candidates.run_uids[nearest.index].tolist()
        parts = _parts(comparable(results, sha256), uids)
        # Runs may have been deleted, or analysed with another model, since.
        if is_fresh or sum(map(len, parts)) == len(uids):
            break
    distances = dict(zip(uids, nearest.distance.tolist(), strict=True))
    return NearestRuns(distances, tuple(parts), n_not_compared)


def _analysed(results: Container) -> Container:
    """Return the runs that the quality gate let pass."""
    complete = results.search(Eq("status", "complete"))
    return complete.search(NotEq("label", Label.INVALID.value))


def _fingerprint_of(summary: Mapping[str, Any]) -> Sequence[float]:
    """Return the fingerprint of a run, or say why it has none."""
    uid, fingerprint = summary["run_uid"], summary.get("fingerprint")
    if fingerprint is not None:
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


def _others(
    results: Container, table: FingerprintTable, run_uid: str
) -> FingerprintTable:
    """Return the table without the run itself and what a search leaves out."""
    # Tiled has no public way to ask whether a container is what a search found.
    is_narrowed = bool(results._queries)  # noqa: SLF001
    chosen = set(results) if is_narrowed else set(table.run_uids.tolist())
    return table.only(chosen - {run_uid})


def _require_company(
    candidates: FingerprintTable, model: Mapping[str, Any], n_not_compared: int
) -> None:
    if len(candidates) > 0:
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
        found.search(In("run_uid", list(uids[start : start + _UIDS_AT_ONCE])))
        for start in range(0, len(uids), _UIDS_AT_ONCE)
    ]


def _fetch(
    found: Container, model_sha256: str, progress: Progress | None
) -> FingerprintTable:
    n_runs = len(found) if progress is not None else 0
    rows: dict[str, tuple[float, Sequence[float]]] = {}
    for row in summary_rows(found, _COLUMNS):
        rows[row["run_uid"]] = (row["published"], row["fingerprint"])
        if progress is not None:
            progress(len(rows), n_runs)
    uids = sorted(rows)
    Z = np.array([rows[uid][1] for uid in uids], np.float64)
    return FingerprintTable(
        model_sha256,
        np.array(uids, np.str_),
        Z.reshape(len(uids), -1) if uids else np.zeros((0, 0)),
        np.array([rows[uid][0] for uid in uids], np.float64),
    )


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ainerd-bluesky" / "fingerprints"


def _cache_path(folder: Path, uri: str, model_sha256: str) -> Path:
    name = hashlib.sha256(f"{uri} {model_sha256}".encode()).hexdigest()[:24]
    return folder / f"{name}.npz"


def _load(path: Path, model_sha256: str) -> FingerprintTable | None:
    """Return what the file holds; None if there is none, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            uids, Z, published = (kept[name] for name in ("uids", "Z", "published"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        logger.warning("fingerprints are fetched again: %s is damaged: %s", path, error)
        return None
    return FingerprintTable(model_sha256, uids, Z, published)


def _save(table: FingerprintTable, path: Path) -> None:
    """Keep the table; without a place for it the next time takes longer."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            np.savez(file, uids=table.run_uids, Z=table.Z, published=table.published)
        draft.replace(path)
    except OSError as error:
        logger.warning("fingerprints cannot be kept in %s: %s", path.parent, error)

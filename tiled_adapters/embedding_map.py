"""The runs of a catalog as points of a map, with pictures of their two-time maps."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tiled.queries import KeyPresent

from ainerd_bluesky.errors import FingerprintError
from tiled_adapters.client import XPCSResults, XPCSResultsCatalog
from tiled_adapters.fingerprint_table import FingerprintTable
from tiled_adapters.summaries import Progress, summary_rows

__all__ = ["EmbeddingMap", "Projection", "chart", "farthest_first", "newest_model"]

_READERS = 4
_THUMBNAIL = 64
"""Rows of a thumbnail."""
_MOST_ROWS = 256
"""Rows of a map that are read for one; of longer maps every second, third..."""


class Projection(Protocol):
    """Gives fingerprints their places; a fitted `FrozenProjection` does."""

    method: str
    limits_: NDArray[np.float64]

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the places (n_samples, 2) of fingerprints."""
        ...


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Runs as points of a plane.

    Parameters
    ----------
    model : str
        Name and version of the model whose fingerprints these are.
    runs : pandas.DataFrame
        One row a run: columns of `labels_table`, and its place, `x` and `y`.
    limits : ndarray of shape (2, 2)
        Least and largest x and y of the runs that the projection was fitted to.
    thumbnails : dict of str to ndarray
        Small two-time maps of some of the runs, by uid.
    """

    model: str
    runs: pd.DataFrame
    limits: NDArray[np.float64]
    thumbnails: dict[str, NDArray[np.float32]]


def newest_model(results: XPCSResultsCatalog) -> str:
    """Find out which model made the newest fingerprint.

    Parameters
    ----------
    results : XPCSResultsCatalog
        Of analysed runs.

    Returns
    -------
    str
        Hash of its weights.

    Raises
    ------
    FingerprintError
        If there is no fingerprint at all.
    """
    found = results.find().search(KeyPresent("fingerprint")).sort(("published", -1))
    columns = {"sha256": "model.sha256", "fingerprint": "fingerprint[0]"}
    for row in summary_rows(found, columns):
        if row["fingerprint"] is not None:
            return str(row["sha256"])
    raise FingerprintError(
        "no run here has a fingerprint: they come with new results, or by processing "
        "old runs again"
    )


def chart(
    results: XPCSResultsCatalog,
    table: FingerprintTable,
    projection: Projection,
    *,
    n_thumbnails: int = 100,
    progress: Progress | None = None,
) -> EmbeddingMap:
    """Give every run its place.

    Parameters
    ----------
    results : XPCSResultsCatalog
        The runs to show; those without a row in the table are left out.
    table : FingerprintTable
        Fingerprints of one model.
    projection : Projection
        Where fingerprints go.
    n_thumbnails : int
        Two-time maps to fetch: of a typical run of each label, and of others spread
        all over the map.
    progress : callable, optional
        Told how many of them have been fetched.

    Returns
    -------
    EmbeddingMap
        In the order of the uids.

    Raises
    ------
    FingerprintError
        If there is nothing to show.
    """
    labels = results.labels_table().drop_duplicates("run_uid").set_index("run_uid")
    shown = table.only(labels.index)
    if len(shown) == 0:
        raise FingerprintError(
            f"none of the {len(labels)} runs found has a fingerprint of model "
            f"{table.model_sha256[:12]}: nothing to show"
        )
    runs = labels.loc[shown.run_uids.tolist()].reset_index()
    places = projection.transform(shown.Z)
    runs["x"], runs["y"] = places[:, 0], places[:, 1]
    return EmbeddingMap(
        model=f"{runs['model'][0]} {runs['model_version'][0]}",
        runs=runs,
        limits=projection.limits_,
        thumbnails=_thumbnails(results, _pictured(runs, n_thumbnails), progress),
    )


def farthest_first(points: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Choose points that are spread all over, each as far as can be from the others.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_dimensions)
        To choose from.
    n : int
        How many; all, if there are fewer.

    Returns
    -------
    ndarray of int64, shape (at most n,)
        Positions of the points, the one nearest to the mean first.

    Examples
    --------
    >>> farthest_first(np.array([[0.0], [4.0], [5.0], [10.0]]), 3)
    array([2, 0, 3])
    """
    n = min(n, len(points))
    if n == 0:
        return np.zeros(0, np.int64)
    middle = np.linalg.norm(points - points.mean(axis=0), axis=1)
    chosen = [int(middle.argmin())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < n:
        distance[chosen] = -1.0
        chosen.append(int(distance.argmax()))
        from_last = np.linalg.norm(points - points[chosen[-1]], axis=1)
        distance = np.minimum(distance, from_last)
    return np.array(chosen)


def _pictured(runs: pd.DataFrame, n: int) -> list[str]:
    """Return the runs whose maps are shown."""
    typical = []
    for _, group in runs.groupby("label"):
        places = group[["x", "y"]].to_numpy()
        distance = np.linalg.norm(places - np.median(places, axis=0), axis=1)
        typical.append(group["run_uid"].iloc[int(distance.argmin())])
    spread = farthest_first(runs[["x", "y"]].to_numpy(), n)
    return list(dict.fromkeys([*typical, *runs["run_uid"].iloc[spread]]))[:n]


def _thumbnails(
    results: XPCSResultsCatalog, uids: list[str], progress: Progress | None
) -> dict[str, NDArray[np.float32]]:
    """Fetch a small map of each run that has one; a request is half waiting."""
    made: dict[str, NDArray[np.float32]] = {}
    with ThreadPoolExecutor(_READERS) as readers:
        fetched = readers.map(_reader(results), uids)
        for n_done, (uid, thumbnail) in enumerate(zip(uids, fetched, strict=True), 1):
            if thumbnail is not None:
                made[uid] = thumbnail
            if progress is not None:
                progress(n_done, len(uids))
    return made


def _reader(
    results: XPCSResultsCatalog,
) -> Callable[[str], NDArray[np.float32] | None]:
    def read(uid: str) -> NDArray[np.float32] | None:
        run: XPCSResults = results[uid]
        if "two_time" not in run.metadata.get("contents", ()):
            return None
        maps = run["two_time"]
        q_bin = int(run.physics.get("bin_index") or 0)
        step = 1 + (maps.shape[-1] - 1) // _MOST_ROWS
        read: NDArray[np.float32] = maps[q_bin, ::step, ::step]
        return _shrunk(read)

    return read


def _shrunk(two_time: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average a map over blocks, down to the rows of a thumbnail or a few more."""
    block = max(1, len(two_time) // _THUMBNAIL)
    n_rows = len(two_time) // block
    kept = two_time[: n_rows * block, : n_rows * block]
    return np.asarray(kept.reshape(n_rows, block, n_rows, block).mean(axis=(1, 3)))

"""Clusters of a catalog's fingerprints, kept in the catalog: each finding stays."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd_bluesky.errors import FingerprintError
from ainerd_bluesky.json_values import as_json
from tiled_adapters.catalog import beside, create_container, ensure_container
from tiled_adapters.embeddings import EmbeddingTable
from tiled_adapters.publish import check_key
from tiled_adapters.specs import CLUSTERS, CLUSTERS_CATALOG

__all__ = [
    "ClusterStore",
    "Clusterer",
    "StoredClusters",
    "find_clusters",
    "members_of",
    "split_reference",
]

_CONFLICT = 409
_MEANWHILE = "clusters {!r} were found again meanwhile by somebody else: run it again"
_DIGITS = 4
_FEWEST = 4
_DEFAULT = "default"


class Clusterer(Protocol):
    """Finds clusters; a `LatentClusters` fits."""

    n_clusters: int | None
    labels_: NDArray[np.int64]
    ids_: NDArray[np.int64]
    match_: Any
    temperature_: float

    def fit(
        self, X: ArrayLike, *, known: ArrayLike | None = None, next_id: int = 0
    ) -> Self:
        """Find clusters; those that are the same keep their id."""

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return how probable each cluster is, in the order of `ids_`."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what prediction needs."""


@dataclass(frozen=True, eq=False)
class StoredClusters:
    """One finding of clusters.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        `ids`, `weights`, `means`, `variances`: rows are clusters.
    members : pandas.DataFrame
        One row a fingerprint: `run_uid`, `q_bin`, `label`, `cluster`, `probability`
        and `distance`, from the centre, in the unit of the latent.
    metadata : mapping
        `model_sha256`, `criterion`, `next_id`, `match`, `parent`, `query`, `who`,
        `when`, `n_other_models`, `previous`: number of the finding that it follows,
        `temperature`: what log densities were divided by; older ones have none.
    number : int or None
        In its set; None as long as it is not stored.
    """

    arrays: Mapping[str, NDArray[Any]]
    members: pd.DataFrame
    metadata: Mapping[str, Any]
    number: int | None = None

    @property
    def ids(self) -> list[int]:
        """Ids of the clusters, in rising order."""
        return sorted(int(number) for number in self.arrays["ids"])

    def mean(self, cluster: int) -> NDArray[np.float64]:
        """Return the centre of a cluster.

        Parameters
        ----------
        cluster : int
            Its id.

        Returns
        -------
        ndarray of shape (n_components,)
            Point in the latent.

        Raises
        ------
        FingerprintError
            If there is no such cluster.
        """
        if cluster not in self.ids:
            known = ", ".join(map(str, self.ids))
            raise FingerprintError(
                f"no cluster {cluster}; clusters are: {known} (`ainerd clusters show`)"
            )
        row = list(self.arrays["ids"]).index(cluster)
        return np.asarray(self.arrays["means"][row], np.float64)

    def members_in(self, table: EmbeddingTable, cluster: int) -> EmbeddingTable:
        """Return the fingerprints that are members of a cluster.

        Parameters
        ----------
        table : EmbeddingTable
            All fingerprints.
        cluster : int
            Its id; a `FingerprintError` if there is none.

        Returns
        -------
        EmbeddingTable
            The chosen rows.
        """
        self.mean(cluster)  # says so if there is no such cluster
        return table.where(_known(table, self) == cluster)


class ClusterStore:
    """Keeps findings of clusters, numbered below the name of their set.

    Parameters
    ----------
    root : Container
        Root of a server.
    results : str
        Path of the container of results; the clusters stand beside it.
    """

    def __init__(self, root: Container, results: str = "processed/xpcs") -> None:
        self._root = root
        self._path = beside(results, "clusters")

    def names(self) -> list[str]:
        """Return the names of all sets that have a complete finding."""
        try:
            container = self._root[self._path]
        except KeyError:
            return []
        return [name for name, node in container.items() if _complete(node)]

    def save(self, name: str, clusters: StoredClusters) -> None:
        """Keep one more finding; the earlier ones stay.

        Parameters
        ----------
        name : str
            Of the set.
        clusters : StoredClusters
            What was found.

        Raises
        ------
        FingerprintError
            If somebody else stored a finding since the one that this follows.
        """
        check_key(name)
        container = ensure_container(self._root, self._path, CLUSTERS_CATALOG)
        of_name = create_container(container, name)
        node = _begin(of_name, name)
        for key, array in clusters.arrays.items():
            node.write_array(np.ascontiguousarray(array), key=key)
        node.write_table(clusters.members, key="members")
        # Two findings that follow the same one would use an id twice.
        if max(_complete(of_name), default=None) != clusters.metadata["previous"]:
            raise FingerprintError(_MEANWHILE.format(name))
        metadata = as_json({**clusters.metadata, "status": "complete"})
        node.replace_metadata(metadata, drop_revision=True)

    def load(self, name: str = _DEFAULT) -> StoredClusters:
        """Return the last complete finding of a set.

        Parameters
        ----------
        name : str
            Of the set.

        Returns
        -------
        StoredClusters
            With members.

        Raises
        ------
        FingerprintError
            If there is none.
        """
        try:
            complete = _complete(self._root[self._path, name])
        except KeyError:
            complete = {}
        if not complete:
            known = ", ".join(self.names()) or "none"
            raise FingerprintError(
                f"no clusters {name!r} (there are: {known}); find them with "
                f"`ainerd clusters fit --name {name}`"
            )
        number, last = max(complete.items())
        arrays = {key: last[key].read() for key in last if key != "members"}
        members = last["members"].read()
        return StoredClusters(arrays, members, dict(last.metadata), number)


def _begin(of_name: Container, name: str) -> Container:
    """Make the node of one more finding."""
    number = max((int(key) for key in of_name if key.isdecimal()), default=-1) + 1
    try:
        return of_name.create_container(
            f"{number:0{_DIGITS}}", metadata={"status": "writing"}, specs=[CLUSTERS]
        )
    except ClientError as error:
        if error.response.status_code != _CONFLICT:
            raise
        raise FingerprintError(_MEANWHILE.format(name)) from error


def _complete(of_name: Container) -> dict[int, Container]:
    """Return the complete findings of a set by their number."""
    return {
        int(key): node
        for key, node in of_name.items()
        if key.isdecimal() and node.metadata.get("status") == "complete"
    }


def split_reference(reference: str) -> tuple[str, int]:
    """Return set and id of `SET:ID`, or of `ID` alone, which is of the set `default`.

    Parameters
    ----------
    reference : str
        What a person calls a cluster.

    Returns
    -------
    tuple of (str, int)
        Set and id.

    Raises
    ------
    FingerprintError
        If the id is no number.

    Examples
    --------
    >>> split_reference("gels:3"), split_reference("7")
    (('gels', 3), ('default', 7))
    """
    name, _, number = reference.rpartition(":")
    if not number.isdecimal():
        raise FingerprintError(
            f"a cluster is called ID or SET:ID, such as 3 or gels:3, got {reference!r}"
        )
    return name or _DEFAULT, int(number)


def find_clusters(
    table: EmbeddingTable,
    clusterer: Clusterer,
    *,
    previous: StoredClusters | None = None,
    details: Mapping[str, Any],
) -> StoredClusters:
    """Find clusters in the fingerprints of a catalog.

    Parameters
    ----------
    table : EmbeddingTable
        The fingerprints.
    clusterer : Clusterer
        Not yet fitted.
    previous : StoredClusters, optional
        An earlier finding, of any model: clusters that hold the same q-bins keep
        their id.
    details : mapping
        What else to remember of this finding.

    Returns
    -------
    StoredClusters
        Ready to be stored. Too few fingerprints, or fewer than clusters, are a
        `FingerprintError`.
    """
    _require_enough(len(table), clusterer.n_clusters)

    next_id = 0 if previous is None else int(previous.metadata["next_id"])
    known = None if previous is None else _known(table, previous)
    clusterer.fit(table.Z, known=known, next_id=next_id)
    probabilities = clusterer.predict_proba(table.Z).max(axis=1)
    arrays = clusterer.to_arrays()
    rows = np.searchsorted(np.sort(arrays["ids"]), clusterer.labels_)
    centers = arrays["means"][np.argsort(arrays["ids"])][rows]
    members = table.bins.assign(
        cluster=clusterer.labels_,
        probability=probabilities,
        distance=np.linalg.norm(table.Z - centers, axis=1),
    )
    metadata = {
        "model_sha256": table.model_sha256,
        "n_other_models": table.n_other_models,
        "n_samples": len(table),
        "n_runs": int(table.bins["run_uid"].nunique()),
        "previous": None if previous is None else previous.number,
        "next_id": max(next_id, int(max(clusterer.ids_)) + 1),
        "match": asdict(clusterer.match_),
        "temperature": clusterer.temperature_,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **details,
    }
    return StoredClusters(arrays, members, metadata)


def _require_enough(n_samples: int, n_clusters: int | None) -> None:
    """Refuse too few fingerprints, or fewer than clusters."""
    if n_clusters is not None and n_clusters > n_samples:
        raise FingerprintError(
            f"{n_samples} fingerprints cannot make {n_clusters} clusters: "
            f"ask for {n_samples} at most, or widen the query"
        )
    if n_samples < _FEWEST:
        raise FingerprintError(
            f"{n_samples} fingerprints are too few for clusters, {_FEWEST} are "
            "needed: classify more runs, or widen the query"
        )


def members_of(
    table: EmbeddingTable, store: ClusterStore, reference: str
) -> EmbeddingTable:
    """Return the fingerprints that are members of a stored cluster.

    Parameters
    ----------
    table : EmbeddingTable
        All fingerprints.
    store : ClusterStore
        Has the cluster.
    reference : str
        `SET:ID`, or `ID` in the set `default`.

    Returns
    -------
    EmbeddingTable
        The chosen rows.
    """
    name, number = split_reference(reference)
    return store.load(name).members_in(table, number)


def _known(table: EmbeddingTable, previous: StoredClusters) -> NDArray[np.int64]:
    """Return the earlier id of each fingerprint, -1 for none."""
    earlier = previous.members[["run_uid", "q_bin", "cluster"]]
    joined = table.bins[["run_uid", "q_bin"]].merge(
        earlier, on=["run_uid", "q_bin"], how="left"
    )
    return np.asarray(joined["cluster"].fillna(-1), np.int64)

"""What a person says of clusters and examples, as an act that can be stored."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import NamingError
from ainerd_bluesky.ml.naming import Naming
from ainerd_bluesky.ml.parts import parts_of
from tiled_adapters.clusters import ClusterStore, StoredClusters, split_reference
from tiled_adapters.command_parts import PROCESS_AGAIN
from tiled_adapters.embeddings import example, read_embeddings, run_summaries
from tiled_adapters.people import login_name

__all__ = ["name_cluster", "name_examples", "signature"]

Fingerprints = NDArray[np.floating[Any]]


def name_examples(
    results: Any,  # noqa: ANN401 - tiled is untyped
    word: str,
    references: Sequence[str],
    who: str | None,
) -> tuple[Naming, Fingerprints]:
    """Name what looks like a few examples.

    Parameters
    ----------
    results : Container
        Published results.
    word : str
        For them.
    references : sequence of str
        Runs, or q-bins as UID:BIN; what is said twice counts once.
    who : str or None
        Who names them; None for who is logged in.

    Returns
    -------
    tuple of Naming and ndarray
        The act, and the fingerprints of the examples, one a row.

    Raises
    ------
    NamingError
        If an example has no fingerprint, or they are of several models.
    """
    read = [example(results, reference) for reference in dict.fromkeys(references)]
    models = {sha256[:12] for _, _, sha256 in read}
    if len(models) > 1:
        raise NamingError(
            f"the examples are fingerprints of {len(models)} models "
            f"({', '.join(sorted(models))}): {PROCESS_AGAIN} with one of them"
        )
    Z = np.stack([z for _, z, _ in read])
    naming = Naming(
        "name",
        word,
        *signature(who),
        model_sha256=read[0][2],
        mean=tuple(Z.mean(axis=0).tolist()),
        n_examples=len(read),
        examples=tuple(reference for reference, _, _ in read),
    )
    return naming, Z


def name_cluster(
    results: Any,  # noqa: ANN401 - tiled is untyped
    store: ClusterStore,
    word: str,
    reference: str,
    who: str | None,
) -> tuple[Naming, Fingerprints]:
    """Name a cluster.

    Parameters
    ----------
    results : Container
        Published results.
    store : ClusterStore
        Where the cluster is kept.
    word : str
        For it.
    reference : str
        The cluster, as ID or SET:ID.
    who : str or None
        Who names it; None for who is logged in.

    Returns
    -------
    tuple of Naming and ndarray
        The act, and the fingerprints of the members, one a row. A cluster that is not
        there, or has no member left, is an `AinerdError`.
    """
    set_name, number = split_reference(reference)
    clusters = store.load(set_name)
    mean = clusters.mean(number)
    Z = _members(results, clusters, number, set_name)
    naming = Naming(
        "name",
        word,
        *signature(who),
        model_sha256=str(clusters.metadata["model_sha256"]),
        mean=tuple(mean.tolist()),
        n_examples=len(Z),
        cluster=f"{set_name}:{number}",
        parts=parts_of(Z),
    )
    return naming, Z


def signature(who: str | None) -> tuple[str, str]:
    """Return who names, the person logged in if nobody is given, and when."""
    return who or login_name(), datetime.now(UTC).isoformat(timespec="seconds")


def _members(
    results: Any,  # noqa: ANN401 - tiled is untyped
    clusters: StoredClusters,
    number: int,
    set_name: str,
) -> Fingerprints:
    """Read the fingerprints of the members of a cluster."""
    members, sha256 = clusters.members, clusters.metadata["model_sha256"]
    uids = set(members["run_uid"][members["cluster"] == number])
    runs = [
        run
        for run in run_summaries(results)
        if run.run_uid in uids and run.model_sha256 == sha256
    ]
    if not runs:
        raise NamingError(
            f"no member of cluster {set_name}:{number} has a fingerprint of model "
            f"{sha256[:12]} any more: `ainerd clusters refit --name {set_name}` first"
        )
    return clusters.members_in(read_embeddings(results, runs), number).Z

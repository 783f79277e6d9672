"""Embeddings of the q-bins of many runs, all of one model."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.queries import Eq

from ainerd_bluesky.errors import FingerprintError, NamingError
from tiled_adapters.summaries import summary_rows

__all__ = [
    "EmbeddingTable",
    "RunSummary",
    "example",
    "read_embeddings",
    "run_summaries",
]

logger = logging.getLogger(__name__)

_READERS = 4
_COLUMNS = {
    "run_uid": "run_uid",
    "key": "current",
    "label": "label",
    "model_sha256": "model.sha256",
    "contents": "contents",
    "published": "published",
    "vocabulary": "vocabulary",
}


@dataclass(frozen=True)
class RunSummary:
    """What is known of a run without reading its arrays.

    Parameters
    ----------
    run_uid : str
        The run.
    key : str
        Its current result.
    label : str
        Of that result.
    model_sha256 : str
        Hash of the model that made it.
    contents : tuple of str
        Names of its arrays and tables.
    published : float
        When, in seconds since 1970.
    vocabulary : str or None
        Hash of the words that were applied; None if there were none.
    """

    run_uid: str
    key: str
    label: str
    model_sha256: str
    contents: tuple[str, ...]
    published: float
    vocabulary: str | None


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Fingerprints of q-bins.

    Parameters
    ----------
    model_sha256 : str
        Hash of the model that made them.
    Z : ndarray of float32, shape (n_samples, n_components)
        Fingerprints.
    bins : pandas.DataFrame
        One row a fingerprint: `run_uid`, `q_bin`, and `label`, that of the model.
    n_other_models : int
        Runs left out because another model made their result.
    """

    model_sha256: str
    Z: NDArray[np.float32]
    bins: pd.DataFrame
    n_other_models: int = 0

    def __len__(self) -> int:
        return len(self.Z)

    def where(self, is_chosen: NDArray[np.bool_]) -> "EmbeddingTable":
        """Return the chosen rows."""
        chosen = self.bins[is_chosen].reset_index(drop=True)
        return EmbeddingTable(
            self.model_sha256, self.Z[is_chosen], chosen, self.n_other_models
        )


def run_summaries(results: Container) -> list[RunSummary]:
    """List the complete runs of a container of results, in the order of publishing.

    Parameters
    ----------
    results : Container
        `/processed/xpcs`, or what was found in it.

    Returns
    -------
    list of RunSummary
        One a run.
    """
    rows = summary_rows(results.search(Eq("status", "complete")), _COLUMNS)
    runs = [
        RunSummary(**{**row, "contents": tuple(row["contents"] or ())}) for row in rows
    ]
    return sorted(runs, key=lambda run: run.published)


def read_embeddings(
    results: Container,
    runs: Iterable[RunSummary],
    *,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] | None = None,
) -> EmbeddingTable:
    """Read the embeddings of all q-bins that the model was asked about.

    Those that are not finite are left out, and a warning names them.

    Parameters
    ----------
    results : Container
        `/processed/xpcs`.
    runs : iterable of RunSummary
        From :func:`run_summaries`. The model is that of the last one; runs of other
        models are left out and counted.
    progress : callable, optional
        Gets the runs as they come in and their number, and hands them on.

    Returns
    -------
    EmbeddingTable
        In the order of the runs.

    Raises
    ------
    FingerprintError
        If no run has an embedding.
    """
    embedded = [run for run in runs if "embedding" in run.contents]
    if not embedded:
        raise FingerprintError(
            "no run has an embedding: classify runs first, or widen the query"
        )
    sha256 = embedded[-1].model_sha256
    chosen = [run for run in embedded if run.model_sha256 == sha256]
    with ThreadPoolExecutor(_READERS) as readers:
        parts: Iterable[Any] = readers.map(lambda run: _read(results, run), chosen)
        if progress is not None:
            parts = progress(parts, len(chosen))
        tables = list(parts)
    return EmbeddingTable(
        model_sha256=sha256,
        Z=np.concatenate([Z for Z, _ in tables]),
        bins=pd.concat([bins for _, bins in tables], ignore_index=True),
        n_other_models=len(embedded) - len(chosen),
    )


def example(results: Container, reference: str) -> tuple[str, NDArray[np.float64], str]:
    """Read the fingerprint of one example.

    Parameters
    ----------
    results : Container
        `/processed/xpcs`.
    reference : str
        `UID` for a whole run, `UID:BIN` for one q-bin; the first characters of a uid
        may do.

    Returns
    -------
    tuple of (str, ndarray, str)
        Whole reference, fingerprint, and hash of the model that made it. Of a whole
        run, the mean of its bins, weighted as its label is.

    Raises
    ------
    NamingError
        If there is no such run or bin, the model was not asked about it, or its
        fingerprint is not finite.
    """
    uid, _, q_bin = reference.partition(":")
    try:
        run = results[uid]
    except KeyError as error:
        raise NamingError(
            f"no result of a run {uid!r}: `ainerd labels` lists the runs ({error})"
        ) from error
    whole_uid = str(run.metadata["run_uid"])
    if "embedding" not in run.metadata.get("contents", ()):
        raise NamingError(
            f"run {whole_uid} is {run.metadata.get('label')!r} and has no fingerprint: "
            "choose another example"
        )
    bins, Z = run["bins"].read(), run["embedding"].read()
    weights = _weights(bins, q_bin, whole_uid)
    sha256 = str(run.metadata["model"]["sha256"])
    name = f"{whole_uid}:{q_bin}" if q_bin else whole_uid
    # What does not count may hold anything.
    counted = np.where(weights[:, None] > 0, Z, 0)
    z = np.asarray(weights @ counted, np.float64)
    if not np.isfinite(z).all():
        raise NamingError(
            f"the fingerprint of {name} is not finite: choose another example"
        )
    return name, z, sha256


def _weights(bins: pd.DataFrame, q_bin: str, uid: str) -> NDArray[np.float64]:
    """Return how much each row of an embedding counts in an example."""
    is_asked = (bins["label"] != "invalid").to_numpy()
    if not q_bin:
        weights = bins["weight"] if "weight" in bins else is_asked / is_asked.sum()
        return np.asarray(weights, np.float64)
    is_it = is_asked & (bins["q_bin"].astype(str) == q_bin).to_numpy()
    if not is_it.any():
        known = ", ".join(map(str, bins["q_bin"][is_asked]))
        raise NamingError(
            f"run {uid} has no valid q-bin {q_bin!r}; valid ones are: {known}"
        )
    return is_it.astype(np.float64)


def _read(
    results: Container, run: RunSummary
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    bins, Z = (
        results[run.run_uid, run.key, name].read() for name in ("bins", "embedding")
    )
    is_asked = (bins["label"] != "invalid").to_numpy()
    is_valid = is_asked & np.isfinite(Z).all(axis=1)
    if n_bad := int((is_asked & ~is_valid).sum()):
        logger.warning(
            "left out, for their fingerprints are not finite: %d q-bins of run %s; "
            "process it again",
            n_bad,
            run.run_uid,
        )
    # Words that were given later are no labels of the model; old tables have one label.
    label = "model_label" if "model_label" in bins else "label"
    kept = bins.loc[is_valid, ["q_bin", label]].reset_index(drop=True)
    kept = kept.set_axis(["q_bin", "label"], axis=1)
    kept.insert(0, "run_uid", run.run_uid)
    return Z[is_valid], kept

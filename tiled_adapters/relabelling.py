"""Give old results the words of today, from what is stored of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd_bluesky.json_values import as_json
from ainerd_bluesky.ml.verdict import best_of, confidence_remark, pool_probabilities
from ainerd_bluesky.ml.words import ModelWords, with_names
from ainerd_bluesky.vocabulary import Label
from tiled_adapters.catalog import set_metadata
from tiled_adapters.embeddings import RunSummary

__all__ = ["Relabelled", "relabel", "renamed"]

_PREFIX = "p_"
_REMARK = "low-confidence"
Outcome = Literal["changed", "same", "another-model", "too-old"]


@dataclass(frozen=True)
class Relabelled:
    """What became of one run.

    Parameters
    ----------
    run_uid : str
        The run.
    outcome : {"changed", "same", "another-model", "too-old"}
        `changed` if it got another label, `another-model` if the words are of another
        model than its result, `too-old` if its result does not hold what is needed.
    before, after : str
        Label.
    """

    run_uid: str
    outcome: Outcome
    before: str
    after: str


def relabel(
    results: Container,
    runs: Iterable[RunSummary],
    words: ModelWords | None,
    *,
    model_sha256: str,
) -> Iterator[Relabelled]:
    """Name runs anew, without reading a map.

    The result and the summary of the run get the new label, with its probability and
    those of the other words; `model_label` stays what the model said. What was there
    before is kept by Tiled as a revision.

    Parameters
    ----------
    results : Container
        `/processed/xpcs`.
    runs : iterable of RunSummary
        Those to name.
    words : ModelWords or None
        Words of one model; None brings the labels of the model back.
    model_sha256 : str
        Hash of that model.

    Yields
    ------
    Relabelled
        One a run.
    """
    wanted = None if words is None else words.sha256
    for run in runs:
        if run.label == Label.INVALID or run.vocabulary == wanted:
            yield Relabelled(run.run_uid, "same", run.label, run.label)
        elif run.model_sha256 != model_sha256:
            yield Relabelled(run.run_uid, "another-model", run.label, run.label)
        else:
            yield _relabel(results, run, words)


def renamed(
    bins: pd.DataFrame,
    Z: NDArray[np.floating[Any]],
    words: ModelWords | None,
    metadata: Mapping[str, Any],
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Compute label and table of a stored result in other words.

    Parameters
    ----------
    bins : pandas.DataFrame
        Its table of q-bins.
    Z : ndarray of shape (n_q_bins, n_components)
        Its embedding.
    words : ModelWords or None
        None for the model's own.
    metadata : mapping
        Of the result: its quality and recipe.

    Returns
    -------
    tuple of (dict, pandas.DataFrame)
        What changes in the metadata, and the new table.
    """
    columns = [str(name) for name in bins if str(name).startswith(_PREFIX)]
    classes = [name.removeprefix(_PREFIX) for name in columns]
    is_asked = bins[columns].notna().all(axis=1).to_numpy()
    shares = [{}] * len(bins) if words is None else words.shares(Z)
    rows = [
        with_names(dict(zip(classes, own, strict=True)), share)
        for own, share in zip(bins[columns].to_numpy(), shares, strict=True)
    ]
    asked = np.flatnonzero(is_asked)
    best = [best_of(rows[index]) for index in asked]
    table = bins.copy()
    table.loc[is_asked, "label"] = [label for label, _ in best]
    table.loc[is_asked, "confidence"] = [confidence for _, confidence in best]
    pooled = pool_probabilities((bins["weight"][index], rows[index]) for index in asked)
    label, confidence = best_of(pooled)
    summary = {
        "label": label,
        "confidence": confidence,
        "probabilities": pooled,
        "vocabulary": None if words is None else words.sha256,
        "quality": _quality(metadata, label, confidence),
    }
    return as_json(summary), table


def _relabel(
    results: Container, run: RunSummary, words: ModelWords | None
) -> Relabelled:
    result = results[run.run_uid, run.key]
    stored = result["bins"]
    bins = stored.read()
    if "weight" not in bins:
        return Relabelled(run.run_uid, "too-old", run.label, run.label)
    summary, table = renamed(bins, result["embedding"].read(), words, result.metadata)
    summary["relabelled"] = datetime.now(UTC).isoformat(timespec="seconds")
    stored.write(table)
    set_metadata(result, summary)
    # Read now: a new result may have come meanwhile, and has its words already.
    node = results[run.run_uid]
    if node.metadata.get("current") == run.key:
        set_metadata(node, summary)
    outcome: Outcome = "same" if summary["label"] == run.label else "changed"
    return Relabelled(run.run_uid, outcome, run.label, summary["label"])


def _quality(
    metadata: Mapping[str, Any], label: str, confidence: float
) -> dict[str, Any]:
    """Return the quality with the remark that this label deserves."""
    quality = metadata["quality"]
    found = {
        flag: reason
        for flag, reason in zip(quality["flags"], quality["reasons"], strict=True)
        if flag != _REMARK
    }
    lowest = float(metadata["recipe"].get("min_confidence", 0.0))
    for remark in confidence_remark(label, confidence, lowest):
        found.update(zip(remark.flags, remark.reasons, strict=True))
    return {**quality, "flags": list(found), "reasons": list(found.values())}

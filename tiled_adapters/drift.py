"""Whether the runs that came in lately have left what is known of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiled.client.container import Container
from tiled.queries import Comparison, Eq, KeyPresent, NotEq

from ainerd_bluesky.ml.drift import (
    FEWEST_KNOWN,
    DriftReport,
    drift_report,
    novelty_tests,
)
from ainerd_bluesky.vocabulary import Label
from tiled_adapters.fingerprint_table import FingerprintTable
from tiled_adapters.fingerprints import read_fingerprints
from tiled_adapters.summaries import Progress, summary_rows

__all__ = ["ModelDrift", "drift_since"]

_ALPHA = 0.01
_COLUMNS = {
    "run_uid": "run_uid",
    "name": "model.name",
    "version": "model.version",
    "sha256": "model.sha256",
}


@dataclass(frozen=True, eq=False)
class ModelDrift:
    """Drift as one model sees it.

    Parameters
    ----------
    model : str
        Name and version.
    sha256 : str
        Hash of its weights.
    report : DriftReport
        What the fingerprints say.
    known, incoming : FingerprintTable
        Runs from before, and since.
    """

    model: str
    sha256: str
    report: DriftReport
    known: FingerprintTable
    incoming: FingerprintTable

    def as_dict(self) -> dict[str, Any]:
        """Return model and report as JSON has them."""
        return {"model": self.model, "sha256": self.sha256, **self.report.as_dict()}


def drift_since(
    results: Container,
    since: float,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[ModelDrift, ...]:
    """Compare runs published since a time with those from before, model by model.

    The time is that of the analysis: an old run that is processed again is incoming.
    All models together raise a false alarm with a chance of 1 %. Where fewer than
    twenty runs are from before, the incoming ones are compared with what the model was
    trained on only.

    Parameters
    ----------
    results : Container
        Of analysed runs.
    since : float
        Seconds since 1970.
    folder : Path, optional
        Where fingerprints are kept.
    progress : callable, optional
        Told how many fingerprints have been fetched, where all are.

    Returns
    -------
    tuple of ModelDrift
        One for each model that analysed an incoming run; none if no run with a
        fingerprint was published since.
    """
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    for row in summary_rows(_incoming(results, since), _COLUMNS):
        by_model.setdefault(row["sha256"], []).append(row)
    return tuple(
        _drift_of(
            read_fingerprints(results, sha, folder=folder, progress=progress),
            rows,
            _ALPHA / len(by_model),
        )
        for sha, rows in by_model.items()
    )


def _incoming(results: Container, since: float) -> Container:
    found = results.search(Eq("status", "complete"))
    found = found.search(NotEq("label", Label.INVALID.value))
    found = found.search(KeyPresent("fingerprint"))
    return found.search(Comparison("ge", "published", since))


def _drift_of(
    table: FingerprintTable, rows: list[Mapping[str, Any]], alpha: float
) -> ModelDrift:
    uids = [row["run_uid"] for row in rows]
    incoming, known = table.only(uids), table.without(uids)
    if len(known) < FEWEST_KNOWN:
        tests = tuple(novelty_tests((), incoming.novelty))
        report = DriftReport(len(known), len(incoming), tests, alpha)
    else:
        report = drift_report(
            known.Z,
            incoming.Z,
            novelty=(known.novelty, incoming.novelty),
            alpha=alpha,
        )
    model = f"{rows[0]['name']} {rows[0]['version']}"
    return ModelDrift(model, table.model_sha256, report, known, incoming)

"""From a reduced run to the labelled analysis that is published."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bin_table import bin_columns
from ainerd_bluesky.config import (
    ClassificationConfig,
    CorrelationConfig,
    QualityConfig,
    ReductionConfig,
)
from ainerd_bluesky.json_values import as_json
from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.ml.verdict import bin_weights, pool
from ainerd_bluesky.ml.words import LatentSpace, ModelWords
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.data.roi import QPartition
from ainerd_bluesky.xpcs.quality.checks import Quality
from ainerd_bluesky.xpcs.quality.map_quality import signal_to_noise
from ainerd_bluesky.xpcs.reduction.frames import reduce_events, reduce_frames
from ainerd_bluesky.xpcs.reduction.maps import reduce_maps
from ainerd_bluesky.xpcs.reduction.physics import describe_relaxation
from ainerd_bluesky.xpcs.reduction.result import (
    FASTER_THAN_MAP,
    Reduction,
    ReductionSettings,
    refused,
)

__all__ = [
    "Acquisition",
    "Analysis",
    "AnalysisSettings",
    "Classifier",
    "Reduction",
    "Settings",
    "analyse",
    "reduce_events",
    "reduce_frames",
    "reduce_maps",
    "refused",
]

_SOFTWARE = (
    "ainerd-bluesky", "numpy", "scipy", "torch", "h5py", "hdf5plugin", "tiled",
    "bluesky", "prefect",
)  # fmt: skip


class Settings(ReductionSettings, Protocol):
    """The sections of a configuration that decide results; a `BeamlineConfig` fits."""

    @property
    def classification(self) -> ClassificationConfig:
        """Which model names the dynamics."""


@dataclass(frozen=True)
class AnalysisSettings:
    """Settings for data that belong to no configured beamline."""

    quality: QualityConfig = field(default_factory=QualityConfig)
    reduction: ReductionConfig = field(default_factory=ReductionConfig)
    correlation: CorrelationConfig = field(default_factory=CorrelationConfig)
    classification: ClassificationConfig = field(default_factory=ClassificationConfig)


class Classifier(Protocol):
    """What names the dynamics in two-time maps."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def version(self) -> str:
        """Version of the model."""

    @property
    def sha256(self) -> str:
        """Hash of the weights."""

    @property
    def latent(self) -> LatentSpace:
        """Where its classes lie: a beamline's own words are put beside them."""

    def classify(self, maps: list[NDArray[np.float32]], /) -> list[Classification]:
        """Return one answer for each square map."""


@dataclass(frozen=True)
class Acquisition:
    """What is known of where data came from.

    Parameters
    ----------
    run_uid : str
        Bluesky run, or the name under which archived data are filed.
    sample : str, optional
        Name of the sample.
    frame_time : float, optional
        Start-to-start time of frames, in seconds.
    source : str
        File the data were read from.
    metadata : mapping
        Anything else worth keeping; goes into the provenance.
    """

    run_uid: str
    sample: str | None = None
    frame_time: float | None = None
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything that is published of one run.

    Parameters
    ----------
    run_uid : str
        The run.
    recipe : dict
        What decides the result: equal recipes have equal keys, on every machine and
        at any time.
    provenance : dict
        Software, model, partition and source.
    summary : dict
        What people search: JSON values only, None where unknown.
    arrays : dict of str to ndarray
        Those that exist of two_time, g2, g2_err, lags, intensity, static_intensity,
        embedding, and the labels of pixels: roi_map, static_map.
    bins : dict of str to list
        Columns of the table of q-bins, equally long; numbers are nan where unknown.
    """

    run_uid: str
    recipe: dict[str, Any]
    provenance: dict[str, Any]
    summary: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    bins: dict[str, list[Any]]

    @property
    def key(self) -> str:
        """Name of the result: `xpcs-` and twelve hex digits of the recipe's hash."""
        text = json.dumps(
            self.recipe, sort_keys=True, separators=(",", ":"), allow_nan=False
        )
        return f"xpcs-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def analyse(
    reduction: Reduction,
    acquisition: Acquisition,
    model: Classifier,
    *,
    config: Settings,
    words: ModelWords | None = None,
) -> Analysis:
    """Name the dynamics of a run.

    The probabilities of the q-bins are pooled, weighted by how clearly each shows any
    correlation; so are their embeddings, into the fingerprint of the run. A run, or a
    bin, that the quality gate refuses is `invalid` with confidence 1 and its reasons;
    the model is not asked about it.

    Parameters
    ----------
    reduction : Reduction
        Correlation functions of the run.
    acquisition : Acquisition
        Where the data came from.
    model : Classifier
        What names the dynamics.
    config : Settings
        A `BeamlineConfig`, or anything with its three sections.
    words : ModelWords, optional
        The beamline's own words; the label may be one of them, and `model_label` is
        what the model says without them.

    Returns
    -------
    Analysis
        Ready to be published.
    """
    started = perf_counter()
    signals = np.array([signal_to_noise(one_map) for one_map in reduction.two_time])
    answers = _answers(reduction, model)
    named = answers if words is None else words.rename(answers)
    weights = bin_weights(answers, signals)
    lowest = config.classification.min_confidence
    verdict, without_words = (
        pool(given, weights, reduction.quality, min_confidence=lowest)
        for given in (named, answers)
    )
    identity = {"name": model.name, "version": model.version, "sha256": model.sha256}
    summary = {
        **asdict(verdict),
        "model_label": without_words.label,
        "vocabulary": None if words is None else words.sha256,
        "model": identity,
        **_facts(reduction, acquisition),
        "timing": {
            "reduce": round(reduction.duration, 4),
            "classify": round(perf_counter() - started, 4),
        },
    }
    return Analysis(
        run_uid=acquisition.run_uid,
        recipe=as_json(_recipe(reduction, acquisition, identity, config, words)),
        provenance=as_json(_provenance(reduction, acquisition, identity)),
        summary=as_json(summary),
        arrays=_arrays(reduction, answers),
        bins=bin_columns(reduction, answers, named, weights),
    )


def _facts(reduction: Reduction, acquisition: Acquisition) -> dict[str, Any]:
    """Return what people search for besides the label."""
    return {
        "run_uid": acquisition.run_uid,
        "sample": acquisition.sample,
        "physics": describe_relaxation(reduction),
        "q_range": _q_range(reduction),
        "frame_time": reduction.frame_time,
        "row_time": reduction.row_time,
        "n_frames": reduction.n_frames,
        "n_q_bins": len(reduction.bin_quality),
    }


def _recipe(
    reduction: Reduction,
    acquisition: Acquisition,
    identity: dict[str, str],
    config: Settings,
    words: ModelWords | None,
) -> dict[str, Any]:
    """Return what decides the result, and nothing that differs between machines."""
    return {
        "kind": "xpcs",
        "run_uid": acquisition.run_uid,
        "source": PurePath(acquisition.source).name,
        **{name: acquisition.metadata.get(name) for name in ("field", "dataset")},
        "reduction": reduction.recipe,
        "min_confidence": config.classification.min_confidence,
        "model": identity,
        # Without words of its own, a beamline's results have the keys of any other's.
        **({} if words is None else {"vocabulary": words.sha256}),
        "software": {"ainerd-bluesky": version("ainerd-bluesky")},
    }


def _answers(
    reduction: Reduction, model: Classifier
) -> tuple[Classification | None, ...]:
    """Return the model's answer for each bin; None where it was not asked."""
    if not reduction.quality.ok:
        return (None,) * len(reduction.bin_quality)
    asked = [index for index, quality in enumerate(reduction.bin_quality) if quality.ok]
    given = model.classify([reduction.two_time[index] for index in asked])
    by_index = {
        index: _doubted(answer, reduction.bin_quality[index])
        for index, answer in zip(asked, given, strict=True)
    }
    return tuple(by_index.get(index) for index in range(len(reduction.bin_quality)))


def _doubted(answer: Classification, quality: Quality) -> Classification:
    """Return what the model says of a map; half of it where g2 speaks against it."""
    if FASTER_THAN_MAP not in quality.flags or answer.label != Label.NO_SIGNAL:
        return answer
    share = 1 / len(answer.probabilities)
    doubted = {
        label: (probability + share) / 2
        for label, probability in answer.probabilities.items()
    }
    return replace(answer, probabilities=doubted, confidence=doubted[answer.label])


def _q_range(reduction: Reduction) -> list[float] | None:
    known = reduction.q_values[np.isfinite(reduction.q_values)]
    return [float(known.min()), float(known.max())] if len(known) > 0 else None


def _provenance(
    reduction: Reduction, acquisition: Acquisition, identity: dict[str, str]
) -> dict[str, Any]:
    partition = reduction.partition
    return {
        "run_uid": acquisition.run_uid,
        "source": acquisition.source,
        "partition_sha256": None if partition is None else partition.sha256,
        "model": identity,
        "software": _software(),
        "metadata": acquisition.metadata,
    }


def _software() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _SOFTWARE:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _arrays(
    reduction: Reduction, answers: tuple[Classification | None, ...]
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "two_time": reduction.two_time,
        "g2": reduction.g2,
        "g2_err": reduction.g2_err,
        "lags": reduction.lags,
        "intensity": reduction.intensity,
        "static_intensity": reduction.static_intensity,
        **_partition_arrays(reduction.partition),
    }
    given = [answer.embedding for answer in answers if answer is not None]
    if given:
        zeros = np.zeros_like(given[0])
        arrays["embedding"] = np.stack(
            [zeros if answer is None else answer.embedding for answer in answers]
        )
    return {name: array for name, array in arrays.items() if array.size > 0}


def _partition_arrays(partition: QPartition | None) -> dict[str, NDArray[Any]]:
    """Return the labels of the pixels, which a reader of the result would look for."""
    if partition is None:
        return {}
    labels = {"roi_map": partition.roi_map, "static_map": partition.static_map}
    return {
        name: values.astype(np.min_scalar_type(values.max()))
        for name, values in labels.items()
        if values is not None
    }

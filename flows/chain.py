"""The steps from a finished run to its published label, as plain functions."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd_bluesky.callbacks.trigger import sample_name
from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.engines import choose_engine
from ainerd_bluesky.errors import (
    ConfigError,
    FileFormatError,
    FrameStackError,
    NamingError,
    PartitionError,
    RunNotReadyError,
)
from ainerd_bluesky.ml.words import ModelWords
from ainerd_bluesky.pipeline import (
    Acquisition,
    Analysis,
    Classifier,
    Reduction,
    analyse,
    reduce_frames,
    refused,
)
from ainerd_bluesky.xpcs.data.roi import QPartition
from flows.decisions import keep_decision
from tiled_adapters.catalog import open_catalog
from tiled_adapters.formats.qmap import read_partition
from tiled_adapters.publish import ResultsPublisher
from tiled_adapters.runs import RunFrames, read_run, require_technique
from tiled_adapters.vocabulary import VocabularyStore

__all__ = [
    "RunReading",
    "classify",
    "known_words",
    "open_beamline",
    "process_run",
    "publish",
    "read",
    "reduce",
]

logger = logging.getLogger("flows.chain")


@dataclass(frozen=True, eq=False)
class RunReading:
    """What a run has to offer.

    Parameters
    ----------
    acquisition : Acquisition
        Where the data came from.
    frames : RunFrames or None
        The frames; none are read before the reduction.
    refusal : tuple of str or None
        Flag and reason, for a run that can only be recorded as invalid.
    start : mapping
        Its start document.
    """

    acquisition: Acquisition
    frames: RunFrames | None
    refusal: tuple[str, str] | None = None
    start: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def open_beamline(config: BeamlineConfig) -> Iterator[Container]:
    """Open the root of the beamline's catalog, and close it again.

    Parameters
    ----------
    config : BeamlineConfig
        Says where it is.

    Yields
    ------
    Container
        Opened with the key in TILED_API_KEY.
    """
    catalog = open_catalog(config.catalog.uri)
    try:
        yield catalog
    finally:
        catalog.context.http_client.close()


def read(run_uid: str, config: BeamlineConfig, catalog: Container) -> RunReading:
    """Find out what a run has to offer.

    Parameters
    ----------
    run_uid : str
        Uid of the run.
    config : BeamlineConfig
        The beamline.
    catalog : Container
        Root of its catalog.

    Returns
    -------
    RunReading
        With frames, or with a reason to refuse them.

    Notes
    -----
    A run of another technique, or not clear about its detector, is an
    `UnsuitableRunError`. A run that is not in the catalog, or not finished, is a
    `RunNotReadyError`. So is one whose file cannot be read, for the first
    `file_patience` seconds.
    """
    start, stop = _documents(run_uid, config, catalog)
    acquisition = Acquisition(
        run_uid=run_uid,
        sample=sample_name(start),
        frame_time=config.detector.frame_time or start.get("frame_time"),
        metadata={
            "scan_id": start.get("scan_id"),
            "plan_name": start.get("plan_name"),
            "start_time": start.get("time"),
            "stop_time": stop.get("time"),
            "exit_status": stop["exit_status"],
        },
    )
    require_technique(start, config)
    return replace(_open(acquisition, stop, config, catalog), start=start)


def reduce(reading: RunReading, config: BeamlineConfig) -> Reduction:
    """Make correlation functions of a run's frames.

    Frames that cannot be read, or do not fit the partition, make a refused reduction:
    the run is recorded, as invalid. Soon after the run they may still come: then it is
    a `RunNotReadyError`.

    Parameters
    ----------
    reading : RunReading
        What `read` returned.
    config : BeamlineConfig
        The beamline.

    Returns
    -------
    Reduction
        Maybe refused, with the reason.
    """
    if reading.frames is None:
        flag, reason = reading.refusal or ("unreadable", "the run has no frames")
        return refused(flag, reason)
    partition = _partition(config)
    try:
        return reduce_frames(
            _blocks(reading.frames, reading.acquisition, config),
            partition,
            frame_time=reading.frames.frame_time,
            config=config,
            choose_engine=choose_engine,
            monitor=reading.frames.monitor,
        )
    except PartitionError as error:
        return refused("partition-mismatch", str(error))
    except FrameStackError as error:
        return refused("odd-frames", str(error))
    except FileFormatError as error:
        return refused("unreadable", str(error))


def classify(
    reduction: Reduction,
    reading: RunReading,
    model: Classifier,
    config: BeamlineConfig,
    words: ModelWords | None = None,
) -> Analysis:
    """Name the dynamics.

    Parameters
    ----------
    reduction : Reduction
        What `reduce` returned.
    reading : RunReading
        What `read` returned.
    model : Classifier
        Names two-time maps.
    config : BeamlineConfig
        The beamline.
    words : ModelWords, optional
        What `known_words` returned.

    Returns
    -------
    Analysis
        Ready to publish.
    """
    return analyse(reduction, reading.acquisition, model, config=config, words=words)


def known_words(
    model: Classifier, config: BeamlineConfig, catalog: Container
) -> ModelWords | None:
    """Read the beamline's own words, as they are now.

    A vocabulary that cannot be read, as a node of somebody else in it can make it, is
    logged, and the run gets the labels of the model: `ainerd relabel` mends it later.

    Parameters
    ----------
    model : Classifier
        Whose fingerprints are going to be named.
    config : BeamlineConfig
        The beamline.
    catalog : Container
        Root of its catalog.

    Returns
    -------
    ModelWords or None
        None if there are no words of this model.
    """
    try:
        vocabulary = VocabularyStore(catalog, config.catalog.processed).load()
        return vocabulary.for_model(model)
    except NamingError as error:
        logger.warning("no words of the beamline, labels of the model alone: %s", error)
        return None


def publish(analysis: Analysis, config: BeamlineConfig, catalog: Container) -> str:
    """Write a result to the catalog; the same result a second time changes nothing.

    Parameters
    ----------
    analysis : Analysis
        What `classify` returned.
    config : BeamlineConfig
        The beamline.
    catalog : Container
        Root of its catalog.

    Returns
    -------
    str
        Key of the result below the run's node.
    """
    return ResultsPublisher(catalog[config.catalog.processed]).publish(analysis)


def process_run(
    run_uid: str, config: BeamlineConfig, *, model: Classifier, catalog: Container
) -> dict[str, Any]:
    """Take a run from the catalog and bring its label back: all steps at once.

    Parameters
    ----------
    run_uid : str
        Uid of the run.
    config : BeamlineConfig
        The beamline.
    model : Classifier
        Names two-time maps.
    catalog : Container
        Root of the beamline's catalog.

    Returns
    -------
    dict
        Summary of the result.
    """
    reading = read(run_uid, config, catalog)
    words = known_words(model, config, catalog)
    analysis = classify(reduce(reading, config), reading, model, config, words)
    publish(analysis, config, catalog)
    keep_decision(reading.start, config, catalog)
    return analysis.summary


def _documents(
    run_uid: str, config: BeamlineConfig, catalog: Container
) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        metadata = catalog[config.catalog.raw, run_uid].metadata
    except KeyError as error:
        raise RunNotReadyError(
            f"run {run_uid} is not in {config.catalog.raw!r} of {catalog.uri}"
        ) from error
    if not metadata.get("stop"):
        raise RunNotReadyError(f"run {run_uid} has no stop document yet")
    return dict(metadata["start"]), dict(metadata["stop"])


def _open(
    acquisition: Acquisition,
    stop: Mapping[str, Any],
    config: BeamlineConfig,
    catalog: Container,
) -> RunReading:
    """Open the frames of a run, or find the reason to refuse them."""
    if stop["exit_status"] != "success":
        why = f": {stop['reason']}" if stop.get("reason") else ""
        refusal = ("run-aborted", f"run ended with {stop['exit_status']!r}{why}")
        return RunReading(acquisition, None, refusal)

    try:
        frames = read_run(catalog, acquisition.run_uid, config)
    except FrameStackError as error:  # of its shape: waiting changes nothing
        return RunReading(acquisition, None, ("unreadable", str(error)))
    except FileFormatError as error:
        _raise_if_early(error, acquisition, config)
        return RunReading(acquisition, None, ("unreadable", str(error)))
    origin = {"field": frames.field, "dataset": frames.dataset}
    acquisition = replace(
        acquisition,
        frame_time=frames.frame_time,
        source="" if frames.path is None else str(frames.path),
        metadata={**acquisition.metadata, **origin},
    )
    return RunReading(acquisition, frames)


def _blocks(
    frames: RunFrames, acquisition: Acquisition, config: BeamlineConfig
) -> Iterator[NDArray[np.generic]]:
    """Yield frames; the detector's file may come late over a network drive."""
    try:
        yield from frames.blocks(config.reduction.block_frames)
    # Where the file is not there at all the server is asked, and cannot open it either.
    except (FileFormatError, FrameStackError, ClientError) as error:
        _raise_if_early(error, acquisition, config)
        raise


def _raise_if_early(
    error: Exception, acquisition: Acquisition, config: BeamlineConfig
) -> None:
    """Raise `RunNotReadyError` as long as the detector's file may still come."""
    age = time.time() - (acquisition.metadata["stop_time"] or 0.0)
    # A clock that is a little ahead must not make a run old, nor young for ever.
    if abs(age) < config.flow.file_patience:
        raise RunNotReadyError(
            f"the file of run {acquisition.run_uid} may still come: {error}"
        ) from error


def _partition(config: BeamlineConfig) -> QPartition:
    path = config.partition.path
    if not path.is_file():
        raise ConfigError(
            f"no q-partition {path}: correct [partition] of beamline {config.name!r}"
        )
    return read_partition(path)

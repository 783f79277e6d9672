"""Files of an archive, analysed one by one as a run would be."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from tiled.client.container import Container

from ainerd_bluesky.engines import choose_engine
from ainerd_bluesky.errors import (
    AinerdError,
    CatalogError,
    FileFormatError,
    PartitionError,
    TwoTimeError,
)
from ainerd_bluesky.ml.words import ModelWords
from ainerd_bluesky.pipeline import (
    Acquisition,
    Analysis,
    AnalysisSettings,
    Classifier,
    Reduction,
    Settings,
    analyse,
    reduce_events,
    reduce_frames,
    reduce_maps,
)
from ainerd_bluesky.xpcs import QPartition
from flows.archive_files import file_uid
from tiled_adapters.formats.orientation import laid_on
from tiled_adapters.formats.qmap import read_geometry, read_partition, without_pixels
from tiled_adapters.formats.readers import open_frames, read_two_time
from tiled_adapters.formats.records import EventSource, FrameSource
from tiled_adapters.publish import ResultsPublisher
from tiled_adapters.registration import register_file
from tiled_adapters.vocabulary import VocabularyStore

__all__ = [
    "ASSUMED",
    "Archive",
    "FileReading",
    "Ingested",
    "analyse_file",
]

ASSUMED = "assumed"
"""Origin of a frame time that nobody stated, in the provenance of an analysis."""

_EVENT_BLOCKS = 16
"""Frames of photon events that are read in the place of one full frame."""


@dataclass(frozen=True)
class FileReading:
    """How to read files that do not say everything about themselves."""

    dataset: str | None = None
    """Path inside the file, where it holds several arrays."""
    frame_time: float | None = None
    """Start-to-start time of frames in seconds; it outranks the file's."""
    assumed_frame_time: float | None = None
    """Taken where neither `frame_time` nor the file says; 1 makes rates per frame."""
    is_raw: bool = False
    """Whether the files hold detector frames, not two-time maps."""
    partition: Path | None = None
    """File of the q-partition, for frames."""


def analyse_file(
    path: Path,
    model: Classifier,
    reading: FileReading | None = None,
    *,
    config: Settings | None = None,
    words: ModelWords | None = None,
) -> Analysis:
    """Analyse one file as if it were a run.

    A damaged file, or one of no known format, ends in a FileFormatError; frames
    without a partition that can be read in a PartitionError.

    Parameters
    ----------
    path : Path
        Two-time maps, or detector frames where `reading` says so.
    model : Classifier
        Names the dynamics.
    reading : FileReading, optional
        What the file does not say itself.
    config : Settings, optional
        Thresholds; the defaults without it.
    words : ModelWords, optional
        A beamline's own words.

    Returns
    -------
    Analysis
        Filed under :func:`~flows.archive_files.file_uid`.
    """
    reading = reading or FileReading()
    config = config or AnalysisSettings()
    uid = file_uid(path, reading.dataset)
    if reading.is_raw:
        reduction, acquisition = _reduced_frames(path, uid, reading, config)
    else:
        reduction, acquisition = _reduced_maps(path, uid, reading)
    return analyse(reduction, acquisition, model, config=config, words=words)


def _reduced_maps(
    path: Path, uid: str, reading: FileReading
) -> tuple[Reduction, Acquisition]:
    maps = read_two_time(path, reading.dataset)
    frame_time, origin = _frame_time(reading, maps.frame_time)
    try:
        reduction = reduce_maps(
            maps.two_time,
            q_values=maps.q_values,
            phi_values=maps.phi_values,
            q_bins=maps.metadata.get("q_bins"),
            frame_time=frame_time,
        )
    except TwoTimeError as error:
        raise FileFormatError(f"{path}: {error}") from error
    acquisition = Acquisition(
        run_uid=uid,
        sample=path.stem,
        frame_time=frame_time,
        source=str(path.resolve()),
        metadata={
            **maps.metadata,
            "dataset": reading.dataset,
            "frame_time_from": origin,
        },
    )
    return reduction, acquisition


def _frame_time(
    reading: FileReading, in_file: float | None
) -> tuple[float | None, str]:
    """Return the frame time and where it is from."""
    if reading.frame_time:
        return reading.frame_time, "given"
    if in_file is not None and 0 < in_file < math.inf:
        return in_file, "file"
    return reading.assumed_frame_time, ASSUMED


def _reduced_frames(
    path: Path, uid: str, reading: FileReading, config: Settings
) -> tuple[Reduction, Acquisition]:
    if reading.partition is None:
        raise PartitionError(f"{path} holds frames: name its q-partition (--partition)")
    if not reading.partition.is_file():
        raise PartitionError(
            f"no q-partition {reading.partition}: correct --partition, or make one "
            "with `ainerd qmap`"
        )
    stored = read_partition(reading.partition)
    with open_frames(path, reading.dataset) as frames:
        partition = laid_on(stored, frames.shape[1:])
        frame_time, origin = _frame_time(reading, frames.frame_time)
        reduction = _reduced(
            frames, without_pixels(partition, frames.usable_pixels), frame_time, config
        )
    acquisition = Acquisition(
        run_uid=uid,
        sample=path.stem,
        frame_time=frame_time,
        source=str(path.resolve()),
        metadata={
            **frames.metadata,
            "partition_file": str(reading.partition),
            # Bins that were turned to fit are no longer those of their geometry.
            "geometry": _geometry(reading.partition) if partition is stored else None,
            "dataset": reading.dataset,
            "frame_time_from": origin,
        },
    )
    return reduction, acquisition


def _geometry(partition: Path) -> dict[str, Any] | None:
    """Return what the bins were made from, where their file tells it."""
    try:
        geometry = read_geometry(partition)
    except FileFormatError:  # an impossible one: the bins are none the worse
        return None
    return None if geometry is None else asdict(geometry)


def _reduced(
    source: FrameSource | EventSource,
    partition: QPartition,
    frame_time: float | None,
    config: Settings,
) -> Reduction:
    """Reduce what an open file holds, in the form in which it holds it."""
    block_frames = config.reduction.block_frames
    if isinstance(source, EventSource):
        # Few photons: in blocks of few frames there would be next to none.
        return reduce_events(
            source.events(_EVENT_BLOCKS * block_frames),
            partition,
            n_frames=source.shape[0],
            frame_time=frame_time,
            config=config,
            choose_engine=choose_engine,
        )
    return reduce_frames(
        source.blocks(block_frames),
        partition,
        frame_time=frame_time,
        config=config,
        choose_engine=choose_engine,
    )


@dataclass(frozen=True)
class Ingested:
    """What became of one file."""

    path: Path
    summary: dict[str, Any] | None = None
    """As published; None if there is no result."""
    error: str | None = None
    """Why there is no result."""
    is_done: bool = True
    """Whether it was the file's turn; not if the server failed before its end."""
    remark: str | None = None
    """Why the file itself is not shown by the server, though its result is."""


class Archive:
    """Where files are registered, and their results published.

    Parameters
    ----------
    root : Container
        Root of a catalog laid out by `ainerd serve`.
    model : Classifier
        Names the dynamics.
    reading : FileReading
        What the files do not say themselves.
    config : Settings, optional
        As for `analyse_file`.

    Raises
    ------
    CatalogError
        If the catalog is not laid out so, or its vocabulary cannot be read.
    """

    def __init__(
        self,
        root: Container,
        model: Classifier,
        reading: FileReading,
        *,
        config: Settings | None = None,
    ) -> None:
        self._root = root
        self._model = model
        self._reading = reading
        self._config = config
        self._results = _open_results(root)
        self._publisher = ResultsPublisher(self._results)
        self._words = _read_words(root, model)

    def ingest(self, paths: Iterable[Path]) -> Iterator[Ingested]:
        """Classify, register and publish file by file.

        Parameters
        ----------
        paths : iterable of Path
            Files.

        Yields
        ------
        Ingested
            One a file; a file that cannot be read carries the reason. Once the server
            fails, no other file is tried.
        """
        pending = iter(paths)
        for path in pending:
            try:
                row = self._ingest(path)
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                yield Ingested(path, error=f"server: {reason}", is_done=False)
                break
            yield row
        for path in pending:
            yield Ingested(path, error="not tried", is_done=False)

    def _ingest(self, path: Path) -> Ingested:
        try:
            analysis = analyse_file(
                path,
                self._model,
                self._reading,
                config=self._config,
                words=self._words,
            )
        except AinerdError as error:
            return Ingested(path, error=str(error))
        self._publisher.publish(analysis)
        remark = self._register(path, analysis.run_uid)
        return Ingested(path, analysis.summary, remark=remark)

    def _register(self, path: Path, uid: str) -> str | None:
        reading = self._reading
        try:
            register_file(
                self._results, uid, path, dataset=reading.dataset, is_raw=reading.is_raw
            )
        except FileFormatError as error:
            return str(error)
        return None


def _read_words(root: Container, model: Classifier) -> ModelWords | None:
    """Read the beamline's own words before the first file, not in the midst of them."""
    try:
        return VocabularyStore(root).load().for_model(model)
    except (httpx.HTTPError, AttributeError, TypeError, ValueError) as error:
        raise CatalogError(
            f"cannot read the vocabulary of {root.uri}: {error}; nothing was ingested; "
            "mend or remove what stands below processed/vocabulary"
        ) from error


def _open_results(root: Container) -> Container:
    try:
        return root["processed/xpcs"]
    except KeyError as error:
        raise CatalogError(
            f"{root.uri} has no container processed/xpcs: name the root of a server "
            "that `ainerd serve FOLDER` started"
        ) from error

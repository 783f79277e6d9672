"""Detector frames of a run, read from their file where it can be seen."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import httpx
import numpy as np
from numpy.typing import NDArray
from tiled.client.array import ArrayClient
from tiled.client.container import Container

from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import (
    FileFormatError,
    FrameStackError,
    RunNotReadyError,
    UnsuitableRunError,
)
from tiled_adapters.decode import iter_frames
from tiled_adapters.files import open_hdf5, require_dataset
from tiled_adapters.monitor import read_monitor
from tiled_adapters.paths import local_path, require_under

__all__ = ["RunFrames", "read_run", "require_technique"]

_HDF5 = "application/x-hdf5"


class _Stack(Protocol):
    """Frames that can be indexed: an HDF5 dataset or a Tiled array."""

    shape: tuple[int, ...]

    def __getitem__(self, selection: Any) -> NDArray[Any]: ...  # noqa: ANN401


@dataclass(frozen=True, eq=False)
class RunFrames:
    """The frames of one finished run.

    Parameters
    ----------
    shape : tuple of int
        (n_frames, n_rows, n_cols): one event, or events of one frame each.
    dtype : dtype
        Of a pixel.
    path : Path or None
        The detector's file; None where it cannot be read and the server is asked.
    dataset : str or None
        Path of the frames inside the file; None without a file.
    field : str
        Data key of the detector.
    frame_time : float or None
        Start-to-start time of frames, in seconds; None if the run does not tell.
    monitor : ndarray of float64, shape (n_frames,), or None
        Beam monitor; None where it does not normalise the frames.
    start, stop : dict
        Documents of the run.
    node : ArrayClient
        The frames on the server.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    path: Path | None
    dataset: str | None
    field: str
    frame_time: float | None
    monitor: NDArray[np.float64] | None
    start: Mapping[str, Any]
    stop: Mapping[str, Any]
    node: ArrayClient

    @property
    def exit_status(self) -> str:
        """`success`, `abort` or `fail`."""
        return str(self.stop["exit_status"])

    def blocks(self, block_frames: int) -> Iterator[NDArray[Any]]:
        """Read the frames in order.

        Parameters
        ----------
        block_frames : int
            Most frames in a block.

        Yields
        ------
        ndarray of shape (<= block_frames, n_rows, n_cols)
            Counts.
        """
        with self._open() as stack:
            yield from _blocks(stack, self.shape[0], block_frames)

    @contextmanager
    def _open(self) -> Iterator[_Stack]:
        """Open the file; without one, the server is read, some 15 times slower."""
        if self.path is None or self.dataset is None:
            yield self.node
            return
        with open_hdf5(self.path) as file:
            yield require_dataset(file, self.dataset)


def read_run(catalog: Container, run_uid: str, config: BeamlineConfig) -> RunFrames:
    """Find the frames of a finished run.

    Parameters
    ----------
    catalog : Container
        Root of the server.
    run_uid : str
        The run.
    config : BeamlineConfig
        Says where runs are, which detector is meant and which folders may be read.

    Returns
    -------
    RunFrames
        No frame is read yet.

    Notes
    -----
    A run of another technique, without frames of that detector, or without the frame
    time or monitor that is configured, is an `UnsuitableRunError`. A run of several
    events with several frames each is a `FrameStackError`: time passes between events,
    so their frames are no one series. So is a monitor that does not fit the frames.
    A run that is not there or not finished is a `RunNotReadyError`: worth another try.
    """
    run = _finished_run(catalog, run_uid, config.catalog.raw)
    start, stop = dict(run.metadata["start"]), dict(run.metadata["stop"])
    require_technique(start, config)
    node = _detector_node(run, run_uid, config)
    path, dataset = _direct_access(node, config.catalog.allowed_roots)
    n_rows, n_cols = node.shape[-2:]
    n_frames = _series_length(node.shape, stop, config)
    return RunFrames(
        shape=(n_frames, n_rows, n_cols),
        dtype=node.dtype,
        path=path,
        dataset=dataset,
        field=config.detector.field,
        frame_time=_frame_time(run, start, config),
        monitor=read_monitor(run, n_frames, config),
        start=start,
        stop=stop,
        node=node,
    )


def require_technique(start: Mapping[str, Any], config: BeamlineConfig) -> None:
    """Refuse a run of another technique.

    Parameters
    ----------
    start : mapping
        Start document of the run.
    config : BeamlineConfig
        Names the technique that is analysed.

    Raises
    ------
    UnsuitableRunError
        If the run is of another one, or does not say.
    """
    if start.get("technique") != config.technique:
        raise UnsuitableRunError(
            f"run {start.get('uid')} has technique {start.get('technique')!r}, "
            f"beamline {config.name!r} analyses {config.technique!r}"
        )


def _finished_run(catalog: Container, run_uid: str, raw: str) -> Container:
    try:
        run: Container = catalog[raw, run_uid]
    except KeyError as error:
        raise RunNotReadyError(f"run {run_uid} is not in {raw!r} (yet)") from error
    except httpx.TransportError as error:
        raise RunNotReadyError(f"the catalog does not answer: {error}") from error
    if not run.metadata.get("stop"):
        raise RunNotReadyError(f"run {run_uid} has no stop document (yet)")
    return run


def _detector_node(run: Container, run_uid: str, config: BeamlineConfig) -> ArrayClient:
    """Return the array of the configured detector."""
    stream, field = config.detector.stream, config.detector.field
    streams = list(run)
    if stream not in streams:
        raise UnsuitableRunError(
            f"run {run_uid} has no stream {stream!r}, only {streams}"
        )
    try:
        node = run[f"{stream}/{field}"]
    except KeyError as error:
        raise UnsuitableRunError(
            f"run {run_uid} has no field {field!r} in {stream!r}, "
            f"only {sorted(run[stream])}"
        ) from error
    if not isinstance(node, ArrayClient) or len(node.shape) < 3:
        raise UnsuitableRunError(
            f"{stream}/{field} of run {run_uid} holds no frames: {node!r}"
        )
    return node


def _series_length(
    shape: tuple[int, ...], stop: Mapping[str, Any], config: BeamlineConfig
) -> int:
    """Return the number of frames, if they follow one another without a break."""
    n_frames = int(np.prod(shape[:-2]))
    if len(shape) > 3:
        n_events = int(np.prod(shape[:-3]))
    else:  # the events were joined: only the run still knows how many they were
        n_events = stop.get("num_events", {}).get(config.detector.stream, n_frames)
    if 1 < n_events < n_frames:
        raise FrameStackError(
            f"run has {n_events} events of {n_frames / n_events:g} frames: "
            "a series is one event"
        )
    return n_frames


def _direct_access(
    node: ArrayClient, allowed_roots: Iterable[Path]
) -> tuple[Path | None, str | None]:
    """Return file and dataset of an array, if they may be read without the server."""
    sources = node.include_data_sources().data_sources() or []
    if len(sources) != 1 or sources[0].mimetype != _HDF5 or len(sources[0].assets) != 1:
        return None, None
    parameters = sources[0].parameters
    if "dataset" not in parameters or parameters.get("slice"):
        return None, None
    try:
        path = require_under(local_path(sources[0].assets[0].data_uri), allowed_roots)
    except FileFormatError:
        return None, None
    return (path, str(parameters["dataset"])) if path.exists() else (None, None)


def _frame_time(
    run: Container, start: Mapping[str, Any], config: BeamlineConfig
) -> float | None:
    """Return the first of: beamline setting, detector configuration, start document."""
    if config.detector.frame_time is not None:
        return config.detector.frame_time
    field = config.detector.frame_time_field
    if field is None:
        value = start.get("frame_time")
    else:
        value = _configuration_value(run, field, config.detector.stream)
    try:
        return float(value) if value else None
    except (TypeError, ValueError) as error:
        raise UnsuitableRunError(f"frame time is {value!r}, not seconds") from error


def _configuration_value(run: Container, field: str, stream: str) -> Any:  # noqa: ANN401
    """Return what the run's devices were configured to."""
    devices = run[stream].metadata.get("configuration", {}).values()
    values = {
        key: value
        for device in devices
        for key, value in device.get("data", {}).items()
    }
    if field not in values:
        raise UnsuitableRunError(
            f"frame_time_field {field!r} is not in the configuration of stream "
            f"{stream!r}, only {sorted(values)}"
        )
    return values[field]


def _blocks(stack: _Stack, n_frames: int, block_frames: int) -> Iterator[NDArray[Any]]:
    """Yield blocks of a stack (n, y, x), (1, n, y, x) or (n, 1, y, x)."""
    leading = stack.shape[:-2]
    axis = int(np.argmax(leading))
    if leading[axis] < n_frames:
        raise FrameStackError(
            f"the file has shape {stack.shape}, the run {n_frames} frames"
        )

    if isinstance(stack, h5py.Dataset):
        yield from iter_frames(stack, block_frames, 0, n_frames)
        return
    selection: list[int | slice] = [0] * len(leading)
    for first in range(0, n_frames, block_frames):
        selection[axis] = slice(first, min(first + block_frames, n_frames))
        try:
            yield np.asarray(stack[tuple(selection)])
        except OSError as error:
            raise FileFormatError(f"frames cannot be read: {error}") from error

"""An area detector that sees what a simulated sample does, and writes HDF5."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray
from ophyd_async.core import (
    DetectorAcquireLogic,
    DetectorDataLogic,
    DetectorTriggerLogic,
    PathProvider,
    SignalR,
    StandardDetector,
    StreamableDataProvider,
    StreamResourceDataProvider,
    StreamResourceInfo,
    TriggerInfo,
    soft_signal_r_and_setter,
    soft_signal_rw,
)

__all__ = ["Simulate", "SimulatedXPCSDetector"]

DATASET = "/entry/data/data"

Simulate = Callable[[int], NDArray[np.uint16]]
"""Takes a number of frames; returns them, shape (n_frames, n_rows, n_cols)."""

_BLOCK_FRAMES = 64


class _FrameFile:
    """One HDF5 file after the manner of area detectors: a frame is a chunk."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(path, "w", libver="latest")
        self._frames = self._file.create_dataset(
            DATASET,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(1, *shape),
            dtype=np.uint16,
            compression=hdf5plugin.Bitshuffle(cname="lz4"),
        )
        # From here on others may read while this process writes.
        self._file.swmr_mode = True

    def append(self, frames: NDArray[np.uint16]) -> int:
        """Write frames behind the others; return how many there are now."""
        first = len(self._frames)
        self._frames.resize(first + len(frames), axis=0)
        self._frames[first:] = frames
        self._frames.flush()
        return first + len(frames)

    def close(self) -> None:
        self._file.close()


class _Camera:
    """What the three logics of the detector share."""

    def __init__(self, simulate: Simulate, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.n_frames = 1
        self.frames_written, self._set_frames_written = soft_signal_r_and_setter(int)
        self._simulate = simulate
        self._file: _FrameFile | None = None
        self._exposure: asyncio.Task[None] | None = None

    def open(self, path: Path) -> None:
        self._file = _FrameFile(path, self.shape)
        self._set_frames_written(0)

    def expose(self) -> None:
        self._exposure = asyncio.create_task(self._write_frames())

    async def wait(self) -> None:
        if self._exposure is not None:
            await self._exposure

    async def stop(self) -> None:
        exposure, self._exposure = self._exposure, None
        if exposure is not None:
            exposure.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await exposure

    async def close(self) -> None:
        await self.stop()
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _write_frames(self) -> None:
        """Simulate and write in a thread: the RunEngine's loop stays free."""
        if self._file is None:
            raise RuntimeError("the detector was triggered before it was prepared")
        try:
            frames = await asyncio.to_thread(self._simulate, self.n_frames)
        except Exception:
            # Ends the wait for frames; the wait for this task then raises.
            self._set_frames_written(self.n_frames)
            raise
        for first in range(0, len(frames), _BLOCK_FRAMES):
            block = frames[first : first + _BLOCK_FRAMES]
            n_written = await asyncio.to_thread(self._file.append, block)
            self._set_frames_written(n_written)


class _TriggerLogic(DetectorTriggerLogic):
    def __init__(self, detector: "SimulatedXPCSDetector", camera: _Camera) -> None:
        self._detector = detector
        self._camera = camera

    def config_sigs(self) -> set[SignalR[Any]]:
        return {self._detector.acquire_time, self._detector.acquire_period}

    async def prepare_internal(
        self, num: int, livetime: float, deadtime: float
    ) -> None:
        self._camera.n_frames = num
        if livetime:
            await self._detector.acquire_time.set(livetime)
            await self._detector.acquire_period.set(livetime + deadtime)

    async def default_trigger_info(self) -> TriggerInfo:
        return TriggerInfo()


class _AcquireLogic(DetectorAcquireLogic):
    def __init__(self, camera: _Camera) -> None:
        self._camera = camera

    async def start_acquiring(self) -> None:
        self._camera.expose()

    async def wait_for_idle(self) -> None:
        await self._camera.wait()

    async def ensure_stopped(self) -> None:
        await self._camera.stop()


class _DataLogic(DetectorDataLogic):
    def __init__(self, camera: _Camera, path_provider: PathProvider) -> None:
        self._camera = camera
        self._path_provider = path_provider

    async def prepare_unbounded(self, datakey_name: str) -> StreamableDataProvider:
        place = self._path_provider(datakey_name)
        name = f"{place.filename}.h5"
        self._camera.open(_local(place.directory_path) / name)
        return StreamResourceDataProvider(
            uri=f"{place.directory_uri}{name}",
            resources=[
                StreamResourceInfo(
                    data_key=datakey_name,
                    shape=self._camera.shape,
                    # Of the array as clients see it: event, frame, row, column.
                    chunk_shape=(1, 1, *self._camera.shape),
                    dtype_numpy=np.dtype(np.uint16).str,
                    parameters={"dataset": DATASET},
                )
            ],
            mimetype="application/x-hdf5",
            collections_written_signal=self._camera.frames_written,
        )

    async def stop(self) -> None:
        await self._camera.close()

    def get_hinted_fields(self, datakey_name: str) -> Sequence[str]:  # noqa: ARG002 every frame is in the file, nothing to plot
        return []


class SimulatedXPCSDetector(StandardDetector):
    """Area detector that records the movie of a simulated sample.

    It takes no longer than the simulation does, whatever the exposure time. The frames
    go to ``/entry/data/data``, compressed, one frame a chunk, as the EPICS area
    detector writes them.

    Parameters
    ----------
    path_provider : PathProvider
        Where files go.
    simulate : callable
        Makes the frames of one acquisition; runs in a thread.
    shape : tuple of int
        Rows and columns of a frame.
    name : str, optional
        Name of the device and of its data key.
    """

    def __init__(
        self,
        path_provider: PathProvider,
        simulate: Simulate,
        shape: tuple[int, int],
        name: str = "",
    ) -> None:
        self.acquire_time = soft_signal_rw(float, initial_value=0.009, units="s")
        self.acquire_period = soft_signal_rw(float, initial_value=0.01, units="s")
        camera = _Camera(simulate, shape)
        self.add_detector_logics(
            _TriggerLogic(self, camera),
            _AcquireLogic(camera),
            _DataLogic(camera, path_provider),
        )
        super().__init__(name=name)


def _local(path: PurePath) -> Path:
    return Path(path)

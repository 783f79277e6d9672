"""Detector frames out of compressed chunks, on all cores and in order."""

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from weakref import finalize

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.chunks import HEADER_BYTES, block_bytes_of, is_bitshuffled_lz4
from tiled_adapters.files import DAMAGE, read_array
from tiled_adapters.sizes import require_plausible_size, require_stored

__all__ = ["iter_frames", "read_frames"]

# What is read ahead costs its size in memory.
_LARGEST_AHEAD = 128_000_000
_MOST_THREADS = 8
# So many tasks a thread even out frames of different weight.
_TASKS_PER_THREAD = 4

_Unpacker = Callable[[int, int, int, int, int], int]


def read_frames(dataset: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
    """Read consecutive frames.

    Parameters
    ----------
    dataset : h5py.Dataset
        Frames of shape (n_frames, n_rows, n_cols), or with further axes of length 1
        before the rows.
    start, stop : int
        First frame, and the one after the last.

    Returns
    -------
    ndarray of shape (stop - start, n_rows, n_cols)
        Counts, as the file holds them.

    Notes
    -----
    A damaged frame is a `FileFormatError` that names file, dataset and frame.
    """
    stack = _Stack.of(dataset)
    n_frames = max(0, min(stop, stack.n_frames) - start)
    require_plausible_size(dataset, n_frames * stack.frame_bytes)
    frames = np.empty((n_frames, *stack.frame_shape), dataset.dtype)
    at = 0
    for block in iter_frames(dataset, max(n_frames, 1), start, stop):
        frames[at : at + len(block)] = block
        at += len(block)
    return frames


def iter_frames(
    dataset: h5py.Dataset, block_frames: int, start: int = 0, stop: int | None = None
) -> Iterator[NDArray[Any]]:
    """Read frames in order, in blocks; the next block is decoded meanwhile.

    Parameters
    ----------
    dataset : h5py.Dataset
        As for `read_frames`.
    block_frames : int
        Most frames in a block.
    start, stop : int
        First frame, and the one after the last; all by default.

    Yields
    ------
    ndarray of shape (<= block_frames, n_rows, n_cols)
        Counts, as the file holds them. Blocks of more than 128 MB come in parts, so
        that two of them fit into memory: the one in use, and the one that is decoded.

    Notes
    -----
    HDF5 lets one thread in at a time, and decodes inside. Where a chunk is one frame
    of bitshuffle and LZ4, as DECTRIS and EPICS write it, only the stored bytes are
    fetched under that lock and threads decode them outside. Everything else is read
    the plain way. A damaged frame is a `FileFormatError` that names file, dataset and
    frame; a chunk is checked before it is decoded, because the decoder trusts it.
    """
    stack = _Stack.of(dataset)
    end = stack.n_frames if stop is None else min(stop, stack.n_frames)
    asked = min(block_frames, max(end - start, 0))
    require_stored(dataset, asked * stack.frame_bytes)
    unpack = _unpacker() if stack.is_bitshuffled else None
    if unpack is not None:
        fitting = _LARGEST_AHEAD // max(stack.frame_bytes, 1)
        block_frames = max(1, min(block_frames, fitting))
    # Lazily: a damaged file claims any number of frames.
    starts = range(start, end, block_frames)
    ranges = ((first, min(first + block_frames, end)) for first in starts)
    if unpack is None:
        for first, last in ranges:
            yield stack.read(first, last)
        return
    pool = ThreadPoolExecutor(_n_threads(), thread_name_prefix="decode")
    decoder = _Decoder(stack, unpack, pool)
    try:
        pending: deque[_Block] = deque()
        for first, last in ranges:
            pending.append(decoder.start(first, last))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Stack:
    """A dataset seen as a series of frames."""

    dataset: h5py.Dataset
    axis: int

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> "_Stack":
        return cls(dataset, int(np.argmax(dataset.shape[:-2])))

    @property
    def place(self) -> str:
        return f"{self.dataset.file.filename}: {self.dataset.name}"

    @property
    def n_frames(self) -> int:
        return int(self.dataset.shape[self.axis])

    @property
    def frame_shape(self) -> tuple[int, int]:
        n_rows, n_cols = self.dataset.shape[-2:]
        return n_rows, n_cols

    @property
    def frame_bytes(self) -> int:
        n_rows, n_cols = self.frame_shape
        return int(n_rows * n_cols * self.dataset.dtype.itemsize)

    @property
    def is_bitshuffled(self) -> bool:
        """Whether a chunk is one frame of bitshuffle and LZ4, and nothing else."""
        n_leading = self.dataset.ndim - 2
        one_frame = (1,) * n_leading + self.frame_shape
        return self.dataset.chunks == one_frame and is_bitshuffled_lz4(self.dataset)

    def chunk(self, frame: int) -> bytes | None:
        """Return the stored bytes of a frame; None where HDF5 has to read it."""
        leading = [0] * self.dataset.ndim
        leading[self.axis] = frame
        try:
            skipped, chunk = self.dataset.id.read_direct_chunk(tuple(leading))
        except DAMAGE:
            # A frame that was never written has no chunk; HDF5 fills in its value.
            return None
        return None if skipped else bytes(chunk)

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Read frames the plain way."""
        try:
            return self._read(first, last)
        except FileFormatError as error:
            frame = self._damaged_frame(first, last)
            raise FileFormatError(
                f"{self.place} is damaged in frame {frame}: {error}"
            ) from error

    def _read(self, first: int, last: int) -> NDArray[Any]:
        frames = [slice(0, 1)] * (self.dataset.ndim - 2)
        frames[self.axis] = slice(first, last)
        stored = read_array(self.dataset, tuple(frames))
        return stored.reshape(last - first, *self.frame_shape)

    def _damaged_frame(self, first: int, last: int) -> int:
        for frame in range(first, last):
            try:
                self._read(frame, frame + 1)
            except FileFormatError:
                return frame
        return first


@dataclass(frozen=True, eq=False)
class _Block:
    """Frames that are being decoded."""

    frames: NDArray[Any]
    pending: list[Future[None]]

    def result(self) -> NDArray[Any]:
        for task in self.pending:
            task.result()
        return self.frames


@dataclass(frozen=True, eq=False)
class _Decoder:
    """Threads that fill blocks with the frames of one dataset."""

    stack: _Stack
    unpack: _Unpacker
    pool: ThreadPoolExecutor
    free: list[NDArray[np.uint8]] = field(default_factory=list)

    def start(self, first: int, last: int) -> _Block:
        """Start on a block; small frames go several to a task."""
        stack = self.stack
        require_plausible_size(stack.dataset, (last - first) * stack.frame_bytes)
        frames = self._memory(last - first)
        step = max(1, len(frames) // (_TASKS_PER_THREAD * _n_threads()))
        pending = [
            self.pool.submit(self._fill_into, frames[at : at + step], first + at)
            for at in range(0, len(frames), step)
        ]
        return _Block(frames, pending)

    def _memory(self, n_frames: int) -> NDArray[Any]:
        """Return an array in memory whose last user has let go of it."""
        # Fresh memory costs a third of the decoding: the system clears each page.
        n_bytes = n_frames * self.stack.frame_bytes
        owner = self.free.pop() if self.free else np.empty(n_bytes, np.uint8)
        if owner.nbytes < n_bytes:
            owner = np.empty(n_bytes, np.uint8)
        pixels = np.frombuffer(owner[:n_bytes].data, self.stack.dataset.dtype)
        # It stands on no array of its own, so every view of the frames holds it.
        finalize(pixels, self.free.append, owner)
        return pixels.reshape(n_frames, *self.stack.frame_shape)

    def _fill_into(self, frames: NDArray[Any], first: int) -> None:
        stack = self.stack
        for index, frame in enumerate(frames, start=first):
            chunk = stack.chunk(index)
            if chunk is None:
                frame[:] = stack.read(index, index + 1)[0]
            elif not _unpack_into(frame, chunk, self.unpack):
                raise FileFormatError(
                    f"{stack.place} is damaged in frame {index}: its {len(chunk)} "
                    f"bytes are no bitshuffled {frame.dtype} of shape {frame.shape}"
                )


def _unpack_into(frame: NDArray[Any], chunk: bytes, unpack: _Unpacker) -> bool:
    """Fill a frame from a chunk; return whether the chunk was whole."""
    block_bytes = block_bytes_of(chunk, frame.nbytes, 8 * frame.itemsize)
    if block_bytes is None:
        return False
    stored = np.frombuffer(chunk, np.uint8)
    n_read = unpack(
        stored.ctypes.data + HEADER_BYTES,
        frame.ctypes.data,
        frame.size,
        frame.itemsize,
        block_bytes // frame.itemsize,
    )
    return n_read >= 0


@cache
def _unpacker() -> _Unpacker | None:
    """Return the decoder inside HDF5's own filter; None where it cannot be reached."""
    # Called by ctypes it lets go of Python's lock and never asks for HDF5's.
    for path in sorted(Path(hdf5plugin.PLUGINS_PATH).glob("libh5bshuf.*")):
        try:
            unpack = ctypes.CDLL(str(path)).bshuf_decompress_lz4
        except (OSError, AttributeError):
            continue
        unpack.restype = ctypes.c_int64
        unpack.argtypes = (ctypes.c_void_p,) * 2 + (ctypes.c_size_t,) * 3
        return unpack
    return None


def _n_threads() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        n_cores = len(os.sched_getaffinity(0))
    else:
        n_cores = os.cpu_count() or 1
    return min(n_cores, _MOST_THREADS)

"""Files of the older APS 8-ID: frames behind a header of 1024 bytes each."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats.adapters import FramesAdapter
from tiled_adapters.formats.aps_metadata import read_sibling
from tiled_adapters.formats.binary import BinaryFile, open_binary
from tiled_adapters.formats.event_lists import EventLists, FrameIndex, frame_index
from tiled_adapters.formats.facts import present
from tiled_adapters.formats.records import EventSource, FrameSource

__all__ = ["ImmAdapter", "open_imm"]

_HEADER_BYTES = 1024
_SPARSE = 6
_INDEX, _VALUE = np.dtype("<u4"), np.dtype("<u2")
# Of the header: compression at byte 4; rows, cols, bytes at 108; the time of the frame
# and its exposure at 128; the number of pixels that follow at 152.
_FIELDS = struct.Struct("<4xi100xiii8xdd8xI")


@dataclass(frozen=True)
class _Header:
    compression: int
    n_rows: int
    n_cols: int
    n_bytes: int
    elapsed: float
    exposure: float
    n_pixels: int

    @classmethod
    def read(cls, file: BinaryFile, offset: int) -> "_Header":
        """Read the header at a byte of a file."""
        return cls(*_FIELDS.unpack(file.peek(offset, _FIELDS.size)))


@contextmanager
def open_imm(
    path: Path, _dataset: str | None = None, /
) -> Iterator[FrameSource | EventSource]:
    """Open the frames of an IMM file.

    Parameters
    ----------
    path : Path
        `*.imm`; `<stem>_metadata.hdf` beside it tells the frame time.

    Yields
    ------
    FrameSource or EventSource
        As the file is dense or sparse; valid inside the `with` block.

    Raises
    ------
    FileFormatError
        If the file is cut off, or its headers do not fit one another.
    """
    with open_binary(path) as file:
        header = _Header.read(file, 0)
        if min(header.n_rows, header.n_cols) < 1 or header.n_bytes not in {0, 2}:
            raise FileFormatError(
                f"{path} is no IMM file: {header.n_rows} rows, {header.n_cols} "
                f"columns, {header.n_bytes} bytes a pixel"
            )
        facts = read_sibling(path, path.stem)
        told = present({"count_time": header.exposure or None})
        metadata = {**told, **facts.metadata}
        if header.compression == _SPARSE:
            yield _sparse_source(file, header, facts.frame_time, metadata)
        else:
            frames = _DenseFrames(file, header)
            yield FrameSource((frames,), facts.frame_time, metadata=metadata)


class ImmAdapter(FramesAdapter):
    """Frames of an IMM file, dense or sparse."""

    mimetype = "application/x-xpcs-imm"
    open = staticmethod(open_imm)


class _DenseFrames:
    """Frames that are all there, each behind its header."""

    def __init__(self, file: BinaryFile, header: _Header) -> None:
        self._file = file
        self._row = _dense_frame(file.path, header)
        n_frames, rest = divmod(file.size, self._row.itemsize)
        if rest:
            raise file.cut_off(n_frames * self._row.itemsize, self._row.itemsize)
        self.shape = (n_frames, header.n_rows, header.n_cols)
        self.dtype = _VALUE

    def __str__(self) -> str:
        return str(self._file.path)

    def __getitem__(self, selection: slice) -> NDArray[Any]:
        start, stop, _ = selection.indices(self.shape[0])
        offset = start * self._row.itemsize
        found = self._file.read(offset, self._row, stop - start)
        is_whole = (found["rows"] == self.shape[1]) & (found["cols"] == self.shape[2])
        is_whole &= found["n_pixels"] == self.shape[1] * self.shape[2]
        if not is_whole.all():
            first = start + int(np.argmin(is_whole))
            raise FileFormatError(
                f"{self}, byte {first * self._row.itemsize}: the header of frame "
                f"{first} does not fit frames of {self.shape[1:]}"
            )
        return np.ascontiguousarray(found["frame"])


def _dense_frame(path: Path, header: _Header) -> np.dtype[Any]:
    """Return the type of a header with its frame."""
    shape = (header.n_rows, header.n_cols)
    n_bytes = _HEADER_BYTES + header.n_rows * header.n_cols * _VALUE.itemsize
    if n_bytes >= 2**31:
        raise FileFormatError(f"{path}: an IMM frame of shape {shape} cannot be")
    return np.dtype(
        {
            "names": ["rows", "cols", "n_pixels", "frame"],
            "formats": ["<i4", "<i4", "<u4", (_VALUE, shape)],
            "offsets": [108, 112, 152, _HEADER_BYTES],
            "itemsize": n_bytes,
        }
    )


def _sparse_source(
    file: BinaryFile,
    header: _Header,
    frame_time: float | None,
    metadata: dict[str, Any],
) -> EventSource:
    # The chain of headers is followed once for a file, not for every request.
    index = _frame_index(file.path, file.size, file.path.stat().st_mtime_ns)
    shape = (header.n_rows, header.n_cols)
    lists = EventLists(file, index, _INDEX, _VALUE, shape[0] * shape[1])
    return EventSource(
        str(file.path),
        (len(index.offsets), *shape),
        _VALUE,
        lists.read,
        frame_time=frame_time,
        metadata=metadata,
    )


@lru_cache(maxsize=8)
def _frame_index(path: Path, _size: int, _stamp: int) -> FrameIndex:
    with open_binary(path) as file:
        return frame_index(_chain(file))


def _chain(file: BinaryFile) -> Iterator[tuple[int, int]]:
    """Yield the place and the number of the events of each frame."""
    first = _Header.read(file, 0)
    offset = 0
    while offset < file.size:
        header = _Header.read(file, offset)
        _check_header(file, header, first, offset)
        offset += _HEADER_BYTES
        yield offset, header.n_pixels
        offset += header.n_pixels * (_INDEX.itemsize + _VALUE.itemsize)


def _check_header(
    file: BinaryFile, header: _Header, first: _Header, offset: int
) -> None:
    left = file.size - offset - _HEADER_BYTES
    n_bytes = header.n_pixels * (_INDEX.itemsize + _VALUE.itemsize)
    shapes = {(one.n_rows, one.n_cols, one.compression) for one in (header, first)}
    if len(shapes) > 1 or header.n_pixels > first.n_rows * first.n_cols:
        raise FileFormatError(
            f"{file.path}, byte {offset}: a header of {header.n_rows} x "
            f"{header.n_cols} with {header.n_pixels} pixels in a file of "
            f"{first.n_rows} x {first.n_cols}"
        )
    if n_bytes > left:
        raise file.cut_off(offset + _HEADER_BYTES, n_bytes)

"""Files of pyCHX: compressed frames (`.cmp`), and results."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats.adapters import FramesAdapter
from tiled_adapters.formats.binary import BinaryFile, open_binary
from tiled_adapters.formats.event_lists import EventLists, FrameIndex, frame_index
from tiled_adapters.formats.facts import energy_from_wavelength, present
from tiled_adapters.formats.records import EventSource

__all__ = ["CmpAdapter", "open_cmp"]

_HEADER = struct.Struct("<16s8d7I916x")
_MAGIC = b"Version-COMP"
_LENGTH, _POSITION = np.dtype("<u4"), np.dtype("<i4")
_VALUES: dict[int, np.dtype[Any]] = {
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<f8"),
}
_WINDOW = 4096
_MOST_FRAMES = 2**21
"""More than any scan; in a gigabyte of zeros there would be 128 times as many."""


@contextmanager
def open_cmp(path: Path, _dataset: str | None = None, /) -> Iterator[EventSource]:
    """Open a compressed multifile of pyCHX.

    Parameters
    ----------
    path : Path
        `*.cmp`.

    Yields
    ------
    EventSource
        Valid inside the `with` block. Frames that pyCHX took for bad have no events.
        Averages of several frames have fractions for counts.

    Notes
    -----
    A `FileFormatError` is raised if the header is no such header, or a frame does
    not fit it.
    """
    with open_binary(path) as file:
        header = _Header(file)
        # The chain of frames is followed once for a file, not for every request.
        index = _frame_index(path, file.size, path.stat().st_mtime_ns)
        n_pixels = header.shape[0] * header.shape[1]
        lists = EventLists(file, index, _POSITION, header.value, n_pixels)
        yield EventSource(
            str(path),
            (len(index.offsets), *header.shape),
            header.value,
            lists.read,
            frame_time=header.frame_time,
            metadata=header.metadata,
        )


class CmpAdapter(FramesAdapter):
    """Frames of a compressed multifile of pyCHX."""

    mimetype = "application/x-xpcs-chx-cmp"
    open = staticmethod(open_cmp)


class _Header:
    """What stands before the first frame."""

    def __init__(self, file: BinaryFile) -> None:
        magic, *fields = _HEADER.unpack(file.peek(0, _HEADER.size))
        if not magic.startswith(_MAGIC):
            raise FileFormatError(
                f"{file.path} is no pyCHX multifile: it begins {magic!r}"
            )
        measured, (n_bytes, n_cols, n_rows, *roi) = fields[:8], fields[8:]
        if n_bytes not in _VALUES:
            raise FileFormatError(
                f"{file.path}, byte 80: {n_bytes} bytes a value, not 2, 4 or 8"
            )
        # pyCHX turns its frames, and calls "rows" what are the columns of the array.
        self.shape = (n_rows, n_cols)
        self.value = _VALUES[n_bytes]
        self.frame_time = measured[4] if measured[4] > 0 else None
        self.metadata = _metadata(measured, n_bytes, roi)
        if not 0 < n_rows * n_cols <= np.iinfo(_POSITION).max:
            raise FileFormatError(
                f"{file.path}, byte 84: {n_cols} x {n_rows} pixels are no detector"
            )


def _metadata(measured: list[float], n_bytes: int, roi: list[int]) -> dict[str, Any]:
    beam_x, beam_y, count_time, distance, _, wavelength, pixel_x, pixel_y = measured
    row_range, col_range = roi[2:], roi[:2]
    told = {
        "count_time": count_time,
        "energy": energy_from_wavelength(wavelength),
        "beam_center_x": beam_x,
        "beam_center_y": beam_y,
        "detector_distance": distance,
        "x_pixel_size": pixel_x,
        "y_pixel_size": pixel_y,
    }
    # A zero stands for what the run did not tell.
    known = present({key: value or None for key, value in told.items()})
    is_average = _VALUES[n_bytes].kind == "f"
    return {
        **known,
        "row_range": row_range,
        "col_range": col_range,
        "is_average": is_average,
        # The beam centre is that of the frames before pyCHX turned them.
        "is_turned": True,
    }


@lru_cache(maxsize=8)
def _frame_index(path: Path, _size: int, _stamp: int) -> FrameIndex:
    with open_binary(path) as file:
        index = frame_index(_chain(file, _Header(file)))
    if not len(index.offsets):
        raise FileFormatError(f"{path} has a header and no frame")
    return index


def _chain(file: BinaryFile, header: _Header) -> Iterator[tuple[int, int]]:
    """Yield the place and the number of the events of each frame."""
    n_pixels = header.shape[0] * header.shape[1]
    event_bytes = _POSITION.itemsize + header.value.itemsize
    window, beginning = b"", 0
    offset, n_frames = _HEADER.size, 0
    while offset < file.size:
        # Frames are a few bytes apart or a few megabytes: a page makes both fast.
        if not beginning <= offset <= beginning + len(window) - _LENGTH.itemsize:
            beginning = offset
            size = max(min(_WINDOW, file.size - offset), _LENGTH.itemsize)
            window = file.peek(offset, size)
        (length,) = struct.unpack_from("<I", window, offset - beginning)
        if length > n_pixels:
            raise FileFormatError(
                f"{file.path}, byte {offset}: frame {n_frames} has {length} pixels "
                f"with photons on a detector of {n_pixels}"
            )
        if n_frames >= _MOST_FRAMES:
            raise FileFormatError(
                f"{file.path}, byte {offset}: more than {_MOST_FRAMES} frames"
            )
        offset += _LENGTH.itemsize
        if offset + length * event_bytes > file.size:
            raise file.cut_off(offset, length * event_bytes)
        yield offset, length
        offset += length * event_bytes
        n_frames += 1

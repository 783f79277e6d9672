"""Sparse frames of ESRF ID10: per frame a list of pixels and their photons."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import (
    holds,
    open_hdf5,
    read_array,
    read_numbers,
    require_dataset,
)
from tiled_adapters.formats.adapters import FramesAdapter
from tiled_adapters.formats.binary import require_counts, require_pixels, sibling
from tiled_adapters.formats.bliss import scan_frame_time
from tiled_adapters.formats.records import Events, EventSource

__all__ = ["SparseFramesAdapter", "is_sparse_frames", "open_sparse_frames"]

_GROUP = "/entry_0000/measurement/data"
_COLUMNS = ("frame_ptr", "index", "intensity")
_NUMBERED = re.compile(r"(?P<series>.+_)(?P<number>\d+)(?P<suffix>\.[^.]+)$")
_SCAN_FOLDER = re.compile(r"scan(\d+)$")
# Where a file does not tell the shape of the detector, its name tells the detector.
_DETECTORS = {"eiger4m": (2162, 2068)}


def is_sparse_frames(file: h5py.File) -> bool:
    """Return whether an open file holds frames as lists of pixels."""
    return all(holds(file, f"{_GROUP}/{name}") for name in _COLUMNS)


@contextmanager
def open_sparse_frames(
    path: Path, _dataset: str | None = None, /
) -> Iterator[EventSource]:
    """Open sparse frames, with the frame time of their scan.

    Parameters
    ----------
    path : Path
        The first file of a series (`..._00000.h5`), which stands for all of it; any
        other file stands for itself.

    Yields
    ------
    EventSource
        Valid inside the `with` block.

    Notes
    -----
    A `FileFormatError` is raised if nothing tells the shape of the detector, or a
    background was taken out: its photons are lost.
    """
    with _open_events(path, frame_time=_frame_time(path)) as source:
        yield source


@contextmanager
def _open_events(path: Path, *, frame_time: float | None) -> Iterator[EventSource]:
    with ExitStack() as stack:
        files = [stack.enter_context(open_hdf5(part)) for part in _series(path)]
        shape, mask = _detector(path, files[0])
        parts = [_Part(file, shape) for file in files]
        starts = np.cumsum([0, *(part.n_frames for part in parts)])

        def read(start: int, stop: int) -> Events:
            return _joined(parts, starts, start, stop)

        yield EventSource(
            f"{path}: {_GROUP}",
            (int(starts[-1]), *shape),
            parts[0].dtype,
            read,
            frame_time=frame_time,
            usable_pixels=mask,
        )


class SparseFramesAdapter(FramesAdapter):
    """Sparse frames of ID10, shown as the detector would."""

    mimetype = "application/x-xpcs-sparse-frames+hdf5"
    open = staticmethod(open_sparse_frames)

    @classmethod
    def open_alone(
        cls, path: Path, _dataset: str | None = None, /
    ) -> AbstractContextManager[EventSource]:
        """Open the frames without the file of the scan, which lies a folder above."""
        return _open_events(path, frame_time=None)


class _Part:
    """The frames of one file."""

    def __init__(self, file: h5py.File, shape: tuple[int, int]) -> None:
        if holds(file, f"{_GROUP}/background_avg"):
            raise FileFormatError(
                f"{file.filename}: {_GROUP} lost its background, and photons with it"
            )
        columns = [require_dataset(file, f"{_GROUP}/{name}") for name in _COLUMNS]
        for column in columns:
            if column.ndim != 1 or column.dtype.kind not in "iu":
                raise FileFormatError(
                    f"{file.filename}: {column.name} has shape {column.shape} of "
                    f"{column.dtype}, not a list of integers"
                )
        self._pointers, self._pixels, self._counts = columns
        if len(self._pixels) != len(self._counts) or len(self._pointers) < 2:
            raise FileFormatError(
                f"{file.filename}: {_GROUP} has {len(self._pixels)} pixels, "
                f"{len(self._counts)} counts and {len(self._pointers)} frame pointers"
            )
        self._n_pixels = shape[0] * shape[1]
        self.n_frames = len(self._pointers) - 1
        self.dtype: np.dtype[Any] = self._counts.dtype

    def read(self, start: int, stop: int) -> Events:
        """Read the events of frames start..stop of this file."""
        pointers = read_array(self._pointers, slice(start, stop + 1)).astype(np.int64)
        first, last = int(pointers[0]), int(pointers[-1])
        lengths = np.diff(pointers)
        if first < 0 or last > len(self._pixels) or lengths.min() < 0:
            raise FileFormatError(
                f"{self._place(self._pointers)}: frames {start} .. {stop} point to "
                f"{first} .. {last} of {len(self._pixels)} events"
            )
        events = slice(first, last)
        pixel_index = read_array(self._pixels, events).astype(np.int64)
        require_pixels(
            pixel_index,
            self._n_pixels,
            lambda index: f"{self._place(self._pixels)}, entry {first + index}",
        )
        counts = read_array(self._counts, events)
        require_counts(
            counts, lambda index: f"{self._place(self._counts)}, entry {first + index}"
        )
        frame_index = np.repeat(np.arange(start, stop), lengths)
        return Events(frame_index, pixel_index, counts)

    @staticmethod
    def _place(dataset: h5py.Dataset) -> str:
        return f"{dataset.file.filename}: {dataset.name}"


def _series(path: Path) -> list[Path]:
    """Return the files of a series, if a name is that of its first one."""
    match = _NUMBERED.match(path.name)
    if match is None or int(match["number"]) != 0:
        return [path]
    found = [path]
    width = len(match["number"])
    while True:
        number = f"{len(found):0{width}d}"
        following = sibling(path, f"{match['series']}{number}{match['suffix']}")
        if following is None:
            return found
        found.append(following)


def _detector(
    path: Path, file: h5py.File
) -> tuple[tuple[int, int], NDArray[np.bool_] | None]:
    """Return the shape of the detector and its usable pixels, as far as told."""
    name = f"{_GROUP}/mask"
    if holds(file, name):
        mask = read_numbers(file, name)
        if mask.ndim != 2:
            raise FileFormatError(f"{path}: {name} has shape {mask.shape}")
        # pyFAI writes a radius, and nan where there is no pixel; what 1 means in a mask
        # of integers is nowhere said.
        is_usable = np.isfinite(mask) if mask.dtype.kind == "f" else None
        return (mask.shape[0], mask.shape[1]), is_usable
    for detector, shape in _DETECTORS.items():
        if path.name.startswith(detector):
            return shape, None
    raise FileFormatError(f"{path}: nothing tells the shape of the detector")


def _joined(
    parts: list[_Part], starts: NDArray[np.int64], start: int, stop: int
) -> Events:
    """Return the events of a range of frames across files."""
    found = []
    for part, offset in zip(parts, starts[:-1].tolist(), strict=True):
        first, last = max(start - offset, 0), min(stop - offset, part.n_frames)
        if first < last:
            frame_index, pixel_index, counts = part.read(first, last)
            found.append((frame_index + offset, pixel_index, counts))
    return Events(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _frame_time(path: Path) -> float | None:
    """Return the frame time of the scan whose folder the file lies in."""
    match = _SCAN_FOLDER.match(path.parent.name)
    folder = path.parent.parent
    if match is None:
        return None
    # The master file may be out of reach for whoever may read the frames.
    with suppress(FileFormatError):
        master = sibling(path.parent, f"{folder.name}.h5")
        if master is not None:
            with open_hdf5(master) as file:
                return scan_frame_time(file, f"/{int(match[1])}.1")
    return None

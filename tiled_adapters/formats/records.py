"""What the readers of files hand over, whatever the format."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.decode import iter_frames
from tiled_adapters.files import read_array

__all__ = [
    "EventSource",
    "Events",
    "FrameSource",
    "OneTimeFile",
    "Stack",
    "StackRange",
    "TwoTimeFile",
]

_LARGEST_FRAME = 2**31
"""Pixels; more than any detector has, and what a 32-bit position can name."""


@dataclass(frozen=True, eq=False)
class TwoTimeFile:
    """Two-time maps as a file holds them, brought to one convention.

    Parameters
    ----------
    two_time : ndarray of float32, shape (n_q_bins, n_frames, n_frames)
        Filled squares, origin upper left.
    q_values : ndarray of shape (n_q_bins,)
        In 1/angstrom; nan where the file does not say.
    phi_values : ndarray of shape (n_q_bins,)
        In degrees; nan for a whole ring, or where the file does not say.
    frame_time : float or None
        Time from one row of a map to the next, in seconds.
    metadata : dict
        What else the file tells, as plain JSON values.
    """

    two_time: NDArray[np.float32]
    q_values: NDArray[np.float64]
    phi_values: NDArray[np.float64]
    frame_time: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _keep_usable_time(self)


@dataclass(frozen=True, eq=False)
class OneTimeFile:
    """g2 as a file holds it, brought to one convention.

    Parameters
    ----------
    lags : ndarray of float64, shape (n_lags,)
        In frames as they were correlated, that is after stride and average.
    g2 : ndarray of float64, shape (n_lags, n_q_bins)
        Every q-bin of the partition.
    g2_err : ndarray of float64, shape (n_lags, n_q_bins)
        As the program that wrote the file estimated it; nan where it did not.
    q_values, phi_values : ndarray of shape (n_q_bins,)
        In 1/angstrom and degrees; nan where the file does not say.
    frame_time : float or None
        Time that one lag stands for, in seconds.
    metadata : dict
        What else the file tells, as plain JSON values.
    """

    lags: NDArray[np.float64]
    g2: NDArray[np.float64]
    g2_err: NDArray[np.float64]
    q_values: NDArray[np.float64]
    phi_values: NDArray[np.float64]
    frame_time: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _keep_usable_time(self)


class Stack(Protocol):
    """Frames that follow one another: an HDF5 dataset, or what behaves like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_frames, n_rows, n_cols)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""

    def __getitem__(self, selection: slice, /) -> NDArray[Any]:
        """Read a range of frames."""


@dataclass(frozen=True, eq=False)
class StackRange:
    """Some frames of a dataset: detectors make room for more than they write.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of shape (n, n_rows, n_cols).
    start, stop : int
        First frame, and the one after the last.
    """

    dataset: h5py.Dataset
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_frames, n_rows, n_cols)."""
        return (self.stop - self.start, *self.dataset.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""
        dtype: np.dtype[Any] = self.dataset.dtype
        return dtype

    def __str__(self) -> str:
        return _place(self.dataset)

    def __getitem__(self, selection: slice) -> NDArray[Any]:
        start, stop, _ = selection.indices(self.stop - self.start)
        return read_array(self.dataset, slice(self.start + start, self.start + stop))


@dataclass(frozen=True, eq=False)
class FrameSource:
    """Detector frames of an open file, read in blocks.

    Parameters
    ----------
    parts : tuple of Stack
        Stacks of shape (n, n_rows, n_cols) that follow one another.
    frame_time : float or None
        Start-to-start time of frames, in seconds; None where the file is silent.
    usable_pixels : ndarray of bool, shape (n_rows, n_cols), or None
        True where the detector counts; None if all pixels do.
    timestamps : ndarray of float64, shape (n_frames,), or None
        When each frame was taken, in seconds of any origin.
    metadata : dict
        What else the file tells, as plain JSON values.

    Raises
    ------
    FileFormatError
        If the parts are no stacks of frames of one shape and of numbers, or the usable
        pixels are of another shape.
    """

    parts: tuple[Stack, ...]
    frame_time: float | None = None
    usable_pixels: NDArray[np.bool_] | None = None
    timestamps: NDArray[np.float64] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _keep_usable_time(self)
        if not self.parts:
            raise FileFormatError("no frames: the file has no stack")
        for part in self.parts:
            if len(part.shape) != 3 or part.shape[1:] != self.parts[0].shape[1:]:
                raise FileFormatError(
                    f"{_place(part)} has shape {part.shape}, "
                    f"not (n_frames, n_rows, n_cols) like its neighbours"
                )
            if part.dtype != self.parts[0].dtype:
                raise FileFormatError(
                    f"{_place(part)} holds {part.dtype}, its neighbours {self.dtype}"
                )
            if part.dtype.kind not in "biuf":
                raise FileFormatError(f"{_place(part)} holds {part.dtype}, not counts")
        _require_frames(_place(self.parts[0]), self.shape, self.usable_pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_frames, n_rows, n_cols)."""
        _, n_rows, n_cols = self.parts[0].shape
        return sum(part.shape[0] for part in self.parts), n_rows, n_cols

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""
        return self.parts[0].dtype

    def blocks(
        self, block_frames: int, start: int = 0, stop: int | None = None
    ) -> Iterator[NDArray[Any]]:
        """Read frames in order.

        Parameters
        ----------
        block_frames : int
            Most frames in a block.
        start, stop : int
            First frame, and the one after the last; all by default.

        Yields
        ------
        ndarray of shape (<= block_frames, n_rows, n_cols)
            Counts; 0 in pixels that are not usable.
        """
        end = self.shape[0] if stop is None else min(stop, self.shape[0])
        offset = 0
        for part in self.parts:
            length = part.shape[0]
            first, last = max(start - offset, 0), min(end - offset, length)
            if first < last:
                yield from map(self._masked, _blocks(part, block_frames, first, last))
            offset += length

    def _masked(self, block: NDArray[Any]) -> NDArray[Any]:
        if self.usable_pixels is not None:
            block[:, ~self.usable_pixels] = 0
        return block


class Events(NamedTuple):
    """Photons in order of frames."""

    frame_index: NDArray[np.int64]
    """Frame of each event, never falling."""
    pixel_index: NDArray[np.int64]
    """Pixel of each event, `row * n_cols + col`; in any order within a frame."""
    counts: NDArray[Any]
    """Photons of each event."""


@dataclass(frozen=True, eq=False)
class EventSource:
    """Detector frames of an open file that keeps only the pixels with photons.

    Parameters
    ----------
    place : str
        File, and path inside it, for messages.
    shape : tuple of int
        (n_frames, n_rows, n_cols).
    dtype : dtype
        Of the counts.
    read : callable
        `read(start, stop)` gives the checked events of these frames.
    frame_time : float or None
        Start-to-start time of frames, in seconds; None where the file is silent.
    usable_pixels : ndarray of bool, shape (n_rows, n_cols), or None
        True where the detector counts; None if all pixels do.
    timestamps : ndarray of float64, shape (n_frames,), or None
        When each frame was taken, in seconds of any origin.
    metadata : dict
        What else the file tells, as plain JSON values.

    Raises
    ------
    FileFormatError
        If there are no frames, or the usable pixels are of another shape.
    """

    place: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    read: Callable[[int, int], Events] = field(repr=False)
    frame_time: float | None = None
    usable_pixels: NDArray[np.bool_] | None = None
    timestamps: NDArray[np.float64] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _keep_usable_time(self)
        _require_frames(self.place, self.shape, self.usable_pixels)

    def events(
        self, block_frames: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Events]:
        """Read events in order of frames; nothing is made dense.

        Parameters
        ----------
        block_frames : int
            Most frames in a block.
        start, stop : int
            First frame, and the one after the last; all by default.

        Yields
        ------
        Events
            Of the next frames; without those of pixels that are not usable.
        """
        for first, last in self._ranges(block_frames, start, stop):
            yield self._usable(self.read(first, last))

    def blocks(
        self, block_frames: int, start: int = 0, stop: int | None = None
    ) -> Iterator[NDArray[Any]]:
        """Read frames in order, as a detector would show them.

        Parameters
        ----------
        block_frames : int
            Most frames in a block.
        start, stop : int
            First frame, and the one after the last; all by default.

        Yields
        ------
        ndarray of shape (<= block_frames, n_rows, n_cols)
            Counts; 0 in pixels that are not usable. Events of the same pixel and frame
            are added.
        """
        n_pixels = self.shape[1] * self.shape[2]
        for first, last in self._ranges(block_frames, start, stop):
            frame_index, pixel_index, counts = self._usable(self.read(first, last))
            block = np.zeros((last - first, *self.shape[1:]), self.dtype)
            places = (frame_index - first) * n_pixels + pixel_index
            np.add.at(block.reshape(-1), places, counts)
            yield block

    def _ranges(
        self, block_frames: int, start: int, stop: int | None
    ) -> Iterator[tuple[int, int]]:
        end = self.shape[0] if stop is None else min(stop, self.shape[0])
        for first in range(start, end, block_frames):
            yield first, min(first + block_frames, end)

    def _usable(self, events: Events) -> Events:
        if self.usable_pixels is None:
            return events
        keep = self.usable_pixels.reshape(-1)[events.pixel_index]
        return Events(*(column[keep] for column in events))


def _require_frames(
    place: str, shape: tuple[int, int, int], usable_pixels: NDArray[np.bool_] | None
) -> None:
    """Refuse what cannot be a series of frames, whatever a header claims."""
    if min(shape) < 1 or shape[1] * shape[2] > _LARGEST_FRAME:
        raise FileFormatError(f"{place} has shape {shape}: that is no series of frames")
    if usable_pixels is not None and usable_pixels.shape != shape[1:]:
        raise FileFormatError(
            f"{place}: a frame has shape {shape[1:]}, "
            f"the pixel mask {usable_pixels.shape}"
        )


def _place(part: Stack) -> str:
    if isinstance(part, h5py.Dataset):
        return f"{part.file.filename}: {part.name}"
    return str(part)


def _blocks(
    part: Stack, block_frames: int, first: int, last: int
) -> Iterator[NDArray[Any]]:
    """Read a range of one stack; HDF5 is decoded on all cores."""
    if isinstance(part, h5py.Dataset):
        yield from iter_frames(part, block_frames, first, last)
        return
    if isinstance(part, StackRange):
        begin = part.start
        yield from iter_frames(part.dataset, block_frames, begin + first, begin + last)
        return
    for index in range(first, last, block_frames):
        yield part[index : min(index + block_frames, last)]


def _keep_usable_time(
    record: "FrameSource | EventSource | TwoTimeFile | OneTimeFile",
) -> None:
    """Forget a frame time that cannot be one: files hold 0, nan and -1 for unknown."""
    seconds = record.frame_time
    if seconds is not None and not 0 < seconds < math.inf:
        object.__setattr__(record, "frame_time", None)

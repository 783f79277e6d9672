"""Files that hold, frame after frame, a list of pixels and a list of counts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiled_adapters.formats.binary import BinaryFile, require_counts, require_pixels
from tiled_adapters.formats.records import Events

__all__ = ["EventLists", "FrameIndex", "frame_index"]


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """Where the lists of each frame stand in a file."""

    offsets: NDArray[np.int64]
    """Byte of the first pixel of each frame."""
    lengths: NDArray[np.int64]
    """Number of pixels of each frame."""


def frame_index(found: Iterable[tuple[int, int]]) -> FrameIndex:
    """Collect the places of frames.

    Parameters
    ----------
    found : iterable of (int, int)
        Byte of the first pixel of a frame, and number of its pixels.

    Returns
    -------
    FrameIndex
        16 bytes a frame.
    """
    pairs: NDArray[Any] = np.fromiter(found, np.dtype((np.int64, 2)))
    return FrameIndex(pairs[:, 0].copy(), pairs[:, 1].copy())


@dataclass(frozen=True, eq=False)
class EventLists:
    """The events of an open file.

    Parameters
    ----------
    file : BinaryFile
        The file.
    index : FrameIndex
        Where its frames are.
    position, value : dtype
        Of a pixel number and of a count; the counts of a frame follow its pixels.
    n_pixels : int
        Of the detector.
    """

    file: BinaryFile
    index: FrameIndex
    position: np.dtype[Any]
    value: np.dtype[Any]
    n_pixels: int

    def read(self, start: int, stop: int) -> Events:
        """Read the events of frames start..stop, which lie in one stretch.

        Parameters
        ----------
        start, stop : int
            First frame, and the one after the last.

        Returns
        -------
        Events
            Checked.
        """
        offsets = self.index.offsets[start:stop]
        lengths = self.index.lengths[start:stop]
        # One read of a stretch costs a hundredth of one read a frame.
        first = int(offsets[0])
        last = int(offsets[-1] + lengths[-1] * self.event_bytes)
        stored = self.file.read(first, np.dtype(np.uint8), last - first).data
        places = list(zip((offsets - first).tolist(), lengths.tolist(), strict=True))
        pixels = [np.frombuffer(stored, self.position, n, at) for at, n in places]
        shift = self.position.itemsize
        counts = [
            np.frombuffer(stored, self.value, n, at + n * shift) for at, n in places
        ]
        events = Events(
            np.repeat(np.arange(start, stop), lengths),
            np.concatenate(pixels).astype(np.int64),
            np.concatenate(counts),
        )
        place = self._place(offsets, lengths)
        require_pixels(events.pixel_index, self.n_pixels, place)
        require_counts(events.counts, place)
        return events

    @property
    def event_bytes(self) -> int:
        """Bytes of an event."""
        return int(self.position.itemsize + self.value.itemsize)

    def _place(
        self, offsets: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> Callable[[int], str]:
        """Return what names the place of an event, given its number."""
        ends = np.cumsum(lengths)

        def place(event: int) -> str:
            frame = int(np.searchsorted(ends, event, side="right"))
            number = event - int(ends[frame] - lengths[frame])
            byte = int(offsets[frame]) + number * self.position.itemsize
            return f"{self.file.path}, byte {byte}"

        return place

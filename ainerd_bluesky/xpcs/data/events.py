"""Photons as events: exact correlation at a cost that follows the photons."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import FrameStackError, PartitionError
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.data.pixel_events import sorted_order
from ainerd_bluesky.xpcs.data.series import Counts, PixelSeries

__all__ = ["EventSeries"]

Integers = NDArray[np.int64]


class EventSeries:
    """Photons inside the regions of interest, event after event.

    What `PixelSeries` is to frames: only what lies inside the regions is kept, and
    iterating gives the events of each q-bin in turn.

    Parameters
    ----------
    roi_map : ndarray of int, shape (n_rows, n_cols)
        Label of each pixel, 1 .. n_q_bins; 0 for a pixel that is not used.
    n_q_bins : int, optional
        Number of q-bins; the highest label if not given.
    static_map : ndarray of int, shape (n_rows, n_cols), optional
        Label of the static bin of each pixel.

    Raises
    ------
    PartitionError
        If `roi_map` is not a map of labels, or `static_map` of another shape.

    Examples
    --------
    >>> series = EventSeries(np.array([[0, 1], [1, 2]]))
    >>> series.append([0, 1], [1, 2], [5, 1], n_frames=4)
    >>> series.bin(1).to_counts()
    array([[5, 0], [0, 1], [0, 0], [0, 0]], dtype=uint8)
    """

    def __init__(
        self,
        roi_map: NDArray[np.integer],
        n_q_bins: int | None = None,
        static_map: NDArray[np.integer] | None = None,
    ) -> None:
        self._layout = PixelSeries(roi_map, n_q_bins, static_map)
        self.shape = self._layout.shape
        self.n_q_bins = self._layout.n_q_bins
        self.n_frames = 0
        # A frame that shows the number of each pixel tells where the series puts it.
        n_detector = int(np.prod(self.shape))
        self._layout.append(np.arange(n_detector).reshape(1, *self.shape))
        pixels = [numbers[0] for numbers in self._layout]
        self._sizes = np.array([len(numbers) for numbers in pixels])
        inside = np.concatenate(pixels).astype(np.int64)
        self._bin = np.zeros(n_detector, np.uint16)
        self._bin[inside] = np.repeat(np.arange(1, self.n_q_bins + 1), self._sizes)
        self._place = np.zeros(n_detector, np.int32)
        self._place[inside] = np.concatenate([np.arange(n) for n in self._sizes])
        self._blocks: list[_Block] = []
        self._is_sorted = False
        self._last = 0

    def __iter__(self) -> Iterator[BinEvents]:
        for q_bin in range(1, self.n_q_bins + 1):
            yield self.bin(q_bin)

    @property
    def saturation(self) -> None:
        """None: a pixel at the upper limit of a detector is no list of photons."""
        return

    @property
    def n_bytes(self) -> int:
        """Memory that the events take."""
        return sum(column.nbytes for block in self._blocks for column in block)

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Whether a frame could not be read, shape (n_frames,): False for all."""
        return np.zeros(self.n_frames, bool)

    def append(
        self,
        frame_index: ArrayLike,
        pixel_index: ArrayLike,
        counts: ArrayLike | None = None,
        *,
        n_frames: int | None = None,
    ) -> None:
        """Add the next events.

        Parameters
        ----------
        frame_index : array_like of int, shape (n_events,)
            Frame of each event, counted from the start of the series, in rising order
            and not before those of the last block.
        pixel_index : array_like of int, shape (n_events,)
            Pixel of each event, n_cols * row + column.
        counts : array_like of shape (n_events,), optional
            Photons; 1 each if not given.
        n_frames : int, optional
            Frames of the series so far; up to the last event if not given, which is
            too few where the last frames were empty.

        Raises
        ------
        FrameStackError
            If the arrays differ in length, frames do not rise, or an index or a count
            cannot be; the series is then unchanged.
        """
        frames, pixels = _indices(frame_index), _indices(pixel_index)
        photons = np.ones(len(frames), np.uint8) if counts is None else counts
        photons = np.asarray(photons)
        last = int(frames.max(initial=-1)) + 1
        length = max(self.n_frames, last) if n_frames is None else n_frames
        BinEvents(frames, pixels, photons, length, len(self._bin))
        if length < self.n_frames or (np.diff(frames, prepend=self._last) < 0).any():
            raise FrameStackError(
                f"events must come in order of frames, after frame {self._last} and in "
                f"no shorter series than before, got n_frames {length}"
            )

        if photons.dtype.kind in "iu":
            # 64-bit counts of single photons would take most of the memory.
            highest = int(photons.max(initial=0))
            photons = photons.astype(np.min_scalar_type(highest))
        labels = self._bin[pixels]
        keep = labels > 0
        self._blocks.append(
            _Block(
                labels[keep],
                frames[keep].astype(np.int32),
                self._place[pixels[keep]],
                photons[keep],
            )
        )
        self._is_sorted = False
        self.n_frames, self._last = length, max(self._last, last - 1)

    def bin(self, q_bin: int) -> BinEvents:
        """Return the events in one q-bin.

        Parameters
        ----------
        q_bin : int
            From 1 to n_q_bins.

        Returns
        -------
        BinEvents
            Pixel after pixel, in the order of `PixelSeries.counts`, and in each of
            them in order of frames.

        Raises
        ------
        PartitionError
            If there is no such q-bin.
        """
        if not 1 <= q_bin <= self.n_q_bins:
            raise PartitionError(f"q_bin must lie in 1 .. {self.n_q_bins}, got {q_bin}")
        block = self._sorted()
        inside = slice(*np.searchsorted(block.labels, [q_bin, q_bin + 1]))
        return BinEvents(
            block.frames[inside],
            block.places[inside],
            block.counts[inside],
            self.n_frames,
            int(self._sizes[q_bin - 1]),
        )

    def static_bins(self, q_bin: int) -> Integers | None:
        """Return which static bin each pixel of a q-bin belongs to.

        Parameters
        ----------
        q_bin : int
            From 1 to n_q_bins; another one is a PartitionError.

        Returns
        -------
        ndarray of int64, shape (n_pixels,), or None
            As `PixelSeries.static_bins`.
        """
        return self._layout.static_bins(q_bin)

    def frame_means(self) -> NDArray[np.float64]:
        """Return the mean counts per pixel of each frame in each q-bin.

        Returns
        -------
        ndarray of float64, shape (n_frames, n_q_bins)
            In photons; nan for a bin without pixels.
        """
        means = np.full((self.n_frames, self.n_q_bins), np.nan)
        for index, events in enumerate(self):
            if events.n_pixels > 0:
                sums = np.bincount(events.frame_index, events.counts, self.n_frames)
                means[:, index] = sums / events.n_pixels
        return means

    def _sorted(self) -> "_Block":
        """Return all events q-bin by q-bin and pixel by pixel, and keep them so."""
        if not self._is_sorted:
            empty = np.zeros(0, np.uint8)
            columns = zip(
                _Block(empty, empty, empty, empty), *self._blocks, strict=True
            )
            joined = [np.concatenate(column) for column in columns]
            order = sorted_order(joined[2], joined[0])
            self._blocks = [_Block(*(column[order] for column in joined))]
            self._is_sorted = True
        return self._blocks[0]


class _Block(NamedTuple):
    """Events inside the regions: q-bin, frame, pixel in the bin, photons."""

    labels: NDArray[np.integer]
    frames: NDArray[np.integer]
    places: NDArray[np.integer]
    counts: Counts


def _indices(values: ArrayLike) -> NDArray[np.integer]:
    indices = np.asarray(values)
    # An empty list becomes floats.
    return indices if indices.size > 0 else indices.astype(np.int64)

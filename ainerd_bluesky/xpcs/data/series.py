"""Photon counts of the pixels inside the q-bins, frame after frame."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FrameStackError, PartitionError

__all__ = ["Counts", "PixelSeries"]

Counts: TypeAlias = NDArray[Any]
"""Photons: unsigned integers where possible, any real numbers otherwise."""


class PixelSeries:
    """Counts of the pixels inside the regions of interest, frame after frame.

    Only these pixels are kept, in the smallest integer type that holds them, so memory
    follows the regions and not the detector. Iterating gives `counts` of each
    q-bin in turn.

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
    >>> series = PixelSeries(np.array([[0, 1], [1, 2]]))
    >>> series.append(np.array([[[9, 1], [2, 3]], [[9, 4], [5, 6]]]))
    >>> series.counts(1)
    array([[1, 2], [4, 5]], dtype=uint8)
    """

    def __init__(
        self,
        roi_map: NDArray[np.integer],
        n_q_bins: int | None = None,
        static_map: NDArray[np.integer] | None = None,
    ) -> None:
        roi_map = np.asarray(roi_map)
        if roi_map.ndim != 2 or roi_map.dtype.kind not in "iu" or roi_map.size == 0:
            raise PartitionError(
                "roi_map must hold integers in shape (n_rows, n_cols), got "
                f"{roi_map.dtype} of shape {roi_map.shape}"
            )
        highest = int(roi_map.max())
        self.n_q_bins = highest if n_q_bins is None else n_q_bins
        if highest > self.n_q_bins or int(roi_map.min()) < 0:
            raise PartitionError(
                f"roi_map labels must lie in 0 .. {self.n_q_bins}, got "
                f"{int(roi_map.min())} .. {highest}"
            )

        if static_map is not None and static_map.shape != roi_map.shape:
            raise PartitionError(
                f"static_map has shape {static_map.shape}, roi_map {roi_map.shape}"
            )

        self.shape: tuple[int, ...] = roi_map.shape
        self._pixels = np.flatnonzero(roi_map)
        labels = roi_map.ravel()[self._pixels]
        static = labels if static_map is None else static_map.ravel()[self._pixels]
        # Static bins lie side by side, so that each is a range of columns.
        order = np.lexsort((static, labels))
        edges = np.searchsorted(labels[order], np.arange(1, self.n_q_bins + 2))
        columns = [slice(*pair) for pair in pairwise(edges.tolist())]
        self._bins = [_GrowingCounts(order[part]) for part in columns]
        self._static: list[NDArray[np.int64]] | None = None
        if static_map is not None:
            self._static = [_ranks(static[order[part]]) for part in columns]
        self._missing: list[NDArray[np.bool_]] = []
        self._saturation: int | None = None
        self.n_frames = 0

    def __iter__(self) -> Iterator[Counts]:
        for q_bin in range(1, self.n_q_bins + 1):
            yield self.counts(q_bin)

    @property
    def saturation(self) -> int | None:
        """Upper limit of the unsigned integers that came in; None for other types.

        Detectors write it into pixels that are masked or over range.
        """
        return self._saturation

    @property
    def n_bytes(self) -> int:
        """Memory that the counts take."""
        return sum(counts.rows.nbytes for counts in self._bins)

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Whether a frame held nan inside a region of interest, shape (n_frames,).

        Such a frame stands as zeros in `counts`.
        """
        return np.concatenate([np.zeros(0, bool), *self._missing])

    def append(self, frames: Counts) -> None:
        """Add the next block of frames.

        Parameters
        ----------
        frames : ndarray of shape (k, n_rows, n_cols)
            Counts, in photons; k may differ from block to block. A frame with nan
            inside a region of interest is missing. What lies outside the regions is
            not looked at.

        Raises
        ------
        FrameStackError
            If the shape is another one, or a pixel inside a region of interest is
            negative or infinite; the series is then unchanged.
        """
        frames = np.asarray(frames)
        if frames.ndim != 3:
            wanted = ", ".join(map(str, ("k", *self.shape)))
            raise FrameStackError(
                f"frames have shape {frames.shape}, not ({wanted}): one frame is "
                "frame[None]"
            )
        if frames.shape[1:] != self.shape:
            raise FrameStackError(
                f"frames have shape {frames.shape}, the q-partition {self.shape}"
            )
        if frames.dtype.kind not in "biuf":
            raise FrameStackError(f"frames must hold numbers, got {frames.dtype}")
        if len(frames) == 0:
            return
        # In the order of memory first: twice as fast as in the order of q-bins.
        counts = np.take(frames.reshape(len(frames), -1), self._pixels, axis=1)
        is_missing = np.zeros(len(frames), bool)
        if counts.dtype.kind == "f":
            is_missing |= np.isnan(counts).any(axis=1)
            counts[is_missing] = 0
        self._check(counts)

        counts = _smallest(counts)
        for bin_counts in self._bins:
            bin_counts.append(counts)
        self._missing.append(is_missing)
        self.n_frames += len(frames)
        if frames.dtype.kind == "u":
            limit = int(np.iinfo(frames.dtype).max)
            self._saturation = max(limit, self._saturation or 0)

    def counts(self, q_bin: int) -> Counts:
        """Return the counts in one q-bin.

        Parameters
        ----------
        q_bin : int
            From 1 to n_q_bins; another one is a PartitionError.

        Returns
        -------
        ndarray of shape (n_frames, n_pixels)
            Photons, in the smallest integer type that holds them (floats where the
            frames hold fractions); pixels in the order of the static bins, and of the
            detector inside of them.
        """
        return self._bins[self._index(q_bin)].rows

    def static_bins(self, q_bin: int) -> NDArray[np.int64] | None:
        """Return which static bin each pixel of a q-bin belongs to.

        Parameters
        ----------
        q_bin : int
            From 1 to n_q_bins; another one is a PartitionError.

        Returns
        -------
        ndarray of int64, shape (n_pixels,), or None
            Rising labels 0 .. n, in the order of `counts`; None without static bins.
        """
        index = self._index(q_bin)
        return None if self._static is None else self._static[index]

    def frame_means(self) -> NDArray[np.float64]:
        """Return the mean counts per pixel of each frame in each q-bin.

        Returns
        -------
        ndarray of float64, shape (n_frames, n_q_bins)
            In photons; nan for a bin without pixels.
        """
        means = np.full((self.n_frames, self.n_q_bins), np.nan)
        for index, counts in enumerate(self):
            if counts.shape[1] > 0:
                means[:, index] = counts.mean(axis=1, dtype=np.float64)
        return means

    def _index(self, q_bin: int) -> int:
        if not 1 <= q_bin <= self.n_q_bins:
            raise PartitionError(f"q_bin must lie in 1 .. {self.n_q_bins}, got {q_bin}")
        return q_bin - 1

    def _check(self, counts: Counts) -> None:
        if counts.dtype.kind == "f" and not np.isfinite(counts).all():
            first = int(np.argmin(np.isfinite(counts).all(axis=1)))
            raise FrameStackError(
                f"frame {self.n_frames + first} holds infinity inside a "
                "region of interest"
            )
        if counts.dtype.kind in "if" and counts.size > 0 and counts.min() < 0:
            first = int(np.argmin(counts.min(axis=1)))
            raise FrameStackError(
                f"frame {self.n_frames + first} holds a negative count inside a "
                f"region of interest: {counts.min()}"
            )


class _GrowingCounts:
    """Counts of one q-bin, in memory that doubles when it is full.

    Parameters
    ----------
    columns : ndarray of int64, shape (n_pixels,)
        Columns of each block that belong to the q-bin, in its order.
    """

    def __init__(self, columns: NDArray[np.int64]) -> None:
        self._columns = columns
        self._memory = np.zeros((0, len(columns)), np.uint8)
        self._n_rows = 0

    @property
    def rows(self) -> Counts:
        """Counts so far, shape (n_frames, n_pixels): no copy, not to be changed."""
        return self._memory[: self._n_rows]

    def append(self, block: Counts) -> None:
        """Add the columns of a block of frames."""
        n_rows = self._n_rows + len(block)
        dtype = np.promote_types(self._memory.dtype, block.dtype)
        if n_rows > len(self._memory) or dtype != self._memory.dtype:
            capacity = max(n_rows, 2 * self._n_rows)
            memory = np.empty((capacity, len(self._columns)), dtype)
            memory[: self._n_rows] = self.rows
            self._memory = memory
        if block.dtype != dtype:
            block = block.astype(dtype)
        # No column is out of range, and without a mode that says so numpy copies twice.
        new = self._memory[self._n_rows : n_rows]
        np.take(block, self._columns, axis=1, out=new, mode="clip")
        self._n_rows = n_rows


def _ranks(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return labels 0 .. n in the order of those given."""
    ranks: NDArray[np.int64] = np.unique(labels, return_inverse=True)[1]
    return ranks


def _smallest(counts: Counts) -> Counts:
    """Return the counts in the smallest type that holds them exactly."""
    if counts.size == 0:
        return counts.astype(np.uint8)
    highest = counts.max()
    # Above 2^53 not every whole number is a float64, so equality proves nothing.
    if counts.dtype.kind == "f" and (
        highest >= 2**53 or not np.array_equal(counts, np.trunc(counts))
    ):
        return counts
    return counts.astype(np.min_scalar_type(int(highest)))

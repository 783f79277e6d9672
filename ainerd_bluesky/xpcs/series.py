"""Photon counts of the pixels inside the q-bins, frame after frame."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FrameStackError, PartitionError

__all__ = ["Counts", "PixelSeries"]

Counts: TypeAlias = NDArray[Any]
"""Photons: unsigned integers where possible, any real numbers otherwise."""


class PixelSeries:
    """Counts of the pixels inside the regions of interest, frame after frame.

    Only these pixels are kept, in the smallest integer type that holds each block, so
    memory follows the regions and not the detector. Iterating gives `counts` of each
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
        self._order = np.lexsort((static, labels))
        self._static = None if static_map is None else static[self._order]
        self._edges = np.searchsorted(
            labels[self._order], np.arange(1, self.n_q_bins + 2)
        )
        self._blocks: list[Counts] = []
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
        return sum(block.nbytes for block in self._blocks)

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
        if frames.ndim != 3 or frames.shape[1:] != self.shape:
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

        self._blocks.append(np.take(_smallest(counts), self._order, axis=1))
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
        columns = self._columns(q_bin)
        if not self._blocks:
            return np.zeros((0, columns.stop - columns.start), np.uint8)
        return np.concatenate([block[:, columns] for block in self._blocks])

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
        columns = self._columns(q_bin)
        if self._static is None:
            return None
        labels: NDArray[np.int64] = np.unique(
            self._static[columns], return_inverse=True
        )[1]
        return labels

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

    def _columns(self, q_bin: int) -> slice:
        if not 1 <= q_bin <= self.n_q_bins:
            raise PartitionError(f"q_bin must lie in 1 .. {self.n_q_bins}, got {q_bin}")
        return slice(self._edges[q_bin - 1], self._edges[q_bin])

    def _check(self, counts: Counts) -> None:
        if counts.dtype.kind == "f" and not np.isfinite(counts).all():
            first = int(np.argmin(np.isfinite(counts).all(axis=1)))
            raise FrameStackError(
                f"frame {self.n_frames + first} holds infinity inside a "
                "region of interest"
            )
        if counts.size > 0 and counts.min() < 0:
            first = int(np.argmin(counts.min(axis=1)))
            raise FrameStackError(
                f"frame {self.n_frames + first} holds a negative count inside a "
                f"region of interest: {counts.min()}"
            )


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

"""Photons of one q-bin, one entry for each pixel and frame that has any."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.data.pixel_events import PixelEvents, sorted_by_pixel
from ainerd_bluesky.xpcs.data.series import Counts

__all__ = ["BinEvents", "checked_counts"]


@dataclass(frozen=True, eq=False)
class BinEvents:
    """Photons of one q-bin, one entry for each pixel and frame that has any.

    Parameters
    ----------
    frame_index : ndarray of int, shape (n_events,)
        Frame of each event, in any order.
    pixel_index : ndarray of int, shape (n_events,)
        Pixel of each event, from 0 to n_pixels - 1.
    counts : ndarray of shape (n_events,)
        Photons.
    n_frames, n_pixels : int
        Length of the series and size of the q-bin, empty frames and pixels included.

    Raises
    ------
    FrameStackError
        If the arrays differ in length, or an index or a count cannot be.
    """

    frame_index: NDArray[np.integer]
    pixel_index: NDArray[np.integer]
    counts: Counts
    n_frames: int
    n_pixels: int

    def __post_init__(self) -> None:
        lengths = [len(self.frame_index), len(self.pixel_index), len(self.counts)]
        if len(set(lengths)) > 1:
            raise FrameStackError(
                "frame_index, pixel_index and counts must be equally long, got "
                f"{lengths}"
            )
        _check_range("frame_index", self.frame_index, self.n_frames)
        _check_range("pixel_index", self.pixel_index, self.n_pixels)
        _check_counts(self.counts)

    @classmethod
    def from_counts(cls, counts: ArrayLike) -> "BinEvents":
        """Find the photons in an array of counts.

        Parameters
        ----------
        counts : array_like of shape (n_frames, n_pixels)
            Photons.

        Returns
        -------
        BinEvents
            In order of frames.

        Examples
        --------
        >>> events = BinEvents.from_counts([[0, 2, 0], [1, 0, 0]])
        >>> events.frame_index, events.pixel_index, events.counts
        (array([0, 1]), array([1, 0]), array([2, 1]))
        """
        counts = checked_counts(counts)
        frame_index, pixel_index = np.nonzero(counts)
        return cls(
            frame_index, pixel_index, counts[frame_index, pixel_index], *counts.shape
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n_frames, n_pixels), as of an array of counts."""
        return self.n_frames, self.n_pixels

    @cached_property
    def by_pixel(self) -> PixelEvents:
        """The events in order of pixels and frames, one a pixel and frame."""
        return sorted_by_pixel(
            self.frame_index.astype(np.int64),
            self.pixel_index.astype(np.int64),
            self.counts.astype(np.float64),
            self.shape,
        )

    def of_pixels(self, is_wanted: NDArray[np.bool_]) -> "BinEvents":
        """Return the events of some pixels, which are numbered anew."""
        keep = is_wanted[self.pixel_index]
        place = np.cumsum(is_wanted) - 1
        return replace(
            self,
            frame_index=self.frame_index[keep],
            pixel_index=place[self.pixel_index[keep]],
            counts=self.counts[keep],
            n_pixels=int(is_wanted.sum()),
        )

    def to_counts(self) -> Counts:
        """Return the counts, shape (n_frames, n_pixels), in a type that holds them."""
        events, dtype = self.by_pixel, self.counts.dtype
        if dtype.kind in "biu":
            # Events in the same pixel and frame add up, perhaps beyond their own type.
            highest = np.min_scalar_type(int(events.values.max(initial=0)))
            dtype = np.result_type(dtype, highest)
        counts = np.zeros(self.shape, dtype)
        counts[events.times, events.pixels] = events.values
        return counts


def checked_counts(counts: ArrayLike) -> Counts:
    """Return counts of one q-bin as an array.

    Parameters
    ----------
    counts : array_like of shape (n_frames, n_pixels)
        Photons.

    Returns
    -------
    ndarray of shape (n_frames, n_pixels)
        The same.

    Raises
    ------
    FrameStackError
        If they have another number of dimensions, or are not real numbers.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2:
        raise FrameStackError(
            f"counts must have shape (n_frames, n_pixels), got {counts.shape}"
        )
    if counts.dtype.kind not in "biuf":
        raise FrameStackError(f"counts must be real numbers, got {counts.dtype}")
    return counts


def _check_range(name: str, values: NDArray[np.integer], n_wanted: int) -> None:
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise FrameStackError(
            f"{name} must hold integers in shape (n_events,), got {values.dtype} of "
            f"shape {values.shape}"
        )
    if len(values) > 0 and not 0 <= values.min() <= values.max() < n_wanted:
        raise FrameStackError(
            f"{name} must lie in 0 .. {n_wanted - 1}, got {values.min()} .. "
            f"{values.max()}"
        )


def _check_counts(counts: Counts) -> None:
    if counts.dtype.kind not in "biuf":
        raise FrameStackError(f"counts must be real numbers, got {counts.dtype}")
    if len(counts) > 0 and not 0 <= counts.min() <= counts.max() < np.inf:
        raise FrameStackError(
            f"counts must be finite and not negative, got {counts.min()} .. "
            f"{counts.max()}"
        )

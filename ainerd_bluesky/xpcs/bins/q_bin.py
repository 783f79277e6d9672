"""Counts of one q-bin together with what normalises them."""

from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.data.bin_events import BinEvents, checked_counts
from ainerd_bluesky.xpcs.data.pixel_events import PixelEvents
from ainerd_bluesky.xpcs.data.series import Counts

__all__ = ["BinLayout", "EventBin", "QBin", "SomeBin", "checked_bin"]

Integers = NDArray[np.int64]

# Maps are made in single precision, of squares of counts and of one over those: this
# far from 1 there is room left for frames that are much darker or brighter.
_SMALLEST_PEAK, _LARGEST_PEAK = 1e-12, 1e12


@dataclass(frozen=True, eq=False)
class BinLayout:
    """What normalises the counts of one q-bin, in whatever form these are.

    Parameters
    ----------
    static_bins : ndarray of int64, shape (n_pixels,)
        Static bin of each pixel, from 0 without gaps.
    is_good : ndarray of bool, shape (n_frames,)
        Frames that take part.
    monitor : ndarray of float64, shape (n_frames,), optional
        Beam monitor.
    """

    static_bins: Integers
    is_good: NDArray[np.bool_]
    monitor: NDArray[np.float64] | None

    @classmethod
    def of_shape(
        cls,
        shape: tuple[int, ...],
        static_bins: ArrayLike | None = None,
        is_good: ArrayLike | None = None,
        monitor: ArrayLike | None = None,
    ) -> "BinLayout":
        """Check what belongs to counts of a shape (n_frames, n_pixels)."""
        n_frames, n_pixels = shape
        bins = np.zeros(n_pixels) if static_bins is None else np.asarray(static_bins)
        good = np.ones(n_frames, bool) if is_good is None else np.asarray(is_good, bool)
        beam = None if monitor is None else np.asarray(monitor, np.float64)
        _check_length("static_bins", bins, n_pixels, "pixels")
        _check_length("is_good", good, n_frames, "frames")
        if beam is not None:
            _check_length("monitor", beam, n_frames, "frames")
            good = good & np.isfinite(beam)
        return BinLayout(np.unique(bins, return_inverse=True)[1], good, beam)

    def taking(self, pixels: Integers) -> Self:
        """Return some pixels, in the order in which they are named."""
        return replace(self, static_bins=self.static_bins[pixels])


@dataclass(frozen=True, eq=False)
class QBin(BinLayout):
    """Counts of one q-bin with what their normalisation needs, checked.

    Parameters
    ----------
    static_bins, is_good, monitor
        As in `BinLayout`.
    counts : ndarray of shape (n_frames, n_pixels)
        Photons.
    """

    counts: Counts

    @classmethod
    def checked(
        cls,
        counts: ArrayLike,
        static_bins: ArrayLike | None = None,
        is_good: ArrayLike | None = None,
        monitor: ArrayLike | None = None,
    ) -> "QBin":
        """Check what belongs to a q-bin; a frame with nan or infinity is not good.

        Parameters
        ----------
        counts : array_like of shape (n_frames, n_pixels)
            Photons.
        static_bins : array_like of shape (n_pixels,), optional
            Label of the static bin of each pixel; one static bin if not given.
        is_good : array_like of bool, shape (n_frames,), optional
            Frames that take part; all if not given.
        monitor : array_like of shape (n_frames,), optional
            Beam monitor.

        Returns
        -------
        QBin
            With labels of static bins that rise from 0 without gaps; a length that
            does not fit the counts, counts that are no real numbers, or fractions that
            single precision cannot multiply, are a FrameStackError.
        """
        counts = checked_counts(counts)
        layout = BinLayout.of_shape(counts.shape, static_bins, is_good, monitor)
        good = layout.is_good
        if counts.dtype.kind == "f":
            good = good & np.isfinite(counts).all(axis=1)
            _check_size(counts, good)
        return cls(layout.static_bins, good, layout.monitor, counts)

    def taking(self, pixels: Integers) -> Self:
        """Return some pixels, in the order in which they are named."""
        counts = np.take(self.counts, pixels, axis=1)
        return replace(super().taking(pixels), counts=counts)


@dataclass(frozen=True, eq=False)
class EventBin(BinLayout):
    """Events of one q-bin with what their normalisation needs, checked.

    Parameters
    ----------
    static_bins, is_good, monitor
        As in `BinLayout`.
    events : PixelEvents
        Photons, also those in frames that are not good.
    """

    events: PixelEvents

    @classmethod
    def checked(
        cls,
        events: BinEvents,
        static_bins: ArrayLike | None = None,
        is_good: ArrayLike | None = None,
        monitor: ArrayLike | None = None,
    ) -> "EventBin":
        """Check what belongs to a q-bin.

        Parameters
        ----------
        events : BinEvents
            Photons.
        static_bins, is_good, monitor : array_like, optional
            As for `QBin.checked`.

        Returns
        -------
        EventBin
            A length that does not fit the events is a FrameStackError.
        """
        layout = BinLayout.of_shape(events.shape, static_bins, is_good, monitor)
        return cls(layout.static_bins, layout.is_good, layout.monitor, events.by_pixel)

    @property
    def good_events(self) -> PixelEvents:
        """Events in good frames."""
        return self.events.at_times(self.is_good)

    def taking(self, pixels: Integers) -> Self:
        """Return some pixels, in the order in which they are named."""
        return replace(super().taking(pixels), events=self.events.taking(pixels))


SomeBin = TypeVar("SomeBin", bound=BinLayout)
"""Either form of a q-bin, for what returns the form that it is given."""


def checked_bin(
    counts: ArrayLike | BinEvents,
    static_bins: ArrayLike | None = None,
    is_good: ArrayLike | None = None,
    monitor: ArrayLike | None = None,
) -> QBin | EventBin:
    """Check what belongs to a q-bin, in the form in which its photons are given.

    Parameters
    ----------
    counts : array_like of shape (n_frames, n_pixels), or BinEvents
        Photons.
    static_bins, is_good, monitor : array_like, optional
        As for `QBin.checked`.

    Returns
    -------
    QBin or EventBin
        What does not fit is a FrameStackError.
    """
    if isinstance(counts, BinEvents):
        return EventBin.checked(counts, static_bins, is_good, monitor)
    return QBin.checked(counts, static_bins, is_good, monitor)


def _check_size(counts: Counts, is_good: NDArray[np.bool_]) -> None:
    highest = float(np.max(counts, where=is_good[:, None], initial=0))
    if highest > 0 and not _SMALLEST_PEAK <= highest <= _LARGEST_PEAK:
        raise FrameStackError(
            f"the largest count is {highest:.3g}, a two-time map takes photons: scale "
            f"the counts to between {_SMALLEST_PEAK:g} and {_LARGEST_PEAK:g}"
        )


def _check_length(name: str, values: NDArray[Any], n_wanted: int, what: str) -> None:
    if values.shape != (n_wanted,):
        raise FrameStackError(
            f"{name} has shape {values.shape}, the counts {n_wanted} {what}"
        )

"""Events of one q-bin in order of pixels and times."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PixelEvents", "sorted_by_pixel", "sorted_order"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_RADIX = 2**16


@dataclass(frozen=True, eq=False)
class PixelEvents:
    """Events of one q-bin, pixel after pixel, in each of them in order of time.

    Parameters
    ----------
    times : ndarray of int64, shape (n_events,)
        Frame, or block of frames; never twice the same in a pixel.
    values : ndarray of float64, shape (n_events,)
        Photons, or what they were normalised to.
    starts : ndarray of int64, shape (n_pixels + 1,)
        First event of each pixel.
    n_times : int
        Number of frames or blocks.
    """

    times: Integers
    values: Floats
    starts: Integers
    n_times: int

    @property
    def pixels(self) -> Integers:
        """Pixel of each event, shape (n_events,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def scaled(self, factors: Floats) -> "PixelEvents":
        """Return the same events with values times one factor each."""
        return replace(self, values=self.values * factors)

    def in_blocks(self, block_of_time: Integers, n_blocks: int) -> "PixelEvents":
        """Return the sums of the values in each pixel and block of frames."""
        blocks, pixels = block_of_time[self.times], self.pixels
        return _merged(blocks, pixels, self.values, (n_blocks, len(self.starts) - 1))

    def of_pixels(self, is_wanted: NDArray[np.bool_]) -> "PixelEvents":
        """Return the events of some pixels, all others being empty."""
        keep = is_wanted[self.pixels]
        sizes = np.where(is_wanted, np.diff(self.starts), 0)
        return PixelEvents(
            self.times[keep], self.values[keep], _starts(sizes), self.n_times
        )

    def at_times(self, is_wanted: NDArray[np.bool_]) -> "PixelEvents":
        """Return the events at some times."""
        keep = is_wanted[self.times]
        if keep.all():
            return self
        sizes = np.bincount(self.pixels[keep], minlength=len(self.starts) - 1)
        return PixelEvents(
            self.times[keep], self.values[keep], _starts(sizes), self.n_times
        )

    def coarser(self) -> "PixelEvents":
        """Sum times by two; an odd last one is dropped."""
        n_times, times = self.n_times // 2, np.arange(self.n_times)
        return self.at_times(times < 2 * n_times).in_blocks(times // 2, n_times)

    def pairs(self, longest: int) -> Iterator[tuple[Integers, Integers]]:
        """Yield the pairs of events in the same pixel that are no further apart.

        Parameters
        ----------
        longest : int
            Largest difference of times.

        Yields
        ------
        first, later : ndarray of int64
            Events of each pair: neighbours first, then next neighbours.
        """
        n_later = self.starts[1:][self.pixels] - np.arange(len(self.times)) - 1
        first = np.flatnonzero(n_later >= 1)
        offset = 1
        while len(first) > 0:
            first = first[self.times[first + offset] - self.times[first] <= longest]
            yield first, first + offset
            offset += 1
            first = first[n_later[first] >= offset]

    def taking(self, pixels: Integers) -> "PixelEvents":
        """Return the events of some pixels, in the order in which they are named."""
        sizes = np.diff(self.starts)[pixels]
        starts = _starts(sizes)
        shift = np.repeat(self.starts[pixels] - starts[:-1], sizes)
        index = np.arange(len(shift)) + shift
        return PixelEvents(self.times[index], self.values[index], starts, self.n_times)


def sorted_by_pixel(
    times: Integers, pixels: Integers, values: Floats, shape: tuple[int, int]
) -> PixelEvents:
    """Sort events, and add up those in the same pixel at the same time.

    Parameters
    ----------
    times, pixels : ndarray of int64, shape (n_events,)
        Where each event is, in any order.
    values : ndarray of float64, shape (n_events,)
        Photons.
    shape : tuple of int
        Number of times and of pixels.

    Returns
    -------
    PixelEvents
        Without the empty ones.
    """
    steps = np.diff(pixels)
    if not ((steps > 0) | ((steps == 0) & (np.diff(times) >= 0))).all():
        order = sorted_order(times, pixels)
        times, pixels, values = times[order], pixels[order], values[order]
    return _merged(times, pixels, values, shape)


def sorted_order(*keys: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the order of numbers that are not negative, in a time linear in them.

    Parameters
    ----------
    *keys : ndarray of int, shape (n,)
        As for `numpy.lexsort`: the last one decides first. Equal ones keep their order.

    Returns
    -------
    ndarray of int, shape (n,)
        Indices.
    """
    order = np.arange(len(keys[0]))
    for key in keys:
        rest = key.astype(np.int64)
        # Numbers of 16 bits are sorted by counting them.
        while rest.any():
            digits = (rest % _RADIX).astype(np.uint16)[order]
            order = order[np.argsort(digits, kind="stable")]
            rest = rest // _RADIX
    return order


def _merged(
    times: Integers, pixels: Integers, values: Floats, shape: tuple[int, int]
) -> PixelEvents:
    """Return sorted events with those at the same place added up."""
    n_times, n_pixels = shape
    is_first = np.ones(len(times), bool)
    is_first[1:] = (times[1:] != times[:-1]) | (pixels[1:] != pixels[:-1])
    if not is_first.all():
        first = np.flatnonzero(is_first)
        times, pixels = times[first], pixels[first]
        values = np.add.reduceat(values, first)
    sizes = np.bincount(pixels, minlength=n_pixels)
    return PixelEvents(times, values, _starts(sizes), n_times)


def _starts(sizes: NDArray[Any]) -> Integers:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

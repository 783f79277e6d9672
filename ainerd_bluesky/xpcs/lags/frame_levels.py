"""Products of frames as they come, at a time resolution that halves with the delay."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.lags.multi_tau import coarser

__all__ = ["FrameLevels"]

Floats = NDArray[np.float64]

# Frames at once whose pixels stay in the cache while all delays go through them.
_WORK_ELEMENTS = 2**18
_FEWEST_FRAMES = 16


class FrameLevels:
    """Products of each new frame with those before it, summed over pixels.

    Frames are summed by two from level to level, and at each level multiplied at the
    delays that the level before does not reach. Of the pixels only the last few frames
    of each level are kept, so the memory grows with the logarithm of the number of
    frames, but for the products themselves.

    Parameters
    ----------
    n_pixels : int
        Pixels of a frame.
    lags_per_level : int
        Delays at full time resolution; half as many at each later level.
    """

    def __init__(self, n_pixels: int, lags_per_level: int) -> None:
        self.n_pixels = n_pixels
        self.n_products = 0
        self._lags_per_level = lags_per_level
        self._levels: list[_Level] = []
        self._sums: list[Floats] = []
        self._squares: list[Floats] = []

    @property
    def sums(self) -> Floats:
        """Sum over pixels of each frame, shape (n_frames,)."""
        return np.concatenate([np.zeros(0), *self._sums])

    @property
    def squares(self) -> Floats:
        """Sum over pixels of each frame's squares, shape (n_frames,)."""
        return np.concatenate([np.zeros(0), *self._squares])

    @property
    def products(self) -> list[NDArray[np.float32]]:
        """Products of each level, shape (n_frames of the level, n_steps).

        Row t holds those of frame t with the frames before it; 0 where there is none.
        """
        return [level.products for level in self._levels]

    def append(self, frames: NDArray[Any]) -> None:
        """Add frames, shape (k, n_pixels), zeros in place of bad ones."""
        at_once = max(_FEWEST_FRAMES, _WORK_ELEMENTS // max(self.n_pixels, 1))
        for start in range(0, len(frames), at_once):
            part = frames[start : start + at_once].astype(np.float32)
            self._sums.append(part.sum(axis=1, dtype=np.float64))
            self._squares.append(np.vecdot(part, part).astype(np.float64))
            self._pass_on(part)

    def _pass_on(self, frames: NDArray[np.float32]) -> None:
        number = 0
        while len(frames) > 0:
            if number == len(self._levels):
                first = 1 if number == 0 else self._lags_per_level // 2 + 1
                steps = range(first, self._lags_per_level + 1)
                self._levels.append(_Level(self.n_pixels, steps))
            self.n_products += len(frames) * len(self._levels[number].steps)
            frames = self._levels[number].append(frames)
            number += 1


class _Level:
    """One time resolution: last frames, one without a partner yet, products."""

    def __init__(self, n_pixels: int, steps: range) -> None:
        self.steps = steps
        self._last = np.zeros((steps[-1], n_pixels), np.float32)
        self._waiting = np.zeros((0, n_pixels), np.float32)
        self._products: list[NDArray[np.float32]] = []

    @property
    def products(self) -> NDArray[np.float32]:
        return np.concatenate(self._products)

    def append(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Multiply new frames, and return those of the next level."""
        n_last = len(self._last)
        joined = np.concatenate([self._last, frames])
        products = np.empty((len(frames), len(self.steps)), np.float32)
        for column, step in enumerate(self.steps):
            earlier = joined[n_last - step : len(joined) - step]
            products[:, column] = np.vecdot(earlier, frames)
        self._products.append(products)
        self._last = joined[len(frames) :].copy()
        unpaired = np.concatenate([self._waiting, frames])
        self._waiting = unpaired[len(unpaired) // 2 * 2 :].copy()
        summed: NDArray[np.float32] = coarser(unpaired, 0)
        return summed

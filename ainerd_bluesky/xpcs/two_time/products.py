"""Sums over pixels of products of frames: what every two-time map is made of."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.data.series import Counts

__all__ = [
    "Float32Products",
    "FrameProducts",
    "NumpyProducts",
    "PreparedFrames",
    "TileBuffer",
    "highest_count",
]

Floats = NDArray[np.float64]

_EXACT_IN_FLOAT32 = 2**24
# Floating point copies of counts beyond this are made piece by piece.
_WORK_BYTES = 2**26


class PreparedFrames(Protocol):
    """Frames of one q-bin in the form that an engine multiplies."""

    engine: str
    """Name for the recipe of a result."""
    is_exact: bool
    """Whether sums of whole numbers come out as whole numbers."""
    peak: float
    """Largest count."""

    def tile(self, rows: slice, columns: slice, pixels: slice) -> NDArray[Any]:
        """Return sum_p x(t1, p) x(t2, p); it is overwritten by the next call.

        Parameters
        ----------
        rows, columns : slice
            Ranges of t1 and t2, with start and stop.
        pixels : slice
            Range of pixels, with start and stop.

        Returns
        -------
        ndarray of shape (n_rows, n_columns)
            C-contiguous; whole numbers in a type that holds them exactly, or floats.
        """

    def sums(self, pixels: slice) -> Floats:
        """Return sum_p x(t, p), float64, shape (n_frames,)."""

    def rescale(self, weights: Floats) -> None:
        """Multiply the counts of each pixel by its weight; not where exact."""


class FrameProducts(Protocol):
    """An engine that multiplies frames."""

    name: str
    """As in `CorrelationConfig.engine`."""

    def prepare(self, counts: Counts, is_good: NDArray[np.bool_]) -> PreparedFrames:
        """Take the counts of one q-bin.

        Parameters
        ----------
        counts : ndarray of shape (n_frames, n_pixels)
            Photons; they may be kept, and are not changed.
        is_good : ndarray of bool, shape (n_frames,)
            Frames that take part; the others count as empty, whatever they hold.

        Returns
        -------
        PreparedFrames
            By this engine, or by another one where it cannot hold these counts.
        """


class TileBuffer:
    """Memory for tiles, used again and again.

    Parameters
    ----------
    dtype : dtype
        Of the tiles.
    """

    def __init__(self, dtype: np.typing.DTypeLike) -> None:
        self._flat: NDArray[Any] = np.empty(0, dtype)

    def tile(self, n_rows: int, n_columns: int) -> NDArray[Any]:
        """Return a C-contiguous tile; one that was given out before is overwritten."""
        if self._flat.size < n_rows * n_columns:
            self._flat = np.empty(n_rows * n_columns, self._flat.dtype)
        return self._flat[: n_rows * n_columns].reshape(n_rows, n_columns)


class NumpyProducts:
    """Products by numpy: exact, and available everywhere."""

    name = "numpy"

    def prepare(self, counts: Counts, is_good: NDArray[np.bool_]) -> PreparedFrames:
        """Take counts as float32 where that is exact, and as float64 otherwise."""
        peak = highest_count(counts, is_good)
        is_exact = counts.dtype.kind in "biu" and (
            peak**2 * counts.shape[1] < _EXACT_IN_FLOAT32
            # No sum of products is above the largest count times the largest sum.
            or peak * _highest_sum(counts, is_good) < _EXACT_IN_FLOAT32
        )
        dtype = np.float32 if is_exact else np.float64
        return _FloatFrames(self.name, counts, is_good, dtype, peak=peak)


class Float32Products:
    """Products in single precision: relative errors of about 1e-7, half the time."""

    name = "fp32"

    def prepare(self, counts: Counts, is_good: NDArray[np.bool_]) -> PreparedFrames:
        """Take counts as float32."""
        peak = highest_count(counts, is_good)
        return _FloatFrames(
            self.name, counts, is_good, np.float32, peak=peak, is_exact=False
        )


class _FloatFrames:
    """Frames as floats, whole or, where that takes too much memory, in pieces."""

    def __init__(
        self,
        engine: str,
        counts: Counts,
        is_good: NDArray[np.bool_],
        dtype: type[np.floating],
        *,
        peak: float,
        is_exact: bool = True,
    ) -> None:
        self.engine = engine
        self.is_exact = is_exact
        self.peak = peak
        self._counts = counts
        self._is_good = is_good
        self._dtype = dtype
        self._weights: NDArray[np.floating] | None = None
        self._buffer = TileBuffer(dtype)
        n_frames, n_pixels = counts.shape
        n_bytes = n_frames * np.dtype(dtype).itemsize
        self._pixels_at_once = max(1, _WORK_BYTES // max(n_bytes, 1))
        self._whole: NDArray[np.floating] | None = None
        if n_pixels <= self._pixels_at_once:
            self._whole = self._piece(slice(0, n_frames), slice(0, n_pixels))

    def tile(self, rows: slice, columns: slice, pixels: slice) -> NDArray[Any]:
        tile = self._buffer.tile(rows.stop - rows.start, columns.stop - columns.start)
        if self._whole is not None:
            left, right = self._whole[rows, pixels], self._whole[columns, pixels]
            n_square = len(left) if rows.start == columns.start else 0
            if n_square > 0:
                # With itself, numpy multiplies a matrix in half the time.
                np.matmul(left, left.T, out=tile[:, :n_square])
            np.matmul(left, right[n_square:].T, out=tile[:, n_square:])
            return tile
        tile[...] = 0
        for piece in self._pieces(pixels):
            right = self._piece(columns, piece)
            tile += self._piece(rows, piece) @ right.T
        return tile

    def sums(self, pixels: slice) -> Floats:
        n_frames = len(self._counts)
        total = np.zeros(n_frames)
        for piece in self._pieces(pixels):
            frames = self._piece(slice(0, n_frames), piece)
            # A matrix product adds up in a fraction of the time that a sum takes.
            total += frames @ np.ones(frames.shape[1], self._dtype)
        return total

    def rescale(self, weights: Floats) -> None:
        self._weights = weights.astype(self._dtype)
        if self._whole is not None:
            self._whole *= self._weights

    def _pieces(self, pixels: slice) -> list[slice]:
        step = self._pixels_at_once
        starts = range(pixels.start, pixels.stop, step)
        return [slice(start, min(start + step, pixels.stop)) for start in starts]

    def _piece(self, rows: slice, pixels: slice) -> NDArray[np.floating]:
        if self._whole is not None:
            return self._whole[rows, pixels]
        piece = self._counts[rows, pixels].astype(self._dtype, order="C")
        piece[~self._is_good[rows]] = 0
        if self._weights is not None:
            piece *= self._weights[pixels]
        return piece


def highest_count(counts: Counts, is_good: NDArray[np.bool_]) -> float:
    """Return the largest count of the good frames.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels)
        Photons.
    is_good : ndarray of bool, shape (n_frames,)
        Frames that are looked at.

    Returns
    -------
    float
        0 where there is none.
    """
    if counts.size == 0 or not is_good.any():
        return 0.0
    if is_good.all():
        return float(counts.max())
    # Row by row leaves bad frames out without a copy.
    return float(counts.max(axis=1)[is_good].max())


def _highest_sum(counts: Counts, is_good: NDArray[np.bool_]) -> float:
    return float(counts.sum(axis=1, dtype=np.int64)[is_good].max(initial=0))

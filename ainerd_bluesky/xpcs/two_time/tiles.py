"""Passes over the tiles of a two-time map: some rows, from the diagonal on."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_FRAMES", "add_lag_sums_into", "mirror", "row_blocks"]

Floats = NDArray[np.float64]

BLOCK_FRAMES = 256
"""Rows of a tile, which is as wide as the map: enough work for a matrix product."""

# What is calculated below the diagonal for nothing should be a tenth of the map.
_FEWEST_BLOCKS = 8
_FEWEST_ROWS = 128

# Columns that are transposed at once, and an odd few that keep them out of step with
# the sets of the cache.
_MIRROR_COLUMNS = 128
_MIRROR_PADDING = 8


def row_blocks(n_frames: int, first: int = 0) -> list[slice]:
    """List the ranges of frames that are the rows of tiles.

    Parameters
    ----------
    n_frames : int
        Length of the series.
    first : int
        First frame that is wanted.

    Returns
    -------
    list of slice
        Ranges of equal length, but for the last.
    """
    n_rows = min(max(n_frames // _FEWEST_BLOCKS, _FEWEST_ROWS), BLOCK_FRAMES)
    return [
        slice(start, min(start + n_rows, n_frames))
        for start in range(first, n_frames, n_rows)
    ]


def add_lag_sums_into(total: Floats, tile: NDArray[Any], highest: float) -> None:
    """Add the sums along diagonals of a tile to those of other tiles.

    Parameters
    ----------
    total : ndarray of float64, shape (n,)
        Sums for lags from 0.
    tile : ndarray of shape (n_rows, n_columns)
        Of consecutive memory, forwards or backwards; it begins on the diagonal, and
        what is below that does not count.
    highest : float
        Upper bound of an element of an integer tile.
    """
    n_rows, n_columns = tile.shape
    dtype: type[np.number] = np.float64
    if tile.dtype.kind == "i":
        dtype = np.int32 if highest * n_rows < 2**31 else np.int64
    corner = tile[:, :n_rows] * _below_diagonal(n_rows, tile.dtype.str)
    # Seen from its last element, what is below the diagonal is above it.
    below = _skewed_sums(corner[::-1, ::-1], dtype)[1:n_rows]
    sums = _skewed_sums(tile, dtype)
    sums[n_columns - n_rows + 2 :] -= below[::-1]
    total[:n_columns] += sums[:n_columns]


def _skewed_sums(tile: NDArray[Any], dtype: type[np.number]) -> NDArray[Any]:
    """Return sums along diagonals for lags from 0 to n_columns."""
    n_rows, n_columns = tile.shape
    is_backwards = tile.strides[1] < 0
    # Sums over memory that is read backwards take several times as long.
    flat = (tile[::-1, ::-1] if is_backwards else tile).reshape(-1)
    n_rest = n_columns - n_rows + 1
    if is_backwards:
        rest, flat = flat[:n_rest], flat[n_rest:]
    else:
        rest, flat = flat[-n_rest:], flat[:-n_rest]
    # Rows that are one element longer put equal lags below each other. What runs over
    # the end of a row is the beginning of the next, below the diagonal: the sum for lag
    # -k - 1 comes on top of that for lag n_columns - k.
    skewed = flat.reshape(n_rows - 1, n_columns + 1)
    sums: NDArray[Any] = np.add.reduce(skewed, axis=0, dtype=dtype)
    if is_backwards:
        sums, rest = sums[::-1], rest[::-1]
    sums[:n_rest] += rest
    return sums


def mirror(two_time: NDArray[np.float32], rows: slice) -> None:
    """Copy some rows of a map, from the diagonal on, to the other side of it.

    Parameters
    ----------
    two_time : ndarray of float32, shape (n_frames, n_frames)
        The map; what these rows have before the diagonal does not count.
    rows : slice
        With start and stop.
    """
    n_rows = rows.stop - rows.start
    staged = np.empty((n_rows, _MIRROR_COLUMNS + _MIRROR_PADDING), np.float32)
    turned = np.empty((_MIRROR_COLUMNS, n_rows), np.float32)
    for first in range(rows.stop, len(two_time), _MIRROR_COLUMNS):
        part = two_time[rows, first : first + _MIRROR_COLUMNS]
        n_part = part.shape[1]
        # In small arrays on both sides: every row of a map is another page of memory.
        staged[:, :n_part] = part
        turned[:n_part] = staged[:, :n_part].T
        two_time[first : first + n_part, rows] = turned[:n_part]
    square = two_time[rows, rows]
    np.copyto(square, square.T.copy(), where=_below_diagonal(n_rows, "?"))


@lru_cache(maxsize=8)
def _below_diagonal(n_rows: int, dtype: str) -> NDArray[Any]:
    return np.tril(np.ones((n_rows, n_rows), dtype), -1)

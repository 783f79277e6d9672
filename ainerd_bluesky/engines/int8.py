"""Products of small counts as 8-bit integers: exact, and the fastest on processors."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.data.series import Counts
from ainerd_bluesky.xpcs.two_time.products import (
    Float32Products,
    PreparedFrames,
    TileBuffer,
    highest_count,
)

__all__ = ["HIGHEST_COUNT", "Int8Products", "int8_works", "one_thread"]

Floats = NDArray[np.float64]

HIGHEST_COUNT = 127
"""Largest count of a signed byte."""


class Int8Products:
    """Products of counts up to 127 as bytes, summed in 32-bit integers.

    A q-bin with higher counts, or with fractions, is multiplied in single precision.

    Notes
    -----
    The left factor is unsigned and the right one signed. Processors without VNNI add
    pairs of such products in 16 bits, which 2 * 127 * 127 does not overflow.
    """

    name = "int8"

    def prepare(self, counts: Counts, is_good: NDArray[np.bool_]) -> PreparedFrames:
        """Take counts as bytes, without a copy where they are bytes already."""
        peak = _peak(counts, is_good)
        # A sum of products of all pixels stays below 2^31.
        is_small = 0 <= peak <= HIGHEST_COUNT and peak**2 * counts.shape[1] < 2**31
        # Torch 2.13 takes the transpose of a single column for the column.
        is_matrix = counts.shape[1] > 1
        if not (is_small and is_matrix and int8_works()):
            return Float32Products().prepare(counts, is_good)
        return _Int8Frames(_as_bytes(counts), is_good, peak)


class _Int8Frames:
    """Frames as bytes."""

    engine = "int8"
    is_exact = True

    def __init__(
        self, counts: NDArray[np.uint8], is_good: NDArray[np.bool_], peak: float
    ) -> None:
        self.peak = peak
        self._is_bad = ~is_good
        self._unsigned = torch.from_numpy(counts)
        self._signed = self._unsigned.view(torch.int8)
        self._buffer = TileBuffer(np.int32)

    def tile(self, rows: slice, columns: slice, pixels: slice) -> NDArray[np.int32]:
        tile = self._buffer.tile(rows.stop - rows.start, columns.stop - columns.start)
        left, right = self._unsigned[rows, pixels], self._signed[columns, pixels]
        with one_thread():
            torch._int_mm(left, right.t(), out=torch.from_numpy(tile))  # noqa: SLF001 - has no public name for integers
        # Instead of a copy of the counts with bad frames as zeros.
        tile[self._is_bad[rows]] = 0
        tile[:, np.flatnonzero(self._is_bad[columns])] = 0
        return tile

    def sums(self, pixels: slice) -> Floats:
        ones = torch.ones((pixels.stop - pixels.start, 1), dtype=torch.int8)
        with one_thread():
            # A matrix product adds bytes ten times as fast as numpy does.
            sums = torch._int_mm(self._unsigned[:, pixels], ones)  # noqa: SLF001 - as above
        return np.where(self._is_bad, 0.0, sums.numpy()[:, 0])

    def rescale(self, weights: Floats) -> None:
        raise NotImplementedError("bytes have no fractions")


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread.

    Tiles are small: threads that wait for each other cost more than they bring, and
    a second core is of more use to another q-bin.

    Yields
    ------
    None
        Once.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@cache
def int8_works() -> bool:
    """Compare products of bytes with their definition, once per process.

    Returns
    -------
    bool
        False where this torch has no such product, or a wrong one.
    """
    rng = np.random.default_rng(8)
    # More than one block of any kernel, edges that fit none, and the highest counts.
    counts = rng.integers(0, HIGHEST_COUNT + 1, (83, 1031), dtype=np.uint8)
    counts[:2] = HIGHEST_COUNT
    frames = _Int8Frames(counts, np.ones(len(counts), bool), HIGHEST_COUNT)
    rows, columns, pixels = slice(0, 37), slice(0, 83), slice(3, 1030)
    part: NDArray[np.int64] = counts[:, pixels].astype(np.int64)
    try:
        tile, sums = frames.tile(rows, columns, pixels), frames.sums(pixels)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return bool(
        (tile == part[rows] @ part.T).all() and (sums == part.sum(axis=1)).all()
    )


def _peak(counts: Counts, is_good: NDArray[np.bool_]) -> float:
    """Return the largest good count; below 0 or infinite for what bytes cannot hold."""
    if counts.dtype.kind not in "biu":
        return np.inf
    if counts.dtype.kind == "i" and counts.min(initial=0) < 0:
        return -1.0
    return highest_count(counts, is_good)


def _as_bytes(counts: Counts) -> NDArray[np.uint8]:
    is_taken = counts.dtype == np.uint8 and counts.flags.c_contiguous
    if is_taken and counts.flags.writeable:
        return counts
    return counts.astype(np.uint8, order="C")

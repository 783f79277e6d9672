"""Photons of each frame, over all pixels but one block at a time."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ainerd_bluesky.xpcs.bins.pixel_sets import leaving_out

__all__ = ["BlockSums"]

Floats = NDArray[np.float64]


class BlockSums:
    """Sums of each frame over the pixels of each static bin, in blocks to leave out.

    Parameters
    ----------
    sums : ndarray or sparse array of float64, shape (n_blocks * n_static, n_frames)
        Of each static bin of each block, one block after the other. Long series of
        few photons stay sparse.
    n_static : int
        Number of static bins.
    """

    def __init__(self, sums: Floats | csr_array, n_static: int) -> None:
        n_blocks = sums.shape[0] // max(n_static, 1)
        totals = np.asarray(sums.sum(axis=1)).reshape(n_blocks, n_static)
        self.totals = leaving_out(totals)
        """Photons, shape (n_blocks + 1, n_static): in all blocks, then without each."""
        rows = [slice(k * n_static, (k + 1) * n_static) for k in range(n_blocks)]
        self._parts = [_part(sums[row]) for row in rows]
        self.total = np.zeros((n_static, sums.shape[1]))
        """Photons of each static bin and frame, in all blocks."""
        for frames, part in self._parts:
            self.total[:, frames] += part

    def of_set(self, index: int) -> Floats:
        """Return the sums of all blocks (0), or without block index - 1.

        Parameters
        ----------
        index : int
            From 0 to n_blocks.

        Returns
        -------
        ndarray of float64, shape (n_static, n_frames)
            Exact for whole numbers.
        """
        if index == 0:
            return self.total
        frames, part = self._parts[index - 1]
        sums = self.total.copy()
        sums[:, frames] -= part
        return sums

    def weighted(self, weights: Floats) -> Floats:
        """Sum over the static bins, in each set of blocks with weights of its own.

        Parameters
        ----------
        weights : ndarray of float64, shape (n_blocks + 1, n_static)
            Of all blocks first, then without each one in turn.

        Returns
        -------
        ndarray of float64, shape (n_blocks + 1, n_frames)
            0 where the set has no photon.
        """
        sums = weights @ self.total
        for index, (frames, part) in enumerate(self._parts, start=1):
            # Subtracted before it is weighted, so that what is left is 0 exactly.
            left = self.total[:, frames] - part
            sums[index, frames] = weights[index] @ left
        return sums


def _part(sums: Floats | csr_array) -> tuple[NDArray[np.int64] | slice, Floats]:
    """Return the frames in which a block may have photons, and its sums there."""
    if not isinstance(sums, csr_array):
        return slice(None), sums
    is_lit = np.zeros(sums.shape[1], bool)
    is_lit[sums.indices] = True
    frames = np.flatnonzero(is_lit)
    place = np.cumsum(is_lit) - 1
    part = np.zeros((sums.shape[0], len(frames)))
    static_bins = np.repeat(np.arange(len(part)), np.diff(sums.indptr))
    np.add.at(part, (static_bins, place[sums.indices]), sums.data)
    return frames, part

"""Two-time correlation maps of photon counts, frames read block by block."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FrameStackError, PartitionError

__all__ = ["Counts", "PixelSeries", "two_time_map", "two_time_maps"]

Counts: TypeAlias = NDArray[Any]
"""Photons: unsigned integers where possible, any real numbers otherwise."""

_EXACT_IN_FLOAT32 = 2**24
# Temporary arrays of at most 128 MiB in float64.
_WORK_ELEMENTS = 2**24
# Of a stack that may be a memory map: few enough to be read at once.
_BLOCK_FRAMES = 64


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

    Raises
    ------
    PartitionError
        If `roi_map` is not a map of labels.

    Examples
    --------
    >>> series = PixelSeries(np.array([[0, 1], [1, 2]]))
    >>> series.append(np.array([[[9, 1], [2, 3]], [[9, 4], [5, 6]]]))
    >>> series.counts(1)
    array([[1, 2], [4, 5]], dtype=uint8)
    """

    def __init__(
        self, roi_map: NDArray[np.integer], n_q_bins: int | None = None
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

        flat = roi_map.ravel()
        pixels = np.flatnonzero(flat)
        order = np.argsort(flat[pixels], kind="stable")
        self.shape: tuple[int, ...] = roi_map.shape
        self._pixels = pixels[order]
        self._edges = np.searchsorted(
            flat[self._pixels], np.arange(1, self.n_q_bins + 2)
        )
        self._blocks: list[Counts] = []
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

    def append(self, frames: Counts) -> None:
        """Add the next block of frames.

        Parameters
        ----------
        frames : ndarray of shape (k, n_rows, n_cols)
            Counts, in photons; k may differ from block to block. What lies outside
            the regions of interest is not looked at.

        Raises
        ------
        FrameStackError
            If the shape is another one, or a pixel inside a region of interest is
            negative, nan or infinite; the series is then unchanged.
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
        counts = frames.reshape(len(frames), -1)[:, self._pixels]
        self._check(counts)

        self._blocks.append(_smallest(counts))
        self.n_frames += len(frames)
        if frames.dtype.kind == "u":
            limit = int(np.iinfo(frames.dtype).max)
            self._saturation = max(limit, self._saturation or 0)

    def counts(self, q_bin: int) -> Counts:
        """Return the counts in one q-bin.

        Parameters
        ----------
        q_bin : int
            From 1 to n_q_bins.

        Returns
        -------
        ndarray of shape (n_frames, n_pixels)
            Photons, in the smallest integer type that holds them (floats where the
            frames hold fractions); pixels in the order of the detector.

        Raises
        ------
        PartitionError
            If there is no such q-bin.
        """
        if not 1 <= q_bin <= self.n_q_bins:
            raise PartitionError(f"q_bin must lie in 1 .. {self.n_q_bins}, got {q_bin}")
        columns = slice(self._edges[q_bin - 1], self._edges[q_bin])
        if not self._blocks:
            return np.zeros((0, columns.stop - columns.start), np.uint8)
        return np.concatenate([block[:, columns] for block in self._blocks])

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

    def _check(self, counts: Counts) -> None:
        if counts.dtype.kind == "f" and not np.isfinite(counts).all():
            first = int(np.argmin(np.isfinite(counts).all(axis=1)))
            raise FrameStackError(
                f"frame {self.n_frames + first} holds nan or infinity inside a "
                "region of interest"
            )
        if counts.size > 0 and counts.min() < 0:
            first = int(np.argmin(counts.min(axis=1)))
            raise FrameStackError(
                f"frame {self.n_frames + first} holds a negative count inside a "
                f"region of interest: {counts.min()}"
            )


def two_time_map(counts: Counts) -> NDArray[np.float32]:
    r"""Correlate every frame with every other one over the pixels of one q-bin.

    Each frame is divided by its own mean, so that the intensity of the beam drops out.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels)
        Photons of one q-bin, finite and not negative.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_frames)
        Symmetric, baseline 1; the diagonal holds the shot noise. Rows and columns of
        frames without photons are nan.

    Raises
    ------
    FrameStackError
        If `counts` has another number of dimensions, or holds no real numbers.

    Notes
    -----
    .. math::
        C(t_1, t_2) = \frac{\langle I(p, t_1) I(p, t_2)\rangle_p}
                           {\langle I(p, t_1)\rangle_p \langle I(p, t_2)\rangle_p}

    Products of counts are summed in float32 as long as every sum is a whole number
    below 2^24, which float32 holds exactly, and in float64 otherwise.

    References
    ----------
    .. [1] G. Brown, P. A. Rikvold, M. Sutton, M. Grant, Speckle from phase-ordering
       systems, Phys. Rev. E 56, 6601 (1997).
    .. [2] M. Sutton, K. Laaziri, F. Livet, F. Bley, Using coherence to measure
       two-time correlation functions, Opt. Express 11, 2268 (2003).
    .. [3] O. Bikondoa, On the use of two-time correlation functions for X-ray photon
       correlation spectroscopy data analysis, J. Appl. Cryst. 50, 357 (2017).

    Examples
    --------
    >>> two_time_map(np.array([[1, 3], [3, 1]]))
    array([[1.25, 0.75], [0.75, 1.25]], dtype=float32)
    """
    counts = np.asarray(counts)
    if counts.ndim != 2:
        raise FrameStackError(
            f"counts must have shape (n_frames, n_pixels), got {counts.shape}"
        )
    if counts.dtype.kind not in "biuf":
        raise FrameStackError(f"counts must be real numbers, got {counts.dtype}")
    n_frames, n_pixels = counts.shape
    sums = counts.sum(axis=1, dtype=np.float64)
    products = _frame_products(counts, sums)
    sums[sums == 0] = np.nan

    two_time = np.empty((n_frames, n_frames), np.float32)
    rows_at_once = max(1, _WORK_ELEMENTS // max(n_frames, 1))
    for start in range(0, n_frames, rows_at_once):
        rows = slice(start, start + rows_at_once)
        two_time[rows] = products[rows] / (np.outer(sums[rows], sums) / n_pixels)
    return two_time


def two_time_maps(
    frames: Counts | Iterable[Counts],
    roi_map: NDArray[np.integer],
    *,
    n_q_bins: int | None = None,
) -> NDArray[np.float32]:
    """Correlate every frame with every other one in each q-bin.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, n_rows, n_cols), or iterable of such blocks
        Photons.
    roi_map : ndarray of int, shape (n_rows, n_cols)
        Label of each pixel, 1 .. n_q_bins; 0 for a pixel that is not used.
    n_q_bins : int, optional
        Number of q-bins; the highest label if not given.

    Returns
    -------
    ndarray of float32, shape (n_q_bins, n_frames, n_frames)
        A `two_time_map` of each q-bin; nan for a bin without pixels.
    """
    series = PixelSeries(roi_map, n_q_bins)
    for block in _blocks_of(frames):
        series.append(block)
    maps = np.empty((series.n_q_bins, series.n_frames, series.n_frames), np.float32)
    for index, counts in enumerate(series):
        maps[index] = two_time_map(counts)
    return maps


def _blocks_of(
    frames: Counts | Iterable[Counts],
) -> Iterator[Counts]:
    if isinstance(frames, np.ndarray) and frames.ndim == 3:
        for start in range(0, len(frames), _BLOCK_FRAMES):
            yield frames[start : start + _BLOCK_FRAMES]
    else:
        yield from frames


def _frame_products(counts: Counts, sums: NDArray[np.float64]) -> NDArray[np.floating]:
    """Return the sums over pixels of I(t1) I(t2), shape (n_frames, n_frames)."""
    n_frames, n_pixels = counts.shape
    # No sum of products is above the largest count times the largest frame sum.
    bound = float(counts.max()) * sums.max() if counts.size > 0 else 0.0
    is_exact = counts.dtype.kind in "biu" and bound < _EXACT_IN_FLOAT32
    dtype: type[np.floating] = np.float32 if is_exact else np.float64
    products = np.zeros((n_frames, n_frames), dtype)
    pixels_at_once = max(1, _WORK_ELEMENTS // max(n_frames, 1))
    for start in range(0, n_pixels, pixels_at_once):
        part: NDArray[np.floating] = counts[:, start : start + pixels_at_once].astype(
            dtype
        )
        products += part @ part.T
    return products


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

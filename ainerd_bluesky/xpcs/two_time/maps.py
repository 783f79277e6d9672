"""Two-time correlation maps of photon counts, frames read block by block."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.xpcs.data.series import Counts, PixelSeries
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin, empty_maps

__all__ = ["two_time_map", "two_time_maps"]

_FRAME = CorrelationConfig(normalisation="frame")
# Of a stack that may be a memory map: few enough to be read at once.
_BLOCK_FRAMES = 64


def two_time_map(counts: Counts) -> NDArray[np.float32]:
    r"""Correlate every frame with every other one over the pixels of one q-bin.

    Each frame is divided by its own mean, so that the intensity of the beam drops out.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels)
        Photons of one q-bin, not negative; other shapes are a FrameStackError.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_frames)
        Symmetric, baseline 1; the diagonal holds the shot noise. Rows and columns of
        frames without photons are nan.

    Notes
    -----
    .. math::
        C(t_1, t_2) = \frac{\langle I(p, t_1) I(p, t_2)\rangle_p}
                           {\langle I(p, t_1)\rangle_p \langle I(p, t_2)\rangle_p}

    `correlate_bin` does the same with other normalisations, and faster.

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
    >>> two_time_map(np.array([[1, 3], [3, 1]])).round(6)
    array([[1.25, 0.75], [0.75, 1.25]], dtype=float32)
    """
    return correlate_bin(counts, config=_FRAME).two_time


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
    maps = empty_maps(series.n_q_bins, series.n_frames)
    for counts, one_map in zip(series, maps, strict=True):
        correlate_bin(counts, config=_FRAME, out=one_map)
    return maps


def _blocks_of(
    frames: Counts | Iterable[Counts],
) -> Iterator[Counts]:
    if isinstance(frames, np.ndarray) and frames.ndim == 3:
        for start in range(0, len(frames), _BLOCK_FRAMES):
            yield frames[start : start + _BLOCK_FRAMES]
    else:
        yield from frames

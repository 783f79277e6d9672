"""Two-time maps averaged over blocks of frames, without the map itself."""

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs.bins.normalisation import (
    Normalisation,
    arranged,
    normalise,
    normalise_pixels,
)
from ainerd_bluesky.xpcs.bins.pixel_means import pixel_means
from ainerd_bluesky.xpcs.bins.q_bin import QBin
from ainerd_bluesky.xpcs.bins.static_bins import static_ranges, static_sums

__all__ = ["two_time_thumbnail"]

Floats = NDArray[np.float64]

_STATIC = CorrelationConfig()

# Summed frames of this many pixels at once: 16 MiB at 256 blocks.
_PIXELS_AT_ONCE = 2**14


def two_time_thumbnail(
    counts: ArrayLike,
    *,
    size: int = 256,
    config: CorrelationConfig = _STATIC,
    static_bins: ArrayLike | None = None,
    is_good: ArrayLike | None = None,
    monitor: ArrayLike | None = None,
) -> NDArray[np.float32]:
    r"""Average the two-time map of one q-bin over blocks of frames.

    What `correlate_bin` gives, averaged over blocks, in one pass over the counts and
    in the memory of the result.

    Parameters
    ----------
    counts : array_like of shape (n_frames, n_pixels)
        Photons, not negative; a frame with nan counts as bad.
    size : int
        Blocks that the scan is cut into, as `numpy.array_split` does.
    config : CorrelationConfig
        Normalisation and diagonal.
    static_bins : array_like of int, shape (n_pixels,), optional
        Label of the static bin of each pixel; one static bin if not given.
    is_good : array_like of bool, shape (n_frames,), optional
        Frames that take part; all if not given.
    monitor : array_like of shape (n_frames,), optional
        Beam monitor.

    Returns
    -------
    ndarray of float32, shape (m, m)
        m is `size`, or n_frames where that is less. Means of the known elements of the
        map; nan where there is none.

    Raises
    ------
    TwoTimeError
        If `size` is not positive.

    Notes
    -----
    The mean over two blocks A and B of frames is a single product of summed frames:

    .. math::
        \sum_{t_1 \in A} \sum_{t_2 \in B} C(t_1, t_2)
            = \frac{1}{P} \sum_p y_p(A) y_p(B),
        \quad y_p(A) = \sum_{t \in A} \frac{x_p(t)}{a_p f(t)}

    Examples
    --------
    >>> two_time_thumbnail([[1, 3], [3, 1], [2, 6], [6, 2]], size=2)
    array([[1., 1.], [1., 1.]], dtype=float32)
    """
    q_bin = QBin.checked(counts, static_bins, is_good, monitor)
    if size < 1:
        raise TwoTimeError(f"size must be positive, got {size}")

    q_bin = arranged(q_bin, config)
    normalisation, pixel_weights = _normalised(q_bin, config)
    starts = _block_starts(len(q_bin.counts), size)
    total = _block_products(q_bin, normalisation, pixel_weights, starts)
    total /= max(normalisation.n_pixels.sum(), 1)
    if config.diagonal == "shot-noise-free":
        shot_noise = np.add.reduceat(normalisation.shot_noise, starts)
        total[np.diag_indices_from(total)] -= shot_noise
    n_used = np.add.reduceat(normalisation.is_used.astype(np.float64), starts)
    thumbnail = np.full(total.shape, np.nan)
    n_elements = np.outer(n_used, n_used)
    np.divide(total, n_elements, out=thumbnail, where=n_elements > 0)
    return (thumbnail + normalisation.correction).astype(np.float32)


def _normalised(q_bin: QBin, config: CorrelationConfig) -> tuple[Normalisation, Floats]:
    """Return the normalisation and the weight of each pixel."""
    if config.normalisation == "pixel":
        means = pixel_means(q_bin)
        return normalise_pixels(means), means.weights
    normalisation = normalise(static_sums(q_bin), q_bin, config)
    return normalisation, normalisation.weights[q_bin.static_bins]


def _block_starts(n_frames: int, size: int) -> NDArray[np.int64]:
    n_blocks = min(size, n_frames)
    long, n_long = divmod(n_frames, max(n_blocks, 1))
    blocks = np.arange(n_blocks)
    # As array_split: the first blocks take one frame more.
    return blocks * long + np.minimum(blocks, n_long)


def _block_products(
    q_bin: QBin,
    normalisation: Normalisation,
    pixel_weights: Floats,
    starts: NDArray[np.int64],
) -> Floats:
    """Return sum_p y_p(A) y_p(B), shape (n_blocks, n_blocks)."""
    weights = pixel_weights.astype(np.float32)
    factors = normalisation.factors.astype(np.float32)
    total = np.zeros((len(starts), len(starts)))
    for pixels in _pieces(q_bin, len(factors)):
        static_bin = int(q_bin.static_bins[pixels.start]) % len(factors)
        summed = _summed_frames(q_bin, pixels, factors[static_bin], starts)
        summed *= weights[pixels]
        total += summed @ summed.T
    return total


def _pieces(q_bin: QBin, n_factors: int) -> list[slice]:
    """Return ranges of pixels that have the factors of frames in common."""
    ranges = static_ranges(q_bin)
    if n_factors == 1:
        ranges = (slice(0, q_bin.counts.shape[1]),)
    return [
        slice(start, min(start + _PIXELS_AT_ONCE, pixels.stop))
        for pixels in ranges
        for start in range(pixels.start, pixels.stop, _PIXELS_AT_ONCE)
    ]


def _summed_frames(
    q_bin: QBin,
    pixels: slice,
    factors: NDArray[np.float32],
    starts: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return x_p(t) F(t), summed over the frames of each block."""
    is_dark = factors == 0
    edges = [*starts.tolist(), len(factors)]
    summed = np.empty((len(starts), pixels.stop - pixels.start), np.float32)
    for block, (start, stop) in enumerate(pairwise(edges)):
        # A few frames at a time stay in the cache between conversion and sum.
        frames = q_bin.counts[start:stop, pixels].astype(np.float32, order="C")
        frames[is_dark[start:stop]] = 0
        np.matmul(factors[start:stop], frames, out=summed[block])
    return summed

"""Two-time map and g2 of one q-bin, with every normalisation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs.bins.normalisation import (
    Normalisation,
    arranged,
    normalise,
    normalise_pixels,
    pair_counts,
)
from ainerd_bluesky.xpcs.bins.pixel_means import pixel_means
from ainerd_bluesky.xpcs.bins.q_bin import QBin
from ainerd_bluesky.xpcs.bins.static_bins import static_ranges
from ainerd_bluesky.xpcs.machine.memory import require_memory
from ainerd_bluesky.xpcs.two_time.products import (
    Float32Products,
    FrameProducts,
    NumpyProducts,
    PreparedFrames,
    TileBuffer,
)
from ainerd_bluesky.xpcs.two_time.tiles import add_lag_sums_into, mirror, row_blocks

__all__ = ["BinCorrelation", "correlate_bin", "empty_maps"]

Floats = NDArray[np.float64]

_STATIC = CorrelationConfig()


@dataclass(frozen=True, eq=False)
class BinCorrelation:
    """Correlation of one q-bin at all pairs of frames.

    Parameters
    ----------
    two_time : ndarray of float32, shape (n_frames, n_frames)
        Baseline 1 (photons^2 where nothing normalises); rows and columns of frames
        that take no part, see `used_frames`, are nan.
    g2 : ndarray of float64, shape (n_frames - 1,)
        For lags from 1; nan where no pair of frames is known.
    n_pairs : ndarray of int64, shape (n_frames - 1,)
        Pairs of frames that each lag is made of.
    engine : str
        What multiplied.
    """

    two_time: NDArray[np.float32]
    g2: Floats
    n_pairs: NDArray[np.int64]
    engine: str = ""


def correlate_bin(  # noqa: PLR0913 - keyword-only, each one a choice of its own
    counts: ArrayLike,
    *,
    config: CorrelationConfig = _STATIC,
    static_bins: ArrayLike | None = None,
    is_good: ArrayLike | None = None,
    monitor: ArrayLike | None = None,
    products: FrameProducts | None = None,
    out: NDArray[np.float32] | None = None,
) -> BinCorrelation:
    r"""Correlate every frame with every other one over the pixels of one q-bin.

    Parameters
    ----------
    counts : array_like of shape (n_frames, n_pixels)
        Photons, not negative; a frame with nan counts as bad.
    config : CorrelationConfig
        Normalisation, estimator of g2, and diagonal.
    static_bins : array_like of int, shape (n_pixels,), optional
        Label of the static bin of each pixel, best in rising order; one static bin if
        not given.
    is_good : array_like of bool, shape (n_frames,), optional
        Frames that take part; all if not given.
    monitor : array_like of shape (n_frames,), optional
        Beam monitor.
    products : FrameProducts, optional
        Engine; `NumpyProducts` if not given.
    out : ndarray of float32, shape (n_frames, n_frames), optional
        Where the map goes: one array can serve one q-bin after the other.

    Returns
    -------
    BinCorrelation
        Map and g2 of all lags. g2 of the ratio of sums has the accuracy of its
        integers, the map that of float32, about 3e-7.

    Raises
    ------
    TwoTimeError
        If `out` is of another shape or type.

    Notes
    -----
    .. math::
        C(t_1, t_2) = \frac{1}{P} \sum_p
            \frac{x_p(t_1)}{a_p f(t_1)} \frac{x_p(t_2)}{a_p f(t_2)}

        g_2(\tau) = \frac{P \sum_{t, p} x_p(t) x_p(t + \tau) / a_p^2}
                        {\sum_t S(t) S(t + \tau)},
        \quad S(t) = P f(t)

    with a the profile in space and f the intensity in time that `config.normalisation`
    names. Static bins without photons do not count in P. Under `static` and `pixel`
    what means of the same photons take off is added again.

    References
    ----------
    .. [1] M. Sutton, K. Laaziri, F. Livet, F. Bley, Using coherence to measure
       two-time correlation functions, Opt. Express 11, 2268 (2003).
    .. [2] D. Lumma, L. B. Lurio, S. G. J. Mochrie, M. Sutton, Area detector based
       photon correlation in the regime of short data batches, Rev. Sci. Instrum. 71,
       3274 (2000).

    Examples
    --------
    >>> correlation = correlate_bin([[1, 3], [3, 1], [2, 6]])
    >>> correlation.two_time.round(6)
    array([[1.25, 0.75, 1.25],
           [0.75, 1.25, 0.75],
           [1.25, 0.75, 1.25]], dtype=float32)
    >>> correlation.g2, correlation.n_pairs
    (array([0.75, 1.25]), array([2, 1]))
    """
    q_bin = QBin.checked(counts, static_bins, is_good, monitor)
    n_frames = len(q_bin.counts)
    shape = (n_frames, n_frames)
    if out is not None and (out.shape != shape or out.dtype != np.float32):
        raise TwoTimeError(
            f"out must be float32 of shape {shape}, got {out.dtype} of "
            f"shape {out.shape}"
        )
    if out is None:
        out = empty_maps(1, n_frames)[0]

    normalised = _normalised(q_bin, config, products or NumpyProducts())
    return _MapBuilder(normalised, config).correlate_into(out)


def empty_maps(n_q_bins: int, n_frames: int) -> NDArray[np.float32]:
    """Allocate two-time maps, if this machine has the memory.

    Parameters
    ----------
    n_q_bins, n_frames : int
        Number and size of the maps.

    Returns
    -------
    ndarray of float32, shape (n_q_bins, n_frames, n_frames)
        Not filled; too many of them for the memory are a MemoryBudgetError.
    """
    shape = (n_q_bins, n_frames, n_frames)
    require_memory(
        4 * n_q_bins * n_frames**2,
        f"two-time maps of {n_frames} frames in {n_q_bins} q-bins",
        "take thumbnails, sum frames, or correlate fewer q-bins at once",
    )
    return np.empty(shape, np.float32)


@dataclass(frozen=True, eq=False)
class _Normalised:
    """Prepared counts, the pixels of each static bin, and what normalises them.

    Where counts were multiplied by weights, all pixels are one range.
    """

    frames: PreparedFrames
    ranges: tuple[slice, ...]
    normalisation: Normalisation


def _normalised(
    q_bin: QBin, config: CorrelationConfig, products: FrameProducts
) -> _Normalised:
    q_bin = arranged(q_bin, config)
    frames = products.prepare(q_bin.counts, q_bin.is_good)
    if config.normalisation == "pixel":
        return _normalised_by_pixel(q_bin, frames)

    ranges = static_ranges(q_bin)
    sums = np.zeros((len(ranges), len(q_bin.counts)))
    for static_bin, pixels in enumerate(ranges):
        sums[static_bin] = frames.sums(pixels)
    normalisation = normalise(sums, q_bin, config)
    # Whole numbers stay whole, one product per static bin. For fractions a single
    # product of weighted counts is faster and as good.
    if config.normalisation == "static" and not frames.is_exact and len(ranges) > 1:
        frames.rescale(normalisation.weights[q_bin.static_bins])
        ranges, normalisation = _all_pixels(q_bin), normalisation.merged()
    return _Normalised(frames, ranges, normalisation)


def _normalised_by_pixel(q_bin: QBin, frames: PreparedFrames) -> _Normalised:
    if frames.is_exact:
        frames = Float32Products().prepare(q_bin.counts, q_bin.is_good)
    means = pixel_means(q_bin)
    frames.rescale(means.weights)
    return _Normalised(frames, _all_pixels(q_bin), normalise_pixels(means))


def _all_pixels(q_bin: QBin) -> tuple[slice, ...]:
    return (slice(0, q_bin.counts.shape[1]),)


class _MapBuilder:
    """Turns products into a map, one row of tiles after the other."""

    def __init__(self, normalised: _Normalised, config: CorrelationConfig) -> None:
        self._frames = normalised.frames
        self._ranges = normalised.ranges
        self._norm = normalised.normalisation
        self._config = config
        n_frames = len(self._norm.is_used)
        self._lag_sums = np.zeros((len(self._ranges), n_frames))
        self._ratio_sums = np.zeros(n_frames)
        self._diagonal = np.zeros(n_frames)
        self._weights = self._norm.weights**2 / max(self._norm.n_pixels.sum(), 1)
        # Where each static bin has factors of its own, they take its weight in, half
        # of it for each frame of a pair, so that C(t1, t2) = C(t2, t1) to the bit.
        self._is_folded = len(self._norm.factors) == len(self._ranges)
        halves = np.sqrt(self._weights)[:, None] if self._is_folded else 1.0
        self._factors = (self._norm.factors * halves).astype(np.float32)
        # No sum of products is above the largest count times the largest frame sum.
        self._highest = self._frames.peak * self._norm.sums.max(axis=1, initial=0)
        self._part, self._outer = TileBuffer(np.float32), TileBuffer(np.float32)

    def correlate_into(self, two_time: NDArray[np.float32]) -> BinCorrelation:
        """Fill the map, and return it with its g2."""
        for rows in row_blocks(len(two_time)):
            tile = two_time[rows, rows.start :]
            self._fill(tile, rows)
            if self._config.estimator == "mean-of-ratios":
                add_lag_sums_into(self._ratio_sums, tile.copy(), np.inf)
            if self._norm.correction != 0:
                tile += np.float32(self._norm.correction)
            mirror(two_time, rows)
        self._finish_into(two_time)
        n_pairs = pair_counts(self._norm.is_used)
        return BinCorrelation(two_time, self._g2(n_pairs), n_pairs, self._frames.engine)

    def _fill(self, tile: NDArray[np.float32], rows: slice) -> None:
        """Write normalised products of some frames with all later ones."""
        columns = slice(rows.start, rows.start + tile.shape[1])
        if not self._ranges:
            tile[...] = 0
        for static_bin, pixels in enumerate(self._ranges):
            products = self._frames.tile(rows, columns, pixels)
            self._sum_up(products, static_bin, rows)
            part = tile if static_bin == 0 else self._part.tile(*tile.shape)
            # Two passes, of which the first only converts, take half the time of one.
            np.copyto(part, products, casting="same_kind")
            if self._is_folded:
                part *= self._outer_factors(static_bin, rows, columns)
            else:
                part *= np.float32(self._weights[static_bin])
            if static_bin > 0:
                tile += part
        if not self._is_folded:
            tile *= self._outer_factors(0, rows, columns)

    def _sum_up(self, products: NDArray[Any], static_bin: int, rows: slice) -> None:
        """Take what has to be exact from the products of one static bin."""
        factors = self._norm.factors[static_bin % len(self._factors), rows]
        diagonal = np.diagonal(products) * self._weights[static_bin] * factors**2
        self._diagonal[rows] += diagonal
        lag_sums = self._lag_sums[static_bin]
        add_lag_sums_into(lag_sums, products, self._highest[static_bin])

    def _outer_factors(
        self, static_bin: int, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        # Multiplied with each other first, so that C(t1, t2) = C(t2, t1) to the bit.
        factors = self._factors[static_bin]
        outer = self._outer.tile(rows.stop - rows.start, columns.stop - columns.start)
        return np.multiply.outer(factors[rows], factors[columns], out=outer)

    def _finish_into(self, two_time: NDArray[np.float32]) -> None:
        diagonal = self._diagonal + self._norm.correction
        if self._config.diagonal == "shot-noise-free":
            diagonal -= self._norm.shot_noise
        np.fill_diagonal(two_time, diagonal)
        if not self._norm.is_used.all():
            two_time[~self._norm.is_used] = np.nan
            two_time[:, ~self._norm.is_used] = np.nan

    def _g2(self, n_pairs: NDArray[np.int64]) -> Floats:
        if self._config.estimator == "ratio-of-sums":
            return self._norm.g2(self._lag_sums[:, 1:])
        g2 = np.full(n_pairs.shape, np.nan)
        np.divide(self._ratio_sums[1:], n_pairs, out=g2, where=n_pairs > 0)
        return g2 + self._norm.correction

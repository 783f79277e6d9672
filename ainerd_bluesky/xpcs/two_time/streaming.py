"""Correlation during the scan: every result is there while frames come in."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.bins.normalisation import (
    arranged,
    normalise,
)
from ainerd_bluesky.xpcs.bins.q_bin import QBin
from ainerd_bluesky.xpcs.bins.static_bins import static_ranges
from ainerd_bluesky.xpcs.data.series import Counts, PixelSeries
from ainerd_bluesky.xpcs.two_time.correlation import BinCorrelation, correlate_bin
from ainerd_bluesky.xpcs.two_time.products import FrameProducts, NumpyProducts
from ainerd_bluesky.xpcs.two_time.thumbnails import two_time_thumbnail
from ainerd_bluesky.xpcs.two_time.tiles import (
    BLOCK_FRAMES,
    add_lag_sums_into,
    row_blocks,
)

__all__ = ["StreamingTwoTime"]

Floats = NDArray[np.float64]

_STATIC = CorrelationConfig()


class StreamingTwoTime:
    """Two-time correlation of a scan that goes on.

    Frames are multiplied with those before them as they come, so that g2 costs nothing
    more when it is asked for. Thumbnails take one pass over a q-bin. Full maps are
    those of `correlate_bin`, made when they are asked for: weights of static bins
    change as the scan goes on, and a map that has them inside cannot be kept.

    Parameters
    ----------
    series : PixelSeries
        The q-bins and static bins, without frames; it belongs to this object then.
    config : CorrelationConfig
        Normalisation, estimator of g2, and diagonal.
    products : FrameProducts, optional
        Engine; `NumpyProducts` if not given.

    Raises
    ------
    FrameStackError
        If the series already holds frames.

    Examples
    --------
    >>> stream = StreamingTwoTime(PixelSeries(np.array([[1, 1]])))
    >>> stream.append(np.array([[[1, 3]], [[3, 1]]]))
    >>> stream.append(np.array([[[2, 6]]]))
    >>> stream.g2(1)
    array([0.75, 1.25])
    """

    def __init__(
        self,
        series: PixelSeries,
        *,
        config: CorrelationConfig = _STATIC,
        products: FrameProducts | None = None,
    ) -> None:
        if series.n_frames > 0:
            raise FrameStackError(
                f"the series must be empty, it holds {series.n_frames} frames"
            )
        self.config = config
        self._series = series
        self._products = products or NumpyProducts()
        self._is_good: list[NDArray[np.bool_]] = []
        self._monitor: list[Floats] = []
        self._sums = [np.zeros((1, 0))] * series.n_q_bins
        self._lag_sums = [np.zeros((1, 0))] * series.n_q_bins
        self._n_correlated = [0] * series.n_q_bins

    @property
    def n_frames(self) -> int:
        """Frames that came in so far."""
        return self._series.n_frames

    def append(
        self,
        frames: Counts,
        *,
        is_good: ArrayLike | None = None,
        monitor: ArrayLike | None = None,
    ) -> None:
        """Add the next block of frames.

        Parameters
        ----------
        frames : ndarray of shape (k, n_rows, n_cols)
            Counts, in photons; k may differ from block to block.
        is_good : array_like of bool, shape (k,), optional
            Frames that take part; all if not given.
        monitor : array_like of shape (k,), optional
            Beam monitor; in every block or in none.

        Raises
        ------
        FrameStackError
            If the frames do not fit the series, or the lengths do not fit the frames;
            nothing is changed then.
        """
        n_new = len(frames)
        good = np.ones(n_new, bool) if is_good is None else np.array(is_good, bool)
        beam = np.ones(n_new) if monitor is None else np.array(monitor, np.float64)
        if good.shape != (n_new,) or beam.shape != (n_new,):
            raise FrameStackError(
                f"is_good and monitor must have shape ({n_new},), got {good.shape} "
                f"and {beam.shape}"
            )
        if monitor is None and self.config.normalisation == "monitor":
            raise FrameStackError(
                "normalisation by the monitor needs a monitor, got None"
            )

        self._series.append(frames)
        self._is_good.append(good)
        self._monitor.append(beam)
        # Full rows of tiles: fewer frames take almost as long to multiply.
        if self._is_summed and self.n_frames - self._n_correlated[0] >= BLOCK_FRAMES:
            for q_bin in range(1, self._series.n_q_bins + 1):
                self._catch_up(q_bin)

    def two_time(self, q_bin: int) -> NDArray[np.float32]:
        """Return the two-time map of the frames so far.

        Parameters
        ----------
        q_bin : int
            From 1 to n_q_bins.

        Returns
        -------
        ndarray of float32, shape (n_frames, n_frames)
            The same as `correlate_bin` gives.
        """
        return self._correlated(q_bin).two_time

    def thumbnail(self, q_bin: int, size: int = 256) -> NDArray[np.float32]:
        """Return the block-averaged two-time map of the frames so far.

        Parameters
        ----------
        q_bin : int
            From 1 to n_q_bins.
        size : int
            Blocks that the scan is cut into.

        Returns
        -------
        ndarray of float32, shape (m, m)
            The same as `two_time_thumbnail` gives.
        """
        data = self._q_bin(q_bin)
        return two_time_thumbnail(
            data.counts,
            size=size,
            config=self.config,
            static_bins=data.static_bins,
            is_good=data.is_good,
            monitor=data.monitor,
        )

    def g2(self, q_bin: int) -> Floats:
        """Return g2 of the frames so far.

        Parameters
        ----------
        q_bin : int
            From 1 to n_q_bins.

        Returns
        -------
        ndarray of float64, shape (n_frames - 1,)
            The same as `correlate_bin` gives where products are exact: by numpy, or
            of counts up to 127 by bytes. Within 1e-6 of it in single precision, which
            adds them up in another order.
        """
        if not self._is_summed:
            return self._correlated(q_bin).g2
        data = self._catch_up(q_bin)
        normalisation = normalise(self._sums[q_bin - 1], data, self.config)
        return normalisation.g2(self._lag_sums[q_bin - 1][:, 1:])

    @property
    def _is_summed(self) -> bool:
        """Whether g2 follows from sums that do not change when frames come in."""
        return (
            self.config.normalisation != "pixel"
            and self.config.estimator == "ratio-of-sums"
        )

    def _q_bin(self, q_bin: int) -> QBin:
        is_good = np.concatenate([np.zeros(0, bool), *self._is_good])
        return QBin.checked(
            self._series.counts(q_bin),
            self._series.static_bins(q_bin),
            is_good & ~self._series.is_missing,
            np.concatenate([np.zeros(0), *self._monitor]),
        )

    def _correlated(self, q_bin: int) -> BinCorrelation:
        data = self._q_bin(q_bin)
        return correlate_bin(
            data.counts,
            config=self.config,
            static_bins=data.static_bins,
            is_good=data.is_good,
            monitor=data.monitor,
            products=self._products,
        )

    def _catch_up(self, q_bin: int) -> QBin:
        """Multiply the frames that were not yet, and return the q-bin."""
        data = arranged(self._q_bin(q_bin), self.config)
        first, n_frames = self._n_correlated[q_bin - 1], len(data.counts)
        if first == n_frames > 0:
            return data
        ranges = static_ranges(data)
        sums, lag_sums = np.zeros((2, len(ranges), n_frames))
        sums[:, :first] = self._sums[q_bin - 1]
        lag_sums[:, :first] = self._lag_sums[q_bin - 1]
        new = self._products.prepare(data.counts[first:], data.is_good[first:])
        prepared = self._products.prepare(data.counts, data.is_good)
        for static_bin, pixels in enumerate(ranges):
            sums[static_bin, first:] = new.sums(pixels)
            highest = prepared.peak**2 * (pixels.stop - pixels.start)
            for rows in row_blocks(n_frames, first):
                tile = prepared.tile(rows, slice(0, rows.stop), pixels)
                # Backwards in time, so that it begins on the diagonal.
                add_lag_sums_into(lag_sums[static_bin], tile[::-1, ::-1], highest)
        self._sums[q_bin - 1], self._lag_sums[q_bin - 1] = sums, lag_sums
        self._n_correlated[q_bin - 1] = n_frames
        return data

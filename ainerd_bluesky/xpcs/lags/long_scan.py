"""Correlation of scans that are too long to keep, block of frames by block."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import ConfigError, FrameStackError
from ainerd_bluesky.xpcs.bins.normalisation import used_frames
from ainerd_bluesky.xpcs.bins.pixel_sets import binned, ratio
from ainerd_bluesky.xpcs.bins.q_bin import QBin
from ainerd_bluesky.xpcs.lags.frame_levels import FrameLevels
from ainerd_bluesky.xpcs.lags.multi_resolution import MultiResolutionTwoTime

__all__ = ["LongScan"]

Floats = NDArray[np.float64]

_STATIC = CorrelationConfig()
# What can be divided by before the last frame is there.
_NORMALISATIONS = ("static", "frame", "monitor", "none")
# A static bin without a photon, where so many are expected, is dead.
_SURELY_SEEN = 20


class LongScan:
    """Correlation of one q-bin in a single pass over any number of frames.

    Time grows linearly with the number of frames; memory too, by 12 numbers a frame,
    and not with frames times pixels.

    Parameters
    ----------
    lags_per_level : int
        Delays at full time resolution.
    config : CorrelationConfig
        With a normalisation that does not need the whole scan: `static`, `frame`,
        `monitor` or `none`; g2 is a ratio of sums.
    static_bins : array_like of int, shape (n_pixels,), optional
        Label of the static bin of each pixel; one static bin if not given. Their means
        are those over the first block with photons, as far as these tell them from the
        mean of the q-bin: it should hold hundreds of photons in each.

    Raises
    ------
    ConfigError
        If the whole scan would have to be known first.

    Examples
    --------
    >>> scan = LongScan()
    >>> for block in np.tile([1, 3], (2, 50, 1)):
    ...     scan.append(block)
    >>> scan.result().age_lag(1).g2[0, :3]
    array([1.25, 1.25, 1.25])
    """

    def __init__(
        self,
        *,
        lags_per_level: int = 8,
        config: CorrelationConfig = _STATIC,
        static_bins: ArrayLike | None = None,
    ) -> None:
        if config.normalisation not in _NORMALISATIONS:
            raise ConfigError(
                f"a long scan can be normalised by {', '.join(_NORMALISATIONS)}, not "
                f"{config.normalisation}"
            )
        if config.estimator != "ratio-of-sums":
            raise ConfigError(f"a long scan has no estimator {config.estimator}")
        self._kind = config.normalisation
        self._lags_per_level = lags_per_level
        self._static_bins = static_bins
        self._levels: FrameLevels | None = None
        self._weights = np.zeros(0)
        self._is_profiled = False
        self._monitor: list[Floats] = []
        self._good: list[NDArray[np.bool_]] = []

    @property
    def n_frames(self) -> int:
        """Frames so far."""
        return sum(map(len, self._good))

    def append(
        self,
        counts: ArrayLike,
        *,
        is_good: ArrayLike | None = None,
        monitor: ArrayLike | None = None,
    ) -> None:
        """Add the next block of frames.

        Parameters
        ----------
        counts : array_like of shape (k, n_pixels)
            Photons; a frame with nan counts as bad.
        is_good : array_like of bool, shape (k,), optional
            Frames that take part; all if not given.
        monitor : array_like of shape (k,), optional
            Beam monitor.

        Raises
        ------
        FrameStackError
            If the number of pixels is another one, an argument does not fit, or the
            monitor is missing.
        """
        q_bin = QBin.checked(counts, self._static_bins, is_good, monitor)
        if self._kind == "monitor" and q_bin.monitor is None:
            raise FrameStackError("normalisation by the monitor needs a monitor")
        if self._levels is None:
            self._levels = FrameLevels(q_bin.counts.shape[1], self._lags_per_level)
        if q_bin.counts.shape[1] != self._levels.n_pixels:
            raise FrameStackError(
                f"counts have {q_bin.counts.shape[1]} pixels, those before "
                f"{self._levels.n_pixels}"
            )

        beam = np.ones(len(q_bin.counts)) if q_bin.monitor is None else q_bin.monitor
        is_good_frame = q_bin.is_good & ((beam > 0) | (self._kind != "monitor"))
        frames = np.where(is_good_frame[:, None], q_bin.counts, 0)
        if not self._is_profiled:
            # Dark frames are the same under any profile, and tell none.
            self._weights = self._first_weights(q_bin)
            self._is_profiled = bool(frames.any())
        if (self._weights != 1).any():
            frames = frames * self._weights.astype(np.float32)
        self._levels.append(frames)
        self._good.append(is_good_frame)
        self._monitor.append(beam)

    def result(self) -> MultiResolutionTwoTime:
        """Return the correlation of the frames so far.

        Returns
        -------
        MultiResolutionTwoTime
            Which later frames do not change.
        """
        levels = self._levels or FrameLevels(0, self._lags_per_level)
        sums = levels.sums
        is_good = np.concatenate([np.zeros(0, bool), *self._good])
        is_used = used_frames(sums > 0, is_good, self._kind)
        n_pixels = int((self._weights > 0).sum())
        factors = sums
        if self._kind == "none":
            factors = n_pixels * is_used.astype(np.float64)
        elif self._kind == "monitor":
            beam = np.where(is_used, np.concatenate(self._monitor), 0.0)
            factors = beam * float(ratio(sums.sum(), beam.sum(), fill=0.0))
        return MultiResolutionTwoTime(
            factors=factors,
            products=tuple(levels.products),
            squares=levels.squares,
            n_pixels=n_pixels,
            lags_per_level=self._lags_per_level,
        )

    def _first_weights(self, q_bin: QBin) -> Floats:
        """Return weights of pixels, from the time means of the static bins so far."""
        bins, counts = q_bin.static_bins, q_bin.counts[q_bin.is_good]
        sizes = np.bincount(bins)
        if self._kind != "static" or len(sizes) < 2 or counts.sum() == 0:
            return np.ones(len(bins))
        n_shots = len(counts) * sizes
        totals = binned(bins, counts.sum(axis=0, dtype=np.float64), len(sizes))
        means, mean = totals / n_shots, totals.sum() / n_shots.sum()
        # Photon noise spreads means that are the same: shrink the spread by its part,
        # or what that may be by chance.
        spread = np.average((means - mean) ** 2, weights=sizes)
        noise = np.average(mean / n_shots, weights=sizes)
        noise *= 1 + 2 * np.sqrt(2 / len(sizes))
        kept = max(0.0, 1 - noise / spread) if spread > 0 else 0.0
        weights: Floats = mean / (mean + kept * (means - mean))
        weights[(totals == 0) & (mean * n_shots > _SURELY_SEEN)] = 0
        return weights[bins]

"""Correlation of all q-bins of a scan: maps, g2, ages, fits and their quality."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.data.bin_counts import (
    BinCounts,
    CountSeries,
    frame_sums,
    of_pixels,
)
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.data.roi import QPartition
from ainerd_bluesky.xpcs.lags.age_lag import AgeLag, age_lag_map
from ainerd_bluesky.xpcs.lags.one_time import OneTime, multi_tau_g2
from ainerd_bluesky.xpcs.machine.memory import available_memory
from ainerd_bluesky.xpcs.quality.bad_frames import BadFrames, find_bad_frames
from ainerd_bluesky.xpcs.quality.checks import Quality, check_bin
from ainerd_bluesky.xpcs.quality.map_quality import check_map
from ainerd_bluesky.xpcs.quality.pixels import PixelDefects, find_pixel_defects
from ainerd_bluesky.xpcs.reduction.result import (
    FASTER_THAN_MAP,
    Reduction,
    ReductionSettings,
    run_quality,
)
from ainerd_bluesky.xpcs.relaxation.fit import RelaxationFit, fit_relaxation
from ainerd_bluesky.xpcs.two_time.correlation import empty_maps
from ainerd_bluesky.xpcs.two_time.dispatch import (
    EngineChoice,
    averaged_map,
    correlate,
    in_best_form,
)

__all__ = ["N_AGES", "Scan", "correlate_scan", "memory_budget"]

N_AGES = 8
"""Ages that the relaxation of a run is told at: enough for an exponent, and each with
enough frames to see a decay."""

_FLOAT_BYTES = 4
# In so many rows of an averaged map a decay is over before the map shows it.
_ROWS_OF_DECAY = 2.0
# The rest is for what is made of counts and maps on the way.
_SHARE_OF_MEMORY = 0.5


def memory_budget(config: ReductionSettings) -> float:
    """Return how many bytes counts and maps may take.

    Parameters
    ----------
    config : ReductionSettings
        Its `reduction.max_bytes`, if set.

    Returns
    -------
    float
        Half of what this machine has left unless set; infinite where that is unknown.
    """
    if config.reduction.max_bytes is not None:
        return config.reduction.max_bytes
    available = available_memory()
    return float("inf") if available is None else _SHARE_OF_MEMORY * available


class Scan:
    """The photons of a scan, with all that decides how they are correlated.

    Parameters
    ----------
    series : PixelSeries or EventSeries
        The photons.
    config : ReductionSettings
        Settings.
    choose_engine : callable
        Knows the engines of this machine.
    monitor : ndarray of shape (n_frames,), optional
        Beam monitor.
    """

    def __init__(
        self,
        series: CountSeries,
        config: ReductionSettings,
        choose_engine: EngineChoice,
        monitor: NDArray[np.floating] | None,
    ) -> None:
        self.series = series
        self.config = config
        self.choose_engine = choose_engine
        self.monitor = monitor
        self.defects: list[PixelDefects] = []
        # Of all pixels first: one bad frame must not make bad pixels.
        every = sum(
            (frame_sums(counts) for counts in series), np.zeros(series.n_frames)
        )
        is_good = self._bad_frames(every).is_good
        self.photons = np.zeros(series.n_frames)
        for q_bin, counts in enumerate(series, start=1):
            found = find_pixel_defects(
                counts,
                series.saturation,
                static_bins=series.static_bins(q_bin),
                is_good=is_good,
            )
            self.defects.append(found)
            self.photons += frame_sums(counts, found.is_usable)
        self.n_pixels = int(sum(found.is_usable.sum() for found in self.defects))

    @cached_property
    def bad(self) -> BadFrames:
        """Frames to leave out."""
        return self._bad_frames(self.photons)

    def _bad_frames(self, photons: NDArray[np.float64]) -> BadFrames:
        # The list is that of a beamline, and its scans differ in length.
        named = self.config.reduction.bad_frames
        return find_bad_frames(
            np.where(self.series.is_missing, np.nan, photons),
            given=[frame for frame in named if frame < self.series.n_frames],
        )

    @cached_property
    def remarks(self) -> Quality:
        """What was left out of this scan, and why its maps are smaller than asked."""
        found = Quality.good()
        if self.bad.reasons:
            reason = "; ".join(self.bad.reasons)
            found = found.merge(Quality.remark("frames-left-out", reason))
        n_frames, limits = self.series.n_frames, self.config.reduction
        if self.map_size < n_frames <= limits.max_frames:
            reason = (
                f"maps of {n_frames} frames take {self._map_bytes / 1e9:.3g} GB, more "
                f"than is left for them, and were averaged to {self.map_size} rows: "
                "raise reduction.max_bytes"
            )
            found = found.merge(Quality.remark("averaged-for-memory", reason))
        return found

    @cached_property
    def map_size(self) -> int:
        """Rows of a two-time map: the frames, or blocks of them."""
        n_frames, limits = self.series.n_frames, self.config.reduction
        left = memory_budget(self.config) - self.series.n_bytes
        if n_frames > limits.max_frames or self._map_bytes > left:
            return min(limits.averaged_size, n_frames)
        return n_frames

    @property
    def _map_bytes(self) -> int:
        return _FLOAT_BYTES * self.series.n_q_bins * self.series.n_frames**2


@dataclass(frozen=True, eq=False)
class _BinResult:
    """What the photons of one q-bin give beside its map."""

    one_time: OneTime
    age_lag: AgeLag
    engine: str
    quality: Quality


def correlate_scan(bare: Reduction, scan: Scan) -> Reduction:
    """Fill in maps, g2, fits and the quality of the bins.

    Parameters
    ----------
    bare : Reduction
        What is known of the run without correlation.
    scan : Scan
        Its photons.

    Returns
    -------
    Reduction
        With the engine of each q-bin and the rows of the maps in its recipe.
    """
    size, n_q_bins = scan.map_size, scan.series.n_q_bins
    maps = empty_maps(n_q_bins, size)
    bins = [
        _correlate_bin_into(two_time, q_bin, counts, scan)
        for q_bin, (two_time, counts) in enumerate(zip(maps, scan.series, strict=True))
    ]
    one_time = [found.one_time for found in bins]
    fits = [_fit(bare.frame_time, found.one_time, found.quality) for found in bins]
    frames_per_row = scan.series.n_frames / size
    unseen = [_unseen(fit, bare.frame_time, frames_per_row) for fit in fits]
    bin_quality = tuple(
        found.quality.merge(remark) for found, remark in zip(bins, unseen, strict=True)
    )
    quality = run_quality(bin_quality, bare.q_bins)
    return replace(
        bare,
        quality=bare.quality.merge(quality, scan.remarks, *unseen),
        two_time=maps,
        frames_per_row=frames_per_row,
        lags=one_time[0].lags,
        g2=np.concatenate([found.g2 for found in one_time]),
        g2_err=np.concatenate([found.g2_err for found in one_time]),
        intensity=scan.photons / max(scan.n_pixels, 1),
        fits=tuple(fits),
        age_lags=tuple(found.age_lag for found in bins),
        static_intensity=_static_intensity(bare.partition, scan.defects),
        bin_quality=bin_quality,
        recipe={
            **bare.recipe,
            "engines": [found.engine for found in bins],
            "map_rows": size,
        },
    )


def _static_intensity(
    partition: QPartition | None, defects: Sequence[PixelDefects]
) -> NDArray[np.float64]:
    """Return the mean intensity of each static bin, or q-bin where there are none."""
    if partition is None:
        return np.zeros(0)
    roi_map, static_map = partition.roi_map, partition.static_map
    labels = roi_map if static_map is None else static_map
    photons, n_pixels = np.zeros((2, int(labels.max()) + 1))
    for q_bin, found in enumerate(defects, start=1):
        # A series has the pixels of a q-bin in the order of their static bins.
        used = np.sort(labels[roi_map == q_bin])[found.is_usable]
        photons += np.bincount(used, found.means[found.is_usable], len(photons))
        n_pixels += np.bincount(used, minlength=len(photons))
    unknown = np.full(len(photons), np.nan)
    means = np.divide(photons, n_pixels, out=unknown, where=n_pixels > 0)
    return np.asarray(means[1:])


def _correlate_bin_into(
    two_time: NDArray[np.float32], index: int, counts: BinCounts, scan: Scan
) -> _BinResult:
    """Fill the map of one q-bin, and return what else its photons give."""
    limits, defects = scan.config.quality, scan.defects[index]
    quality = check_bin(
        counts, limits, scan.series.saturation, defects, n_rows=len(two_time)
    )
    static_bins = scan.series.static_bins(index + 1)
    if static_bins is not None:
        static_bins = static_bins[defects.is_usable]
    counts = of_pixels(counts, defects.is_usable)
    counts = in_best_form(counts, scan.config.correlation.engine)
    lags_per_level = scan.config.reduction.lags_per_level
    known: dict[str, Any] = {
        "config": scan.config.correlation,
        "is_good": scan.bad.is_good,
        "monitor": scan.monitor,
    }
    engine = _map_bin_into(
        two_time, counts, scan.choose_engine, {"static_bins": static_bins, **known}
    )
    one_time = multi_tau_g2(
        [counts], static_bins=[static_bins], lags_per_level=lags_per_level, **known
    )
    age_lag = age_lag_map(
        counts,
        n_ages=N_AGES,
        static_bins=static_bins,
        lags_per_level=lags_per_level,
        **known,
    )
    if quality.ok:
        most = limits.max_dark_fraction
        quality = quality.merge(check_map(two_time, max_missing_fraction=most))
    return _BinResult(one_time, age_lag, engine, quality)


def _map_bin_into(
    two_time: NDArray[np.float32],
    counts: BinCounts,
    choose_engine: EngineChoice,
    known: dict[str, Any],
) -> str:
    """Fill the map, averaged where it has fewer rows than frames; name the engine."""
    if len(two_time) == counts.shape[0]:
        return correlate(
            counts, choose_engine=choose_engine, out=two_time, **known
        ).engine
    two_time[...] = averaged_map(counts, size=len(two_time), **known)
    return "events" if isinstance(counts, BinEvents) else "thumbnail"


def _fit(
    frame_time: float | None, one_time: OneTime, quality: Quality
) -> RelaxationFit:
    if frame_time is None or not quality.ok:
        return RelaxationFit.unknown()
    return fit_relaxation(
        one_time.lags * frame_time,
        one_time.g2[0],
        one_time.g2_err[0],
        g2_cov=one_time.g2_cov[0],
    )


def _unseen(
    fit: RelaxationFit, frame_time: float | None, frames_per_row: float
) -> Quality:
    """Remark that a decay is over within a few rows of an averaged map."""
    if frame_time is None or frames_per_row == 1 or not fit.is_trusted:
        return Quality.good()
    row_time = frame_time * frames_per_row
    if fit.relaxation_time > _ROWS_OF_DECAY * row_time:
        return Quality.good()
    return Quality.remark(
        FASTER_THAN_MAP,
        f"g2 decays within {fit.relaxation_time:.3g} s, and a row of the averaged map "
        f"takes {row_time:.3g} s: believe the rate, not `no-signal`, or raise "
        "reduction.max_frames",
    )

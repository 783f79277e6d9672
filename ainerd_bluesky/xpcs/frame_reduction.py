"""Reduction of detector data: correlation functions, fits and their quality."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.age_lag import AgeLag, age_lag_map
from ainerd_bluesky.xpcs.bad_frames import BadFrames, find_bad_frames
from ainerd_bluesky.xpcs.bin_counts import BinCounts, CountSeries, frame_sums, of_pixels
from ainerd_bluesky.xpcs.bin_events import BinEvents
from ainerd_bluesky.xpcs.correlation import empty_maps
from ainerd_bluesky.xpcs.dispatch import (
    EngineChoice,
    averaged_map,
    choose_numpy_engine,
    correlate,
    in_best_form,
)
from ainerd_bluesky.xpcs.events import EventSeries
from ainerd_bluesky.xpcs.memory import available_memory
from ainerd_bluesky.xpcs.one_time import OneTime, multi_tau_g2
from ainerd_bluesky.xpcs.pixels import PixelDefects, find_pixel_defects
from ainerd_bluesky.xpcs.quality import Quality, check_bin, check_map, check_series
from ainerd_bluesky.xpcs.reduction import (
    ESTIMATORS,
    Reduction,
    ReductionSettings,
    bare_reduction,
    checked_frame_time,
    run_quality,
)
from ainerd_bluesky.xpcs.relaxation import RelaxationFit, fit_relaxation
from ainerd_bluesky.xpcs.roi import QPartition
from ainerd_bluesky.xpcs.series import Counts, PixelSeries

__all__ = ["N_AGES", "reduce_events", "reduce_frames"]

EventBlock: TypeAlias = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Frame, pixel and photons of each event."""

N_AGES = 8
"""Ages that the relaxation of a run is told at: enough for an exponent, and each with
enough frames to see a decay."""

_FLOAT_BYTES = 4
# The rest is for what is made of counts and maps on the way.
_SHARE_OF_MEMORY = 0.5


def reduce_frames(
    blocks: Iterable[Counts],
    partition: QPartition,
    *,
    frame_time: float | None,
    config: ReductionSettings,
    choose_engine: EngineChoice = choose_numpy_engine,
    monitor: NDArray[np.floating] | None = None,
) -> Reduction:
    """Make correlation functions and fits of detector frames.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (k, n_rows, n_cols)
        Photons, in the order of time. Reading stops at the first block that cannot be
        used.
    partition : QPartition
        The q-bins.
    frame_time : float, optional
        Start-to-start time of frames, in seconds. Without it there are no rates.
    config : ReductionSettings
        A `BeamlineConfig`, or anything with the sections `quality`, `reduction` and
        `correlation`.
    choose_engine : callable, optional
        Knows the engines of this machine; numpy alone if not given.
    monitor : ndarray of shape (n_frames,), optional
        Beam monitor, for the normalisation of that name.

    Returns
    -------
    Reduction
        With `quality.ok` False and the reason where the data have a defect: that is
        an answer, not an error.
    """
    series = PixelSeries(partition.roi_map, partition.n_q_bins, partition.static_map)
    filling = _Filling(series, blocks, series.append, "frames")
    return _reduced(filling, partition, frame_time, config, choose_engine, monitor)


def reduce_events(  # noqa: PLR0913 - keyword-only, as for `reduce_frames`
    blocks: Iterable[EventBlock],
    partition: QPartition,
    *,
    n_frames: int,
    frame_time: float | None,
    config: ReductionSettings,
    choose_engine: EngineChoice = choose_numpy_engine,
    monitor: NDArray[np.floating] | None = None,
) -> Reduction:
    """Make correlation functions and fits of photon events.

    They are never made dense as long as they are few.

    Parameters
    ----------
    blocks : iterable of (frame_index, pixel_index, counts)
        Events in order of frames, as `EventSeries.append` takes them. Reading stops at
        the first block that cannot be used.
    partition : QPartition
        The q-bins.
    n_frames : int
        Frames of the scan, the empty ones included.
    frame_time, config, choose_engine, monitor
        As for `reduce_frames`.

    Returns
    -------
    Reduction
        As `reduce_frames` gives it for the same photons, but that no pixel can be
        saturated.
    """
    series = EventSeries(partition.roi_map, partition.n_q_bins, partition.static_map)

    def append(block: EventBlock) -> None:
        series.append(*block, n_frames=n_frames)

    nothing = np.zeros(0, np.int64)
    every = chain([(nothing, nothing, nothing)], blocks)
    filling = _Filling(series, every, append, "events")
    return _reduced(filling, partition, frame_time, config, choose_engine, monitor)


@dataclass(frozen=True, eq=False)
class _Filling:
    """A series, and the blocks it is to be filled with."""

    series: CountSeries
    blocks: Iterable[Any]
    append: Callable[[Any], None]
    kind: str

    def into_series(self, config: ReductionSettings) -> Quality:
        """Append the blocks to the series; stop at the first that cannot be used."""
        series, budget = self.series, _budget(config)
        try:
            for block in self.blocks:
                self.append(block)
                if series.n_bytes > budget:
                    return Quality.refusal(
                        "too-long",
                        f"the counts of {series.n_frames} frames take "
                        f"{series.n_bytes / 1e9:.1f} GB, and {budget / 1e9:.1f} GB are "
                        "left for them: sum frames, take fewer pixels into the "
                        "q-partition, or raise reduction.max_bytes",
                    )
        except FrameStackError as error:
            return Quality.refusal("bad-frames", str(error))
        return Quality.good()

    def recipe(
        self,
        partition: QPartition,
        frame_time: float | None,
        config: ReductionSettings,
    ) -> dict[str, Any]:
        """Return what decides the result."""
        return {
            "kind": self.kind,
            "n_frames": self.series.n_frames,
            "frame_time": frame_time,
            "partition": partition.sha256,
            "quality": config.quality.model_dump(mode="json"),
            "reduction": config.reduction.model_dump(
                mode="json", exclude={"block_frames", "max_bytes"}
            ),
            "correlation": config.correlation.model_dump(mode="json"),
            "estimators": ESTIMATORS,
        }


def _reduced(
    filling: _Filling,
    partition: QPartition,
    frame_time: float | None,
    config: ReductionSettings,
    choose_engine: EngineChoice,
    monitor: NDArray[np.floating] | None,
) -> Reduction:
    """Read the blocks, and reduce what they hold as far as that goes."""
    started = perf_counter()
    seconds, timing_quality = checked_frame_time(frame_time)
    quality = _monitor_quality(config, monitor).merge(filling.into_series(config))
    series = filling.series
    scan = None
    if quality.ok:
        scan = _Scan(series, config, choose_engine, monitor)
        quality = check_series(series, config.quality, scan.defects)
    bare = replace(
        bare_reduction(
            quality.merge(timing_quality), filling.recipe(partition, seconds, config)
        ),
        partition=partition,
        q_bins=np.arange(1, partition.n_q_bins + 1),
        q_values=partition.q_values,
        phi_values=partition.phi_values,
        frame_time=seconds,
        n_frames=series.n_frames,
    )
    if scan is None or "too-short" in quality.flags:
        return bare
    return replace(_correlated(bare, scan), duration=perf_counter() - started)


def _monitor_quality(
    config: ReductionSettings, monitor: NDArray[np.floating] | None
) -> Quality:
    if config.correlation.normalisation != "monitor" or monitor is not None:
        return Quality.good()
    return Quality.refusal(
        "no-monitor",
        "correlation.normalisation is 'monitor', and no beam monitor was handed over: "
        "choose another one, or call reduce_frames(monitor=...)",
    )


def _budget(config: ReductionSettings) -> float:
    if config.reduction.max_bytes is not None:
        return config.reduction.max_bytes
    available = available_memory()
    return float("inf") if available is None else _SHARE_OF_MEMORY * available


class _Scan:
    """The photons of a scan, with all that decides how they are correlated."""

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
        return find_bad_frames(
            np.where(self.series.is_missing, np.nan, photons),
            given=self.config.reduction.bad_frames,
        )

    @property
    def map_size(self) -> int:
        """Rows of a two-time map: the frames, or blocks of them."""
        n_frames, limits = self.series.n_frames, self.config.reduction
        n_bytes = _FLOAT_BYTES * self.series.n_q_bins * n_frames**2
        left = _budget(self.config) - self.series.n_bytes
        if n_frames > limits.max_frames or n_bytes > left:
            return min(limits.averaged_size, n_frames)
        return n_frames


@dataclass(frozen=True, eq=False)
class _BinResult:
    """What the photons of one q-bin give beside its map."""

    one_time: OneTime
    age_lag: AgeLag
    engine: str
    quality: Quality


def _correlated(bare: Reduction, scan: _Scan) -> Reduction:
    """Fill in maps, g2, fits and the quality of the bins."""
    size, n_q_bins = scan.map_size, scan.series.n_q_bins
    maps = empty_maps(n_q_bins, size)
    bins = [
        _correlate_bin_into(two_time, q_bin, counts, scan)
        for q_bin, (two_time, counts) in enumerate(zip(maps, scan.series, strict=True))
    ]
    bin_quality = tuple(found.quality for found in bins)
    one_time = [found.one_time for found in bins]
    return replace(
        bare,
        quality=bare.quality.merge(
            run_quality(bin_quality, bare.q_bins), _left_out(scan.bad)
        ),
        two_time=maps,
        frames_per_row=scan.series.n_frames / size,
        lags=one_time[0].lags,
        g2=np.concatenate([found.g2 for found in one_time]),
        g2_err=np.concatenate([found.g2_err for found in one_time]),
        intensity=scan.photons / max(scan.n_pixels, 1),
        fits=tuple(map(partial(_fit, bare.frame_time), one_time, bin_quality)),
        age_lags=tuple(found.age_lag for found in bins),
        bin_quality=bin_quality,
        recipe={**bare.recipe, "engines": [found.engine for found in bins]},
    )


def _left_out(bad: BadFrames) -> Quality:
    if not bad.reasons:
        return Quality.good()
    return Quality.remark("frames-left-out", "; ".join(bad.reasons))


def _correlate_bin_into(
    two_time: NDArray[np.float32], index: int, counts: BinCounts, scan: _Scan
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

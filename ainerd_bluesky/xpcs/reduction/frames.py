"""Reduction of detector data: read photons, check them, correlate what is usable."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.data.bin_counts import CountSeries
from ainerd_bluesky.xpcs.data.events import EventSeries
from ainerd_bluesky.xpcs.data.roi import QPartition
from ainerd_bluesky.xpcs.data.series import Counts, PixelSeries
from ainerd_bluesky.xpcs.quality.checks import Quality, check_series
from ainerd_bluesky.xpcs.reduction.result import (
    ESTIMATORS,
    Reduction,
    ReductionSettings,
    bare_reduction,
    checked_frame_time,
)
from ainerd_bluesky.xpcs.reduction.scan_correlation import (
    Scan,
    correlate_scan,
    memory_budget,
)
from ainerd_bluesky.xpcs.two_time.dispatch import EngineChoice, choose_numpy_engine

__all__ = ["reduce_events", "reduce_frames"]

EventBlock: TypeAlias = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Frame, pixel and photons of each event."""


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
        series, budget = self.series, memory_budget(config)
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
        scan = Scan(series, config, choose_engine, monitor)
        quality = check_series(series, config.quality, scan.defects)
    recipe = filling.recipe(partition, seconds, config)
    bare = replace(
        bare_reduction(
            quality.merge(timing_quality), {**recipe, **_of_monitor(config, monitor)}
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
    try:
        reduction = correlate_scan(bare, scan)
    except FrameStackError as error:  # a monitor, or counts, that cannot be used
        refusal = Quality.refusal("bad-frames", str(error))
        return replace(bare, quality=bare.quality.merge(refusal))
    return replace(reduction, duration=perf_counter() - started)


def _monitor_quality(
    config: ReductionSettings, monitor: NDArray[np.floating] | None
) -> Quality:
    if config.correlation.normalisation != "monitor" or monitor is not None:
        return Quality.good()
    return Quality.refusal(
        "no-monitor",
        "correlation.normalisation is 'monitor', and no beam monitor was handed over: "
        "choose another one, name detector.monitor_field of the beamline, or call "
        "reduce_frames(monitor=...)",
    )


def _of_monitor(
    config: ReductionSettings, monitor: NDArray[np.floating] | None
) -> dict[str, Any]:
    """Return what a recipe says of the monitor, where results depend on it."""
    if config.correlation.normalisation != "monitor" or monitor is None:
        return {}
    values = np.asarray(monitor).astype("<f8").tobytes()
    return {"monitor": hashlib.sha256(values).hexdigest()}

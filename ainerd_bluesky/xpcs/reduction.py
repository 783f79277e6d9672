"""Reduction of a run: from frames to correlation functions and fits."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.config import QualityConfig, ReductionConfig
from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.one_time import multi_tau_g2
from ainerd_bluesky.xpcs.pixels import usable_pixels
from ainerd_bluesky.xpcs.quality import Quality, check_bin, check_map, check_series
from ainerd_bluesky.xpcs.relaxation import RelaxationFit, fit_relaxation
from ainerd_bluesky.xpcs.roi import QPartition
from ainerd_bluesky.xpcs.series import Counts, PixelSeries
from ainerd_bluesky.xpcs.two_time import two_time_map

__all__ = [
    "ESTIMATORS",
    "Reduction",
    "ReductionSettings",
    "bare_reduction",
    "checked_frame_time",
    "reduce_frames",
    "refused",
    "run_quality",
]

_FLOAT_BYTES = 4

Floats = NDArray[np.float64]

ESTIMATORS = {
    "two_time": "mean of products over product of frame means, 1",
    "g2": "multi-tau, ratio of sums, 1",
    "relaxation": "least squares with jackknife covariance, 1",
    "quality": "1",
}
"""What computes the results; a change of numbers changes the name, hence the key."""


class ReductionSettings(Protocol):
    """The sections of a configuration that decide a reduction."""

    @property
    def quality(self) -> QualityConfig:
        """Thresholds of the quality gate."""

    @property
    def reduction(self) -> ReductionConfig:
        """How frames become correlation functions."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """Correlation functions of one run; arrays that do not exist have size 0.

    Parameters
    ----------
    quality : Quality
        Of the run; where it is not ok there is no statement about dynamics.
    two_time : ndarray of float32, shape (n_q_bins, n_frames, n_frames)
        Two-time maps, baseline 1.
    lags : ndarray of int64, shape (n_lags,)
        Delays, in frames.
    g2, g2_err : ndarray of float64, shape (n_q_bins, n_lags)
        Intensity autocorrelation and its standard error.
    intensity : ndarray of float64, shape (n_frames,)
        Mean photons per usable pixel of each frame, all q-bins together.
    fits : tuple of RelaxationFit
        One of each q-bin.
    bin_quality : tuple of Quality
        Of each q-bin.
    partition : QPartition, optional
        The q-bins; none for archived maps.
    q_bins : ndarray of int64, shape (n_q_bins,)
        Labels of the q-bins in their source: in the partition, or in the archive.
    q_values : ndarray of float64, shape (n_q_bins,)
        In 1/angstrom; nan where unknown.
    phi_values : ndarray of float64, shape (n_q_bins,)
        In degrees; nan for whole rings and where unknown.
    frame_time : float, optional
        Start-to-start time of frames, in seconds.
    n_frames : int
        Frames read.
    recipe : dict
        What decides these results; part of the key.
    duration : float
        Time the reduction took, in seconds.
    """

    quality: Quality
    two_time: NDArray[np.float32]
    lags: NDArray[np.int64]
    g2: Floats
    g2_err: Floats
    intensity: Floats
    fits: tuple[RelaxationFit, ...]
    bin_quality: tuple[Quality, ...]
    partition: QPartition | None
    q_bins: NDArray[np.int64]
    q_values: Floats
    phi_values: Floats
    frame_time: float | None
    n_frames: int
    recipe: dict[str, Any]
    duration: float = 0.0


def reduce_frames(
    blocks: Iterable[Counts],
    partition: QPartition,
    *,
    frame_time: float | None,
    config: ReductionSettings,
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
        A `BeamlineConfig`, or anything with the sections `quality` and `reduction`.

    Returns
    -------
    Reduction
        With `quality.ok` False and the reason where the data have a defect: that is
        an answer, not an error.
    """
    started = perf_counter()
    seconds, timing_quality = checked_frame_time(frame_time)
    series = PixelSeries(partition.roi_map, partition.n_q_bins)
    quality = _fill_into(series, blocks, config.reduction)
    if quality.ok:
        quality = check_series(series, config.quality)
    recipe = {
        "kind": "frames",
        "n_frames": series.n_frames,
        "frame_time": seconds,
        "partition": partition.sha256,
        "quality": config.quality.model_dump(mode="json"),
        "reduction": config.reduction.model_dump(mode="json", exclude={"block_frames"}),
        "estimators": ESTIMATORS,
    }
    bare = replace(
        bare_reduction(quality.merge(timing_quality), recipe),
        partition=partition,
        q_bins=np.arange(1, partition.n_q_bins + 1),
        q_values=partition.q_values,
        phi_values=partition.phi_values,
        frame_time=seconds,
        n_frames=series.n_frames,
    )
    if {"too-short", "too-long", "bad-frames"} & set(quality.flags):
        return bare
    reduction = _correlated(bare, series, config)
    return replace(reduction, duration=perf_counter() - started)


def refused(flag: str, reason: str) -> Reduction:
    """Return the reduction of a run whose data cannot even be read.

    Parameters
    ----------
    flag : str
        Short word for the defect.
    reason : str
        One sentence with the values that led to it.

    Returns
    -------
    Reduction
        Not ok, without arrays.
    """
    return bare_reduction(
        Quality.refusal(flag, reason), {"kind": "refused", "flag": flag}
    )


def bare_reduction(quality: Quality, recipe: dict[str, Any]) -> Reduction:
    """Return a reduction without arrays, bins and frames."""
    return Reduction(
        quality=quality,
        two_time=np.zeros((0, 0, 0), np.float32),
        lags=np.zeros(0, np.int64),
        g2=np.zeros((0, 0)),
        g2_err=np.zeros((0, 0)),
        intensity=np.zeros(0),
        fits=(),
        bin_quality=(),
        partition=None,
        q_bins=np.zeros(0, np.int64),
        q_values=np.zeros(0),
        phi_values=np.zeros(0),
        frame_time=None,
        n_frames=0,
        recipe=recipe,
    )


def _fill_into(
    series: PixelSeries, blocks: Iterable[Counts], limits: ReductionConfig
) -> Quality:
    """Append the blocks to the series; stop at the first that cannot be used."""
    in_memory = math.isqrt(limits.max_map_bytes // (_FLOAT_BYTES * series.n_q_bins))
    max_frames = min(limits.max_frames, in_memory)
    try:
        for block in blocks:
            series.append(block)
            if series.n_frames > max_frames:
                return Quality.refusal(
                    "too-long",
                    f"more than {max_frames} frames in {series.n_q_bins} q-bins: full "
                    "two-time maps would not fit; raise reduction.max_frames and "
                    "reduction.max_map_bytes, or bin the frames in time",
                )
    except FrameStackError as error:
        return Quality.refusal("bad-frames", str(error))
    return Quality.good()


def _correlated(
    bare: Reduction, series: PixelSeries, config: ReductionSettings
) -> Reduction:
    """Fill in maps, g2, fits and the quality of the bins."""
    n_frames = series.n_frames
    maps = np.empty((series.n_q_bins, n_frames, n_frames), np.float32)
    totals, n_pixels = np.zeros(n_frames), 0
    for index, counts in enumerate(_usable_bins(series)):
        maps[index] = two_time_map(counts)
        totals += counts.sum(axis=1, dtype=np.float64)
        n_pixels += counts.shape[1]
    bin_quality = tuple(
        _bin_quality(counts, one_map, config.quality, series.saturation)
        for counts, one_map in zip(series, maps, strict=True)
    )
    one_time = multi_tau_g2(
        _usable_bins(series), lags_per_level=config.reduction.lags_per_level
    )
    fits = [RelaxationFit.unknown()] * series.n_q_bins
    for index, quality in enumerate(bin_quality):
        if quality.ok and bare.frame_time is not None:
            fits[index] = fit_relaxation(
                one_time.lags * bare.frame_time,
                one_time.g2[index],
                one_time.g2_err[index],
                g2_cov=one_time.g2_cov[index],
            )
    return replace(
        bare,
        quality=bare.quality.merge(run_quality(bin_quality, bare.q_bins)),
        two_time=maps,
        lags=one_time.lags,
        g2=one_time.g2,
        g2_err=one_time.g2_err,
        intensity=totals / max(n_pixels, 1),
        fits=tuple(fits),
        bin_quality=bin_quality,
    )


def _usable_bins(series: PixelSeries) -> Iterator[Counts]:
    for counts in series:
        yield counts[:, usable_pixels(counts, series.saturation)]


def _bin_quality(
    counts: Counts,
    two_time: NDArray[np.float32],
    config: QualityConfig,
    saturation: int | None,
) -> Quality:
    quality = check_bin(counts, config, saturation)
    if not quality.ok:
        return quality
    return quality.merge(
        check_map(two_time, max_missing_fraction=config.max_dark_fraction)
    )


def run_quality(bin_quality: tuple[Quality, ...], q_bins: NDArray[np.int64]) -> Quality:
    """Judge a run by its q-bins: refused only if none of them is usable.

    Parameters
    ----------
    bin_quality : tuple of Quality
        Of each q-bin.
    q_bins : ndarray of int64, shape (n_q_bins,)
        Labels of the q-bins, for the reasons.

    Returns
    -------
    Quality
        Names each defect once, by the first q-bin that has it.
    """
    if any(quality.ok for quality in bin_quality):
        return Quality.good()
    # What refuses a bin comes last, after the remarks.
    refusals = [
        Quality.refusal(
            quality.flags[-1],
            f"no q-bin is usable; q-bin {label}: {quality.reasons[-1]}",
        )
        for label, quality in zip(q_bins, bin_quality, strict=True)
    ]
    return Quality.good().merge(*refusals)


def checked_frame_time(frame_time: float | None) -> tuple[float | None, Quality]:
    """Tell a frame time that can be used from one that cannot.

    Parameters
    ----------
    frame_time : float, optional
        Start-to-start time of frames, in seconds.

    Returns
    -------
    frame_time : float or None
        Positive and finite; None where it is not known.
    quality : Quality
        With the remark `no-frame-time` where it is not known.
    """
    if frame_time is not None and np.isfinite(frame_time) and frame_time > 0:
        return float(frame_time), Quality.good()
    found = "is not known" if frame_time is None else f"is {frame_time:g} s"
    reason = f"the frame time {found}, so there are no rates in 1/s"
    return None, Quality.remark("no-frame-time", reason)

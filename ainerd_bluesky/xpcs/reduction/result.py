"""What a reduced run consists of, wherever its maps come from."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.config import CorrelationConfig, QualityConfig, ReductionConfig
from ainerd_bluesky.xpcs.data.roi import QPartition
from ainerd_bluesky.xpcs.lags.age_lag import AgeLag
from ainerd_bluesky.xpcs.quality.checks import Quality
from ainerd_bluesky.xpcs.relaxation.fit import RelaxationFit

__all__ = [
    "ESTIMATORS",
    "FASTER_THAN_MAP",
    "Reduction",
    "ReductionSettings",
    "bare_reduction",
    "checked_frame_time",
    "refused",
    "run_quality",
]

Floats = NDArray[np.float64]

ESTIMATORS = {
    "two_time": "4",
    "g2": "multi-tau, 4",
    "relaxation": "least squares with jackknife covariance, 2",
    "quality": "2",
}
"""What computes the results; a change of numbers changes the name, hence the key."""

FASTER_THAN_MAP = "dynamics-faster-than-map"
"""Flag of a q-bin whose averaged map holds nothing of the decay that its g2 shows."""


class ReductionSettings(Protocol):
    """The sections of a configuration that decide a reduction."""

    @property
    def quality(self) -> QualityConfig:
        """Thresholds of the quality gate."""

    @property
    def reduction(self) -> ReductionConfig:
        """How frames become correlation functions."""

    @property
    def correlation(self) -> CorrelationConfig:
        """How products of frames are normalised and summed."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """Correlation functions of one run; arrays that do not exist have size 0.

    Parameters
    ----------
    quality : Quality
        Of the run; where it is not ok there is no statement about dynamics.
    two_time : ndarray of float32, shape (n_q_bins, n_rows, n_rows)
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
    frames_per_row : float
        Frames that one row of a map is averaged over.
    age_lags : tuple of AgeLag
        Correlation of each q-bin against age and delay; none for archived maps.
    static_intensity : ndarray of float64, shape (n_static_bins,)
        Mean photons per usable pixel and good frame of each static bin, or of each
        q-bin where there are none; nan where no pixel is usable.
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
    frames_per_row: float = 1.0
    age_lags: tuple[AgeLag, ...] = ()
    static_intensity: Floats = field(default_factory=partial(np.zeros, 0))
    duration: float = 0.0

    @property
    def row_time(self) -> float | None:
        """Time from one row of a map to the next, in seconds."""
        return (
            None if self.frame_time is None else self.frame_time * self.frames_per_row
        )


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

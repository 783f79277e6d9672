"""Our own correlator on scans that are too long for a full map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.cases import Series
from ainerd_bluesky.bench.job import Job, largest_difference
from ainerd_bluesky.bench.measure import cpu_seconds
from ainerd_bluesky.xpcs import multi_tau_g2
from ainerd_bluesky.xpcs.lags.age_lag import AgeLag
from ainerd_bluesky.xpcs.lags.long_scan import LongScan

__all__ = ["LONG_JOBS"]

_N_LENGTHS = 5
_N_ROUNDS = 3
_BLOCK_FRAMES = 1024
_N_AGES = 16


@dataclass(frozen=True)
class _LongScans:
    """Scans of rising length, each twice as long as the one before."""

    n_frames: list[int]
    seconds: list[float]
    longest: AgeLag


def _long_scans(series: Series) -> _LongScans:
    lengths = [series.case.n_frames >> halvings for halvings in range(_N_LENGTHS)]
    seconds = dict.fromkeys(reversed(lengths), float("inf"))
    # Rounds, because a machine may be slower for as long as one length takes.
    for _ in range(_N_ROUNDS):
        for length in seconds:
            start = cpu_seconds()
            latest = _correlate(series.counts[:length])
            seconds[length] = min(seconds[length], cpu_seconds() - start)
    return _LongScans(list(seconds), list(seconds.values()), latest)


def _correlate(counts: NDArray[np.uint16]) -> AgeLag:
    """Pass over a scan once, and make the pictures of it."""
    scan = LongScan()
    for start in range(0, len(counts), _BLOCK_FRAMES):
        scan.append(counts[start : start + _BLOCK_FRAMES])
    result = scan.result()
    result.two_time(256)
    result.age_lag(_N_AGES)
    return result.age_lag(1)


def _describe(series: Series, scans: _LongScans) -> Mapping[str, Any]:
    """Compare the longest scan with multi-tau on all of its counts."""
    multi_tau = multi_tau_g2([series.counts])
    lags, ours, theirs = np.intersect1d(
        scans.longest.lags, multi_tau.lags, return_indices=True
    )
    # A longer delay has fewer pairs, and a scan in blocks may leave some out.
    short = lags <= series.case.n_frames // 10
    difference = largest_difference(
        scans.longest.g2[0, ours[short]], multi_tau.g2[0, theirs[short]]
    )
    return {
        "checks": {"g2": difference},
        "values": {"n_frames": scans.n_frames, "seconds": scans.seconds},
    }


LONG_JOBS = {"long scan": Job(_long_scans, describe=_describe)}

"""Our own correlator on dense counts."""

import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.cases import (
    Case,
    Series,
    load_series,
)
from ainerd_bluesky.bench.job import Job, largest_difference
from ainerd_bluesky.bench.measure import cpu_seconds
from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.engines import choose_engine
from ainerd_bluesky.xpcs import PixelSeries, multi_tau_g2
from ainerd_bluesky.xpcs.lags.one_time import OneTime
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin
from ainerd_bluesky.xpcs.two_time.dispatch import correlate
from ainerd_bluesky.xpcs.two_time.streaming import StreamingTwoTime
from ainerd_bluesky.xpcs.two_time.thumbnails import two_time_thumbnail

__all__ = ["DENSE_JOBS"]

_THUMBNAIL_SIZE = 256
# Rows and columns of the matrices that the peak of the processor is measured with: a
# tenth of a second each time, so that the clock is not what is measured.
_PEAK_FRAMES, _PEAK_PIXELS = 2048, 4096
_PEAK_ROUNDS = 5


@dataclass(frozen=True)
class _TwoTime:
    """What is left of the maps of all q-bins, of which one is kept at a time."""

    g2: NDArray[np.float64]
    engine: str


def _two_time(series: Series, normalisation: str) -> _TwoTime:
    counts, case = series.counts, series.case
    config = CorrelationConfig.model_validate({"normalisation": normalisation})
    out = np.empty((case.n_frames, case.n_frames), np.float32)
    g2, engines = [], set()
    for pixels in case.columns:
        # The dispatch is part of the work: it looks at every count.
        result = correlate(
            counts[:, pixels],
            config=config,
            choose_engine=choose_engine,
            static_bins=case.static_bins[pixels],
            out=out,
        )
        g2.append(result.g2)
        engines.add(result.engine)
    return _TwoTime(np.array(g2), " ".join(sorted(engines)))


def _name_engine(_series: Series, result: _TwoTime) -> Mapping[str, Any]:
    return {"engine": result.engine}


def _thumbnails(series: Series) -> list[NDArray[np.float32]]:
    return [
        two_time_thumbnail(
            series.counts[:, pixels],
            size=_THUMBNAIL_SIZE,
            static_bins=series.case.static_bins[pixels],
        )
        for pixels in series.case.columns
    ]


def _compare_thumbnails(
    series: Series, thumbnails: list[NDArray[np.float32]]
) -> Mapping[str, Any]:
    """Compare the first thumbnail with the means of blocks of the full map."""
    pixels = series.case.columns[0]
    static_bins = series.case.static_bins[pixels]
    counts = series.counts[:, pixels]
    two_time = correlate_bin(counts, static_bins=static_bins).two_time
    # Relative: the diagonal is ten times as high as the rest.
    relative = thumbnails[0] / block_means(two_time)
    difference = largest_difference(relative, np.ones_like(relative))
    return {"checks": {"two-time": difference}}


def _stream(series: Series) -> StreamingTwoTime:
    """Append all frames, block by block, and ask for g2 at the end."""
    case = series.case
    pixels = PixelSeries(case.roi_map, static_map=case.static_bins[None])
    stream = StreamingTwoTime(pixels, products=choose_engine("auto", series.counts))
    for block in series.blocks():
        stream.append(block[:, None])
    for q_bin in range(1, case.n_q_bins + 1):
        stream.g2(q_bin)
    return stream


def _compare_stream(series: Series, stream: StreamingTwoTime) -> Mapping[str, Any]:
    """Compare the first q-bin with what all frames at once give."""
    pixels = series.case.columns[0]
    products = choose_engine("auto", series.counts)
    batch = correlate_bin(
        series.counts[:, pixels],
        static_bins=series.case.static_bins[pixels],
        products=products,
    )
    checks = {
        "g2": largest_difference(stream.g2(1), batch.g2),
        "two-time": largest_difference(stream.two_time(1), batch.two_time),
    }
    return {"engine": products.name, "checks": checks}


def block_means(two_time: NDArray[np.floating]) -> NDArray[np.float64]:
    """Average a map without nan over 256 x 256 blocks of nearly equal size.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        With n_frames not below 256.

    Returns
    -------
    ndarray of float64, shape (256, 256)
        Edges of the blocks as `numpy.array_split` sets them.
    """
    blocks = np.array_split(np.arange(len(two_time)), _THUMBNAIL_SIZE)
    starts = [block[0] for block in blocks]
    sizes = np.array([len(block) for block in blocks])
    sums = np.add.reduceat(two_time.astype(np.float64), starts, axis=0)
    return np.add.reduceat(sums, starts, axis=1) / np.outer(sizes, sizes)


def _int8_peak(_series: Series) -> float:
    """Return the fastest product of bytes, in 1e9 operations a CPU-second."""
    torch = pkgutil.resolve_name("torch")
    left = torch.ones((_PEAK_FRAMES, _PEAK_PIXELS), dtype=torch.int8)
    seconds = []
    # Some processors like one order in memory better, some the other.
    for right in (left.t(), left.t().contiguous()):
        for _ in range(_PEAK_ROUNDS):
            start = cpu_seconds()
            torch._int_mm(left, right)  # noqa: SLF001 - what the engine uses too
            seconds.append(cpu_seconds() - start)
    return 2e-9 * _PEAK_FRAMES**2 * _PEAK_PIXELS / min(seconds)


def _tell_peak(_series: Series, gops: float) -> Mapping[str, Any]:
    return {"engine": "int8", "values": {"gops": gops}}


def _multi_tau(series: Series) -> OneTime:
    columns = series.case.columns
    return multi_tau_g2(
        (series.counts[:, pixels] for pixels in columns),
        static_bins=(series.case.static_bins[pixels] for pixels in columns),
    )


def _load_without_numba(case: Case, folder: Path) -> Series:
    # Python's own way to say that a module is not to be had.
    sys.modules["numba"] = None  # type: ignore[assignment]
    return load_series(case, folder)


DENSE_JOBS = {
    **{
        f"two-time {normalisation}": Job(
            partial(_two_time, normalisation=normalisation), describe=_name_engine
        )
        for normalisation in ("frame", "static", "static-frame")
    },
    "thumbnails": Job(_thumbnails, describe=_compare_thumbnails),
    "streaming": Job(_stream, describe=_compare_stream),
    "int8 peak": Job(_int8_peak, describe=_tell_peak),
    "multi-tau": Job(_multi_tau),
    "multi-tau without numba": Job(_multi_tau, _load_without_numba),
}

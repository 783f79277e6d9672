"""What correlates a q-bin: events or frames, chosen by its photons, and the engine."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.xpcs.data.bin_counts import BinCounts, is_sparse
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.data.series import Counts
from ainerd_bluesky.xpcs.machine.acceleration import compiled_kernels
from ainerd_bluesky.xpcs.machine.memory import available_memory
from ainerd_bluesky.xpcs.two_time.correlation import BinCorrelation, correlate_bin
from ainerd_bluesky.xpcs.two_time.event_correlation import (
    correlate_events,
    events_thumbnail,
)
from ainerd_bluesky.xpcs.two_time.products import (
    Float32Products,
    FrameProducts,
    NumpyProducts,
)
from ainerd_bluesky.xpcs.two_time.thumbnails import two_time_thumbnail

__all__ = [
    "EngineChoice",
    "averaged_map",
    "choose_numpy_engine",
    "correlate",
    "in_best_form",
]

EngineChoice: TypeAlias = Callable[[str, Counts], FrameProducts]
"""Returns the engine of a name, or for `auto` the best one for these counts."""

# Where a pair of photons takes as long as all the products of whole frames; loops
# that are not compiled take ten times as long.
_SPARSE_OCCUPANCY = 0.03
_SPARSE_OCCUPANCY_OF_NUMPY = 0.003
# Events that would take more stay events: slower, but not killed.
_SHARE_OF_MEMORY = 0.25


def in_best_form(counts: BinCounts, engine: str) -> BinCounts:
    """Return the photons as events or as an array, whichever is correlated faster.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons.
    engine : str
        As in `CorrelationConfig.engine`. Any but `auto` and `events` multiplies
        arrays.

    Returns
    -------
    ndarray or BinEvents
        Events that are few stay events, whatever the engine: as an array they might
        take more memory than there is.
    """
    if engine == "events":
        return _as_events(counts)
    limit = _SPARSE_OCCUPANCY if compiled_kernels() else _SPARSE_OCCUPANCY_OF_NUMPY
    if isinstance(counts, BinEvents):
        stays = is_sparse(counts, limit) or not _fits_as_array(counts)
        return counts if stays else counts.to_counts()
    is_known = counts.dtype.kind != "f" or bool(np.isfinite(counts).all())
    if engine == "auto" and is_known and is_sparse(counts, limit):
        return _as_events(counts)
    return counts


def _fits_as_array(events: BinEvents) -> bool:
    available = available_memory()
    n_bytes = math.prod(events.shape) * events.counts.dtype.itemsize
    return available is None or n_bytes < _SHARE_OF_MEMORY * available


def correlate(
    counts: BinCounts,
    *,
    config: CorrelationConfig,
    choose_engine: EngineChoice,
    out: NDArray[np.float32] | None = None,
    **frames_and_pixels: Any,  # noqa: ANN401 - passed on
) -> BinCorrelation:
    """Correlate one q-bin with the engine that suits its photons.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons; correlated as `in_best_form` returns them.
    config : CorrelationConfig
        Names the engine, or leaves the choice.
    choose_engine : callable
        Knows the engines of this machine.
    out : ndarray of float32, shape (n_frames, n_frames), optional
        Where the map goes.
    **frames_and_pixels : optional
        `static_bins`, `is_good` and `monitor` of `correlate_bin`.

    Returns
    -------
    BinCorrelation
        With the name of the engine.
    """
    counts = in_best_form(counts, config.engine)
    if isinstance(counts, BinEvents):
        found = correlate_events(counts, config=config, **frames_and_pixels)
        if out is not None:
            out[...] = found.two_time
        return found
    products = choose_engine(config.engine, counts)
    return correlate_bin(
        counts, config=config, products=products, out=out, **frames_and_pixels
    )


def averaged_map(
    counts: BinCounts,
    *,
    size: int,
    config: CorrelationConfig,
    **frames_and_pixels: Any,  # noqa: ANN401 - passed on
) -> NDArray[np.float32]:
    """Average the two-time map of one q-bin over blocks of frames.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons.
    size : int
        Rows of the map.
    config : CorrelationConfig
        Normalisation and diagonal.
    **frames_and_pixels : optional
        `static_bins`, `is_good` and `monitor` of `two_time_thumbnail`.

    Returns
    -------
    ndarray of float32, shape (size, size)
        The map; smaller for fewer frames.
    """
    if isinstance(counts, BinEvents):
        return events_thumbnail(counts, size=size, config=config, **frames_and_pixels)
    return two_time_thumbnail(counts, size=size, config=config, **frames_and_pixels)


def _as_events(counts: BinCounts) -> BinEvents:
    return counts if isinstance(counts, BinEvents) else BinEvents.from_counts(counts)


def choose_numpy_engine(name: str, _counts: Counts) -> FrameProducts:
    """Return an engine that needs nothing but numpy.

    Parameters
    ----------
    name : str
        As in `CorrelationConfig.engine`.

    Returns
    -------
    FrameProducts
        Exact for `auto` and `numpy`.

    Raises
    ------
    ConfigError
        If the engine needs torch.
    """
    if name in {"auto", "numpy"}:
        return NumpyProducts()
    if name == "fp32":
        return Float32Products()
    raise ConfigError(
        f"engine {name!r} multiplies with torch: hand over "
        "`ainerd_bluesky.engines.choose_engine`, or set engine = 'auto'"
    )

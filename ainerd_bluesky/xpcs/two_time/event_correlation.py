"""Correlation of one q-bin from its events: g2 of all delays, maps and thumbnails."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.xpcs.bins.normalisation import (
    Normalisation,
    arranged,
    normalise,
    normalise_pixels,
    pair_counts,
)
from ainerd_bluesky.xpcs.bins.pixel_means import pixel_means
from ainerd_bluesky.xpcs.bins.pixel_sets import binned
from ainerd_bluesky.xpcs.bins.q_bin import EventBin
from ainerd_bluesky.xpcs.bins.static_bins import event_sums
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.data.pixel_events import PixelEvents
from ainerd_bluesky.xpcs.machine.memory import require_memory
from ainerd_bluesky.xpcs.two_time.correlation import BinCorrelation
from ainerd_bluesky.xpcs.two_time.event_pairs import lag_pair_sums, time_pair_sums

__all__ = ["correlate_events", "events_g2", "events_thumbnail"]

Floats = NDArray[np.float64]

_STATIC = CorrelationConfig()


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Events in good frames, and the weights of pixels that belong to `normalisation`.

    The weights are 1 where those of `normalisation` are by static bin.
    """

    events: PixelEvents
    static_bins: NDArray[np.int64]
    weights: Floats
    normalisation: Normalisation


def events_g2(
    events: BinEvents,
    *,
    config: CorrelationConfig = _STATIC,
    static_bins: ArrayLike | None = None,
    is_good: ArrayLike | None = None,
    monitor: ArrayLike | None = None,
) -> tuple[Floats, NDArray[np.int64]]:
    """Correlate events at all delays.

    Takes a time that grows with the pairs of photons in the same pixel, and gives what
    `correlate_bin` gives for the same photons.

    Parameters
    ----------
    events : BinEvents
        Photons of one q-bin.
    config : CorrelationConfig
        Normalisation, estimator and engine.
    static_bins : array_like of int, shape (n_pixels,), optional
        Label of the static bin of each pixel; one static bin if not given.
    is_good : array_like of bool, shape (n_frames,), optional
        Frames that take part; all if not given.
    monitor : array_like of shape (n_frames,), optional
        Beam monitor.

    Returns
    -------
    g2 : ndarray of float64, shape (n_frames - 1,)
        For lags from 1; nan where no pair of frames is known.
    n_pairs : ndarray of int64, shape (n_frames - 1,)
        Pairs of frames that each lag is made of.

    Examples
    --------
    >>> g2, n_pairs = events_g2(BinEvents.from_counts([[1, 3], [1, 3], [2, 6]]))
    >>> g2, n_pairs
    (array([1.25, 1.25]), array([2, 1]))
    """
    prepared = _prepared(events, config, static_bins, is_good, monitor)
    return _g2(prepared, config)


def correlate_events(
    events: BinEvents,
    *,
    config: CorrelationConfig = _STATIC,
    static_bins: ArrayLike | None = None,
    is_good: ArrayLike | None = None,
    monitor: ArrayLike | None = None,
) -> BinCorrelation:
    """Correlate events at all pairs of frames.

    Parameters
    ----------
    events : BinEvents
        Photons of one q-bin.
    config : CorrelationConfig
        Normalisation, estimator, diagonal and engine.
    static_bins : array_like of int, shape (n_pixels,), optional
        Label of the static bin of each pixel; one static bin if not given.
    is_good : array_like of bool, shape (n_frames,), optional
        Frames that take part; all if not given.
    monitor : array_like of shape (n_frames,), optional
        Beam monitor.

    Returns
    -------
    BinCorrelation
        As `correlate_bin` gives it for the same photons.
    """
    n_frames = events.n_frames
    require_memory(
        8 * n_frames**2,
        f"a two-time map of {n_frames} frames",
        "take a thumbnail, or g2 alone",
    )
    prepared = _prepared(events, config, static_bins, is_good, monitor)
    two_time = _block_means(prepared, np.arange(n_frames), n_frames, config)
    g2, n_pairs = _g2(prepared, config)
    return BinCorrelation(two_time, g2, n_pairs, "events")


def events_thumbnail(
    events: BinEvents,
    *,
    size: int = 256,
    config: CorrelationConfig = _STATIC,
    static_bins: ArrayLike | None = None,
    is_good: ArrayLike | None = None,
    monitor: ArrayLike | None = None,
) -> NDArray[np.float32]:
    """Average blocks of a two-time map that is never made.

    Parameters
    ----------
    events : BinEvents
        Photons of one q-bin.
    size : int
        Blocks along each side; fewer where there are fewer frames.
    config : CorrelationConfig
        Normalisation, diagonal and engine.
    static_bins : array_like of int, shape (n_pixels,), optional
        Label of the static bin of each pixel; one static bin if not given.
    is_good : array_like of bool, shape (n_frames,), optional
        Frames that take part; all if not given.
    monitor : array_like of shape (n_frames,), optional
        Beam monitor.

    Returns
    -------
    ndarray of float32, shape (m, m), m = min(size, n_frames)
        Means over the known elements of each block, edges as of `numpy.array_split`.
    """
    n_blocks = min(size, events.n_frames)
    parts = np.array_split(np.arange(events.n_frames), max(n_blocks, 1))
    block_of_frame = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    prepared = _prepared(events, config, static_bins, is_good, monitor)
    return _block_means(prepared, block_of_frame, n_blocks, config)


def _prepared(
    events: BinEvents,
    config: CorrelationConfig,
    static_bins: ArrayLike | None,
    is_good: ArrayLike | None,
    monitor: ArrayLike | None,
) -> _Prepared:
    q_bin = arranged(EventBin.checked(events, static_bins, is_good, monitor), config)
    by_pixel = q_bin.good_events
    if config.normalisation == "pixel":
        means = pixel_means(q_bin)
        normalisation = normalise_pixels(means)
        return _Prepared(by_pixel, q_bin.static_bins, means.weights, normalisation)
    sums = event_sums(by_pixel, q_bin.static_bins)
    return _Prepared(
        by_pixel,
        q_bin.static_bins,
        np.ones(events.n_pixels),
        normalise(sums, q_bin, config),
    )


def _g2(
    prepared: _Prepared, config: CorrelationConfig
) -> tuple[Floats, NDArray[np.int64]]:
    norm, events = prepared.normalisation, prepared.events
    n_pairs = pair_counts(norm.is_used)
    if config.estimator == "ratio-of-sums":
        products = lag_pair_sums(
            events,
            prepared.weights**2,
            prepared.static_bins,
            len(norm.weights),
            config.engine,
        )
        return norm.g2(products), n_pairs
    values = _normalised(prepared)
    n_pixels = len(prepared.weights)
    ratios = lag_pair_sums(
        values, np.ones(n_pixels), np.zeros(n_pixels, np.int64), 1, config.engine
    )
    g2 = np.full(n_pairs.shape, np.nan)
    np.divide(ratios[0], n_pairs, out=g2, where=n_pairs > 0)
    return g2 + norm.correction, n_pairs


def _normalised(prepared: _Prepared) -> PixelEvents:
    """Return events whose products are summed to elements of the map."""
    events, norm = prepared.events, prepared.normalisation
    bins = prepared.static_bins[events.pixels]
    weights = norm.weights[bins] * prepared.weights[events.pixels]
    factors = norm.factors[bins % len(norm.factors), events.times]
    return events.scaled(weights * factors / np.sqrt(max(norm.n_pixels.sum(), 1)))


def _block_means(
    prepared: _Prepared,
    block_of_frame: NDArray[np.int64],
    n_blocks: int,
    config: CorrelationConfig,
) -> NDArray[np.float32]:
    norm = prepared.normalisation
    blocks = _normalised(prepared).in_blocks(block_of_frame, n_blocks)
    sums = time_pair_sums(blocks, config.engine)
    if config.diagonal == "shot-noise-free":
        # A small difference of large numbers: not in float32.
        squares = binned(blocks.times, blocks.values**2, n_blocks)
        self_pairs = binned(block_of_frame, norm.shot_noise, n_blocks)
        np.fill_diagonal(sums, squares - self_pairs)
    n_used = np.bincount(block_of_frame, norm.is_used, n_blocks).astype(np.float32)
    n_used[n_used == 0] = np.nan
    sums /= n_used[:, None]
    sums /= n_used
    sums += np.float32(norm.correction)
    return sums

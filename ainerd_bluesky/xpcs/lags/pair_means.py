"""Correlation as the mean of the ratios of single pairs of frames."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.bins.normalisation import used_frames
from ainerd_bluesky.xpcs.bins.pixel_means import pixel_means
from ainerd_bluesky.xpcs.bins.pixel_sets import (
    binned,
    frame_factors,
    leaving_out,
    ratio,
)
from ainerd_bluesky.xpcs.bins.q_bin import BinLayout, EventBin, QBin
from ainerd_bluesky.xpcs.bins.static_bins import static_sums, static_variance
from ainerd_bluesky.xpcs.lags.level_pairs import level_pairs
from ainerd_bluesky.xpcs.lags.multi_tau import PairPlan, coarser

__all__ = ["means_of_ratios"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_PIXELS_AT_ONCE = 256


def means_of_ratios(
    q_bin: QBin | EventBin, plan: PairPlan, normalisation: str, blocks: Integers
) -> tuple[Floats, NDArray[np.bool_]]:
    """Correlate pairs of frames one by one, and average what is known.

    It keeps the product of each pair of frames, and takes longer than ratios of sums.

    Parameters
    ----------
    q_bin : QBin or EventBin
        Photons and what normalises them.
    plan : PairPlan
        Delays and ages.
    normalisation : str
        As in `CorrelationConfig`.
    blocks : ndarray of int64, shape (n_pixels,)
        Block of each pixel, from 0.

    Returns
    -------
    g2 : ndarray of float64, shape (n_blocks + 1, n_lags, n_ages)
        Of all pixels first, then without each block; nan where nothing is known.
    is_used : ndarray of bool, shape (n_frames,)
        Frames that take part.
    """
    n_blocks = int(blocks.max(initial=-1)) + 1
    total = np.zeros((n_blocks + 1, *plan.shape))
    n_known = np.zeros_like(total)
    is_used = np.zeros(plan.n_frames, bool)
    for inside in _parts(q_bin, normalisation):
        part = q_bin.taking(np.flatnonzero(inside))
        weights, is_frame_used, correction = _weights(part, normalisation)
        is_pixel_used = (weights > 0).astype(np.float64)
        profiles, sums = _pair_profiles(part, plan, weights, blocks[inside], n_blocks)
        n_pixels = leaving_out(binned(blocks[inside], is_pixel_used, n_blocks))
        factors = frame_factors(
            leaving_out(sums), n_pixels, is_frame_used, part, normalisation
        )
        g2 = _averaged(profiles, factors, n_pixels, plan) + correction
        share = n_pixels[:, None, None] * np.isfinite(g2)
        total += np.where(share > 0, g2, 0) * share
        n_known += share
        is_used |= is_frame_used
    return ratio(total, n_known), is_used


def _pair_profiles(
    q_bin: QBin | EventBin,
    plan: PairPlan,
    weights: Floats,
    blocks: Integers,
    n_blocks: int,
) -> tuple[list[Floats], Floats]:
    """Return products of pairs of frames and sums of frames, over blocks of pixels."""
    n_pairs = (plan.n_frames >> plan.levels) - plan.steps
    profiles = [np.zeros((n_blocks, n)) for n in n_pairs]
    sums = np.zeros((n_blocks, plan.n_frames))
    if isinstance(q_bin, EventBin):
        events = q_bin.good_events
        events = events.scaled(weights[events.pixels])
        np.add.at(sums, (blocks[events.pixels], events.times), events.values)
        for pairs in level_pairs(events, plan):
            for lag in np.unique(pairs.lags):
                is_of_lag = pairs.lags == lag
                pixels, times = pairs.pixels[is_of_lag], pairs.times[is_of_lag]
                place = (blocks[pixels], times)
                np.add.at(profiles[lag], place, pairs.products[is_of_lag])
        return profiles, sums
    for block in range(n_blocks):
        members = np.flatnonzero(blocks == block)
        for start in range(0, len(members), _PIXELS_AT_ONCE):
            pixels = members[start : start + _PIXELS_AT_ONCE]
            frames = q_bin.counts[:, pixels] * weights[pixels]
            frames[~q_bin.is_good] = 0
            sums[block] += frames.sum(axis=1)
            for lag, products in enumerate(_frame_products(frames, plan)):
                profiles[lag][block] += products
    return profiles, sums


def _frame_products(frames: Floats, plan: PairPlan) -> Iterator[Floats]:
    level = 0
    for wanted, step in zip(plan.levels, plan.steps, strict=True):
        while level < wanted:
            frames, level = coarser(frames, 0), level + 1
        yield np.vecdot(frames[:-step], frames[step:])


def _parts(q_bin: BinLayout, normalisation: str) -> Iterator[NDArray[np.bool_]]:
    """Yield which pixels are divided by means of their own."""
    if normalisation == "static-frame":
        for label in range(int(q_bin.static_bins.max(initial=-1)) + 1):
            yield q_bin.static_bins == label
    else:
        yield np.ones(len(q_bin.static_bins), bool)


def _lit(q_bin: QBin | EventBin) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the photons of each pixel, and which good frames have any."""
    n_frames, n_pixels = len(q_bin.is_good), len(q_bin.static_bins)
    if isinstance(q_bin, EventBin):
        events = q_bin.good_events
        totals = binned(events.pixels, events.values, n_pixels)
        return totals, binned(events.times, events.values, n_frames) > 0
    totals, is_lit = np.zeros(n_pixels), np.zeros(n_frames, bool)
    for start in range(0, n_pixels, _PIXELS_AT_ONCE):
        columns = slice(start, start + _PIXELS_AT_ONCE)
        counts = np.where(q_bin.is_good[:, None], q_bin.counts[:, columns], 0)
        totals[columns] = counts.sum(axis=0, dtype=np.float64)
        is_lit |= counts.any(axis=1)
    return totals, is_lit


def _weights(
    q_bin: QBin | EventBin, normalisation: str
) -> tuple[Floats, NDArray[np.bool_], float]:
    """Return weights of pixels, frames that take part and correction of the mean."""
    totals, is_lit = _lit(q_bin)
    is_used = used_frames(is_lit, q_bin.is_good, normalisation)
    if normalisation == "pixel":
        means = pixel_means(q_bin)
        return means.weights, is_used, means.correction
    if normalisation in {"static", "symmetric"}:
        sums = np.where(is_used, static_sums(q_bin), 0.0)
        sizes = np.bincount(q_bin.static_bins).astype(np.float64)
        weights = ratio(sizes * is_used.sum(), sums.sum(axis=1), fill=0.0)
        is_static = normalisation == "static"
        correction = static_variance(sums, sizes, is_used) if is_static else 0.0
        return weights[q_bin.static_bins], is_used, correction
    return np.ones(len(totals)), is_used, 0.0


def _averaged(
    profiles: list[Floats], factors: Floats, n_pixels: Floats, plan: PairPlan
) -> Floats:
    """Return means of ratios of each set, shape (n_sets, n_lags, n_ages)."""
    g2 = np.full((len(n_pixels), *plan.shape), np.nan)
    level = 0
    for lag, (wanted, step) in enumerate(zip(plan.levels, plan.steps, strict=True)):
        while level < wanted:
            factors, level = coarser(factors), level + 1
        products = leaving_out(profiles[lag]) * n_pixels[:, None]
        ratios = ratio(products, factors[:, :-step] * factors[:, step:])
        for age, (start, stop) in enumerate(plan.ranges(lag)):
            values = ratios[:, start:stop]
            is_known = np.isfinite(values)
            total = np.where(is_known, values, 0).sum(axis=1)
            g2[:, lag, age] = ratio(total, is_known.sum(axis=1))
    return g2

"""Correlation of one q-bin at the delays and ages of a plan, and its covariance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.xpcs.bins.block_sums import BlockSums
from ainerd_bluesky.xpcs.bins.normalisation import arranged, used_frames
from ainerd_bluesky.xpcs.bins.pixel_means import pixel_means
from ainerd_bluesky.xpcs.bins.pixel_sets import (
    binned,
    frame_factors,
    jackknife,
    leaving_out,
    pixel_blocks,
    ratio,
)
from ainerd_bluesky.xpcs.bins.q_bin import BinLayout, EventBin, QBin
from ainerd_bluesky.xpcs.bins.static_bins import static_variance
from ainerd_bluesky.xpcs.lags.level_pairs import event_pair_sums
from ainerd_bluesky.xpcs.lags.multi_tau import PairPlan
from ainerd_bluesky.xpcs.lags.pair_means import means_of_ratios
from ainerd_bluesky.xpcs.lags.pair_sums import PairSums, lag_products, pair_sums

__all__ = ["PairRatios", "pair_ratios"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairRatios:
    """Correlation at each delay and age.

    Parameters
    ----------
    g2 : ndarray of float64, shape (n_lags, n_ages)
        Baseline 1; nan where no pair of frames holds photons.
    cov : ndarray of float64, shape (n_ages, n_lags, n_lags)
        Covariance between delays; nan where there are fewer than two blocks of pixels.
    n_pairs : ndarray of int64, shape (n_lags, n_ages)
        Pairs of good frames; a product of summed frames holds all those of its frames.
    replicates : ndarray of float64, shape (n_blocks, n_lags, n_ages)
        g2 without each block of pixels in turn.
    """

    g2: Floats
    cov: Floats
    n_pairs: Integers
    replicates: Floats


@dataclass(frozen=True, eq=False)
class _Sets:
    """Sums over all pixels, and over those outside of each block in turn.

    products has shape (n_sets, n_static, n_lags, n_ages), n_pixels (n_sets, n_static).
    """

    products: Floats
    sums: BlockSums
    n_pixels: Floats
    correction: float


def pair_ratios(
    q_bin: QBin | EventBin, plan: PairPlan, config: CorrelationConfig, n_blocks: int
) -> PairRatios:
    """Correlate the counts of one q-bin.

    Parameters
    ----------
    q_bin : QBin or EventBin
        Photons and what normalises them.
    plan : PairPlan
        Delays and ages.
    config : CorrelationConfig
        Normalisation and estimator.
    n_blocks : int
        Blocks of neighbouring pixels for the jackknife.

    Returns
    -------
    PairRatios
        At each delay and age of the plan.
    """
    q_bin = arranged(q_bin, config)
    blocks = pixel_blocks(q_bin.static_bins, n_blocks)
    if config.estimator == "mean-of-ratios":
        g2, is_used = means_of_ratios(q_bin, plan, config.normalisation, blocks)
    else:
        g2, is_used = _ratios_of_sums(q_bin, plan, config, blocks)
    good = is_used.astype(np.float64)
    n_pairs = lag_products(good, good, plan).astype(np.int64)
    return PairRatios(g2[0], jackknife(g2[1:]), n_pairs, g2[1:])


def _ratios_of_sums(
    q_bin: QBin | EventBin,
    plan: PairPlan,
    config: CorrelationConfig,
    blocks: Integers,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return g2, shape (n_sets, n_lags, n_ages), and which frames take part."""
    sets = _summed(q_bin, plan, config, blocks)
    kind = config.normalisation
    is_used = used_frames(sets.sums.total.sum(axis=0) > 0, q_bin.is_good, kind)
    if kind in {"static-frame", "symmetric"}:
        return _over_static_bins(sets, plan, kind, is_used), is_used
    return _over_whole_bin(sets, plan, q_bin, kind, is_used), is_used


def _summed(
    q_bin: QBin | EventBin,
    plan: PairPlan,
    config: CorrelationConfig,
    blocks: Integers,
) -> _Sets:
    n_blocks = int(blocks.max(initial=-1)) + 1
    n_static = int(q_bin.static_bins.max(initial=-1)) + 1
    groups = blocks * n_static + q_bin.static_bins
    weights, correction = None, 0.0
    is_used = np.ones(len(groups))
    if config.normalisation == "pixel":
        means = pixel_means(q_bin)
        weights, correction = means.weights, means.correction
        is_used = (weights > 0).astype(np.float64)
    n_groups = n_blocks * n_static
    total = _group_sums(q_bin, plan, groups, n_groups, weights, config.engine)
    shape = (n_blocks, n_static)
    n_pixels = binned(groups, is_used, n_groups)
    return _Sets(
        products=leaving_out(total.products.reshape(*shape, *plan.shape)),
        sums=BlockSums(total.sums, n_static),
        n_pixels=leaving_out(n_pixels.reshape(shape)),
        correction=correction,
    )


def _group_sums(
    q_bin: QBin | EventBin,
    plan: PairPlan,
    groups: Integers,
    n_groups: int,
    weights: Floats | None,
    engine: str,
) -> PairSums:
    """Sum photons and their products, in the form in which they are given."""
    if isinstance(q_bin, EventBin):
        return event_pair_sums(
            q_bin.good_events,
            plan,
            groups,
            n_groups=n_groups,
            weights=weights,
            engine=engine,
        )
    return pair_sums(
        q_bin.counts,
        plan,
        groups,
        n_groups=n_groups,
        is_good=q_bin.is_good,
        weights=weights,
        engine=engine,
    )


def _over_whole_bin(
    sets: _Sets,
    plan: PairPlan,
    q_bin: BinLayout,
    kind: str,
    is_used: NDArray[np.bool_],
) -> Floats:
    """Return g2 of each set, shape (n_sets, n_lags, n_ages)."""
    weights, n_pixels = np.ones_like(sets.n_pixels), sets.n_pixels.sum(axis=1)
    correction = sets.correction
    # A single weight would drop out again, but not without rounding.
    if kind == "static" and sets.n_pixels.shape[1] > 1:
        totals = sets.sums.totals
        weights = ratio(sets.n_pixels, totals, fill=0.0)
        n_pixels = np.where(totals > 0, sets.n_pixels, 0).sum(axis=1)
        photons = np.where(is_used, sets.sums.total, 0.0)
        correction = static_variance(photons, sets.n_pixels[0], is_used)
    products = np.einsum("sb,sbla->sla", weights**2, sets.products)
    sums = sets.sums.weighted(weights)
    factors = frame_factors(sums, n_pixels, is_used, q_bin, kind)
    norms = lag_products(factors, factors, plan)
    return ratio(products * n_pixels[:, None, None], norms) + correction


def _over_static_bins(
    sets: _Sets, plan: PairPlan, kind: str, is_used: NDArray[np.bool_]
) -> Floats:
    """Return the mean of g2 of the static bins, shape (n_sets, n_lags, n_ages)."""
    good = is_used.astype(np.float64)
    n_pairs = lag_products(good, good, plan)
    g2 = np.empty((len(sets.products), *plan.shape))
    # Set after set: all sums at once would take the memory of a dense q-bin.
    for index, products in enumerate(sets.products):
        sums = sets.sums.of_set(index)
        if kind == "symmetric":
            every = np.broadcast_to(good, sums.shape)
            earlier, later = (
                lag_products(sums, every, plan),
                lag_products(every, sums, plan),
            )
            norms = ratio(earlier * later, n_pairs)
        else:
            norms = lag_products(sums, sums, plan)
        n_pixels = sets.n_pixels[index][:, None, None]
        ratios = ratio(products * n_pixels, norms)
        is_known = np.isfinite(ratios)
        total = np.where(is_known, ratios * n_pixels, 0).sum(axis=0)
        g2[index] = ratio(total, (is_known * n_pixels).sum(axis=0))
    return g2

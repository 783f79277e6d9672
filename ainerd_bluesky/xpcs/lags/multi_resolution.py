"""Two-time correlation of a long scan, coarser in age where the delay is longer."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.bins.pixel_sets import ratio
from ainerd_bluesky.xpcs.lags.age_lag import AgeLag
from ainerd_bluesky.xpcs.lags.multi_tau import PairPlan, coarser, pair_plan
from ainerd_bluesky.xpcs.lags.pair_sums import lag_products

__all__ = ["MultiResolutionTwoTime"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MultiResolutionTwoTime:
    """Two-time correlation of one q-bin, coarser in age where the delay is longer.

    Parameters
    ----------
    factors : ndarray of float64, shape (n_frames,)
        What the sum over pixels of each frame is divided by; 0 for a frame that takes
        no part.
    products : tuple of ndarray of float32, shape (n_blocks, n_lags)
        For each level, sums over pixels of products of block t with blocks before it.
    squares : ndarray of float64, shape (n_frames,)
        Sums over pixels of the square of each frame.
    n_pixels : int
        Pixels that take part.
    lags_per_level : int
        Delays at full time resolution.

    References
    ----------
    .. [1] Multi-tau two-time correlation (MT-2TC), J. Synchrotron Rad. 33, 698 (2026).
    """

    factors: Floats
    products: tuple[NDArray[np.float32], ...]
    squares: Floats
    n_pixels: int
    lags_per_level: int

    @property
    def n_frames(self) -> int:
        """Length of the scan."""
        return len(self.factors)

    def block_length(self, level: int) -> int:
        """Return how many frames a block of a level is the sum of."""
        return 1 << level

    def lags(self, level: int) -> NDArray[np.int64]:
        """Return the delays of a level in frames, shape (n_lags,)."""
        first = 1 if level == 0 else self.lags_per_level // 2 + 1
        return np.arange(first, self.lags_per_level + 1) << level

    def values(self, level: int) -> Floats:
        """Return the correlation of each block with blocks before it.

        Parameters
        ----------
        level : int
            From 0, the full time resolution.

        Returns
        -------
        ndarray of float64, shape (n_blocks, n_lags)
            Baseline 1; nan where there is no earlier block or no photon.
        """
        factors = self.factors
        for _ in range(level):
            factors = coarser(factors)
        norms = np.zeros(self.products[level].shape)
        for column, step in enumerate(self.lags(level) >> level):
            norms[step:, column] = factors[step:] * factors[:-step]
        return ratio(self.products[level].astype(np.float64) * self.n_pixels, norms)

    def age_lag(self, n_ages: int) -> AgeLag:
        """Average over ranges of age.

        Parameters
        ----------
        n_ages : int
            Ranges of equal width that the scan is divided into.

        Returns
        -------
        AgeLag
            What `age_lag_map` returns, without a covariance.
        """
        plan = pair_plan(self.n_frames, self.lags_per_level, n_ages)
        totals = np.zeros(plan.shape)
        for lag in range(len(plan.lags)):
            products = self._products(plan, lag)
            for age, (start, stop) in enumerate(plan.ranges(lag)):
                totals[lag, age] = products[start:stop].sum()
        norms = lag_products(self.factors, self.factors, plan)
        good = (self.factors > 0).astype(np.float64)
        return AgeLag(
            ages=(np.arange(n_ages) + 0.5) * self.n_frames / n_ages - 0.5,
            lags=plan.lags,
            g2=ratio(totals * self.n_pixels, norms).T,
            g2_cov=None,
            n_pairs=lag_products(good, good, plan).astype(np.int64).T,
        )

    def two_time(self, size: int = 256) -> NDArray[np.float32]:
        """Render a two-time map, block-averaged.

        An element is the mean over the delays that lie in it, weighted by how many of
        its pairs of frames they stand for, or else the value of the nearest delay and
        age.

        Parameters
        ----------
        size : int
            Rows and columns; fewer where there are fewer frames.

        Returns
        -------
        ndarray of float32, shape (m, m), m = min(size, n_frames)
            Symmetric, baseline 1, with the shot noise in the diagonal.
        """
        n_blocks = min(size, self.n_frames)
        width = self.n_frames / max(n_blocks, 1)
        plan = pair_plan(self.n_frames, self.lags_per_level)
        n_pairs = _pairs_inside(np.append(plan.lags, 0), n_blocks, width)
        total, norm = np.zeros((n_blocks, n_blocks)), np.zeros((n_blocks, n_blocks))
        for lag, line in enumerate(self._lines(plan)):
            for offset in np.flatnonzero(n_pairs[lag]):
                rows = np.arange(n_blocks - offset)
                # Age of each element, counted from the start of the first frame.
                ages = (rows + (offset + 1) / 2) * width
                products, norms = line.sums_around(ages, n_pairs[lag, offset])
                # The other half of a block on the diagonal is the same.
                n_times = 2 if offset == 0 and lag < len(plan.lags) else 1
                total[rows, rows + offset] += n_times * products
                norm[rows, rows + offset] += n_times * norms
        upper = ratio(total * self.n_pixels, norm)
        two_time = np.where(np.tri(n_blocks, k=-1, dtype=bool), upper.T, upper)
        return two_time.astype(np.float32)

    def _products(self, plan: PairPlan, lag: int) -> Floats:
        """Return products at one delay of the plan, by the earlier block."""
        level, step = int(plan.levels[lag]), int(plan.steps[lag])
        column = step - 1 if level == 0 else step - self.lags_per_level // 2 - 1
        return self.products[level][step:, column].astype(np.float64)

    def _lines(self, plan: PairPlan) -> Iterator["_Line"]:
        """Yield what lies along each delay of the plan, and along the diagonal last."""
        factors, level = self.factors, 0
        for lag, (wanted, step) in enumerate(zip(plan.levels, plan.steps, strict=True)):
            while level < wanted:
                factors, level = coarser(factors), level + 1
            norms = factors[:-step] * factors[step:]
            yield _Line(1 << level, int(step), self._products(plan, lag), norms)
        yield _Line(1, 0, self.squares, self.factors**2)


class _Line:
    """Products and norms along one delay, summed up to each age."""

    def __init__(
        self, block_length: int, step: int, products: Floats, norms: Floats
    ) -> None:
        self._block_length = block_length
        self._shift = (step + 1) / 2
        self._n_blocks = len(products)
        summed = np.cumsum(np.stack([products, norms]), axis=1)
        self._summed = np.pad(summed, ((0, 0), (1, 0)))

    def sums_around(self, ages: Floats, n_pairs: float) -> Floats:
        """Return sums over so many pairs of frames around each age, shape (2, n)."""
        first = self._pair_from(ages - n_pairs / 2)
        last = self._pair_from(ages + n_pairs / 2)
        # Of blocks that are longer than what is asked for, the nearest stands for it.
        nearest = np.rint(ages / self._block_length - self._shift).astype(np.int64)
        is_empty = last <= first
        first = np.where(is_empty, nearest, first).clip(0, self._n_blocks - 1)
        last = np.where(is_empty, first + 1, last).clip(first + 1, self._n_blocks)
        sums: Floats = self._summed[:, last] - self._summed[:, first]
        share = np.where(is_empty, n_pairs / self._block_length, 1.0)
        return sums * share

    def _pair_from(self, ages: Floats) -> Integers:
        return np.ceil(ages / self._block_length - self._shift).astype(np.int64)


def _pairs_inside(lags: Integers, n_blocks: int, width: float) -> Floats:
    """Return how many pairs of each delay two blocks have, by their distance."""
    distance = np.abs(lags[:, None] - np.arange(n_blocks) * width)
    n_pairs = np.clip(width - distance, 0, None)
    # Where none of the delays lies in them, the nearest one stands for all pairs.
    is_missed = ~n_pairs.any(axis=0)
    n_pairs[distance.argmin(axis=0)[is_missed], is_missed] = width
    return n_pairs

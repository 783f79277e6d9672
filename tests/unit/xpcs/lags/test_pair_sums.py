"""Sums of products: compiled and in numpy the same, and exact."""

import numpy as np
import pytest

from ainerd_bluesky.xpcs.lags.multi_tau import pair_plan
from ainerd_bluesky.xpcs.lags.pair_sums import lag_products, pair_sums

ENGINES = ["auto", "numpy"]


def brute_force(counts, plan, groups, is_good):
    """Products pair by pair in whole numbers of any size."""
    frames = np.where(is_good[:, None], counts, 0).astype(object)
    total = np.zeros((groups.max() + 1, *plan.shape))
    for lag, (level, step) in enumerate(zip(plan.levels, plan.steps, strict=True)):
        width = 1 << level
        summed = [
            frames[start : start + width].sum(axis=0)
            for start in range(0, len(frames) - width + 1, width)
        ]
        for age, (start, stop) in enumerate(plan.ranges(lag)):
            for t in range(start, stop):
                np.add.at(total[:, lag, age], groups, summed[t] * summed[t + step])
    return total


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("dtype", "mean"),
    [(np.uint8, 1), (np.uint16, 60_000), (np.int64, 5), (np.uint32, 10**6)],
)
def test_sums_of_whole_numbers_are_exact(rng, engine, dtype, mean):
    counts = rng.poisson(mean, (45, 13)).clip(0, 65_000 * mean).astype(dtype)
    plan, groups, is_good = (
        pair_plan(45, 4, 2),
        np.arange(13) // 4,
        rng.random(45) > 0.2,
    )
    total = pair_sums(counts, plan, groups, n_groups=4, is_good=is_good, engine=engine)
    assert np.array_equal(total.products, brute_force(counts, plan, groups, is_good))
    expected = [counts[:, groups == group].sum(axis=1) * is_good for group in range(4)]
    assert np.array_equal(total.sums, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("shape", [(300, 700), (33, 5), (1, 3), (0, 4), (6, 0)])
def test_compiled_and_numpy_agree(rng, dtype, is_weighted, shape):
    pytest.importorskip("numba")
    counts = rng.poisson(2.0, shape).astype(dtype)
    plan, groups = pair_plan(shape[0], 8, 3), np.arange(shape[1]) % 3
    compiled, plain = (
        pair_sums(
            counts,
            plan,
            groups,
            n_groups=3,
            is_good=np.arange(shape[0]) % 7 != 3,
            weights=np.linspace(0, 2, shape[1]) if is_weighted else None,
            engine=engine,
        )
        for engine in ENGINES
    )
    assert compiled.products == pytest.approx(plain.products, rel=1e-12)
    assert compiled.sums == pytest.approx(plain.sums, rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_columns_of_a_larger_array_are_read_in_place(rng, engine):
    counts = rng.poisson(2.0, (40, 50)).astype(np.uint16)
    plan, groups, good = pair_plan(40), np.zeros(20, np.int64), np.ones(40, bool)
    part, copy = (
        pair_sums(columns, plan, groups, n_groups=1, is_good=good, engine=engine)
        for columns in (counts[:, 10:30], counts[:, 10:30].copy())
    )
    assert np.array_equal(part.products, copy.products)


def test_nan_in_a_bad_frame_goes_nowhere(rng):
    counts = rng.poisson(2.0, (20, 6)).astype(np.float64)
    counts[4] = np.nan
    good = np.arange(20) != 4
    for engine in ENGINES:
        total = pair_sums(
            counts,
            pair_plan(20),
            np.zeros(6, np.int64),
            n_groups=1,
            is_good=good,
            engine=engine,
        )
        assert np.isfinite(total.products).all()
        assert total.sums[0, 4] == 0


def test_products_of_series_are_those_of_pixels(rng):
    series = rng.poisson(3.0, (2, 64)).astype(np.float64)
    plan = pair_plan(64, 8, 2)
    total = pair_sums(
        series.T, plan, np.arange(2), n_groups=2, is_good=np.ones(64, bool)
    )
    assert lag_products(series, series, plan) == pytest.approx(total.products)

"""The compiled loops, run as plain Python too, where coverage and errors are seen."""

import numpy as np
import pytest

from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.lags.level_pairs import event_pair_sums
from ainerd_bluesky.xpcs.lags.multi_tau import pair_plan
from ainerd_bluesky.xpcs.lags.pair_sums import pair_sums

compiled = pytest.importorskip("ainerd_bluesky.xpcs.machine.compiled")


@pytest.fixture
def plain(monkeypatch):
    """The module with each kernel in plain Python."""
    for name, value in vars(compiled).copy().items():
        if hasattr(value, "py_func"):
            monkeypatch.setattr(compiled, name, value.py_func)
    return compiled


@pytest.mark.parametrize("mean", [1.0, 900.0])
def test_pair_sums_in_plain_python(plain, rng, mean):
    counts = rng.poisson(mean, (34, 5)).astype(np.uint16)
    plan, groups, good = (
        pair_plan(34, 4, 2),
        np.array([0, 0, 1, 1, 1]),
        np.arange(34) > 1,
    )
    expected = pair_sums(counts, plan, groups, n_groups=2, is_good=good, engine="numpy")
    series = np.empty((6, 48), np.float32)
    series[:5, :34] = (counts * good[:, None]).T
    products, sums = np.zeros((2, *plan.shape)), np.zeros((2, 34))
    plain.add_pair_sums(
        series,
        plan.levels,
        plan.steps,
        plan.edges,
        groups,
        np.ones(5),
        2.0**24,
        products,
        sums,
    )
    assert products == pytest.approx(expected.products)
    assert np.array_equal(sums, expected.sums)


def test_event_pairs_in_plain_python(plain):
    times, values = np.array([0, 2, 3, 1, 3]), np.array([1.0, 2.0, 1.0, 1.0, 4.0])
    starts = np.array([0, 3, 5])
    by_lag = np.zeros((1, 4))
    plain.add_lag_pairs(times, values, starts, np.ones(2), np.zeros(2, int), by_lag)
    assert by_lag[0].tolist() == [0, 2, 6, 1]

    two_time = np.zeros((4, 4), np.float32)
    order = np.argsort(times, kind="stable")
    ends = np.array([3, 3, 3, 5, 5])
    plain.add_time_pairs(times, values, ends, order, two_time)
    counts = np.array([[1, 0, 2, 1], [0, 1, 0, 4]])
    assert np.array_equal(two_time, counts.T @ counts)


def test_level_pairs_in_plain_python(plain, rng):
    counts = rng.poisson(0.4, (35, 5))
    plan, groups = pair_plan(35, 4, 2), np.array([0, 0, 1, 1, 1])
    events = BinEvents.from_counts(counts).by_pixel
    expected = event_pair_sums(events, plan, groups, n_groups=2, engine="numpy")
    products = np.zeros((2, *plan.shape))
    plain.add_level_pairs(
        events.times,
        events.values,
        events.starts,
        35,
        plan.levels,
        plan.steps,
        plan.edges,
        groups,
        np.ones(5),
        products,
    )
    assert np.array_equal(products, expected.products)

"""Multi-tau and ages from events: what frames give, in whatever pixels they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.lags.age_lag import age_lag_map
from ainerd_bluesky.xpcs.lags.level_pairs import event_pair_sums
from ainerd_bluesky.xpcs.lags.multi_tau import pair_plan
from ainerd_bluesky.xpcs.lags.one_time import multi_tau_g2
from ainerd_bluesky.xpcs.lags.pair_sums import pair_sums

ENGINES = ["auto", "numpy"]
NORMALISATIONS = [
    "static",
    "frame",
    "static-frame",
    "symmetric",
    "monitor",
    "pixel",
    "none",
]


@pytest.fixture
def sparse_counts(rng):
    """Few photons, two hot pixels, one dark frame, a length that is no power of two."""
    mean = np.full(60, 0.05)
    mean[[7, 50]] = 20
    counts = rng.poisson(mean, (301, 60)).astype(np.uint8)
    counts[17] = 0
    return counts


@pytest.fixture
def arguments(rng):
    return {
        "static_bins": rng.permutation(60) % 3,
        "is_good": np.arange(301) % 37 != 5,
        "monitor": rng.uniform(1, 2, 301),
    }


@pytest.mark.parametrize("engine", ENGINES)
@given(
    counts=arrays(np.uint8, st.tuples(st.integers(0, 40), st.integers(0, 7))),
    lags_per_level=st.integers(2, 9),
    n_ages=st.integers(1, 5),
)
@settings(deadline=None, max_examples=40)
def test_sums_are_those_of_frames_to_the_bit(engine, counts, lags_per_level, n_ages):
    counts[counts > 3] = 0
    plan = pair_plan(len(counts), lags_per_level, n_ages)
    groups, is_good = np.arange(counts.shape[1]) % 2, np.arange(len(counts)) % 7 != 3
    dense = pair_sums(counts, plan, groups, n_groups=2, is_good=is_good, engine="numpy")
    events = BinEvents.from_counts(counts).by_pixel.at_times(is_good)
    sparse = event_pair_sums(events, plan, groups, n_groups=2, engine=engine)
    assert np.array_equal(sparse.products, dense.products)
    assert np.array_equal(sparse.sums.toarray(), dense.sums)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("estimator", ["ratio-of-sums", "mean-of-ratios"])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_events_give_the_ages_and_errors_of_frames(
    sparse_counts, arguments, normalisation, estimator, engine
):
    config = CorrelationConfig(
        normalisation=normalisation, estimator=estimator, engine=engine
    )
    known = {"n_ages": 3, "config": config, **arguments}
    dense = age_lag_map(sparse_counts, **known)
    sparse = age_lag_map(BinEvents.from_counts(sparse_counts), **known)
    assert sparse.g2 == pytest.approx(dense.g2, rel=1e-12, nan_ok=True)
    assert sparse.g2_cov == pytest.approx(dense.g2_cov, rel=1e-9, nan_ok=True)
    assert np.array_equal(sparse.n_pairs, dense.n_pairs)
    assert sparse.replicates == pytest.approx(dense.replicates, rel=1e-12, nan_ok=True)


@given(
    counts=arrays(np.uint8, (23, 9), elements=st.integers(0, 2)),
    normalisation=st.sampled_from(["static", "static-frame", "symmetric", "none"]),
)
@settings(deadline=None, max_examples=40)
def test_gaps_in_the_result_are_those_of_frames(counts, normalisation):
    config = CorrelationConfig(normalisation=normalisation)
    known = {"config": config, "static_bins": [np.arange(9) % 3]}
    dense = multi_tau_g2([counts], **known)
    sparse = multi_tau_g2([BinEvents.from_counts(counts)], **known)
    assert sparse.g2 == pytest.approx(dense.g2, rel=1e-12, nan_ok=True)
    assert sparse.g2_err == pytest.approx(
        dense.g2_err, rel=1e-9, abs=1e-12, nan_ok=True
    )


def test_time_follows_the_events_of_a_hot_pixel():
    times = np.arange(2**17)
    events = BinEvents(times, np.zeros_like(times), np.ones(2**17), 2**17, 2)
    plan = pair_plan(2**17)
    # All pairs would be 8.6e9.
    total = event_pair_sums(events.by_pixel, plan, np.zeros(2, int), n_groups=1)
    width = 1 << plan.levels
    n_pairs = (2**17 >> plan.levels) - plan.steps
    assert np.array_equal(total.products[0, :, 0], n_pairs * width**2)

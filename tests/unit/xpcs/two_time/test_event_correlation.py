"""Events give what frames give: g2, maps and thumbnails."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import MemoryBudgetError
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin
from ainerd_bluesky.xpcs.two_time.event_correlation import (
    correlate_events,
    events_g2,
    events_thumbnail,
)

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
    """Few photons, two hot pixels, one dark frame."""
    mean = np.full(60, 0.05)
    mean[[7, 50]] = 20
    counts = rng.poisson(mean, (300, 60)).astype(np.uint8)
    counts[17] = 0
    return counts


@pytest.fixture
def arguments(rng):
    return {
        "static_bins": np.arange(60) * 3 // 60,
        "is_good": np.arange(300) % 37 != 5,
        "monitor": rng.uniform(1, 2, 300),
    }


def by_hand(counts):
    """All lags as a ratio of sums, pair by pair."""
    counts = counts.astype(np.float64)
    sums = counts.sum(axis=1)
    return [
        counts.shape[1]
        * (counts[:-lag] * counts[lag:]).sum()
        / (sums[:-lag] * sums[lag:]).sum()
        for lag in range(1, len(counts))
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_g2_equals_the_brute_force(sparse_counts, engine):
    config = CorrelationConfig(engine=engine)
    g2, n_pairs = events_g2(BinEvents.from_counts(sparse_counts), config=config)
    assert g2[:250] == pytest.approx(by_hand(sparse_counts)[:250], rel=1e-12)
    assert n_pairs[0] == 297


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("estimator", ["ratio-of-sums", "mean-of-ratios"])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_events_give_what_frames_give(
    sparse_counts, arguments, normalisation, estimator, engine
):
    config = CorrelationConfig(
        normalisation=normalisation,
        estimator=estimator,
        engine=engine,
        diagonal="shot-noise-free",
    )
    events = BinEvents.from_counts(sparse_counts)
    dense = correlate_bin(sparse_counts, config=config, **arguments)
    sparse = correlate_events(events, config=config, **arguments)
    # Where the dense engine works in float32, so does the comparison.
    is_exact = estimator == "ratio-of-sums" and normalisation != "pixel"
    tolerance = 1e-12 if is_exact else 5e-6
    assert sparse.g2 == pytest.approx(dense.g2, rel=tolerance, nan_ok=True)
    assert np.array_equal(sparse.n_pairs, dense.n_pairs)
    np.testing.assert_allclose(sparse.two_time, dense.two_time, rtol=1e-5, atol=1e-5)
    assert np.array_equal(sparse.two_time, sparse.two_time.T, equal_nan=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1, 7, 256, 1000])
def test_thumbnail_is_the_block_average_of_the_map(
    sparse_counts, arguments, engine, size
):
    config = CorrelationConfig(engine=engine)
    events = BinEvents.from_counts(sparse_counts)
    thumbnail = events_thumbnail(events, size=size, config=config, **arguments)
    full = correlate_events(events, config=config, **arguments).two_time
    full = full.astype(np.float64)
    parts = np.array_split(np.arange(300), min(size, 300))
    for row in range(0, len(parts), 5):
        for column in range(0, len(parts), 7):
            block = full[np.ix_(parts[row], parts[column])]
            known = block[np.isfinite(block)]
            expected = known.mean() if known.size > 0 else np.nan
            assert thumbnail[row, column] == pytest.approx(
                expected, rel=2e-6, nan_ok=True
            )


def test_order_of_static_bins_does_not_matter(sparse_counts, rng):
    bins, shuffle = np.arange(60) // 20, rng.permutation(60)
    straight = events_g2(BinEvents.from_counts(sparse_counts), static_bins=bins)[0]
    shuffled = events_g2(
        BinEvents.from_counts(sparse_counts[:, shuffle]), static_bins=bins[shuffle]
    )[0]
    assert shuffled == pytest.approx(straight, rel=1e-12)


@given(
    counts=arrays(np.uint8, (9, 5), elements=st.integers(0, 3)),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_order_and_splitting_of_events_does_not_matter(counts, seed):
    events = BinEvents.from_counts(counts)
    photons = np.repeat(np.arange(len(events.counts)), events.counts)
    order = np.random.default_rng(seed).permutation(photons)
    shuffled = replace(
        events,
        frame_index=events.frame_index[order],
        pixel_index=events.pixel_index[order],
        counts=np.ones(len(order), np.uint8),
    )
    expected = events_g2(events)[0]
    assert events_g2(shuffled)[0] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5, 0), (5, 3)])
def test_bins_without_photons_are_nan(shape):
    events = BinEvents.from_counts(np.zeros(shape, np.uint8))
    correlation = correlate_events(events)
    assert correlation.g2.shape == (max(shape[0] - 1, 0),)
    assert np.isnan(correlation.g2).all()
    assert np.isnan(correlation.two_time).all()


def test_uncorrelated_photons_give_one(rng):
    n_frames, n_events = 2000, 40_000
    events = BinEvents(
        rng.integers(0, n_frames, n_events),
        rng.integers(0, 500, n_events),
        np.ones(n_events, np.uint8),
        n_frames,
        500,
    )
    g2, n_pairs = events_g2(events)
    assert np.average(g2, weights=n_pairs) == pytest.approx(1.0, abs=2e-3)


def test_map_that_does_not_fit_into_memory_is_refused():
    empty = np.zeros(0, np.int64)
    events = BinEvents(empty, empty, empty, 5_000_000, 10)
    with pytest.raises(MemoryBudgetError, match="5000000 frames"):
        correlate_events(events)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_hot_pixels_cost_no_more_than_a_transform_each(rng, engine):
    n_frames, n_hot = 30_000, 8
    config = CorrelationConfig(engine=engine)
    counts = np.zeros((n_frames, 40), np.uint8)
    counts[:, :n_hot] = rng.poisson(1.0, (n_frames, n_hot))
    counts[:, n_hot:] = rng.poisson(0.001, (n_frames, 40 - n_hot))
    events = BinEvents.from_counts(counts)
    # 1.4e9 pairs of events: minutes, if each was looked at.
    g2, _ = events_g2(events, config=config)
    frames = counts.astype(np.int64)
    for lag in (1, 17, 4000):
        product = (frames[:-lag] * frames[lag:]).sum()
        sums = frames.sum(axis=1)
        expected = 40 * product / (sums[:-lag] * sums[lag:]).sum()
        assert g2[lag - 1] == pytest.approx(expected, rel=1e-12)

"""Long scans: one pass, linear cost, and the maps of shorter ways."""

import numpy as np
import pytest

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import ConfigError, FrameStackError
from ainerd_bluesky.xpcs.lags.age_lag import age_lag_map
from ainerd_bluesky.xpcs.lags.frame_levels import FrameLevels
from ainerd_bluesky.xpcs.lags.long_scan import LongScan
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin


def scanned(counts, n_blocks=1, is_good=None, monitor=None, **arguments):
    """The result of a scan that came in blocks."""
    scan = LongScan(**arguments)
    for part in np.array_split(np.arange(len(counts)), n_blocks):
        scan.append(
            counts[part],
            is_good=None if is_good is None else is_good[part],
            monitor=None if monitor is None else monitor[part],
        )
    assert scan.n_frames == len(counts)
    return scan.result()


def block_means(two_time, size):
    parts = np.array_split(np.arange(len(two_time)), size)
    return np.array([[two_time[np.ix_(a, b)].mean() for b in parts] for a in parts])


@pytest.mark.parametrize("lags_per_level", [4, 8])
@pytest.mark.parametrize("normalisation", ["static", "frame", "monitor", "none"])
@pytest.mark.parametrize("n_blocks", [1, 9])
def test_age_lag_equals_that_of_the_whole_series(
    rng, normalisation, n_blocks, lags_per_level
):
    counts = rng.poisson(1.5, (333, 40)).astype(np.uint8)
    counts[12] = 0
    common = {
        "config": CorrelationConfig(normalisation=normalisation),
        "is_good": np.arange(333) % 31 != 4,
        "monitor": rng.uniform(1, 2, 333),
        "lags_per_level": lags_per_level,
    }
    by_blocks = scanned(counts, n_blocks, **common).age_lag(3)
    whole = age_lag_map(counts, n_ages=3, **common)
    assert np.array_equal(by_blocks.lags, whole.lags)
    assert by_blocks.g2 == pytest.approx(whole.g2, rel=1e-6, nan_ok=True)
    assert np.array_equal(by_blocks.n_pairs, whole.n_pairs)
    assert by_blocks.g2_cov is None


def test_values_are_correlations_of_summed_frames(rng):
    counts = rng.poisson(1.5, (100, 30))
    result = scanned(counts)
    for level, width in [(0, 1), (2, 4)]:
        assert result.block_length(level) == width
        two_time = correlate_bin(counts.reshape(-1, width, 30).sum(axis=1)).two_time
        values = result.values(level)
        assert values.shape == (100 // width, len(result.lags(level)))
        for column, lag in enumerate(result.lags(level) // width):
            expected = np.diagonal(two_time, lag)
            assert values[lag:, column] == pytest.approx(expected, rel=1e-6)
            assert np.isnan(values[:lag, column]).all()


def test_map_is_exact_where_every_delay_is_known(rng):
    counts = rng.poisson(3.0, (64, 2000))
    two_time = scanned(counts).two_time(16)
    exact = block_means(correlate_bin(counts).two_time.astype(np.float64), 16)
    for offset in (0, 1):
        # A ratio of sums and a mean of ratios differ by the noise of the frames.
        assert np.diagonal(two_time, offset) == pytest.approx(
            np.diagonal(exact, offset), abs=1e-3
        )
    assert np.array_equal(two_time, two_time.T)


def test_map_of_slow_dynamics_is_the_block_average(speckle_counts):
    counts = speckle_counts(512, 3000, 100.0, 0.5, 2.0)
    two_time = scanned(counts, 3).two_time(64)
    exact = block_means(correlate_bin(counts).two_time.astype(np.float64), 64)
    # Coarser in age far from the diagonal, where the noise of an element is 0.013.
    assert np.std(two_time - exact) < 0.012
    assert np.mean(two_time - exact) == pytest.approx(0, abs=0.004)


def test_map_of_dynamics_that_change_follows_them(speckle_counts):
    fast, slow = speckle_counts(512, 1500, 8.0), speckle_counts(512, 1500, 200.0)
    two_time = scanned(np.concatenate([fast, slow]), 2).two_time(64)
    near = np.diagonal(two_time, 2)
    assert near[:28].mean() == pytest.approx(1.0, abs=0.03)
    assert near[-28:].mean() == pytest.approx(1 + 0.5 * np.exp(-2 * 32 / 200), abs=0.05)


def test_small_scans_keep_their_frames(rng):
    counts = rng.poisson(4.0, (7, 500))
    two_time = scanned(counts).two_time(256)
    assert two_time == pytest.approx(correlate_bin(counts).two_time, rel=1e-5)


def test_scan_without_frames_has_an_empty_map():
    assert LongScan().result().two_time().shape == (0, 0)


def test_static_profile_of_the_first_block_is_taken_out(rng):
    bins = np.repeat([0, 1, 2], 1000)
    counts = rng.poisson(np.array([0.5, 1, 4])[bins], (400, 3000))
    g2 = scanned(counts, 4, static_bins=bins).age_lag(1).g2[0, :8]
    assert g2.mean() == pytest.approx(1.0, abs=2e-3)
    frame = CorrelationConfig(normalisation="frame")
    assert (scanned(counts, 4, config=frame).age_lag(1).g2[0, :8] > 1.4).all()


def test_noise_of_a_first_block_with_few_photons_is_no_profile(rng):
    bins = np.arange(3000) // 100
    counts = rng.poisson(0.002, (3000, 3000)).astype(np.uint8)
    g2 = scanned(counts, 300, static_bins=bins).age_lag(1).g2[0]
    # Weights of 2 photons in each static bin would make it 1.5.
    assert np.average(g2[:20]) == pytest.approx(1.0, abs=0.02)


def test_static_bin_of_dead_pixels_is_left_out(rng):
    bins = np.repeat([0, 1], 1000)
    counts = rng.poisson([0.0, 1.0], (200, 2))[:, bins] * 0
    counts[:, 1000:] = rng.poisson(1.0, (200, 1000))
    g2 = scanned(counts, 2, static_bins=bins).age_lag(1).g2[0, :8]
    assert g2 == pytest.approx(1.0, abs=5e-3)


def test_frames_with_nan_are_bad(rng):
    counts = rng.poisson(2.0, (60, 200)).astype(np.float64)
    counts[20] = np.nan
    values = scanned(counts).values(0)
    assert np.isnan(values[20]).all()
    assert np.isfinite(values[30:]).all()


def test_products_grow_linearly_with_the_frames(rng):
    n_products = []
    for n_frames in (1000, 4000):
        levels = FrameLevels(3, 8)
        levels.append(rng.poisson(1.0, (n_frames, 3)))
        n_products.append(levels.n_products)
    assert n_products[0] < 12 * 1000
    assert n_products[1] < 4.02 * n_products[0]


@pytest.mark.parametrize(
    "config",
    [
        CorrelationConfig(normalisation="pixel"),
        CorrelationConfig(normalisation="symmetric"),
        CorrelationConfig(estimator="mean-of-ratios"),
    ],
)
def test_what_needs_the_whole_scan_is_refused(config):
    with pytest.raises(ConfigError, match="a long scan"):
        LongScan(config=config)


def test_blocks_that_do_not_fit_are_named(rng):
    scan = LongScan()
    scan.append(np.ones((3, 4)))
    with pytest.raises(FrameStackError, match="5 pixels, those before 4"):
        scan.append(np.ones((3, 5)))
    with pytest.raises(FrameStackError, match="needs a monitor"):
        LongScan(config=CorrelationConfig(normalisation="monitor")).append(
            np.ones((3, 4))
        )


def test_shutter_that_opens_late_leaves_the_static_profile(rng):
    static_bins = np.repeat([0, 1], 300)
    counts = rng.poisson(np.where(static_bins == 0, 1.0, 10.0), (400, 600))
    scan = LongScan(static_bins=static_bins)
    scan.append(np.zeros((50, 600), int))
    scan.append(counts)
    g2 = scan.result().age_lag(1).g2[0]
    assert g2[:8].mean() == pytest.approx(1, abs=5e-3)

"""g2 against a plain reference, physics and the size of its errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import FrameStackError, TwoTimeError
from ainerd_bluesky.xpcs import (
    BinEvents,
    PixelSeries,
    correlate_bin,
    g2_from_two_time,
    multi_tau_g2,
    multi_tau_lags,
    two_time_map,
)
from ainerd_bluesky.xpcs.lags.one_time import g2_err_from_two_time

SMALL_COUNTS = arrays(np.uint8, (12, 6), elements=st.integers(1, 9))


def brute_force(counts, lags_per_level):
    """Lags and g2 of the multi-tau scheme, pair by pair in float64."""
    frames = counts.astype(np.float64)
    lags, g2 = [], []
    width, first = 1, 1
    while len(frames) > first:
        for lag in range(first, lags_per_level + 1):
            if lag >= len(frames):
                break
            product = norm = 0.0
            for t in range(len(frames) - lag):
                product += np.mean(frames[t] * frames[t + lag])
                norm += np.mean(frames[t]) * np.mean(frames[t + lag])
            lags.append(lag * width)
            g2.append(product / norm)
        n_pairs = len(frames) // 2
        frames = np.array([frames[2 * i] + frames[2 * i + 1] for i in range(n_pairs)])
        width, first = 2 * width, lags_per_level // 2 + 1
    return np.array(lags), np.array(g2)


@pytest.mark.parametrize("n_frames", [2, 9, 64, 201])
@pytest.mark.parametrize("lags_per_level", [2, 5, 8])
def test_multi_tau_equals_the_brute_force(rng, n_frames, lags_per_level):
    counts = rng.poisson(1.5, (n_frames, 50)).astype(np.uint8) + 1
    lags, g2 = brute_force(counts, lags_per_level)
    one_time = multi_tau_g2([counts], lags_per_level=lags_per_level)
    assert np.array_equal(one_time.lags, lags)
    assert np.array_equal(one_time.lags, multi_tau_lags(n_frames, lags_per_level))
    assert one_time.g2[0] == pytest.approx(g2, rel=1e-6)


def test_uncorrelated_frames_give_one(rng):
    one_time = multi_tau_g2([rng.poisson(2.0, (256, 4000)).astype(np.uint8)])
    assert np.abs((one_time.g2 - 1) / one_time.g2_err).max() < 5
    assert np.abs(one_time.g2 - 1).max() < 0.01


def test_static_speckle_gives_one_plus_beta(speckle_counts):
    one_time = multi_tau_g2([speckle_counts(64, 20_000, np.inf, 0.5)])
    assert one_time.g2 == pytest.approx(1.5, abs=0.04)


def test_relaxing_speckle_follows_its_correlation_function(speckle_counts):
    one_time = multi_tau_g2([speckle_counts(400, 3000, 30.0, 0.5, 2.0)])
    expected = 1 + 0.5 * np.exp(-2 * one_time.lags / 30.0)
    # Summed frames smear the decay a little; the errors are about 0.01.
    assert one_time.g2[0] == pytest.approx(expected, abs=0.04)


def test_beam_intensity_drops_out(speckle_counts, rng):
    beam = rng.uniform(0.2, 4.0, 128)
    counts = speckle_counts(128, 10_000, np.inf, 0.5, 2.0, beam)
    one_time = multi_tau_g2([counts])
    assert one_time.g2 == pytest.approx(1.5, abs=0.04)


def test_dark_frames_do_not_move_the_baseline(rng):
    counts = rng.poisson(1.0, (400, 4000)).astype(np.uint8)
    counts[rng.choice(400, 20, replace=False)] = 0
    one_time = multi_tau_g2([counts])
    assert np.abs(one_time.g2 - 1).max() < 0.01


def test_photon_poor_bins_have_no_bias(rng):
    g2 = [
        multi_tau_g2([rng.poisson(0.01, (300, 500)).astype(np.uint8)]).g2[0, :8]
        for _ in range(40)
    ]
    mean, error = np.mean(g2), np.std(np.mean(g2, axis=1)) / np.sqrt(40)
    assert abs(mean - 1) < 4 * error
    assert error < 0.02


@pytest.mark.parametrize("tau", [5.0, 150.0], ids=["fast", "slow"])
def test_errors_are_as_large_as_the_scatter(speckle_counts, tau):
    results = [multi_tau_g2([speckle_counts(200, 300, tau, 1.0)]) for _ in range(40)]
    scatter = np.std([result.g2[0] for result in results], axis=0)
    claimed = np.mean([result.g2_err[0] for result in results], axis=0)
    assert np.median(claimed / scatter) == pytest.approx(1.0, abs=0.25)


def test_covariance_has_the_errors_on_its_diagonal(speckle_counts):
    one_time = multi_tau_g2([speckle_counts(64, 200, 10.0)])
    variance = np.diagonal(one_time.g2_cov[0])
    assert np.sqrt(variance) == pytest.approx(one_time.g2_err[0])


def test_series_and_list_of_bins_give_the_same(rng):
    roi_map = np.repeat([[1, 1, 2, 2]], 5, axis=0)
    frames = rng.poisson(3.0, (40, 5, 4)).astype(np.uint16)
    series = PixelSeries(roi_map)
    series.append(frames)
    listed = multi_tau_g2([frames[:, roi_map == 1], frames[:, roi_map == 2]])
    assert np.array_equal(multi_tau_g2(series).g2, listed.g2)


@given(counts=SMALL_COUNTS, seed=st.integers(0, 99))
@settings(deadline=None)
def test_order_of_pixels_does_not_matter(counts, seed):
    order = np.random.default_rng(seed).permutation(counts.shape[1])
    shuffled = multi_tau_g2([counts[:, order]]).g2
    assert shuffled == pytest.approx(multi_tau_g2([counts]).g2, rel=1e-12)


@given(counts=SMALL_COUNTS, factor=st.integers(2, 1000))
@settings(deadline=None)
def test_brightness_does_not_matter(counts, factor):
    brighter = multi_tau_g2([counts * np.uint32(factor)]).g2
    assert brighter == pytest.approx(multi_tau_g2([counts]).g2, rel=1e-12)


@pytest.mark.parametrize(
    "counts",
    [np.zeros((40, 30), np.uint8), np.zeros((40, 0), np.uint8)],
    ids=["dark", "no-pixels"],
)
def test_bin_without_photons_is_nan(counts):
    one_time = multi_tau_g2([counts])
    assert np.isnan(one_time.g2).all()
    assert np.isnan(one_time.g2_err).all()


def test_single_pixel_has_no_error(rng):
    one_time = multi_tau_g2([rng.poisson(5.0, (40, 1)).astype(np.uint8)])
    assert np.isfinite(one_time.g2).all()
    assert np.isnan(one_time.g2_err).all()


@pytest.mark.parametrize("n_frames", [0, 1])
def test_series_too_short_for_a_pair_has_no_lags(n_frames):
    one_time = multi_tau_g2([np.ones((n_frames, 30), np.uint8)])
    assert one_time.g2.shape == (1, 0)


@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_static_bins_take_the_profile_of_the_scattering_out(speckle_counts, engine):
    config = CorrelationConfig(engine=engine)
    profile = np.repeat([1, 4], 2000)
    counts = speckle_counts(64, 4000, np.inf, 0.5, 1.0) * profile
    flat = multi_tau_g2([counts], config=config, static_bins=[profile]).g2
    assert flat == pytest.approx(1.5, abs=0.05)
    assert (multi_tau_g2([counts], config=config).g2 > 1.9).all()


@pytest.mark.parametrize("normalisation", ["static", "static-frame", "symmetric"])
def test_order_of_static_bins_does_not_matter(speckle_counts, rng, normalisation):
    config = CorrelationConfig(normalisation=normalisation)
    counts, bins = speckle_counts(50, 90, 10.0), np.arange(90) // 30
    shuffle = rng.permutation(90)
    sorted_g2 = multi_tau_g2([counts], config=config, static_bins=[bins]).g2
    shuffled = multi_tau_g2(
        [counts[:, shuffle]], config=config, static_bins=[bins[shuffle]]
    ).g2
    assert shuffled == pytest.approx(sorted_g2, rel=1e-12)


def test_symmetric_normalisation_is_that_of_boost_corr(rng):
    counts = rng.poisson(2.0, (50, 40)).astype(np.float64)
    config = CorrelationConfig(normalisation="symmetric")
    g2 = multi_tau_g2([counts], config=config).g2[0]
    for lag in (1, 5, 8):
        before, after = counts[:-lag], counts[lag:]
        expected = (before * after).mean() / (before.mean() * after.mean())
        assert g2[lag - 1] == pytest.approx(expected, rel=1e-12)


def test_unnormalised_products_are_photons_squared(rng):
    counts = rng.poisson(3.0, (80, 500))
    g2 = multi_tau_g2([counts], config=CorrelationConfig(normalisation="none")).g2
    assert g2 == pytest.approx(9.0, rel=0.02)


def test_means_of_ratios_at_full_resolution_are_those_of_the_map(rng):
    counts = rng.poisson(2.0, (50, 400))
    config = CorrelationConfig(estimator="mean-of-ratios")
    g2 = multi_tau_g2([counts], config=config).g2[0, :8]
    assert g2 == pytest.approx(g2_from_two_time(two_time_map(counts))[:8], rel=1e-6)


@pytest.mark.parametrize("estimator", ["ratio-of-sums", "mean-of-ratios"])
@pytest.mark.parametrize("form", [np.asarray, BinEvents.from_counts])
def test_few_photons_in_static_bins_are_corrected_as_in_the_map(rng, form, estimator):
    counts, static_bins = rng.poisson(0.3, (100, 200)), np.arange(200) // 20
    config = CorrelationConfig(estimator=estimator)
    known = {"config": config, "static_bins": static_bins}
    one_time = multi_tau_g2([form(counts)], config=config, static_bins=[static_bins])
    expected = correlate_bin(counts, **known).g2
    assert one_time.g2[0, :8] == pytest.approx(expected[:8], rel=1e-6)


def test_means_of_pixels_bring_no_bias_of_their_own(rng):
    config = CorrelationConfig(normalisation="pixel")
    counts = rng.poisson(0.5 * rng.uniform(0.2, 2, 3000), (100, 3000))
    one_time = multi_tau_g2([counts], config=config)
    # Without the correction the baseline would be 0.97.
    assert np.average(one_time.g2[0, :8]) == pytest.approx(1.0, abs=2e-3)


def test_bad_frames_are_as_if_they_had_not_been(rng):
    counts = rng.poisson(2.0, (200, 1000)).astype(np.uint8)
    good = np.arange(200) < 150
    kept = multi_tau_g2([counts], is_good=good)
    alone = multi_tau_g2([counts[:150]])
    assert kept.g2[0, :8] == pytest.approx(alone.g2[0, :8], rel=1e-12)
    counts[150:] = 255
    again = multi_tau_g2([counts], is_good=good)
    assert np.array_equal(kept.g2, again.g2, equal_nan=True)


@pytest.mark.parametrize("normalisation", ["static", "frame", "symmetric"])
def test_dropped_frames_on_a_list_do_not_move_the_baseline(rng, normalisation):
    counts = rng.poisson(1.0, (500, 4000)).astype(np.uint8)
    good = np.ones(500, bool)
    good[rng.choice(500, 10, replace=False)] = False
    counts[~good] = 0
    config = CorrelationConfig(normalisation=normalisation)
    g2 = multi_tau_g2([counts], config=config, is_good=good).g2[0, :8]
    assert abs(g2.mean() - 1) < 1e-3


def test_static_bins_must_be_given_for_each_bin(rng):
    counts = rng.poisson(1.0, (20, 10))
    with pytest.raises(ValueError, match="shorter"):
        multi_tau_g2([counts, counts], static_bins=[np.zeros(10)])


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        ([], r"got n_frames \[\]"),
        ([np.ones((4, 2)), np.ones((5, 2))], r"got n_frames \[4, 5\]"),
    ],
    ids=["none", "unequal"],
)
def test_bins_that_do_not_fit_together_are_named(bins, message):
    with pytest.raises(FrameStackError, match=message):
        multi_tau_g2(bins)


def test_g2_of_a_map_is_the_mean_along_its_diagonals(rng):
    maps = rng.uniform(1, 2, (2, 20, 20))
    g2 = g2_from_two_time(maps)
    assert g2.shape == (2, 19)
    for lag in (1, 7, 19):
        expected = [np.diagonal(one_map, lag).mean() for one_map in maps]
        assert g2[:, lag - 1] == pytest.approx(expected)


def test_g2_of_a_map_leaves_dark_frames_out(rng):
    counts = rng.poisson(2.0, (60, 5000)).astype(np.uint8)
    counts[[10, 30]] = 0
    g2 = g2_from_two_time(two_time_map(counts))
    assert np.abs(g2 - 1).max() < 0.03


def test_g2_of_a_map_of_nan_is_nan():
    assert np.isnan(g2_from_two_time(np.full((5, 5), np.nan))).all()


def test_g2_of_map_and_counts_agree(speckle_counts):
    counts = speckle_counts(100, 5000, 20.0)
    from_map = g2_from_two_time(two_time_map(counts))[:8]
    assert multi_tau_g2([counts]).g2[0, :8] == pytest.approx(from_map, abs=1e-3)


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_g2_needs_a_square_map(shape):
    with pytest.raises(TwoTimeError, match="must have shape"):
        g2_from_two_time(np.ones(shape))


def test_g2_needs_real_numbers():
    with pytest.raises(TwoTimeError, match="real numbers, got complex128"):
        g2_from_two_time(np.ones((4, 4), complex))


def test_error_of_g2_of_a_map_is_as_large_as_the_scatter(rng):
    maps = rng.normal(1.0, 0.1, (60, 120, 120))
    lags = slice(0, 60)
    scatter = g2_from_two_time(maps)[:, lags].std(axis=0)
    claimed = np.sqrt((g2_err_from_two_time(maps)[:, lags] ** 2).mean(axis=0))
    assert np.median(claimed / scatter) == pytest.approx(1.0, abs=0.1)

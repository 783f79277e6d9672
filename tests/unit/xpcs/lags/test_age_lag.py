"""Correlation by age: brute force, physics, and what must not change it."""

import numpy as np
import pytest

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import ConfigError, FrameStackError
from ainerd_bluesky.xpcs import multi_tau_g2
from ainerd_bluesky.xpcs.lags.age_lag import age_lag_map

NORMALISATIONS = ["static", "frame", "static-frame", "symmetric", "pixel", "monitor"]


def test_first_delays_equal_the_brute_force(rng):
    counts = rng.poisson(2.0, (60, 40)).astype(np.float64)
    age_lag = age_lag_map(counts, n_ages=4)
    for lag in range(1, 9):
        for age in range(4):
            t = np.arange(60 - lag)
            t = t[(t + lag / 2 >= 15 * age - 0.5) & (t + lag / 2 < 15 * age + 14.5)]
            product = (counts[t] * counts[t + lag]).mean(axis=1).sum()
            norm = (counts[t].mean(axis=1) * counts[t + lag].mean(axis=1)).sum()
            assert age_lag.g2[age, lag - 1] == pytest.approx(product / norm)
            assert age_lag.n_pairs[age, lag - 1] == len(t)


@pytest.mark.parametrize("estimator", ["ratio-of-sums", "mean-of-ratios"])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_one_age_is_the_multi_tau_function(rng, normalisation, estimator):
    config = CorrelationConfig(normalisation=normalisation, estimator=estimator)
    counts = rng.poisson(2.0, (70, 60)).astype(np.uint8)
    bins, good = np.arange(60) // 20, np.arange(70) % 11 != 4
    monitor = rng.uniform(1, 2, 70)
    age_lag = age_lag_map(
        counts,
        n_ages=1,
        config=config,
        static_bins=bins,
        is_good=good,
        monitor=monitor,
    )
    one_time = multi_tau_g2(
        [counts], config=config, static_bins=[bins], is_good=good, monitor=monitor
    )
    assert age_lag.g2 == pytest.approx(one_time.g2, rel=1e-12)
    assert age_lag.g2_cov == pytest.approx(one_time.g2_cov, rel=1e-9)


def test_dynamics_that_slow_down_show_in_their_age(speckle_counts):
    fast, slow = speckle_counts(300, 2000, 4.0), speckle_counts(300, 2000, 60.0)
    age_lag = age_lag_map(np.concatenate([fast, slow]), n_ages=2)
    short = age_lag.lags <= 40
    for age, tau in enumerate([4.0, 60.0]):
        expected = 1 + 0.5 * np.exp(-2 * age_lag.lags[short] / tau)
        # Summed frames smear the decay a little; the errors are about 0.01.
        assert age_lag.g2[age, short] == pytest.approx(expected, abs=0.05)


def test_ages_without_a_pair_are_nan(rng):
    age_lag = age_lag_map(rng.poisson(2.0, (40, 30)), n_ages=4)
    is_empty = age_lag.n_pairs == 0
    assert np.array_equal(np.isnan(age_lag.g2), is_empty)
    assert is_empty[0, -1]
    assert not is_empty[:, 0].any()


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_bad_frames_do_not_move_the_baseline(rng, normalisation):
    counts = rng.poisson(2.0, (400, 3000)).astype(np.float64)
    bad = rng.choice(400, 8, replace=False)
    counts[bad[:4]] = 0
    counts[bad[4:]] = np.nan
    age_lag = age_lag_map(
        counts,
        n_ages=2,
        config=CorrelationConfig(normalisation=normalisation),
        is_good=~np.isin(np.arange(400), bad),
        monitor=np.ones(400),
    )
    weights = age_lag.n_pairs[:, :8]
    assert abs(np.average(age_lag.g2[:, :8], weights=weights) - 1) < 1e-3


def test_ages_of_centre_and_covariance_have_their_shapes(rng):
    age_lag = age_lag_map(rng.poisson(2.0, (40, 30)), n_ages=4, n_blocks=7)
    assert age_lag.ages.tolist() == [4.5, 14.5, 24.5, 34.5]
    assert age_lag.g2.shape == (4, len(age_lag.lags))
    assert age_lag.g2_cov.shape == (4, len(age_lag.lags), len(age_lag.lags))


@pytest.mark.slow
@pytest.mark.parametrize("tau", [5.0, 150.0], ids=["fast", "slow"])
def test_errors_of_an_age_are_as_large_as_the_scatter(speckle_counts, tau):
    results = [
        age_lag_map(speckle_counts(200, 300, tau, 1.0), n_ages=3) for _ in range(60)
    ]
    scatter = np.std([result.g2[:, :12] for result in results], axis=0)
    variances = [np.diagonal(result.g2_cov, axis1=1, axis2=2) for result in results]
    claimed = np.sqrt(np.mean(variances, axis=0))[:, :12]
    assert np.median(claimed / scatter) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"static_bins": [0, 1]}, r"static_bins has shape \(2,\), the counts 3 pixels"),
        ({"is_good": [True]}, r"is_good has shape \(1,\), the counts 4 frames"),
        ({"monitor": [1.0]}, r"monitor has shape \(1,\), the counts 4 frames"),
        ({"config": CorrelationConfig(normalisation="monitor")}, "needs a monitor"),
    ],
    ids=["static-bins", "is-good", "monitor", "no-monitor"],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(FrameStackError, match=message):
        age_lag_map(np.ones((4, 3)), n_ages=1, **arguments)


def test_there_must_be_an_age():
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        age_lag_map(np.ones((4, 3)), n_ages=0)

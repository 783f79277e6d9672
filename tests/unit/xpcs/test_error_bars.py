"""Errors of g2 and of the fits against the scatter of repeated measurements.

Speckle of 500 pixels in 300 frames, in the three regimes that differ in what makes the
noise: photons, many speckles one after the other, and few speckles that hardly move.
"""

import numpy as np
import pytest

from ainerd_bluesky.xpcs import (
    aging_exponent,
    fit_relaxation,
    fit_relaxation_by_age,
    multi_tau_g2,
    reduce_maps,
    two_time_map,
)
from ainerd_bluesky.xpcs.lags.age_lag import age_lag_map
from ainerd_bluesky.xpcs.relaxation.aging import fit_age_lag
from ainerd_bluesky.xpcs.relaxation.stationarity import non_equilibrium_index
from ainerd_bluesky.xpcs.simulate.speckle import simulate_counts

pytestmark = pytest.mark.slow

N_FRAMES, N_PIXELS, N_AGES = 300, 500, 6
# Relaxation time in frames, modes, photons per pixel and frame.
REGIMES = {
    "photon-limited": (20.0, 1, 0.05),
    "fast": (20.0, 2, 1.0),
    "slow": (200.0, 2, 1.0),
}
TIME = np.arange(N_FRAMES)


@pytest.fixture(params=REGIMES)
def regime(request):
    return REGIMES[request.param]


def rate_at(age, tau, exponent):
    """Return 1 / tau in the middle of a sample half a scan old at the start."""
    return (1 / tau) * (0.5 + age / N_FRAMES) ** -exponent


def replicas(regime, n_replicas, exponent=0.0):
    """Return counts of repeated measurements."""
    tau, n_modes, mean_photons = regime
    warped = np.cumsum(rate_at(TIME, tau, exponent))
    field = np.exp(-np.abs(warped[:, None] - warped)).astype(np.float32)
    counts = simulate_counts(
        field,
        N_PIXELS * n_replicas,
        n_modes=n_modes,
        mean_photons=mean_photons,
        rng=np.random.default_rng(20261122),
    )
    return np.split(counts, n_replicas, axis=1)


def coverage(values, errors, truth, is_trusted):
    """Return how often the truth lies within one standard error, where trusted."""
    pulls = (np.array(values) - truth) / np.array(errors)
    return np.mean(np.abs(pulls[np.array(is_trusted)]) < 1)


def test_jackknife_errors_of_g2_are_as_large_as_the_scatter(regime):
    results = [multi_tau_g2([counts]) for counts in replicas(regime, 60)]
    scatter = np.std([result.g2[0] for result in results], axis=0, ddof=1)
    claimed = np.sqrt(np.mean([result.g2_err[0] ** 2 for result in results], axis=0))
    ratio = claimed / scatter
    # 60 replicas tell a standard deviation to 9 %.
    assert 0.85 < np.median(ratio) < 1.25
    assert ratio.min() > 0.7
    assert ratio.max() < 1.5


def test_rate_of_a_run_lies_within_its_error_two_times_in_three(regime):
    fits = []
    for counts in replicas(regime, 300):
        one_time = multi_tau_g2([counts])
        g2, g2_err, g2_cov = one_time.g2[0], one_time.g2_err[0], one_time.g2_cov[0]
        fits.append(fit_relaxation(one_time.lags, g2, g2_err, g2_cov=g2_cov))
    rates = [fit.relaxation_rate for fit in fits]
    errors = [fit.relaxation_rate_err for fit in fits]
    is_trusted = [fit.is_trusted for fit in fits]
    assert np.mean(is_trusted) > 0.95
    assert 0.60 < coverage(rates, errors, 1 / regime[0], is_trusted) < 0.75


@pytest.mark.parametrize("exponent", [0.0, 1.0], ids=["stationary", "aging"])
def test_rates_by_age_lie_within_their_errors_two_times_in_three(regime, exponent):
    fits, exponents = [], []
    for counts in replicas(regime, 100, exponent):
        by_age = fit_age_lag(age_lag_map(counts, n_ages=N_AGES), 1.0)
        fits.append(by_age)
        shifted = type(by_age)(**{**vars(by_age), "age": by_age.age + N_FRAMES / 2})
        exponents.append(aging_exponent(shifted))
    rates = [fit.relaxation_rate for fit in fits]
    errors = [fit.relaxation_rate_err for fit in fits]
    is_trusted = [fit.is_trusted for fit in fits]
    truth = rate_at(fits[0].age, regime[0], exponent)
    assert np.mean(is_trusted) > 0.7
    assert 0.60 < coverage(rates, errors, truth, is_trusted) < 0.75

    found, found_err = np.array(exponents).T
    known = np.isfinite(found)
    assert known.mean() > 0.8
    # Too large for slow dynamics: ages that share a contrast err together.
    assert 0.60 < coverage(found, found_err, exponent, known) < 0.80
    assert abs(np.median(found[known]) - exponent) < 0.35


@pytest.mark.parametrize("has_diagonal", [True, False], ids=["diagonal", "filled-in"])
def test_rates_by_age_of_a_map_alone_have_honest_errors(regime, has_diagonal):
    fits = []
    for counts in replicas(regime, 120):
        two_time = two_time_map(counts)
        if not has_diagonal:
            np.fill_diagonal(two_time[:, 1:], np.diagonal(two_time, 1))
            np.fill_diagonal(two_time, np.append(np.diagonal(two_time, 1), 1.0))
        width = N_FRAMES // N_AGES
        fits.append(
            fit_relaxation_by_age(two_time, 1.0, age_width=width, age_step=width)
        )
    rates = [fit.relaxation_rate for fit in fits]
    errors = [fit.relaxation_rate_err for fit in fits]
    is_trusted = [fit.is_trusted for fit in fits]
    assert np.mean(is_trusted) > 0.8
    assert 0.60 < coverage(rates, errors, 1 / regime[0], is_trusted) < 0.75


def test_non_equilibrium_index_of_a_stationary_sample_is_zero_within_its_error(regime):
    maps = map(two_time_map, replicas(regime, 240))
    index, error = np.array([non_equilibrium_index(one_map) for one_map in maps]).T
    assert abs(index.mean()) < 3 * index.std() / np.sqrt(len(index))
    assert 0.60 < np.mean(np.abs(index) < error) < 0.75


def filled(two_time):
    """Map with a diagonal that was replaced by its neighbours, as in archives."""
    spoilt = two_time.copy()
    np.fill_diagonal(spoilt[1:, 1:], np.diagonal(two_time, 1))
    spoilt[0, 0] = two_time[0, 1]
    return spoilt


@pytest.mark.parametrize("regime", ["fast", "slow"])
@pytest.mark.parametrize("diagonal", [np.asarray, filled], ids=["measured", "filled"])
def test_error_of_g2_of_an_archived_map_is_as_large_as_the_scatter(regime, diagonal):
    maps = [diagonal(two_time_map(counts)) for counts in replicas(REGIMES[regime], 60)]
    reduction = reduce_maps(np.stack(maps))
    short = np.flatnonzero(reduction.lags <= N_FRAMES // 2)
    scatter = reduction.g2[:, short].std(axis=0, ddof=1)
    claimed = np.sqrt((reduction.g2_err[:, short] ** 2).mean(axis=0))
    ratio = claimed / scatter
    assert ratio.min() > 0.7
    assert ratio.max() < 1.4

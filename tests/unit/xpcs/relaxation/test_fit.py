"""Relaxation fits: known truth, honest errors, and data that say nothing."""

from time import process_time

import numpy as np
import pytest

from ainerd_bluesky.xpcs import fit_relaxation, multi_tau_g2, multi_tau_lags
from ainerd_bluesky.xpcs.relaxation.fit import RelaxationFit, fit_power_law

TAU = multi_tau_lags(1000) * 0.01


def model(rate, beta=0.3, alpha=1.0, baseline=1.0, tau=TAU):
    return beta * np.exp(-2 * (rate * tau) ** alpha) + baseline


@pytest.mark.parametrize("rate", [0.5, 3.0, 20.0], ids=["slow", "medium", "fast"])
@pytest.mark.parametrize("alpha", [0.6, 1.0, 1.7])
def test_parameters_of_a_perfect_decay_are_found(rate, alpha):
    fit = fit_relaxation(TAU, model(rate, 0.25, alpha, 1.02))
    assert fit.is_trusted
    assert fit.relaxation_rate == pytest.approx(rate, rel=1e-4)
    assert fit.relaxation_time == pytest.approx(1 / rate, rel=1e-4)
    assert fit.alpha == pytest.approx(alpha, rel=1e-4)
    assert fit.beta == pytest.approx(0.25, rel=1e-4)
    assert fit.baseline == pytest.approx(1.02, abs=1e-4)


@pytest.mark.parametrize("rate", [0.4, 3.0, 20.0], ids=["slow", "medium", "fast"])
@pytest.mark.parametrize("is_weighted", [True, False], ids=["weights", "no-weights"])
def test_errors_match_the_scatter_of_repeated_fits(rng, rate, is_weighted):
    error = 0.005
    fits = [
        fit_relaxation(
            TAU,
            model(rate) + error * rng.standard_normal(len(TAU)),
            np.full(len(TAU), error) if is_weighted else None,
        )
        for _ in range(60)
    ]
    pulls = [
        (fit.relaxation_rate - rate) / fit.relaxation_rate_err
        for fit in fits
        if fit.is_trusted
    ]
    assert len(pulls) > 50
    assert np.std(pulls) == pytest.approx(1.0, abs=0.35)
    assert abs(np.mean(pulls)) < 0.5


@pytest.mark.parametrize("tau", [8.0, 40.0, 400.0], ids=["fast", "medium", "slow"])
def test_rate_of_speckle_is_recovered_within_its_error(speckle_counts, tau):
    pulls = []
    for _ in range(12):
        one_time = multi_tau_g2([speckle_counts(400, 500, tau, 0.5, 0.5)])
        fit = fit_relaxation(
            one_time.lags,
            one_time.g2[0],
            one_time.g2_err[0],
            g2_cov=one_time.g2_cov[0],
        )
        assert fit.is_trusted
        pulls.append((fit.relaxation_rate - 1 / tau) / fit.relaxation_rate_err)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8
    assert np.max(np.abs(pulls)) < 5


def test_rates_scale_with_the_unit_of_time():
    fit, slow = fit_relaxation(TAU, model(3.0)), fit_relaxation(1e3 * TAU, model(3.0))
    assert slow.relaxation_rate == pytest.approx(fit.relaxation_rate / 1e3)
    assert slow.beta == pytest.approx(fit.beta)


def test_points_that_are_not_finite_are_left_out():
    g2, g2_err = model(3.0), np.full(len(TAU), 0.01)
    expected = fit_relaxation(TAU[2:], g2[2:], g2_err[2:])
    g2[0], g2_err[1] = np.nan, np.nan
    assert fit_relaxation(TAU, g2, g2_err) == expected


def test_weights_need_only_ratios_if_errors_are_not_absolute(rng):
    g2 = model(3.0) + 0.01 * rng.standard_normal(len(TAU))
    weights = rng.uniform(0.5, 2.0, len(TAU))
    one = fit_relaxation(TAU, g2, weights, absolute_errors=False)
    other = fit_relaxation(TAU, g2, 1000 * weights, absolute_errors=False)
    assert other.relaxation_rate_err == pytest.approx(one.relaxation_rate_err, rel=1e-3)


def test_slow_decay_is_fitted_with_the_baseline_one(rng):
    g2 = model(0.02) + 0.002 * rng.standard_normal(len(TAU))
    fit = fit_relaxation(TAU, g2, np.full(len(TAU), 0.002))
    assert fit.is_trusted
    assert (fit.baseline, fit.baseline_err) == (1.0, 0.0)
    assert abs(fit.relaxation_rate - 0.02) < 4 * fit.relaxation_rate_err


@pytest.mark.parametrize(
    "rate", [1e-6, 0.0, 1e4], ids=["too-slow", "no-decay", "too-fast"]
)
@pytest.mark.parametrize("error", [0.0, 0.003], ids=["exact", "noisy"])
def test_decay_outside_the_window_is_not_trusted(rng, rate, error):
    g2 = model(rate) + error * rng.standard_normal(len(TAU))
    assert not fit_relaxation(TAU, g2, np.full(len(TAU), 0.003)).is_trusted


def test_noise_is_rarely_trusted(rng):
    fits = [
        fit_relaxation(TAU, 1 + 0.01 * rng.standard_normal(len(TAU)), 0.01 + 0 * TAU)
        for _ in range(100)
    ]
    assert sum(fit.is_trusted for fit in fits) <= 5


@pytest.mark.parametrize(
    "g2",
    [np.full(len(TAU), np.nan), np.ones(len(TAU)), -model(3.0), np.zeros(len(TAU))],
    ids=["nan", "constant", "rising", "zeros"],
)
def test_data_without_a_decay_give_an_unknown_fit(g2):
    fit = fit_relaxation(TAU, g2)
    assert not fit.is_trusted
    assert np.isnan(fit.relaxation_rate)
    assert np.isnan(fit.relaxation_time)


def test_too_few_points_give_an_unknown_fit():
    assert np.isnan(fit_relaxation(TAU[:5], model(3.0)[:5]).beta)


def test_unknown_fit_has_no_time():
    assert np.isnan(RelaxationFit.unknown().relaxation_time)


def test_fit_takes_less_than_ten_milliseconds(rng):
    curves = [model(3.0) + 0.01 * rng.standard_normal(len(TAU)) for _ in range(20)]
    started = process_time()
    for g2 in curves:
        fit_relaxation(TAU, g2)
    assert (process_time() - started) / 20 < 0.02  # twice that: machines differ


@pytest.mark.parametrize("exponent", [1.0, 2.0, -0.5])
def test_power_law_is_recovered(rng, exponent):
    x = np.geomspace(0.002, 0.02, 9)
    y = 3.0 * x**exponent
    noisy = y * (1 + 0.02 * rng.standard_normal(9))
    found, error = fit_power_law(x, noisy, 0.02 * y)
    assert abs(found - exponent) < 4 * error
    assert error == pytest.approx(0.01, abs=0.006)


@pytest.mark.parametrize(
    ("x", "y", "y_err"),
    [
        ([1, 2], [1, 2], [0.1, 0.1]),
        ([1, 2, np.nan], [1, 2, 3], [0.1, 0.1, 0.1]),
        ([1, 2, 3], [1, -2, 3], [0.1, 0.1, 0.1]),
        ([2, 2, 2], [1, 2, 3], [0.1, 0.1, 0.1]),
        ([], [], []),
    ],
    ids=["two-points", "nan", "negative", "single-x", "nothing"],
)
def test_power_law_of_too_little_is_nan(x, y, y_err):
    assert np.isnan(fit_power_law(x, y, y_err)).all()

"""Relaxation by age: simulated aging, and published fits of a real map."""

import json

import numpy as np
import pytest

from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs import aging_exponent, fit_relaxation_by_age
from ainerd_bluesky.xpcs.lags.age_lag import AgeLag, age_lag_map
from ainerd_bluesky.xpcs.relaxation.aging import fit_age_lag

N_FRAMES = 200


def aging_map(exponent, noise, rng, rate=0.2):
    """Map whose relaxation rate falls as age^-exponent; half a frame is age 0.5."""
    age = np.arange(N_FRAMES) + 10.0
    warped = np.cumsum(rate * (age / 10.0) ** -exponent)
    two_time = 1 + 0.3 * np.exp(-2 * np.abs(warped[:, None] - warped))
    jitter = noise * rng.standard_normal(two_time.shape)
    return two_time + np.triu(jitter) + np.triu(jitter, 1).T


def test_rate_of_each_age_is_recovered(rng):
    by_age = fit_relaxation_by_age(aging_map(1.0, 0.02, rng), 0.5, age_width=10)
    expected = 0.2 / ((by_age.age / 0.5 + 10) / 10) / 0.5
    keep = by_age.is_trusted & (by_age.age > 15) & (by_age.age < 85)
    pulls = (by_age.relaxation_rate - expected) / by_age.relaxation_rate_err
    assert keep.sum() > 100
    assert np.median(np.abs(pulls[keep])) < 1.2


@pytest.mark.parametrize("width", [1, 7, 20])
def test_constant_rate_is_the_same_at_every_age(rng, width):
    by_age = fit_relaxation_by_age(aging_map(0.0, 1e-3, rng, 0.1), 1.0, age_width=width)
    keep = by_age.is_trusted & (by_age.age > 40) & (by_age.age < 160)
    assert keep.sum() > 100
    assert by_age.relaxation_rate[keep] == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("step", [1, 25])
def test_first_age_is_half_a_step(rng, step):
    by_age = fit_relaxation_by_age(aging_map(0.0, 0.02, rng), 0.1, age_step=step)
    assert by_age.age == pytest.approx(0.1 * np.arange(step / 2, N_FRAMES, step))


def test_cut_gathers_the_elements_around_its_age():
    two_time = np.ones((64, 64))
    rows, cols = np.indices(two_time.shape)
    is_late = (rows + cols) / 2 >= 32
    lag = np.abs(rows - cols)
    two_time += np.where(is_late, 0.2, 0.4) * np.exp(-2 * 0.1 * lag)
    by_age = fit_relaxation_by_age(two_time, 1.0, age_width=1, is_contrast_shared=False)
    assert by_age.beta[20:32] == pytest.approx(0.4, abs=1e-3)
    assert by_age.beta[32:44] == pytest.approx(0.2, abs=1e-3)


def test_dark_frames_are_left_out(rng):
    two_time = aging_map(0.0, 1e-3, rng, 0.1)
    two_time[[50, 120]] = np.nan
    two_time[:, [50, 120]] = np.nan
    by_age = fit_relaxation_by_age(two_time, 1.0, age_width=5)
    assert by_age.relaxation_rate[100] == pytest.approx(0.1, rel=0.1)


def test_ages_with_few_elements_are_unknown(rng):
    by_age = fit_relaxation_by_age(aging_map(0.0, 1e-3, rng), 1.0, age_width=1)
    assert not by_age.is_trusted[[0, -1]].any()
    assert np.isnan(by_age.relaxation_rate[[0, -1]]).all()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_aging_exponent_is_recovered(rng, exponent):
    # The age of the sample is 10 frames at the first frame: let it be long ago.
    by_age = fit_relaxation_by_age(
        aging_map(exponent, 0.01, rng), 1.0, age_width=25, age_step=25
    )
    shifted = type(by_age)(**{**vars(by_age), "age": by_age.age + 10})
    found, error = aging_exponent(shifted)
    assert abs(found - exponent) < max(4 * error, 0.1)


def test_aging_exponent_of_noise_is_nan(rng):
    by_age = fit_relaxation_by_age(rng.normal(1, 0.1, (64, 64)), 1.0, age_step=16)
    assert np.isnan(aging_exponent(by_age)).all()


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 4, 4)])
def test_map_must_be_square(shape):
    with pytest.raises(TwoTimeError, match="must be square"):
        fit_relaxation_by_age(np.ones(shape), 1.0)


def test_map_must_hold_real_numbers():
    with pytest.raises(TwoTimeError, match="real numbers, got complex128"):
        fit_relaxation_by_age(np.ones((4, 4), complex), 1.0)


def test_rates_of_an_aging_sample_agree_with_the_published_ones(shared_data):
    folder = shared_data / "chx_aging"
    published = json.loads((folder / "published_fits.json").read_text())["1"]
    rate = np.array(published["parameters"]["gamma"])
    rate_err = np.array(published["parameters_errors"]["gamma"])
    by_age = fit_relaxation_by_age(np.load(folder / "two_time.npy"), 1.0)
    assert by_age.age.tolist() == published["ages"]["bin_centers"]

    keep = by_age.is_trusted & np.array(published["trust_regions"]["gamma"])
    deviation = (by_age.relaxation_rate - rate)[keep]
    assert keep.sum() > 250
    assert abs(np.median(deviation)) < np.median(rate_err[keep])
    # Theirs are of the map after a neural denoiser and jitter by more than their own
    # errors from one age to the next; ours are of the noisy map.
    assert np.median(np.abs(deviation) / rate[keep]) < 0.15


@pytest.mark.parametrize("is_contrast_shared", [True, False])
def test_rates_of_counts_are_recovered_at_every_age(speckle_counts, is_contrast_shared):
    age_lag = age_lag_map(speckle_counts(300, 500, 15.0, 0.5, 2.0), n_ages=5)
    by_age = fit_age_lag(age_lag, 0.1, is_contrast_shared=is_contrast_shared)
    assert by_age.age == pytest.approx(0.1 * age_lag.ages)
    assert by_age.is_trusted.all()
    pulls = (by_age.relaxation_rate - 1 / 1.5) / by_age.relaxation_rate_err
    assert np.abs(pulls).max() < 4
    assert len(set(by_age.beta)) == (1 if is_contrast_shared else 5)


def test_slow_relaxation_by_age_holds_the_baseline_at_one(speckle_counts):
    by_age = fit_age_lag(age_lag_map(speckle_counts(100, 2000, 150.0), n_ages=4), 1.0)
    assert (by_age.baseline == 1).all()
    assert (by_age.baseline_err == 0).all()
    keep = by_age.is_trusted
    pulls = (by_age.relaxation_rate - 1 / 150) / by_age.relaxation_rate_err
    assert keep.sum() >= 2
    assert np.abs(pulls[keep]).max() < 4


def exact_age_lag(**unknown):
    """Noiseless ages whose rate falls by a half from one to the next."""
    lags = np.arange(1, 40)
    rates = 0.2 * 0.5 ** np.arange(4)
    g2 = 1 + 0.3 * np.exp(-2 * rates[:, None] * lags)
    pairs = np.full(g2.shape, 50)
    return AgeLag(np.arange(4) * 50.0 + 25, lags, g2, n_pairs=pairs, **unknown), rates


@pytest.mark.parametrize("has_covariance", [True, False])
def test_ages_without_replicates_are_fitted(has_covariance):
    covariance = np.tile(1e-8 * np.eye(39), (4, 1, 1)) if has_covariance else None
    age_lag, rates = exact_age_lag(g2_cov=covariance)
    by_age = fit_age_lag(age_lag, 1.0)
    assert by_age.is_trusted.all()
    assert by_age.relaxation_rate == pytest.approx(rates, rel=1e-3)
    assert by_age.beta == pytest.approx(0.3, rel=1e-3)


def test_age_without_points_is_unknown():
    age_lag, _ = exact_age_lag(g2_cov=None)
    age_lag.g2[1, 3:] = np.nan
    age_lag.n_pairs[1, 3:] = 0
    by_age = fit_age_lag(age_lag, 1.0)
    assert by_age.is_trusted.tolist() == [True, False, True, True]
    assert np.isnan(by_age.relaxation_rate[1])


@pytest.mark.parametrize("n_pixels", [1, 500])
def test_ages_of_counts_without_speckle_are_not_trusted(rng, n_pixels):
    counts = rng.poisson(1.0, (200, n_pixels)).astype(np.uint8)
    assert not fit_age_lag(age_lag_map(counts, n_ages=4), 1.0).is_trusted.all()

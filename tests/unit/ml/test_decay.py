import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sklearn.neighbors import KNeighborsRegressor  # noqa: E402 - after the skip

from ainerd_bluesky.ml.decay import (  # noqa: E402
    DecaySpace,
    Spread,
    lag_profiles,
    spread_of_groups,
    spread_of_pairs,
)

SIZE = 32
DELAY = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))


def clean_maps(rates):
    decay = np.exp(-np.asarray(rates)[:, None, None] * DELAY)
    return torch.tensor(decay, dtype=torch.float32)


def noisy_maps(clean, sigma=0.1, beta=0.3, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, clean.shape)
    noise = 0.5 * (noise + noise.transpose(0, 2, 1))
    return 1 + beta * (clean + torch.tensor(noise, dtype=torch.float32))


@pytest.fixture(scope="module")
def rates():
    return 10 ** np.random.default_rng(1).uniform(-2, 0, 60)


@pytest.fixture(scope="module")
def space(rates):
    repeated = np.repeat(rates, 4)
    noisy = noisy_maps(clean_maps(repeated))
    space = DecaySpace(2, SIZE)
    space.fit(spread_of_groups(noisy, np.repeat(np.arange(60), 4)))
    return space


@pytest.mark.parametrize("rate", [0.03, 0.1, 0.5])
def test_profile_is_the_decay_less_its_mean(rate):
    decay = np.exp(-rate * np.arange(1, SIZE))
    rest = decay - decay.mean()

    profile = lag_profiles(1 + 0.3 * clean_maps([rate]))

    np.testing.assert_allclose(profile[0], rest / rest[:2].mean(), atol=1e-4)


@pytest.mark.parametrize("rate", [0.0, 1e-3], ids=["static", "hardly decays"])
def test_what_does_not_decay_has_a_low_profile(rate):
    assert lag_profiles(1 + 0.3 * clean_maps([rate])).abs().max() < 0.2


@pytest.mark.parametrize("beta", [0.2, 0.9])
@pytest.mark.parametrize("offset", [0.0, -0.5, 0.1])
def test_profile_has_neither_contrast_nor_baseline(beta, offset):
    clean = clean_maps([0.05, 0.2])

    np.testing.assert_allclose(
        lag_profiles(1 + offset + beta * clean),
        lag_profiles(1 + 0.3 * clean),
        atol=1e-4,
    )


def test_map_without_contrast_has_a_finite_profile():
    profile = lag_profiles(torch.ones((1, SIZE, SIZE)))

    np.testing.assert_allclose(profile, 0.0, atol=1e-4)


def test_neighbours_tell_rates_that_were_never_seen(space, rates):
    others = np.geomspace(0.012, 0.7, 40)
    known = space(noisy_maps(clean_maps(rates), seed=4))
    neighbours = KNeighborsRegressor(3).fit(known, np.log10(rates))

    told = neighbours.predict(space(noisy_maps(clean_maps(others), seed=5)))

    error = np.sqrt(np.mean((told - np.log10(others)) ** 2))
    # spread of the truth: 0.5 decades
    assert error < 0.1


def test_noise_has_at_most_length_one(space):
    same = space(noisy_maps(clean_maps(np.full(200, 0.1)), seed=6))

    assert (same.std(dim=0) < 1).all()


def test_direction_of_most_signal_for_its_noise_comes_first():
    n_lags = SIZE - 1
    signal, noise = np.zeros((2, n_lags, n_lags))
    signal[3, 3], signal[7, 7] = 1.0, 2.0
    noise[3, 3], noise[7, 7] = 1.0, 100.0
    space = DecaySpace(1, SIZE)

    space.fit(Spread(np.zeros(n_lags), noise, signal))

    assert space.basis[:, 0].abs().argmax() == 3


def test_noise_of_pairs_goes_with_its_square(rates):
    clean = clean_maps(rates)

    none, weak, strong = (
        np.trace(spread_of_pairs(noisy_maps(clean, sigma, beta=1.0), clean).noise)
        for sigma in (0.0, 0.05, 0.1)
    )

    assert none == pytest.approx(0.0, abs=1e-6)
    assert strong == pytest.approx(4 * weak, rel=0.1)


def test_share_of_another_spread_is_added(rates):
    clean = clean_maps(rates)
    spread = spread_of_pairs(noisy_maps(clean), clean)

    both = spread.with_share(spread, 0.5)

    np.testing.assert_allclose(both.noise, 1.5 * spread.noise)
    np.testing.assert_allclose(both.signal, 1.5 * spread.signal)
    np.testing.assert_array_equal(both.mean, spread.mean)


def test_groups_of_one_map_are_no_obstacle(rates):
    space = DecaySpace(2, SIZE)

    space.fit(spread_of_groups(noisy_maps(clean_maps(rates)), np.arange(60)))

    assert torch.isfinite(space.basis).all()

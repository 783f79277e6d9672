import numpy as np
import pytest

from ainerd_bluesky.vocabulary import DYNAMICS, Label
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics, draw_dynamics, g1
from ainerd_bluesky.xpcs.simulate.speckle import (
    correlation_root,
    simulate_counts,
    simulate_map,
)
from ainerd_bluesky.xpcs.two_time.maps import two_time_map

OFF_DIAGONAL = ~np.eye(100, dtype=bool)


def counts_of(label, seed, **options):
    rng = np.random.default_rng(seed)
    correlation = g1(draw_dynamics(label, rng), np.linspace(0.0, 1.0, 100))
    settings = {"n_modes": 2, "mean_photons": 2.0} | options
    return correlation, simulate_counts(correlation, 4000, rng=rng, **settings)


@pytest.mark.parametrize("label", DYNAMICS)
def test_map_of_counts_follows_the_siegert_relation(label):
    n_modes, n_pixels = 2, 6000
    rng = np.random.default_rng(11)
    dynamics = draw_dynamics(label, rng)

    two_time, clean = simulate_map(dynamics, 100, n_pixels, n_modes, 2.0, rng)

    residual = (two_time - 1.0 - clean / n_modes)[OFF_DIAGONAL]
    # one entry: the variance of I1 I2 / (m1 m2) over pixels, divided by their number
    sigma = (1 / 2.0 + 1 + 1 / n_modes) / np.sqrt(n_pixels)
    assert abs(residual.mean()) < 4 * sigma
    assert np.abs(residual).max() < 7 * sigma


@pytest.mark.parametrize("n_modes", [1, 2, 5])
def test_static_speckle_has_the_contrast_of_its_modes(n_modes):
    static = Dynamics(Label.STATIC, {"rate": 0.0, "alpha": 1.0})
    rng = np.random.default_rng(5)

    two_time, _ = simulate_map(static, 100, 20000, n_modes, 5.0, rng)

    # relative error of a variance from 20000 exponential values: below 3 %
    contrast = two_time[OFF_DIAGONAL].mean() - 1.0
    assert contrast == pytest.approx(1 / n_modes, rel=0.1)


@pytest.mark.parametrize("mean_photons", [0.05, 0.5, 5.0])
def test_mean_is_as_asked(mean_photons):
    _, counts = counts_of(Label.STATIONARY, 3, mean_photons=mean_photons)

    assert counts.mean() == pytest.approx(mean_photons, rel=0.03)


def test_counts_are_poisson_without_contrast():
    _, counts = counts_of(Label.NO_SIGNAL, 3, n_modes=50, mean_photons=1.0)

    # Mandel: the mean, and its square over the number of modes
    assert counts.var() == pytest.approx(1.0 + 1 / 50, rel=0.02)


def test_beam_intensity_scales_each_frame():
    intensity = np.linspace(0.0, 2.0, 100)
    _, counts = counts_of(Label.STATIONARY, 4, intensity=intensity)

    np.testing.assert_allclose(counts.mean(axis=1), 2.0 * intensity, atol=0.25)
    assert not counts[0].any()


def test_beam_intensity_leaves_the_map_as_it_is():
    intensity = 1.0 + 0.3 * np.sin(np.arange(100))
    correlation, counts = counts_of(
        Label.STATIONARY, 4, intensity=intensity, mean_photons=4.0
    )

    residual = two_time_map(counts) - 1.0 - correlation**2 / 2
    assert abs(residual[OFF_DIAGONAL].mean()) < 0.03


def test_pixels_of_several_blocks_are_all_filled():
    correlation = np.eye(40, dtype=np.float32)
    rng = np.random.default_rng(0)

    counts = simulate_counts(correlation, 5000, n_modes=1, mean_photons=3.0, rng=rng)

    assert counts.shape == (40, 5000)
    assert counts.any(axis=0).all()


def test_root_gives_the_correlation_back():
    correlation, _ = counts_of(Label.AGING, 8)
    root = correlation_root(correlation)

    np.testing.assert_allclose(root @ root.T, correlation, atol=1e-4)
    assert not np.triu(root, 1).any()


def test_root_of_what_is_no_correlation():
    matrix = np.array([[1.0, 2.0], [2.0, 1.0]], np.float32)

    with pytest.raises(np.linalg.LinAlgError, match="positive semi-definite"):
        correlation_root(matrix)


def test_same_seed_gives_the_same_photons():
    first, second = (counts_of(Label.AGING, 9)[1] for _ in range(2))

    np.testing.assert_array_equal(first, second)

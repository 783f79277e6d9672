"""Defects of pixels: found where speckle cannot look like them, and nowhere else."""

import numpy as np
import pytest

from ainerd_bluesky.xpcs.quality.pixels import find_pixel_defects, usable_pixels
from ainerd_bluesky.xpcs.simulate.speckle import simulate_counts
from ainerd_bluesky.xpcs.two_time.maps import two_time_map


@pytest.fixture
def speckle(rng):
    """Counts of speckle that relaxes within `tau` frames; infinite for static."""

    def make(n_pixels, tau, mean_photons, n_modes=2, n_frames=150):
        time = np.arange(n_frames)
        lag = np.abs(time[:, None] - time)
        return simulate_counts(
            np.exp(-lag / tau).astype(np.float32),
            n_pixels,
            n_modes=n_modes,
            mean_photons=mean_photons,
            rng=rng,
        )

    return make


def off_diagonal_mean(counts):
    two_time = two_time_map(counts).astype(np.float64)
    np.fill_diagonal(two_time, np.nan)
    return np.nanmean(two_time)


@pytest.mark.parametrize("n_modes", [1, 3])
@pytest.mark.parametrize("tau", [0.3, 30.0, np.inf], ids=["fast", "slow", "static"])
@pytest.mark.parametrize("mean_photons", [0.003, 0.3, 30.0])
def test_good_speckle_loses_no_pixel(speckle, mean_photons, tau, n_modes):
    counts = speckle(5000, tau, mean_photons, n_modes)
    defects = find_pixel_defects(counts)
    assert defects.is_dead.sum() <= 2
    assert not defects.is_hot.any()
    assert not defects.is_noisy.any()


@pytest.mark.parametrize("mean_photons", [0.15, 1.0, 20.0])
def test_one_percent_of_dead_pixels_does_not_move_the_map(speckle, rng, mean_photons):
    counts = speckle(5000, 20.0, mean_photons)
    dead = rng.choice(5000, 50, replace=False)
    expected = off_diagonal_mean(np.delete(counts, dead, axis=1))
    counts[:, dead] = 0
    assert off_diagonal_mean(counts) > expected + 0.01
    found = off_diagonal_mean(counts[:, usable_pixels(counts)])
    assert abs(found - expected) < 1e-3


@pytest.mark.parametrize("tau", [20.0, np.inf], ids=["moving", "static"])
@pytest.mark.parametrize("mean_photons", [0.01, 1.0, 20.0])
def test_a_hot_pixel_does_not_move_the_map(speckle, rng, tau, mean_photons):
    counts = speckle(5000, tau, mean_photons).astype(np.uint32)
    expected = off_diagonal_mean(np.delete(counts, 7, axis=1))
    counts[:, 7] = rng.poisson(1000 * mean_photons, len(counts))
    assert off_diagonal_mean(counts) > expected + 10
    found = off_diagonal_mean(counts[:, usable_pixels(counts)])
    assert abs(found - expected) < 1e-3


def test_many_hot_pixels_do_not_hide_each_other(speckle, rng):
    counts = speckle(5000, 20.0, 1.0)
    hot = rng.choice(5000, 50, replace=False)
    counts[:, hot] = rng.poisson(10.0, (len(counts), 50))
    defects = find_pixel_defects(counts)
    assert np.flatnonzero(defects.is_hot).tolist() == sorted(hot.tolist())


@pytest.mark.parametrize("mean_photons", [0.1, 5.0])
def test_pixel_with_bursts_is_noisy(speckle, mean_photons):
    counts = speckle(2000, np.inf, mean_photons)
    counts[[20, 90], 5] = 150 * mean_photons
    assert np.flatnonzero(find_pixel_defects(counts).is_noisy).tolist() == [5]


def test_flickering_beam_makes_no_pixel_noisy(speckle, rng):
    counts = speckle(2000, 3.0, 5.0, n_modes=1)
    beam = rng.lognormal(0.0, 1.0, len(counts))[:, None]
    assert not find_pixel_defects(rng.poisson(counts * beam)).is_noisy.any()


def test_dead_pixels_of_static_speckle_with_few_photons_cannot_be_told(speckle):
    # 100 photons in the mean: one pixel in 100 is dark by chance.
    counts = speckle(5000, np.inf, 1.0, n_modes=1, n_frames=100)
    counts[:, :50] = 0
    assert not find_pixel_defects(counts).is_dead.any()


@pytest.mark.parametrize("has_static_bins", [True, False])
def test_gradient_across_a_bin_is_no_defect(speckle, rng, has_static_bins):
    gradient = np.geomspace(0.3, 3.0, 4000)
    counts = rng.poisson(speckle(4000, 20.0, 2.0) * gradient)
    static_bins = np.arange(4000) // 100 if has_static_bins else None
    assert usable_pixels(counts, static_bins=static_bins).all()


def test_streak_is_no_defect_of_its_static_bin(speckle, rng):
    is_streak = np.arange(4000) < 200
    counts = rng.poisson(speckle(4000, 20.0, 2.0) * np.where(is_streak, 8.0, 1.0))
    assert find_pixel_defects(counts).is_hot.sum() == 200
    static_bins = np.arange(4000) // 50
    assert usable_pixels(counts, static_bins=static_bins).all()


def test_hot_pixel_of_a_small_static_bin_is_found(speckle):
    counts = speckle(4000, 20.0, 2.0)
    counts[:, 33] *= 30
    defects = find_pixel_defects(counts, static_bins=np.arange(4000) // 10)
    assert np.flatnonzero(~defects.is_usable).tolist() == [33]


def test_only_good_frames_are_looked_at(speckle):
    counts = speckle(500, 20.0, 2.0)
    counts[40, 9] = 5000
    is_good = np.arange(len(counts)) != 40
    assert not usable_pixels(counts)[9]
    assert usable_pixels(counts, is_good=is_good).all()


def test_flash_in_a_bad_frame_saturates_no_pixel(speckle):
    counts = speckle(500, 20.0, 2.0)
    counts[40] = 65535
    is_good = np.arange(len(counts)) != 40
    assert usable_pixels(counts, 65535, is_good=is_good).all()


def test_saturated_pixel_is_named_as_such(speckle):
    counts = speckle(500, 20.0, 2.0)
    counts[40, 9] = 65535
    defects = find_pixel_defects(counts, 65535)
    assert np.flatnonzero(defects.is_saturated).tolist() == [9]
    assert defects.summary == "1 saturated"


@pytest.mark.parametrize(
    "counts",
    [np.zeros((50, 9), np.uint8), np.zeros((50, 0), np.uint8), np.zeros((0, 9))],
    ids=["dark", "no-pixels", "no-frames"],
)
def test_nothing_is_found_where_nothing_is(counts):
    assert usable_pixels(counts).all()


def test_bin_of_saturated_pixels_is_all_saturated():
    defects = find_pixel_defects(np.full((50, 9), 255, np.uint8), 255)
    assert defects.is_saturated.all()
    assert not defects.is_dead.any()

"""Two-time maps against a plain reference, physics and the memory of a series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs import two_time_map, two_time_maps
from ainerd_bluesky.xpcs.data.series import Counts

ROI_MAP = np.array([[0, 1, 2, 2], [1, 1, 2, 0], [3, 3, 1, 2]])
SMALL_COUNTS = arrays(np.uint8, (6, 5), elements=st.integers(1, 9))


def brute_force(counts: Counts):
    """C(t1, t2) one element at a time, in float64."""
    counts = counts.astype(np.float64)
    n_frames = len(counts)
    two_time = np.empty((n_frames, n_frames))
    for t1 in range(n_frames):
        for t2 in range(n_frames):
            mean_of_product = np.mean(counts[t1] * counts[t2])
            two_time[t1, t2] = mean_of_product / (
                np.mean(counts[t1]) * np.mean(counts[t2])
            )
    return two_time


@pytest.mark.parametrize(
    ("mean", "dtype"),
    [(0.5, np.uint8), (300.0, np.uint16), (1e6, np.uint32), (2.0, np.float32)],
    ids=["few-photons", "many-photons", "beyond-float32", "floats"],
)
def test_map_equals_the_brute_force(rng, mean, dtype):
    counts = (rng.poisson(mean, (40, 500)) + 1).astype(dtype)
    assert two_time_map(counts) == pytest.approx(brute_force(counts), rel=1e-6)


def test_map_of_fractions_equals_the_brute_force(rng):
    counts = rng.gamma(2.0, size=(40, 300))
    assert two_time_map(counts) == pytest.approx(brute_force(counts), rel=1e-6)


def test_map_of_more_pixels_than_fit_the_work_space(rng, monkeypatch):
    monkeypatch.setattr("ainerd_bluesky.xpcs.two_time.products._WORK_BYTES", 400)
    counts = rng.poisson(3.0, (20, 64)).astype(np.uint8)
    assert two_time_map(counts) == pytest.approx(brute_force(counts), rel=1e-6)


def test_uncorrelated_frames_give_one(rng):
    two_time = two_time_map(rng.poisson(4.0, (50, 20_000)).astype(np.uint8))
    off_diagonal = two_time[~np.eye(50, dtype=bool)]
    # One element scatters by 1 / (mean sqrt(pixels)).
    assert abs(off_diagonal.mean() - 1) < 3e-4
    assert np.abs(off_diagonal - 1).max() < 6 / (4 * np.sqrt(20_000))


@pytest.mark.parametrize("beta", [1.0, 0.5, 0.25])
def test_static_speckle_gives_one_plus_beta(speckle_counts, beta):
    two_time = two_time_map(speckle_counts(30, 20_000, np.inf, beta))
    assert two_time[np.triu_indices(30, 1)].mean() == pytest.approx(1 + beta, abs=0.03)


def test_relaxing_speckle_follows_its_correlation_function(speckle_counts):
    two_time = two_time_map(speckle_counts(60, 20_000, 20.0, 0.5, 3.0))
    for lag in (1, 5, 10, 20, 40):
        expected = 1 + 0.5 * np.exp(-2 * lag / 20.0)
        assert np.diagonal(two_time, lag).mean() == pytest.approx(expected, abs=0.02)


def test_shot_noise_stays_on_the_diagonal(rng):
    two_time = two_time_map(rng.poisson(2.0, (50, 20_000)).astype(np.uint8))
    assert np.diagonal(two_time).mean() == pytest.approx(1 + 1 / 2.0, abs=0.01)


def test_beam_intensity_drops_out(speckle_counts, rng):
    beam = rng.uniform(0.3, 3.0, 40)
    two_time = two_time_map(speckle_counts(40, 20_000, np.inf, 0.5, 2.0, beam))
    assert two_time[np.triu_indices(40, 1)].mean() == pytest.approx(1.5, abs=0.03)


@given(counts=SMALL_COUNTS)
@settings(deadline=None)
def test_map_is_symmetric(counts):
    two_time = two_time_map(counts)
    assert np.array_equal(two_time, two_time.T)


@given(counts=SMALL_COUNTS, seed=st.integers(0, 99))
@settings(deadline=None)
def test_order_of_pixels_does_not_matter(counts, seed):
    order = np.random.default_rng(seed).permutation(counts.shape[1])
    assert np.array_equal(two_time_map(counts[:, order]), two_time_map(counts))


@given(counts=SMALL_COUNTS, seed=st.integers(0, 99))
@settings(deadline=None)
def test_order_of_frames_permutes_the_map(counts, seed):
    order = np.random.default_rng(seed).permutation(len(counts))
    expected = two_time_map(counts)[np.ix_(order, order)]
    assert np.array_equal(two_time_map(counts[order]), expected)


@given(counts=SMALL_COUNTS, factors=arrays(np.uint8, 6, elements=st.integers(1, 20)))
@settings(deadline=None)
def test_brightness_of_frames_does_not_matter(counts, factors):
    brighter = counts * factors[:, None].astype(np.uint16)
    assert two_time_map(brighter) == pytest.approx(two_time_map(counts), rel=1e-6)


def test_dark_frames_are_nan_and_change_nothing_else(rng):
    counts = rng.poisson(3.0, (20, 200)).astype(np.uint8)
    dark = counts.copy()
    dark[[4, 11]] = 0
    two_time = two_time_map(dark)
    lit = np.setdiff1d(np.arange(20), [4, 11])
    assert np.isnan(two_time[[4, 11]]).all()
    assert np.isnan(two_time[:, [4, 11]]).all()
    expected = two_time_map(counts)[np.ix_(lit, lit)]
    assert np.array_equal(two_time[np.ix_(lit, lit)], expected)


@pytest.mark.parametrize("shape", [(0, 4), (5, 0)], ids=["no-frames", "no-pixels"])
def test_map_of_nothing_holds_no_number(shape):
    two_time = two_time_map(np.zeros(shape, np.uint8))
    assert two_time.shape == (shape[0], shape[0])
    assert np.isnan(two_time).all()


def test_counts_need_two_axes():
    with pytest.raises(FrameStackError, match=r"got \(2, 2, 2\)"):
        two_time_map(np.ones((2, 2, 2)))


def test_counts_are_real_numbers():
    with pytest.raises(FrameStackError, match="real numbers, got complex128"):
        two_time_map(np.ones((4, 4), complex))


@pytest.mark.parametrize("block", [1, 7, 64, 100])
def test_blocks_of_any_size_give_the_same_maps(rng, block):
    frames = rng.poisson(2.0, (100, 3, 4)).astype(np.uint16)
    blocks = (frames[i : i + block] for i in range(0, 100, block))
    expected = two_time_maps(frames, ROI_MAP)
    assert np.array_equal(two_time_maps(blocks, ROI_MAP), expected, equal_nan=True)


def test_each_bin_has_its_own_map(rng):
    frames = rng.poisson(2.0, (30, 3, 4)).astype(np.uint16)
    maps = two_time_maps(frames, ROI_MAP)
    assert maps.dtype == np.float32
    for label in (1, 2, 3):
        expected = brute_force(frames[:, label == ROI_MAP])
        assert maps[label - 1] == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_bin_without_pixels_is_nan(rng):
    frames = rng.poisson(2.0, (8, 3, 4)).astype(np.uint16)
    maps = two_time_maps(frames, ROI_MAP, n_q_bins=4)
    assert maps.shape == (4, 8, 8)
    assert np.isnan(maps[3]).all()

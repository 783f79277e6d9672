import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.ml.maps import SAMPLE_SIZE, area_weights, as_maps, to_sample


def smooth_map(n_frames):
    time = (np.arange(n_frames) + 0.5) / n_frames
    delay = np.abs(time[:, None] - time[None, :])
    return (1.0 + 0.4 * np.exp(-3.0 * delay)).astype(np.float32)


@pytest.mark.parametrize("n_frames", [32, 50, 63, 64, 65, 128, 350])
def test_sample_has_one_size_and_is_symmetric(n_frames):
    sample = to_sample(smooth_map(n_frames))

    assert sample.shape == (SAMPLE_SIZE, SAMPLE_SIZE)
    assert sample.dtype == np.float32
    np.testing.assert_array_equal(sample, sample.T)


@pytest.mark.parametrize("n_frames", [33, 50, 64, 100, 512])
@pytest.mark.parametrize("value", [1.0, 1.25])
def test_flat_map_keeps_its_value(n_frames, value):
    flat = np.full((n_frames, n_frames), value, np.float32)

    np.testing.assert_allclose(to_sample(flat), value, rtol=1e-5)


@pytest.mark.parametrize("n_frames", [40, 96, 128, 350])
def test_area_averaging_keeps_the_mean(n_frames):
    rng = np.random.default_rng(0)
    noise = rng.normal(1.0, 0.3, (n_frames, n_frames))
    noise = 0.5 * (noise + noise.T)
    quiet = noise.copy()
    beside = 0.5 * (np.diagonal(noise, 1) + np.diagonal(noise, -1))
    np.fill_diagonal(
        quiet, 0.5 * (np.append(beside[0], beside) + np.append(beside, beside[-1]))
    )

    # outliers are brought back on both sides; what is left of them is noise
    assert to_sample(noise).mean() == pytest.approx(quiet.mean(), abs=0.2 / n_frames)


@pytest.mark.parametrize("n_frames", [128, 192, 512])
def test_sample_hardly_depends_on_the_number_of_frames(n_frames):
    # away from the cusp of the diagonal, where a frame's width counts
    delay = np.abs(np.subtract.outer(np.arange(64), np.arange(64)))
    difference = to_sample(smooth_map(n_frames)) - to_sample(smooth_map(64))

    assert np.abs(difference[delay > 2]).max() < 1e-3


def test_shot_noise_does_not_matter():
    noisy = smooth_map(128)
    np.fill_diagonal(noisy, 40.0)

    np.testing.assert_array_equal(to_sample(noisy), to_sample(smooth_map(128)))


@pytest.mark.parametrize("place", [(10, 90), (0, 127), (64, 67)])
def test_hot_pixel_pair_does_not_matter(place):
    hot = smooth_map(128)
    hot[place] = hot[place[::-1]] = 40.0

    np.testing.assert_allclose(to_sample(hot), to_sample(smooth_map(128)), atol=5e-3)


def test_large_map_is_averaged_by_definition(rng):
    noise = rng.normal(0.0, 0.1, (960, 960)).astype(np.float32)
    two_time = smooth_map(960) + noise + noise.T
    beside = np.pad(np.diagonal(two_time, 1), 1, mode="edge")
    np.fill_diagonal(two_time, (beside[1:] + beside[:-1]) / 2)
    around = np.ones((3, 3)) - np.diag([0, 1, 0])
    lowest, highest = (
        extreme(two_time, footprint=around, mode="mirror")
        for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    by_blocks = np.clip(two_time, lowest, highest).reshape(64, 15, 64, 15)

    np.testing.assert_allclose(
        to_sample(two_time), by_blocks.mean(axis=(1, 3)), atol=1e-6
    )


@pytest.mark.parametrize("n_frames", [200, 1000])
def test_transposed_map_gives_the_same_bits(rng, n_frames):
    two_time = rng.normal(1.0, 0.1, (n_frames, n_frames))

    np.testing.assert_array_equal(to_sample(two_time), to_sample(two_time.T))


def test_dark_frames_have_no_weight():
    dark = smooth_map(128)
    dark[40:44] = np.nan
    dark[:, 40:44] = np.nan

    sample = to_sample(dark)

    assert np.isfinite(sample).all()
    np.testing.assert_allclose(sample[:18, :18], to_sample(smooth_map(128))[:18, :18])


def test_large_map_is_not_copied(rng):
    two_time = rng.normal(1.0, 0.1, (2000, 2000)).astype(np.float32)
    tracemalloc.start()
    try:
        to_sample(two_time)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < two_time.nbytes


def without(two_time, frames):
    two_time = two_time.copy()
    two_time[frames], two_time[:, frames] = np.nan, np.nan
    return two_time


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        (slice(100, None), slice(0, 100)),
        (slice(0, 30), slice(30, None)),
        (np.r_[0:10, 110:128], slice(10, 110)),
    ],
    ids=["last", "first", "both"],
)
def test_missing_frames_at_the_ends_are_cut_off(rng, missing, left):
    noise = rng.normal(0.0, 0.1, (128, 128))
    two_time = smooth_map(128) + noise + noise.T

    sample = to_sample(without(two_time, missing))

    np.testing.assert_array_equal(sample, to_sample(two_time[left, left]))


@pytest.mark.parametrize(
    ("n_frames", "missing"),
    [(128, slice(50, 70)), (128, slice(20, 80)), (1024, slice(400, 560))],
    ids=["narrow", "wide", "large"],
)
def test_gap_gets_what_is_known_at_the_same_delay(n_frames, missing):
    smooth = smooth_map(n_frames)

    difference = to_sample(without(smooth, missing)) - to_sample(smooth)

    # next to the diagonal a frame's width counts
    assert np.abs(difference).max() < 0.02


def test_map_known_on_its_diagonal_only_is_none():
    with pytest.raises(TwoTimeError, match="no finite value off its diagonal"):
        to_sample(np.where(np.eye(64, dtype=bool), 1.2, np.nan))


def test_asymmetric_rounding_is_evened_out():
    upper = np.triu(smooth_map(64)) + np.tril(smooth_map(64) + 1e-3, -1)

    np.testing.assert_allclose(to_sample(upper), to_sample(upper.T))


@pytest.mark.parametrize(
    ("two_time", "message"),
    [
        (np.ones((40, 41)), r"square, got shape \(40, 41\)"),
        (np.ones(40), r"square, got shape \(40,\)"),
        (np.ones((2, 40, 40)), "square"),
        (np.ones((31, 31)), "31 frames, needs 32"),
        (np.full((40, 40), np.nan), "no finite value"),
    ],
    ids=["oblong", "vector", "several", "small", "nan"],
)
def test_what_is_no_map(two_time, message):
    with pytest.raises(TwoTimeError, match=message):
        to_sample(two_time)


@pytest.mark.parametrize(("n_frames", "size"), [(100, 64), (32, 64), (64, 64), (7, 3)])
def test_weights_share_every_frame_out(n_frames, size):
    weights = area_weights(n_frames, size)

    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=0), size / n_frames, rtol=1e-4)


@pytest.mark.parametrize(
    ("maps", "sizes"),
    [
        (np.ones((40, 40)), [40]),
        (np.ones((3, 40, 40)), [40, 40, 40]),
        ([np.ones((40, 40)), np.ones((50, 50))], [40, 50]),
        ([], []),
        (np.ones((0, 40, 40)), []),
    ],
    ids=["one", "array", "list", "nothing", "empty"],
)
def test_maps_come_in_three_ways(maps, sizes):
    assert [len(two_time) for two_time in as_maps(maps)] == sizes

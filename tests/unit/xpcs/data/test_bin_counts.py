"""What arrays and events both tell of a q-bin is the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ainerd_bluesky.config import QualityConfig
from ainerd_bluesky.xpcs import EventSeries, PixelSeries
from ainerd_bluesky.xpcs.data.bin_counts import (
    frame_sums,
    is_sparse,
    of_pixels,
    pixel_moments,
    repeats_before,
    row_sums,
)
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.quality.checks import check_bin, check_series
from ainerd_bluesky.xpcs.quality.pixels import find_pixel_defects

CONFIG = QualityConfig()

few_counts = arrays(
    np.uint8,
    st.tuples(st.integers(1, 9), st.integers(1, 6)),
    elements=st.integers(0, 2),
)


@given(counts=few_counts)
def test_frame_sums_are_the_same(counts):
    is_wanted = np.arange(counts.shape[1]) % 3 != 1
    expected = counts[:, is_wanted].sum(axis=1)
    for form in (counts, BinEvents.from_counts(counts)):
        assert np.array_equal(frame_sums(form, is_wanted), expected)
        kept = of_pixels(form, is_wanted)
        assert kept.shape == (len(counts), is_wanted.sum())
        assert np.array_equal(frame_sums(kept, is_wanted[is_wanted]), expected)


@given(counts=few_counts)
def test_moments_are_the_same(counts):
    is_good = np.arange(len(counts)) % 4 != 2
    dense = pixel_moments(counts, is_good)
    for one, other in zip(
        dense, pixel_moments(BinEvents.from_counts(counts), is_good), strict=True
    ):
        assert np.array_equal(one, other)


@given(counts=few_counts)
def test_repeated_frames_are_the_same(counts):
    expected = (counts[1:] == counts[:-1]).all(axis=1)
    assert np.array_equal(repeats_before(counts), expected)
    assert np.array_equal(repeats_before(BinEvents.from_counts(counts)), expected)


def test_rows_of_an_averaged_map_hold_their_frames():
    assert row_sums(np.arange(7.0), 3).tolist() == [3, 7, 11]
    assert row_sums(np.arange(3.0), 5).tolist() == [0, 1, 2]


@pytest.mark.parametrize("make", [np.asarray, BinEvents.from_counts])
def test_occupancy_counts_pixels_and_frames(make):
    counts = np.zeros((10, 10), np.uint8)
    counts[3, :5] = 7
    assert is_sparse(make(counts), 0.06)
    assert not is_sparse(make(counts), 0.05)


@pytest.mark.parametrize(("first", "limit"), [(1, 1 / 6), (0, 1 / 2)])
def test_long_arrays_are_sampled_before_they_are_counted(first, limit):
    # One frame in six is full; a sample of every sixth has all or nothing of them.
    counts = np.zeros((384, 10), np.uint8)
    counts[first::6] = 7
    assert not is_sparse(counts, limit)
    assert is_sparse(counts, limit + 0.01)


@pytest.fixture
def defective(rng):
    """Speckle at 0.5 photons in 2000 frames; a hot pixel, and one that flickers."""
    counts = rng.poisson(0.5 * rng.gamma(2, 0.5, 200), (2000, 200)).astype(np.uint16)
    counts[:, 7] = 50
    counts[::100, 9] = 200
    return counts


def test_defects_are_found_in_events_as_in_counts(defective):
    dense = find_pixel_defects(defective)
    sparse = find_pixel_defects(BinEvents.from_counts(defective))
    assert dense.is_hot[7]
    assert dense.is_noisy[9]
    for kind in ("is_dead", "is_hot", "is_noisy", "is_saturated"):
        assert np.array_equal(getattr(dense, kind), getattr(sparse, kind))


@pytest.mark.parametrize("share", [1.0, 0.01, 0.0])
def test_bins_of_events_are_judged_as_bins_of_counts(defective, rng, share):
    counts = rng.binomial(defective, share).astype(np.uint16)
    dense = check_bin(counts, CONFIG)
    assert check_bin(BinEvents.from_counts(counts), CONFIG) == dense
    assert dense.ok == (share == 1)


def test_few_photons_are_enough_for_a_map_of_few_rows(rng):
    counts = rng.poisson(1e-3, (5000, 500)).astype(np.uint8)
    assert check_bin(counts, CONFIG).flags == ("photon-starved",)
    assert check_bin(counts, QualityConfig(contrast=1.0), n_rows=256).ok


def both_series(frames):
    roi_map = np.arange(frames.shape[2])[None] % 2 + 1
    dense, sparse = PixelSeries(roi_map), EventSeries(roi_map)
    dense.append(frames)
    frame_index, _, pixel_index = np.nonzero(frames)
    photons = frames[frame_index, 0, pixel_index]
    sparse.append(frame_index, pixel_index, photons, n_frames=len(frames))
    return dense, sparse


def nothing(frames):
    return frames


def with_repetition(frames):
    frames[1::2] = frames[::2]
    return frames


def with_loss(frames):
    frames[60:] = frames[60:] > 4
    return frames


@pytest.mark.parametrize(
    ("spoil", "flags"),
    [
        (nothing, ()),
        (np.zeros_like, ("dark",)),
        (np.ones_like, ("constant",)),
        (with_repetition, ("repeated-frames",)),
        (with_loss, ("beam-lost",)),
        (lambda frames: frames[:20], ("too-short",)),
    ],
)
def test_series_of_events_is_judged_as_a_series_of_frames(rng, spoil, flags):
    frames = spoil(rng.poisson(2.0, (100, 1, 60)).astype(np.uint8))
    dense, sparse = both_series(frames)
    assert check_series(sparse, CONFIG).flags == flags
    assert check_series(sparse, CONFIG) == check_series(dense, CONFIG)

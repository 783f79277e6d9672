"""Series of counts: what is kept of frames, in which order, and what is refused."""

import tracemalloc

import numpy as np
import pytest

from ainerd_bluesky.errors import FrameStackError, PartitionError
from ainerd_bluesky.xpcs import PixelSeries

ROI_MAP = np.array([[0, 1, 2, 2], [1, 1, 2, 0], [3, 3, 1, 2]])


@pytest.mark.parametrize(
    ("highest", "dtype_in", "dtype_kept"),
    [
        (200, np.uint32, np.uint8),
        (300, np.uint32, np.uint16),
        (70_000, np.int64, np.uint32),
        (200, np.float64, np.uint8),
        (0.5, np.float32, np.float32),
    ],
)
def test_series_keeps_the_smallest_type(highest, dtype_in, dtype_kept):
    series = PixelSeries(ROI_MAP)
    series.append(np.full((2, 3, 4), highest, dtype_in))
    assert series.counts(1).dtype == dtype_kept


def test_series_keeps_the_pixels_of_the_regions_only():
    roi_map = np.zeros((400, 400), int)
    roi_map[200, :100] = 1
    series = PixelSeries(roi_map)
    series.append(np.ones((4, 400, 400), np.uint16))
    tracemalloc.start()
    for _ in range(25):
        series.append(np.ones((4, 400, 400), np.uint16))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 100 pixels a frame are 10 kB; the movie would be 32 MB.
    assert held < 100_000


def test_series_gives_means_of_each_frame_and_bin(rng):
    frames = rng.poisson(2.0, (9, 3, 4)).astype(np.uint16)
    series = PixelSeries(ROI_MAP, n_q_bins=4)
    series.append(frames)
    means = series.frame_means()
    for label in (1, 2, 3):
        expected = frames[:, label == ROI_MAP].mean(axis=1)
        assert means[:, label - 1] == pytest.approx(expected)
    assert np.isnan(means[:, 3]).all()


def test_pixels_outside_the_regions_are_not_looked_at():
    frames = np.ones((2, 3, 4))
    frames[:, 0, 0] = np.nan
    frames[:, 1, 3] = -5
    series = PixelSeries(ROI_MAP)
    series.append(frames)
    assert series.n_frames == 2


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.ones((3, 4)), r"not \(k, 3, 4\): one frame is frame\[None\]"),
        (np.ones((5, 4, 3)), r"\(5, 4, 3\), the q-partition \(3, 4\)"),
        (np.full((2, 3, 4), np.inf), "frame 3 holds infinity"),
        (np.full((2, 3, 4), -1), "frame 3 holds a negative count .* -1"),
        (np.full((2, 3, 4), 1j), "must hold numbers, got complex128"),
    ],
    ids=["no-stack", "another-shape", "infinity", "negative", "complex"],
)
def test_frames_that_cannot_be_used_are_named_and_left_out(frames, message):
    series = PixelSeries(ROI_MAP)
    series.append(np.ones((3, 3, 4), np.uint8))
    with pytest.raises(FrameStackError, match=message):
        series.append(frames)
    assert series.n_frames == 3


def test_empty_block_adds_nothing():
    series = PixelSeries(ROI_MAP)
    series.append(np.ones((0, 3, 4), np.uint8))
    assert series.n_frames == 0
    assert series.counts(1).shape == (0, 4)


@pytest.mark.parametrize(
    ("roi_map", "n_q_bins", "message"),
    [
        (np.ones(3, int), None, r"int64 of shape \(3,\)"),
        (np.ones((2, 2)), None, "float64"),
        (np.full((2, 2), 3), 2, r"0 .. 2, got 3 .. 3"),
        (np.full((2, 2), -1), 1, "got -1"),
    ],
)
def test_map_of_labels_that_cannot_be_used_is_named(roi_map, n_q_bins, message):
    with pytest.raises(PartitionError, match=message):
        PixelSeries(roi_map, n_q_bins)


@pytest.mark.parametrize("q_bin", [0, 4])
def test_unknown_bin_is_named(q_bin):
    with pytest.raises(PartitionError, match=f"1 .. 3, got {q_bin}"):
        PixelSeries(ROI_MAP).counts(q_bin)


def test_pixels_of_a_static_bin_lie_side_by_side(rng):
    static_map = np.array([[0, 7, 1, 1], [5, 7, 2, 0], [9, 9, 5, 1]])
    frames = rng.poisson(2.0, (9, 3, 4)).astype(np.uint16)
    series = PixelSeries(ROI_MAP, static_map=static_map)
    series.append(frames)
    assert series.static_bins(1).tolist() == [0, 0, 1, 1]
    for index, label in enumerate((5, 7)):
        expected = frames[:, (ROI_MAP == 1) & (static_map == label)]
        chosen = series.static_bins(1) == index
        assert np.array_equal(series.counts(1)[:, chosen], expected)


def test_series_without_static_bins_says_so():
    assert PixelSeries(ROI_MAP).static_bins(1) is None


def test_frame_with_nan_is_missing_and_stands_as_zeros():
    frames = np.ones((4, 3, 4))
    frames[2, 0, 1] = np.nan
    series = PixelSeries(ROI_MAP)
    series.append(frames)
    assert series.is_missing.tolist() == [False, False, True, False]
    assert series.counts(1).sum(axis=1).tolist() == [4, 4, 0, 4]
    assert series.counts(1).dtype == np.uint8


def test_static_map_of_another_shape_is_refused():
    with pytest.raises(PartitionError, match=r"\(2, 2\), roi_map \(3, 4\)"):
        PixelSeries(ROI_MAP, static_map=np.ones((2, 2), int))

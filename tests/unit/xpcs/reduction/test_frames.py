"""Reduction of events: what frames with the same photons give, in less memory."""

import tracemalloc

import numpy as np
import pytest

from ainerd_bluesky.config import CorrelationConfig, ReductionConfig
from ainerd_bluesky.pipeline import AnalysisSettings
from ainerd_bluesky.xpcs import QPartition, reduce_events, reduce_frames

CONFIG = AnalysisSettings()
AVERAGED = AnalysisSettings(reduction=ReductionConfig(max_frames=64, averaged_size=64))
N_FRAMES, N_PIXELS = 400, 3000


@pytest.fixture
def partition():
    roi_map = np.repeat([[1, 2, 0]], N_PIXELS, axis=0)
    static_map = roi_map * 4 + np.arange(N_PIXELS)[:, None] * 3 // N_PIXELS
    return QPartition(roi_map, [0.01, 0.02], [np.nan] * 2, static_map)


@pytest.fixture
def frames(speckle_counts):
    """Occupancy 0.02; a hot pixel, and a frame without photons."""
    frames = np.zeros((N_FRAMES, N_PIXELS, 3), np.uint8)
    frames[:, :, 0] = speckle_counts(N_FRAMES, N_PIXELS, 40.0, 1.0, 0.02)
    frames[:, :, 1] = speckle_counts(N_FRAMES, N_PIXELS, 10.0, 1.0, 0.02)
    frames[:, 7, 0] = 30
    frames[50] = 0
    return frames


def events_of(frames, n_blocks=3):
    flat = frames.reshape(len(frames), -1)
    frame_index, pixel_index = np.nonzero(flat)
    columns = (frame_index, pixel_index, flat[frame_index, pixel_index])
    return zip(*(np.array_split(column, n_blocks) for column in columns), strict=True)


def reduced(frames, partition, config=CONFIG, **changes):
    known = {"n_frames": len(frames), "frame_time": 0.1, "config": config, **changes}
    return reduce_events(events_of(frames), partition, **known)


@pytest.mark.parametrize("config", [CONFIG, AVERAGED], ids=["full", "averaged"])
def test_events_give_the_reduction_of_their_frames(frames, partition, config):
    by_event = reduced(frames, partition, config)
    by_frame = reduce_frames([frames], partition, frame_time=0.1, config=config)
    assert by_event.quality == by_frame.quality
    assert by_event.bin_quality == by_frame.bin_quality
    assert "bad-pixels" in by_event.bin_quality[0].flags
    np.testing.assert_allclose(by_event.two_time, by_frame.two_time, rtol=1e-5)
    assert by_event.g2 == pytest.approx(by_frame.g2, rel=1e-12)
    assert by_event.g2_err == pytest.approx(by_frame.g2_err, rel=1e-9)
    assert np.array_equal(by_event.intensity, by_frame.intensity)
    assert by_event.static_intensity == pytest.approx(
        by_frame.static_intensity, nan_ok=True
    )
    for one, other in zip(by_event.age_lags, by_frame.age_lags, strict=True):
        assert one.g2 == pytest.approx(other.g2, rel=1e-12, nan_ok=True)
    assert (by_event.recipe["kind"], by_frame.recipe["kind"]) == ("events", "frames")


def test_static_bins_have_their_mean_intensity(frames, partition):
    reduction = reduce_frames([frames], partition, frame_time=0.1, config=CONFIG)
    is_good = np.arange(N_FRAMES) != 50
    is_hot = np.zeros(frames.shape[1:], bool)
    is_hot[7, 0] = True
    for label in np.unique(partition.static_map[partition.roi_map > 0]):
        is_used = (partition.static_map == label) & ~is_hot
        mean = frames[is_good][:, is_used].mean()
        assert reduction.static_intensity[label - 1] == pytest.approx(mean)


@pytest.mark.parametrize("config", [CONFIG, AVERAGED], ids=["full", "averaged"])
def test_sparse_frames_go_the_way_of_events(frames, partition, config):
    pytest.importorskip("numba")  # without it, events pay off at fewer photons
    sparse = reduce_frames([frames], partition, frame_time=0.1, config=config)
    dense = reduce_frames(
        [frames],
        partition,
        frame_time=0.1,
        config=AnalysisSettings(
            reduction=config.reduction, correlation=CorrelationConfig(engine="numpy")
        ),
    )
    assert sparse.recipe["engines"] == ["events"] * 2
    assert "events" not in dense.recipe["engines"]
    np.testing.assert_allclose(sparse.two_time, dense.two_time, rtol=1e-5)
    assert sparse.g2 == pytest.approx(dense.g2, rel=1e-12)


def test_events_that_fill_the_frames_are_multiplied_as_frames(partition, rng):
    frames = rng.poisson(3.0, (100, N_PIXELS, 3)).astype(np.uint8)
    assert reduced(frames, partition).recipe["engines"] == ["numpy"] * 2
    config = AnalysisSettings(correlation=CorrelationConfig(engine="events"))
    assert reduced(frames, partition, config).recipe["engines"] == ["events"] * 2


def test_relaxation_is_that_of_the_sample(frames, partition):
    fits = reduced(frames, partition).fits
    # exp(-2 Gamma tau) = exp(-2 t / tau_frames): 40 and 10 frames of 0.1 s.
    for fit, rate in zip(fits, [0.25, 1.0], strict=True):
        assert abs(fit.relaxation_rate - rate) < 4 * fit.relaxation_rate_err


@pytest.mark.parametrize(
    ("changes", "flag", "reason"),
    [
        ({"n_frames": 20}, "bad-frames", "frame_index must lie in 0 .. 19"),
        ({"frame_time": None}, "no-frame-time", "is not known"),
    ],
)
def test_defect_of_the_data_is_an_answer(frames, partition, changes, flag, reason):
    quality = reduced(frames, partition, **changes).quality
    assert flag in quality.flags
    assert reason in " ".join(quality.reasons)


def test_frames_without_events_are_counted(frames, partition):
    frames[-30:] = 0
    reduction = reduced(frames, partition)
    assert reduction.n_frames == N_FRAMES
    assert np.isnan(reduction.two_time[0, -1]).all()


def test_no_events_are_dark_frames(partition):
    known = {"n_frames": 100, "frame_time": 0.1, "config": CONFIG}
    assert "dark" in reduce_events([], partition, **known).quality.flags


def test_events_that_would_not_fit_are_refused(partition, rng):
    config = AnalysisSettings(reduction=ReductionConfig(max_bytes=1_000_000))
    frames = rng.poisson(1.0, (100, N_PIXELS, 3)).astype(np.uint8)
    reduction = reduced(frames, partition, config)
    assert reduction.quality.flags == ("too-long",)


def test_maps_averaged_for_lack_of_memory_say_so_and_have_a_key_of_their_own(
    frames, partition
):
    little = AnalysisSettings(reduction=ReductionConfig(max_bytes=1_200_000))
    full, averaged = (reduced(frames, partition, one) for one in (CONFIG, little))
    assert [one.recipe["map_rows"] for one in (full, averaged)] == [400, 256]
    assert "averaged-for-memory" not in full.quality.flags
    assert averaged.quality.ok
    assert "averaged-for-memory" in averaged.quality.flags
    assert "maps of 400 frames take 0.00128 GB" in " ".join(averaged.quality.reasons)


def test_budget_for_counts_bounds_the_memory_of_the_whole_reduction(rng):
    block = rng.poisson(0.5, (50, 1, 20_000)).astype(np.uint8)
    partition = QPartition(np.ones((1, 20_000), np.int32), [0.01], [np.nan])
    limits = ReductionConfig(max_frames=64, max_bytes=50_000_000)
    config = AnalysisSettings(reduction=limits)
    blocks = (np.roll(block, shift, axis=2) for shift in range(40))
    tracemalloc.start()
    try:
        reduction = reduce_frames(blocks, partition, frame_time=0.1, config=config)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reduction.quality.ok
    # The other half is for what is made of counts on the way.
    assert peak < 2.5 * limits.max_bytes


def test_long_sparse_scan_is_never_dense(rng):
    n_frames, n_events = 60_000, 60_000
    partition = QPartition(np.ones((200, 1000), np.int32), [0.01], [np.nan])
    frame_index = np.sort(rng.integers(0, n_frames, n_events))
    # Static speckle of contrast 1, a photon a frame.
    share = np.cumsum(rng.exponential(size=200_000))
    pixel_index = np.searchsorted(share, rng.uniform(0, share[-1], n_events))
    ones = np.ones(n_events, np.uint8)
    tracemalloc.start()
    try:
        reduction = reduce_events(
            [(frame_index, pixel_index, ones)],
            partition,
            n_frames=n_frames,
            frame_time=1e-4,
            config=CONFIG,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150e6  # as an array of bytes: 12 GB
    assert reduction.two_time.shape == (1, 256, 256)
    # 18,000 pairs of photons in the same pixel.
    assert reduction.g2[0, -8:].mean() == pytest.approx(2.0, abs=0.08)

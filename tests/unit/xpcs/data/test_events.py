"""Photons as events: the same photons as in frames, and input that cannot be."""

import numpy as np
import pytest

from ainerd_bluesky.errors import FrameStackError, PartitionError
from ainerd_bluesky.xpcs import PixelSeries
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.data.events import EventSeries

ROI_MAP = np.array([[0, 2, 1, 1], [2, 2, 0, 1], [1, 4, 0, 2]])
STATIC_MAP = np.array([[0, 3, 2, 1], [4, 3, 0, 1], [2, 5, 0, 4]])


@pytest.fixture
def frames(rng):
    return rng.poisson(0.3, (30, *ROI_MAP.shape)).astype(np.uint16)


def flat_events(frames):
    frame_index, pixel_index = np.nonzero(frames.reshape(len(frames), -1))
    return (
        frame_index,
        pixel_index,
        frames.reshape(len(frames), -1)[frame_index, pixel_index],
    )


def test_counts_come_back(frames):
    counts = frames.reshape(30, -1)
    assert np.array_equal(BinEvents.from_counts(counts).to_counts(), counts)


@pytest.mark.parametrize("n_blocks", [1, 4])
def test_series_of_events_holds_what_a_series_of_frames_holds(frames, n_blocks):
    by_frame = PixelSeries(ROI_MAP, 5, STATIC_MAP)
    by_frame.append(frames)
    by_event = EventSeries(ROI_MAP, 5, STATIC_MAP)
    columns = [np.array_split(column, n_blocks) for column in flat_events(frames)]
    for frame_index, pixel_index, counts in zip(*columns, strict=True):
        by_event.append(frame_index, pixel_index, counts)
        assert by_event.bin(1).n_frames == frame_index[-1] + 1
    by_event.append([], [], [], n_frames=30)

    for q_bin, events in enumerate(by_event, start=1):
        assert np.array_equal(events.to_counts(), by_frame.counts(q_bin))
        static_bins = by_event.static_bins(q_bin)
        assert np.array_equal(static_bins, by_frame.static_bins(q_bin))
    assert by_event.frame_means() == pytest.approx(by_frame.frame_means(), nan_ok=True)


def test_photons_without_counts_are_single():
    series = EventSeries(ROI_MAP)
    series.append([0, 0, 2], [2, 2, 3])
    assert series.bin(1).to_counts()[:, 0].tolist() == [2, 0, 0]


def test_series_without_events_has_empty_bins():
    events = EventSeries(ROI_MAP).bin(1)
    assert (events.n_frames, events.n_pixels, len(events.counts)) == (0, 4, 0)


@pytest.mark.parametrize("q_bin", [0, 5])
def test_q_bin_that_is_not_there_is_named(q_bin):
    with pytest.raises(PartitionError, match=f"1 .. 4, got {q_bin}"):
        EventSeries(ROI_MAP).bin(q_bin)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (([0, 1], [0], [1, 1]), "equally long"),
        (([0], [12], [1]), "pixel_index must lie in 0 .. 11, got 12"),
        (([0], [-1], [1]), "pixel_index must lie in"),
        (([-1], [0], [1]), "frame_index must lie in"),
        (([0.5], [0], [1]), "frame_index must hold integers"),
        (([0], [0], [-3]), "not negative, got -3"),
        (([0], [0], [np.inf]), "finite"),
        (([0], [0], ["x"]), "must be real numbers"),
        (([1, 0], [0, 0], [1, 1]), "in order of frames"),
    ],
)
def test_events_that_cannot_be_are_named(events, message):
    series = EventSeries(ROI_MAP)
    with pytest.raises(FrameStackError, match=message):
        series.append(*events)
    assert series.n_frames == 0


def test_events_before_those_of_the_last_block_are_refused():
    series = EventSeries(ROI_MAP)
    series.append([4], [0], [1])
    with pytest.raises(FrameStackError, match="after frame 4"):
        series.append([3], [0], [1])
    with pytest.raises(FrameStackError, match="got n_frames 2"):
        series.append([], [], [], n_frames=2)


def test_counts_need_two_dimensions():
    with pytest.raises(FrameStackError, match="must have shape"):
        BinEvents.from_counts(np.ones(3))


def test_events_at_the_same_place_add_up_beyond_their_type():
    photons = np.array([200, 100], np.uint8)
    events = BinEvents(np.array([1, 1]), np.array([2, 2]), photons, 3, 4)
    assert events.to_counts()[1, 2] == 300

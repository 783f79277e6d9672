import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats import Events, EventSource, TwoTimeFile

# Frame 0: one pixel twice; frame 1: none; frame 2: two pixels.
EVENTS = Events(
    np.array([0, 0, 2, 2]), np.array([5, 5, 0, 3]), np.array([1, 2, 4, 1], "u2")
)


def source(usable_pixels=None, shape=(3, 2, 3)):
    def read(start, stop):
        keep = (EVENTS.frame_index >= start) & (EVENTS.frame_index < stop)
        return Events(*(column[keep] for column in EVENTS))

    return EventSource(
        "x.bin", shape, np.dtype("u2"), read, usable_pixels=usable_pixels
    )


def test_events_come_frame_by_frame():
    blocks = list(source().events(2))
    assert [block.frame_index.tolist() for block in blocks] == [[0, 0], [2, 2]]
    assert blocks[0].counts.tolist() == [1, 2]


def test_events_of_one_pixel_and_frame_add_up():
    (frames,) = source().blocks(3)
    assert frames.tolist() == [
        [[0, 0, 0], [0, 0, 3]],
        [[0, 0, 0], [0, 0, 0]],
        [[4, 0, 0], [1, 0, 0]],
    ]


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (1, 3), (2, 99), (1, 1)])
def test_range_is_that_part_of_the_whole(start, stop):
    whole = np.concatenate(list(source().blocks(3)))
    parts = [np.zeros((0, 2, 3)), *source().blocks(1, start, stop)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[start:stop])


def test_photons_in_unusable_pixels_are_left_out():
    usable = np.ones((2, 3), bool)
    usable[1, 2] = False
    masked = source(usable)
    assert [len(block.counts) for block in masked.events(3)] == [2]
    assert sum(block.sum() for block in masked.blocks(2)) == 5


def test_pixel_mask_of_another_shape_is_refused():
    with pytest.raises(FileFormatError, match=r"x\.bin.*\(2, 3\).*\(4, 4\)"):
        source(np.ones((4, 4), bool))


@pytest.mark.parametrize("shape", [(0, 2, 3), (3, 0, 3), (3, 2**20, 2**20)])
def test_shape_of_no_detector_is_refused(shape):
    with pytest.raises(FileFormatError, match="no series of frames"):
        source(shape=shape)


@pytest.mark.parametrize("frame_time", [0.0, -0.01, np.nan, np.inf])
def test_frame_time_that_cannot_be_is_unknown(frame_time):
    unknown = np.full(1, np.nan)
    maps = np.ones((1, 4, 4), np.float32)
    assert TwoTimeFile(maps, unknown, unknown, frame_time).frame_time is None

import struct

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import EventSource, open_frames

MODULE = (512, 1024)


def words(*events):
    return struct.pack(
        f"<{len(events)}Q", *((t << 40) | (p << 16) | n for t, p, n in events)
    )


def read_events(path, block_frames=3):
    with open_frames(path) as source:
        assert isinstance(source, EventSource)
        return [
            np.concatenate(c) for c in zip(*source.events(block_frames), strict=True)
        ]


def test_word_is_count_pixel_and_frame(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(words((0, 7, 1), (2, 512 * 1024 - 1, 4095)))
    frame_index, pixel_index, counts = read_events(path)
    assert frame_index.tolist() == [0, 2]
    assert pixel_index.tolist() == [7, 512 * 1024 - 1]
    assert counts.tolist() == [1, 4095]


@pytest.mark.parametrize("block_frames", [1, 3, 100])
def test_all_events_are_read_whatever_the_block(tmp_path, block_frames):
    frames = writers.sparse_frames(20, MODULE, n_events=500)
    path = writers.write_rigaku(tmp_path / "x.bin", frames)
    frame_index, pixel_index, counts = read_events(path, block_frames)
    found = np.zeros_like(frames)
    np.add.at(found.reshape(20, -1), (frame_index, pixel_index), counts)
    np.testing.assert_array_equal(found, frames)


def test_metadata_beside_the_file_tell_the_frame_time(tmp_path):
    path = writers.write_rigaku(tmp_path / "a.bin", writers.sparse_frames(3, MODULE))
    with h5py.File(tmp_path / "a_metadata.hdf", "w") as file:
        detector = file.create_group("/entry/instrument/detector_1")
        detector["frame_time"] = np.full((1, 1), 2e-5, "f4")
        detector["count_time"] = 1e-5
        detector["detector_name"] = "rigaku500k"
        file["/entry/instrument/incident_beam/incident_energy"] = 10_900.0
    with open_frames(path) as source:
        assert source.frame_time == pytest.approx(2e-5)
        assert source.metadata["count_time"] == pytest.approx(1e-5)
        assert source.metadata["detector"] == "rigaku500k"
        assert source.metadata["energy"] == pytest.approx(10.9)


def test_modules_stand_where_the_detector_has_them(tmp_path):
    frames = np.zeros((2, 1676, 2100), "u2")
    corners = [(0, 0), (0, 1076), (582, 0), (582, 1076), (1164, 0), (1164, 1076)]
    for number, (row, col) in enumerate(corners, start=1):
        frames[1, row + 5, col + 9] = number
        frames[0, row, col] = number
    path = writers.write_rigaku_3m(tmp_path, "x", frames)
    with open_frames(path) as source:
        found = np.concatenate(list(source.blocks(2)))
        assert (~source.usable_pixels).sum() == 1676 * 2100 - 6 * 512 * 1024
    np.testing.assert_array_equal(found, frames)


@pytest.mark.parametrize("offset", [0, 1024 * 1024])
def test_offset_of_module_pixels_is_taken_off(tmp_path, offset):
    frames = np.zeros((1, 1676, 2100), "u2")
    frames[0, ::600, ::1100] = 1
    path = writers.write_rigaku_3m(tmp_path, "x", frames, pixel_offset=offset)
    with open_frames(path) as source:
        assert (next(source.blocks(1)) == frames).all()


def test_module_that_saw_fewer_frames_is_dark_in_the_rest(tmp_path):
    frames = np.zeros((5, 1676, 2100), "u2")
    frames[0, ::582, ::1076] = 1
    frames[4, 0, 0] = 2
    path = writers.write_rigaku_3m(tmp_path, "x", frames)
    with open_frames(path) as source:
        assert [int(block.sum()) for block in source.blocks(1)] == [6, 0, 0, 0, 2]


def test_missing_module_is_named(tmp_path):
    frames = np.zeros((1, 1676, 2100), "u2")
    frames[0, ::582, ::1076] = 1
    path = writers.write_rigaku_3m(tmp_path, "x", frames)
    (tmp_path / "x.bin.004").unlink()
    with pytest.raises(FileFormatError, match=r"x\.bin\.004"), open_frames(path):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"1234567", "7 bytes"),
        (words((0, 1, 1)) + b"123", "11 bytes"),
        (words((0, 1, 1), (1, 2**20 - 1, 1)), "byte 8: pixel 1048575"),
        (
            words((0, 1, 1), (5, 1, 1), (3, 1, 1), (6, 1, 1)),
            "byte 16: frame 3 .* order",
        ),
        (words((9, 1, 1), (0, 1, 1)), "not in order"),
        (words((0, 1, 1), (9, 1, 1), (1, 1, 1), (1, 2, 1)), "not in order"),
    ],
    ids=["empty", "short", "cut", "outside", "unsorted", "backwards", "late"],
)
@pytest.mark.parametrize("block_frames", [1, 4])
def test_damaged_file_is_refused_with_the_place(
    tmp_path, content, message, block_frames
):
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_events(path, block_frames)
    assert "x.bin" in str(caught.value)


def test_frame_number_without_bounds_costs_nothing(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(words((0, 1, 1), (2**24 - 1, 1, 1)))
    with open_frames(path) as source:
        assert source.shape[0] == 2**24
        assert [len(e.counts) for e in source.events(10, 2**24 - 10)] == [1]


def test_file_is_read_only_where_it_is_asked_for(tmp_path):
    path = tmp_path / "x.bin"
    n_frames = 1_000_000
    frames = np.arange(n_frames, dtype="<u8") << 40
    path.write_bytes((frames | 1).tobytes())
    with open_frames(path) as source:
        (events,) = source.events(5, 700_000, 700_005)
    assert events.frame_index.tolist() == [*range(700_000, 700_005)]


def test_real_file_has_its_g2(real_file):
    # Blocks of 16 frames share one speckle pattern of contrast 0.5.
    with open_frames(real_file("synthetic_rigaku500k_f004096.bin")) as source:
        assert source.shape == (4096, 512, 1024)
        n_events = sum(len(events.counts) for events in source.events(500))
    assert n_events == 124_843

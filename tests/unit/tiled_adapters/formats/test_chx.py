import struct

import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import EventSource, open_frames
from tiled_adapters.geometry import known_geometry

FRAMES = np.random.default_rng(1).poisson(0.3, (11, 6, 9)).astype("u2")
FRAMES[4] = 0


def read_all(path, block_frames=4):
    with open_frames(path) as source:
        return np.concatenate(list(source.blocks(block_frames)))


@pytest.mark.parametrize(
    ("n_bytes", "dtype"), [(2, "uint16"), (4, "uint32"), (8, "float64")]
)
def test_counts_of_every_width_are_read(tmp_path, n_bytes, dtype):
    frames = FRAMES / 4 if n_bytes == 8 else FRAMES
    path = writers.write_cmp(tmp_path / "x.cmp", frames, n_bytes)
    with open_frames(path) as source:
        assert source.dtype == dtype
        assert source.shape == (11, 6, 9)
        assert source.metadata["is_average"] is (n_bytes == 8)
    np.testing.assert_array_equal(read_all(path), frames)


def test_header_tells_time_energy_and_region(tmp_path):
    path = writers.write_cmp(tmp_path / "x.cmp", FRAMES)
    with open_frames(path) as source:
        assert isinstance(source, EventSource)
        assert source.frame_time == 0.01
        assert source.metadata["count_time"] == 0.009
        assert source.metadata["energy"] == pytest.approx(9.9987, abs=1e-3)
        assert source.metadata["row_range"] == [0, 6]
        assert source.metadata["col_range"] == [0, 9]


def test_beam_centre_of_turned_frames_is_not_taken_for_theirs(tmp_path):
    path = writers.write_cmp(tmp_path / "x.cmp", FRAMES)
    with open_frames(path) as source:
        assert source.metadata["beam_center_x"] == 12.5
        assert set(known_geometry(source.metadata)) == {
            "pixel_size", "distance", "wavelength",
        }  # fmt: skip


def test_frame_without_photons_has_no_events(tmp_path):
    path = writers.write_cmp(tmp_path / "x.cmp", FRAMES)
    with open_frames(path) as source:
        (events,) = source.events(1, 4, 5)
        assert len(events.counts) == 0


def damaged(path, offset, value):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, b"PK", "no pyCHX multifile"),
        (80, struct.pack("<I", 3), "byte 80: 3 bytes a value"),
        (84, struct.pack("<I", 0), "byte 84: 0 x 6 pixels"),
        (84, struct.pack("<II", 2**31, 2**31), "byte 84"),
        (1024, struct.pack("<I", 2**32 - 1), "byte 1024: frame 0 has 4294967295"),
        (1024, struct.pack("<I", 55), "byte 1024: frame 0 has 55"),
        (1028, struct.pack("<i", -1), "byte 1028: pixel -1"),
        (1032, struct.pack("<i", 54), "byte 1032: pixel 54"),
    ],
    ids=["magic", "width", "empty", "huge", "absurd", "long", "negative", "outside"],
)
def test_damage_is_refused_with_the_place(tmp_path, offset, value, message):
    path = writers.write_cmp(tmp_path / "x.cmp", FRAMES)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_all(damaged(path, offset, value))
    assert "x.cmp" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 1023, 1024, 1026, 1030, -1])
def test_truncated_file_is_refused(tmp_path, keep):
    path = writers.write_cmp(tmp_path / "x.cmp", FRAMES)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileFormatError, match=r"x\.cmp"):
        read_all(path)


def test_count_that_is_no_number_is_refused(tmp_path):
    path = writers.write_cmp(tmp_path / "x.cmp", np.full((2, 2, 2), 0.5), 8)
    nan = struct.pack("<d", np.nan)
    with pytest.raises(FileFormatError, match="nan is no count"):
        read_all(damaged(path, 1024 + 4 + 4 * 4, nan))


def test_gigabytes_of_nothing_are_refused_soon(tmp_path):
    path = tmp_path / "x.cmp"
    path.write_bytes(writers.cmp_header((4, 5), 2))
    with path.open("r+b") as file:
        file.truncate(2**33)  # sparse: it takes no room
    with pytest.raises(FileFormatError, match="more than 2097152 frames"):
        read_all(path)


def test_real_file_reads(real_file):
    with open_frames(real_file("synthetic_chx.cmp")) as source:
        assert source.shape == (60, 192, 192)
        assert source.frame_time == 0.01
        assert 0 < next(source.blocks(60)).mean() < 2

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import EventSource, FrameSource, open_frames

FRAMES = np.random.default_rng(0).poisson(0.4, (9, 6, 7)).astype("u2")
FRAMES[3] = 0


def read_all(path):
    with open_frames(path) as source:
        return np.concatenate(list(source.blocks(4)))


@pytest.mark.parametrize("is_sparse", [True, False], ids=["sparse", "dense"])
def test_frames_are_read(tmp_path, is_sparse):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=is_sparse)
    np.testing.assert_array_equal(read_all(path), FRAMES)
    with open_frames(path) as source:
        assert source.shape == FRAMES.shape
        assert isinstance(source, EventSource if is_sparse else FrameSource)
        assert source.metadata["count_time"] == 0.005
        np.testing.assert_array_equal(
            np.concatenate(list(source.blocks(2, 3, 8))), FRAMES[3:8]
        )


def test_sparse_file_gives_events(tmp_path):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=True)
    with open_frames(path) as source:
        frame_index = np.concatenate([e.frame_index for e in source.events(4)])
    np.testing.assert_array_equal(frame_index, np.nonzero(FRAMES)[0])


def test_metadata_beside_the_file_outrank_the_header(tmp_path):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=False)
    with h5py.File(tmp_path / "x_metadata.hdf", "w") as file:
        file["/entry/instrument/detector_1/frame_time"] = 0.02
        file["/entry/instrument/detector_1/count_time"] = 0.01
    with open_frames(path) as source:
        assert (source.frame_time, source.metadata["count_time"]) == (0.02, 0.01)


def changed(path, offset, value):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("is_sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (108, b"\0\0\0\0", "no IMM file"),
        (108, b"\xff\xff\xff\xff", "no IMM file"),
        (116, b"\4\0\0\0", "4 bytes a pixel"),
        (108, b"\xff\xff\xff\x7f", r"x\.imm"),
        (152, b"\xff\xff\xff\xff", "byte 0"),
    ],
    ids=["no-rows", "negative-rows", "wide", "absurd-rows", "absurd-length"],
)
def test_header_that_cannot_be_is_refused(tmp_path, is_sparse, offset, value, message):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=is_sparse)
    with pytest.raises(FileFormatError, match=message):
        read_all(changed(path, offset, value))


@pytest.mark.parametrize("is_sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize("lost", [1, 50, 1100])
def test_truncated_file_is_refused(tmp_path, is_sparse, lost):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=is_sparse)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(FileFormatError, match=r"x\.imm.*byte"):
        read_all(path)


def test_frame_of_another_shape_is_refused_with_its_place(tmp_path):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=False)
    second = 1024 + 2 * FRAMES[0].size
    with pytest.raises(FileFormatError, match=f"byte {second}: .* frame 1"):
        read_all(changed(path, second + 112, b"\5\0\0\0"))


def test_pixel_off_the_detector_is_refused_with_its_place(tmp_path):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=True)
    with pytest.raises(FileFormatError, match="byte 1028: pixel 42"):
        read_all(changed(path, 1028, b"\x2a\0\0\0"))


def test_file_that_was_replaced_is_read_anew(tmp_path):
    path = writers.write_imm(tmp_path / "x.imm", FRAMES, is_sparse=True)
    read_all(path)
    writers.write_imm(path, FRAMES[:4], is_sparse=True)
    np.testing.assert_array_equal(read_all(path), FRAMES[:4])

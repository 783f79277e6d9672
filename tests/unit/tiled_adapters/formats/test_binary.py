import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats.binary import (
    open_binary,
    require_counts,
    require_pixels,
    sibling,
)


@pytest.fixture
def ten_bytes(tmp_path):
    (tmp_path / "x.bin").write_bytes(bytes(range(10)))
    with open_binary(tmp_path / "x.bin") as file:
        yield file


def test_part_is_read_where_it_stands(ten_bytes):
    assert ten_bytes.read(2, np.dtype("<u2"), 2).tolist() == [0x0302, 0x0504]
    assert ten_bytes.peek(8, 2) == b"\x08\x09"


@pytest.mark.parametrize(
    "count", [5, 2**60, -1], ids=["one-too-many", "absurd", "negative"]
)
def test_more_than_there_is_is_refused_before_it_is_allocated(ten_bytes, count):
    with pytest.raises(FileFormatError, match=r"x\.bin is cut off: .* at byte 2"):
        ten_bytes.read(2, np.dtype("<u2"), count)


def test_file_that_shrinks_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(100_000))
    with open_binary(path) as file:
        path.write_bytes(bytes(10))
        with pytest.raises(FileFormatError, match="cut off"):
            file.read(0, np.dtype("u1"), 100_000)
        with pytest.raises(FileFormatError, match="cut off"):
            file.peek(50, 8)


def test_missing_file_is_named(tmp_path):
    with (
        pytest.raises(FileFormatError, match=r"cannot open .*gone\.bin"),
        open_binary(tmp_path / "gone.bin"),
    ):
        pass


def test_sibling_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "own").touch()
    (folder / "link").symlink_to(tmp_path / "secret")
    assert sibling(folder / "x", "own") == folder / "own"
    assert sibling(folder / "x", "gone") is None
    with pytest.raises(FileFormatError, match="outside"):
        sibling(folder / "x", "link")


@pytest.mark.parametrize("pixel", [-1, 6])
def test_pixel_off_the_detector_is_named_with_its_place(pixel):
    with pytest.raises(FileFormatError, match=f"event 1: pixel {pixel} .* of 6"):
        require_pixels(np.array([0, pixel, 5]), 6, lambda index: f"event {index}")


@pytest.mark.parametrize("count", [-1.0, np.nan, np.inf])
def test_count_that_is_none_is_named_with_its_place(count):
    with pytest.raises(FileFormatError, match=r"event 2: .* is no count"):
        require_counts(np.array([1.0, 0.0, count]), lambda index: f"event {index}")

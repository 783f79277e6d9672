"""Chunks and heaps that would crash or hang HDF5 are refused before it sees them."""

import struct

import h5py
import hdf5plugin
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError, MemoryBudgetError
from tiled_adapters import sizes
from tiled_adapters.files import read_array, read_text
from tiled_adapters.heaps import require_sound_heaps

FRAMES = np.random.default_rng(0).poisson(0.3, (8, 30, 50)).astype("u2")


@pytest.fixture
def make_file(tmp_path):
    def make(compression, chunks=(4, 30, 50)):
        path = tmp_path / "x.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "d", data=FRAMES, chunks=chunks, compression=compression
            )
        return path

    return make


FILTERS = pytest.mark.parametrize(
    "compression",
    [
        hdf5plugin.Bitshuffle(cname="lz4"),
        hdf5plugin.Bitshuffle(cname="zstd"),
        hdf5plugin.LZ4(),
    ],
    ids=["bitshuffle-lz4", "bitshuffle-zstd", "lz4"],
)


@FILTERS
def test_whole_chunks_are_read(make_file, compression):
    with h5py.File(make_file(compression)) as file:
        np.testing.assert_array_equal(read_array(file["d"]), FRAMES)
        np.testing.assert_array_equal(read_array(file["d"], slice(3, 6)), FRAMES[3:6])


@FILTERS
@pytest.mark.parametrize(
    ("place", "length"), [(8, 0), (12, 2**31)], ids=["no-block", "long-block"]
)
def test_lengths_that_lead_nowhere_are_refused(make_file, compression, place, length):
    path = make_file(compression)
    with h5py.File(path, "a") as file:
        chunk = bytearray(file["d"].id.read_direct_chunk((4, 0, 0))[1])
        chunk[place : place + 4] = struct.pack(">I", length)
        file["d"].id.write_direct_chunk((4, 0, 0), bytes(chunk))
        np.testing.assert_array_equal(read_array(file["d"], slice(4)), FRAMES[:4])
        with pytest.raises(FileFormatError, match=r"x.h5: /d .*chunk at \(4, 0, 0\)"):
            read_array(file["d"], slice(2, 8))


def test_filter_for_elements_of_no_bytes_is_refused(make_file):
    path = make_file(hdf5plugin.Bitshuffle(cname="lz4"))
    content = path.read_bytes()
    with h5py.File(path) as file:
        options = file["d"].id.get_create_plist().get_filter(0)[2]
    # Version, size of an element, block, compression: HDF5 divides by the size.
    place = content.index(struct.pack(f"<{len(options)}I", *options)) + 8
    path.write_bytes(content[:place] + bytes(4) + content[place + 4 :])
    with h5py.File(path) as file, pytest.raises(FileFormatError, match="bitshuffle of"):
        read_array(file["d"])


def test_empty_dataset_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["d"] = h5py.Empty("f4")
        with pytest.raises(FileFormatError, match="/d is empty"):
            read_array(file["d"])


def test_more_than_the_memory_is_refused(make_file, monkeypatch):
    monkeypatch.setattr(sizes, "_ALWAYS_PLAUSIBLE_BYTES", 100)
    monkeypatch.setattr(
        "ainerd_bluesky.xpcs.machine.memory.available_memory", lambda: 1000
    )
    with (
        h5py.File(make_file("gzip")) as file,
        pytest.raises(MemoryBudgetError, match="fewer frames"),
    ):
        read_array(file["d"])


@pytest.fixture
def circular_heap(tmp_path):
    """A file whose text lies in a heap with an object that leads to itself."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["text"] = "a gel"
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = struct.pack("<HHIQ", 0, 0, 0, 0)
    path.write_bytes(content)
    return path


def test_heap_that_leads_to_itself_is_refused(circular_heap):
    with (
        h5py.File(circular_heap) as file,
        pytest.raises(FileFormatError, match="the heap of /text"),
    ):
        read_text(file, "/text")


def test_heaps_of_a_whole_file_are_searched(circular_heap, tmp_path):
    with pytest.raises(FileFormatError, match=r"its heap at .* has no end"):
        require_sound_heaps(circular_heap)
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["text"] = ["many", "words"] * 300
        file.attrs["more"] = "of them"
    require_sound_heaps(tmp_path / "y.h5")
    with h5py.File(tmp_path / "y.h5") as file:
        assert read_array(file["text"])[1] == b"words"


def test_file_without_a_byte_has_no_heap(tmp_path):
    (tmp_path / "x.h5").touch()
    require_sound_heaps(tmp_path / "x.h5")

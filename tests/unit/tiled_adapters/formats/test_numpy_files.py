"""Arrays of numpy's files: read in part, and never more than the file holds."""

import io
import zipfile

import h5py
import numpy as np
import pytest
from numpy.lib import format as npy_format
from tiled.ndslice import NDSlice

from ainerd_bluesky.errors import FileFormatError, MemoryBudgetError
from ainerd_bluesky.xpcs.machine import memory
from tiled_adapters.formats import read_two_time
from tiled_adapters.formats.numpy_files import open_npy, open_npz
from tiled_adapters.formats.two_time_files import TwoTimeFileAdapter

MAPS = np.random.default_rng(0).random((5, 8, 8)).astype("f4")


def header(shape, dtype="<f4", *, is_fortran=False):
    """Return the header of an array, whose values are somewhere else."""
    stream = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": is_fortran, "shape": shape}
    npy_format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("start", "stop"), [(0, 5), (1, 3), (4, 9), (2, 2), (0, None)])
def test_part_of_an_array_equals_that_part(tmp_path, order, start, stop):
    array = np.asarray(MAPS, order=order)
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", a=array, b=array[0])
    with open_npy(tmp_path / "x.npy") as stored:
        np.testing.assert_array_equal(stored.read(start, stop), MAPS[start:stop])
    with open_npz(tmp_path / "x.npz") as arrays:
        assert {name: a.shape for name, a in arrays.items()} == {
            "a": (5, 8, 8),
            "b": (8, 8),
        }
        np.testing.assert_array_equal(arrays["a"].read(start, stop), MAPS[start:stop])


@pytest.mark.parametrize(
    "array", [np.float64(3), np.zeros((0, 4)), np.zeros((4, 0)), np.ones(3, ">i2")]
)
def test_array_of_any_shape_is_read(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    with open_npy(tmp_path / "x.npy") as stored:
        np.testing.assert_array_equal(stored.read(), array)


@pytest.mark.parametrize("save", [np.save, np.savez], ids=["npy", "npz"])
def test_served_map_costs_no_more_than_itself(tmp_path, save, monkeypatch):
    path = tmp_path / ("x.npy" if save is np.save else "x.npz")
    save(path, MAPS)
    adapter = TwoTimeFileAdapter.from_uris(path.as_uri())
    assert adapter.structure().shape == (5, 8, 8)
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * MAPS[0].nbytes)
    np.testing.assert_array_equal(adapter.read(NDSlice(slice(1, 2))), MAPS[1:2])


def test_served_map_of_hdf5_is_read_alone(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        maps = file.create_dataset("map", data=MAPS, chunks=(1, 8, 8), compression=4)
        maps.id.write_direct_chunk((4, 0, 0), b"no zlib stream")
    adapter = TwoTimeFileAdapter.from_uris((tmp_path / "x.h5").as_uri())
    np.testing.assert_array_equal(adapter.read(NDSlice(slice(1, 2))), MAPS[1:2])
    with pytest.raises(FileFormatError, match="/map is damaged"):
        adapter.read()


def test_array_that_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", MAPS)
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * MAPS[0].nbytes)
    with pytest.raises(MemoryBudgetError, match=r"x\.npy of shape \(5, 8, 8\)"):
        read_two_time(tmp_path / "x.npy")


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**40, 2**40), (3, 10**9, 10**9)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_absurd_shape_is_refused_by_name(tmp_path, suffix, shape):
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        path.write_bytes(header(shape))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("map.npy", header(shape))
    with pytest.raises(FileFormatError, match=rf"x\{suffix}.* is cut off: .* bytes"):
        read_two_time(path)


def test_archive_that_claims_more_than_it_stores_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("map.npy", header((30_000, 30_000)))
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"map\.npy claims 4.29e\+09 bytes"):
        read_two_time(path)


def test_values_of_an_archive_that_are_damaged_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", map=MAPS)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[600:640] = bytes(40)
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"x\.npz is no readable \.npz file"):
        read_two_time(tmp_path / "x.npz")


@pytest.mark.parametrize("dtype", ["O", "<c8", "<U3", "<M8[s]"])
def test_what_is_no_number_is_refused_unread(tmp_path, dtype):
    (tmp_path / "x.npy").write_bytes(header((8, 8), dtype.replace("O", "|O")))
    with (
        pytest.raises(FileFormatError, match="no array of real numbers"),
        open_npy(tmp_path / "x.npy"),
    ):
        pass


def test_error_of_the_caller_is_not_blamed_on_the_file(tmp_path):
    np.save(tmp_path / "x.npy", MAPS)
    with pytest.raises(KeyError, match="mine"), open_npy(tmp_path / "x.npy"):
        raise KeyError("mine")

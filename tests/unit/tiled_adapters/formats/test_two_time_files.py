import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats import read_two_time

MAP = np.arange(25.0).reshape(5, 5)


@pytest.fixture
def save(tmp_path):
    def write(suffix, **arrays):
        path = tmp_path / f"map{suffix}"
        if suffix == ".npy":
            np.save(path, arrays["a"])
        elif suffix == ".npz":
            np.savez(path, **arrays)
        else:
            with h5py.File(path, "w") as file:
                for name, array in arrays.items():
                    file[f"group/{name}"] = array
        return path

    return write


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_single_map_becomes_a_stack_of_one(save, suffix):
    read = read_two_time(save(suffix, a=MAP))
    assert read.two_time.shape == (1, 5, 5)
    assert read.two_time.dtype == np.float32
    assert np.isnan(read.q_values).tolist() == [True]
    assert read.frame_time is None


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_stack_of_maps_is_kept(save, suffix):
    assert read_two_time(save(suffix, a=np.stack([MAP, MAP]))).two_time.shape[0] == 2


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_that_are_no_maps_do_not_confuse(save, suffix):
    path = save(suffix, a=MAP, lags=np.arange(5), wide=np.ones((2, 3)))
    np.testing.assert_array_equal(read_two_time(path).two_time[0], MAP)


@pytest.mark.parametrize(
    ("suffix", "name"), [(".npz", "b"), (".h5", "/group/b")], ids=["npz", "hdf5"]
)
def test_several_maps_must_be_chosen_from(save, suffix, name):
    path = save(suffix, a=MAP, b=MAP + 1)
    with pytest.raises(FileFormatError, match=rf"{name} \(5, 5\).*Name one"):
        read_two_time(path)
    assert read_two_time(path, dataset=name).two_time[0, 0, 0] == 1


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_name_that_is_not_there_is_refused(save, suffix):
    with pytest.raises(FileFormatError, match="nothing"):
        read_two_time(save(suffix, a=MAP), dataset="nothing")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
@pytest.mark.parametrize(
    "array", [np.ones((4, 5)), np.ones(5), np.ones((1, 1))], ids=["wide", "1d", "dot"]
)
def test_array_that_is_no_map_is_refused(save, suffix, array):
    with pytest.raises(FileFormatError, match="map"):
        read_two_time(save(suffix, a=array))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_truncated_file_is_refused_by_name(save, suffix):
    path = save(suffix, a=np.ones((50, 50)))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FileFormatError, match=f"map{suffix}"):
        read_two_time(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_missing_file_is_refused_by_name(tmp_path, suffix):
    with pytest.raises(FileFormatError, match=f"gone{suffix}"):
        read_two_time(tmp_path / f"gone{suffix}")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_nothing_is_ever_unpickled(save, suffix):
    path = save(suffix, a=np.array([[{}, {}], [{}, {}]], dtype=object))
    with pytest.raises(FileFormatError, match=r"allow_pickle|map"):
        read_two_time(path)

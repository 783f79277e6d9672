import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import read_one_time, read_two_time

MAPS = np.random.default_rng(0).random((3, 6, 6)).astype("f4")
MAPS += MAPS.transpose(0, 2, 1)


@pytest.fixture
def write(tmp_path):
    def write(*args, **kwargs):
        return writers.write_legacy(tmp_path / "old.hdf", MAPS, *args, **kwargs)

    return write


@pytest.mark.parametrize("name", ["g2", "c2"])
def test_maps_are_filled_and_numbered_by_bin(write, name):
    read = read_two_time(write([1, 2, 4], name=name))
    np.testing.assert_array_equal(read.two_time, MAPS)
    assert read.metadata["q_bins"] == [1, 2, 4]
    assert read.q_values.tolist() == [0.01, 0.02, 0.04]
    assert read.phi_values.tolist() == [10.0, 20.0, 40.0]


def test_maps_that_were_only_counted_belong_to_the_listed_bins(write):
    path = write()
    with h5py.File(path, "a") as file:
        file["xpcs/qphi_bin_to_process"] = np.array([[2, 3, 4]])
    assert read_two_time(path).metadata["q_bins"] == [2, 3, 4]


def test_list_of_other_length_is_one_of_another_analysis(write):
    path = write()
    with h5py.File(path, "a") as file:
        file["xpcs/qphi_bin_to_process"] = np.array([[1]])
    assert read_two_time(path).metadata["q_bins"] == [1, 2, 3]


def test_row_counts_period_stride_and_average(write):
    read = read_two_time(write())
    assert read.frame_time == pytest.approx(0.5 * 2 * 3)
    assert read.metadata["count_time"] == 0.4
    assert read.metadata["energy"] == 11.0
    assert read.metadata["detector"] == "LAMBDA"


def test_exposure_is_no_frame_time(write):
    path = write()
    with h5py.File(path, "a") as file:
        del file["measurement/instrument/detector/exposure_period"]
    assert read_two_time(path).frame_time is None


def test_whole_ring_has_no_angle(write):
    path = write()
    with h5py.File(path, "a") as file:
        file["xpcs/dnophi"] = np.array([[1.0]])
    assert np.isnan(read_two_time(path).phi_values).all()


def test_second_analysis_is_found_where_the_file_says(write):
    path = write()
    with h5py.File(path, "a") as file:
        file.move("exchange", "exchange_1")
        del file["xpcs/output_data"]
        file["xpcs/output_data"] = "/exchange_1"
    assert len(read_two_time(path).two_time) == 3
    assert read_one_time(path).lags.tolist() == [1, 2, 4]


def test_g2_is_read(write):
    read = read_one_time(write())
    assert read.g2.shape == read.g2_err.shape == (3, 4)
    assert read.g2[0, 0] == 1.5
    assert read.frame_time == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("xpcs/dqlist", None, "/xpcs/dqlist"),
        ("xpcs/dqlist", np.ones((1, 2)), "names 2"),
        ("exchange/C2T_all/g2_00002", np.ones((2, 3)), r"g2_00002.*\(2, 3\)"),
        ("exchange/C2T_all/g2_00002", np.ones((3, 3)), r"g2_00002.*\(3, 3\)"),
        ("xpcs/qphi_bin_to_process", [1, np.nan, 2], "qphi_bin_to_process"),
        ("xpcs/qphi_bin_to_process", [0, 1, 2], "of bins"),
    ],
)
def test_damaged_result_names_the_place(write, name, value, message):
    path = write()
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
    with pytest.raises(FileFormatError, match=message) as caught:
        read_two_time(path)
    assert "old.hdf" in str(caught.value)


def test_group_without_maps_is_refused(write):
    path = write()
    with h5py.File(path, "a") as file:
        del file["exchange/C2T_all"]
        file["exchange/C2T_all/readme"] = "none"
    with pytest.raises(FileFormatError, match="no maps"):
        read_two_time(path)

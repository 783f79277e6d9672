import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import read_one_time, read_two_time
from tiled_adapters.formats.one_time import OneTimeAdapter


@pytest.fixture
def path(make_result):
    return writers.write_curves(make_result())


def test_g2_is_read_with_its_lags_and_bins(path):
    read = read_one_time(path)
    assert read.lags.tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert read.g2.shape == read.g2_err.shape == (7, 4)
    assert read.q_values.tolist() == [0.01, 0.02, 0.03, 0.04]
    assert read.frame_time == pytest.approx(0.5 * 3)  # no stride in this file


@pytest.mark.parametrize(
    ("array", "shape"), [("g2", (7, 4)), ("g2_err", (7, 4)), ("lags", (7,))]
)
def test_each_array_is_served(path, array, shape):
    adapter = OneTimeAdapter.from_uris(path.as_uri(), array)
    assert adapter.structure().shape == shape
    np.testing.assert_array_equal(adapter.read(), getattr(read_one_time(path), array))


def test_array_that_is_not_there_is_refused(path):
    with pytest.raises(FileFormatError, match="'beta'"):
        OneTimeAdapter.from_uris(path.as_uri(), "beta")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("delay_list", [1, 2], "delay_list has 2 entries"),
        ("normalized_g2", np.ones((7, 3)), r"normalized_g2 has shape \(7, 3\)"),
        ("normalized_g2_err", np.ones((2, 7, 4)), r"\(2, 7, 4\)"),
        ("normalized_g2_err", None, "normalized_g2_err"),
    ],
)
def test_parts_that_do_not_fit_are_refused(path, name, value, message):
    with h5py.File(path, "a") as file:
        del file[f"xpcs/multitau/{name}"]
        if value is not None:
            file[f"xpcs/multitau/{name}"] = value
    with pytest.raises(FileFormatError, match=message):
        read_one_time(path)


def test_file_without_g2_is_refused(make_result):
    with pytest.raises(FileFormatError, match="no g2"):
        read_one_time(make_result())


def test_result_without_maps_says_so(path):
    with h5py.File(path, "a") as file:
        del file["xpcs/twotime"]
    with pytest.raises(FileFormatError, match="g2 only, no two-time maps"):
        read_two_time(path)


def test_real_result_reads(real_file):
    read = read_one_time(
        real_file(
            "synthetic_8idi/Z0001_synthetic-aging_a0001_f000600_r00001_results.hdf"
        )
    )
    assert read.g2.shape == (32, 9)
    assert read.lags[:5].tolist() == [1, 2, 3, 4, 5]
    assert read.frame_time == 0.01
    assert 1.2 < read.g2[0, 0] < 1.7

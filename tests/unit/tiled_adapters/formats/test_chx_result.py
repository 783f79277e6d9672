import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import read_one_time, read_two_time

MAPS = np.random.default_rng(0).random((3, 6, 6)).astype("f4")
MAPS += MAPS.transpose(0, 2, 1)


@pytest.fixture
def path(tmp_path):
    return writers.write_chx_result(tmp_path / "x_Res.h5", MAPS)


def test_regions_come_first_with_q_and_angle(path):
    read = read_two_time(path)
    np.testing.assert_allclose(read.two_time, MAPS, rtol=1e-6)
    assert read.q_values.tolist() == [0.01, 0.02, 0.03]
    assert read.phi_values.tolist() == [45.0] * 3
    assert read.frame_time == pytest.approx(0.02)
    assert read.metadata["sample"] == "gel"
    assert read.metadata["run_uid"] == "abc"


def test_ring_has_no_angle(path):
    with h5py.File(path, "a") as file:
        file["qval_dict"].attrs["1"] = [0.02]
    assert np.isnan(read_two_time(path).phi_values).tolist() == [False, True, False]


def test_g2_is_read_without_lag_zero(path):
    with h5py.File(path, "a") as file:
        file["taus"][...] = [0, 0.02, 0.04, 0.08, 0.16]
        file["g2"][:, 1] = [9.0, 1.4, 1.3, 1.2, 1.1]
    read = read_one_time(path)
    assert read.lags.tolist() == [1, 2, 4, 8]
    assert read.g2[:, 1].tolist() == [1.4, 1.3, 1.2, 1.1]
    assert np.isnan(read.g2_err).all()
    assert read.frame_time == 0.02
    assert read.q_values.tolist() == [0.01, 0.02, 0.03]
    assert read.metadata["run_uid"] == "abc"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("g2", np.ones((4, 3)), r"/g2 has shape \(4, 3\), /taus 5 entries"),
        ("g2", np.ones(5), r"/g2 has shape \(5,\)"),
        ("g2", np.ones((5, 9)), "does not name region 3 of 9"),
        ("taus", np.zeros(5), "/taus has no times above 0"),
        ("taus", np.full(5, np.nan), "/taus has no times above 0"),
    ],
)
def test_g2_that_does_not_fit_is_refused(path, name, value, message):
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = value
    with pytest.raises(FileFormatError, match=message):
        read_one_time(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("g12b", np.ones((3, 4, 2)), r"/g12b has shape \(3, 4, 2\)"),
        ("g12b", np.ones((4, 4)), r"/g12b has shape \(4, 4\)"),
        ("g12b", np.ones((4, 4, 9)), "does not name region 3 of 9"),
        ("g12b", np.full((4, 4, 2), b"x"), "g12b"),
    ],
    ids=["not-square", "flat", "too-many", "text"],
)
def test_damaged_result_names_the_place(path, name, value, message):
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = value
    with pytest.raises(FileFormatError, match=message):
        read_two_time(path)


def test_attributes_of_another_file_are_not_read(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other.create_group("md").attrs["sample"] = "secret"
    with h5py.File(path, "a") as file:
        del file["md"]
        file["md"] = h5py.ExternalLink(tmp_path / "other.h5", "/md")
    with pytest.raises(FileFormatError, match="/md lies in another file"):
        read_two_time(path)

import h5py
import numpy as np
import pytest

from tiled_adapters.formats.facts import (
    energy_from_wavelength,
    present,
    read_energy,
    read_facts,
    read_texts,
    read_times,
)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        yield file


def test_what_is_absent_or_no_number_is_left_out(file):
    file["time"] = np.full((1, 1), 0.5)
    file["name"] = "gel"
    file["empty"] = ""
    file["nan"] = np.nan
    file["list"] = [1, 2]
    names = {key: f"/{key}" for key in ("time", "name", "empty", "nan", "list", "gone")}
    assert read_facts(file, names) == {"time": 0.5, "name": "gel"}


def test_zero_and_false_are_facts():
    assert present({"a": 0, "b": False, "c": None, "d": [], "e": np.inf}) == {
        "a": 0,
        "b": False,
    }


@pytest.mark.parametrize(
    ("stored", "energy"),
    [(12.0, 12.0), ([[12.0]], 12.0), (12_000.0, 12.0), (0.0, None), (np.nan, None)],
    ids=["keV", "wrapped", "eV", "zero", "nan"],
)
def test_energy_is_in_kev_whatever_the_file_has(file, stored, energy):
    file["energy"] = stored
    assert read_energy(file, "energy") == energy


@pytest.mark.parametrize(("wavelength", "energy"), [(1.0, 12.398), (0, None)])
def test_energy_of_a_wavelength(wavelength, energy):
    assert energy_from_wavelength(wavelength) == pytest.approx(energy, abs=1e-3)


@pytest.mark.parametrize(
    ("stored", "texts"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        (b"gel \xff", ["gel \ufffd"]),
        ([["a"]], []),
        (3, []),
    ],
)
def test_texts_are_read_however_they_are_wrapped(file, stored, texts):
    file["x"] = stored
    assert read_texts(file, "x") == texts
    assert read_texts(file, "gone") == []


def test_long_list_of_texts_is_cut(file):
    file["x"] = [str(number) for number in range(1000)]
    assert len(read_texts(file, "x")) == 64


def test_times_come_from_the_first_place_that_has_them(file):
    file["b"] = [[1, 2]]
    assert read_times(file, "a", "b").tolist() == [1.0, 2.0]
    assert read_times(file, "a") is None

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import (
    member_names,
    open_hdf5,
    read_array,
    read_scalar,
    read_text,
    require_dataset,
)
from tiled_adapters.links import foreign_part


@pytest.fixture
def linked(tmp_path):
    """A file with values of its own and in another file."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1, 2, 3]
        file["group/x"] = [1]
    layout = h5py.VirtualLayout((3,), int)
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["own/x"] = [4, 5]
        file["own/again"] = file["own"]  # a circle
        file["broken/soft"] = h5py.SoftLink("/nowhere")
        file["soft/x"] = h5py.SoftLink("/own/x")
        file["link/x"] = h5py.ExternalLink("other.h5", "/x")
        file["way/round"] = h5py.SoftLink("/link/x")
        file["whole"] = h5py.ExternalLink("other.h5", "/group")
        file.create_virtual_dataset("virtual/x", layout)
        file["raw/y"] = 1
        file["raw"].create_dataset(
            "x", (3,), int, external=[(str(tmp_path / "other.h5"), 0, 24)]
        )
    with open_hdf5(tmp_path / "file.h5") as file:
        yield file


@pytest.mark.parametrize("name", ["own", "own/x", "soft", "broken"])
def test_own_values_are_own(linked, name):
    assert foreign_part(linked, name) is None


@pytest.mark.parametrize(
    "name", ["/", "link", "link/x", "way", "way/round", "whole/x", "virtual", "raw"]
)
def test_values_elsewhere_are_found(linked, name):
    assert foreign_part(linked, name) is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("link/x", "elsewhere"),
        ("whole/x", "elsewhere"),
        ("virtual/x", "elsewhere"),
        ("raw/x", "elsewhere"),
        ("own", "not a dataset"),
        ("nothing", "cannot open nothing"),
        ("broken/soft", "cannot open"),
    ],
)
def test_dataset_of_another_kind_is_refused(linked, name, message):
    with pytest.raises(FileFormatError, match=message):
        require_dataset(linked, name)


def test_search_from_nowhere_is_refused(linked):
    with pytest.raises(FileFormatError, match="cannot open nothing"):
        foreign_part(linked, "nothing")


@pytest.mark.parametrize("error", [KeyError("mine"), ValueError("mine"), OSError(28)])
def test_error_of_the_caller_is_not_blamed_on_the_file(tmp_path, error):
    h5py.File(tmp_path / "x.h5", "w").close()
    with pytest.raises(type(error)) as caught, open_hdf5(tmp_path / "x.h5"):
        raise error
    assert caught.value is error


def test_error_of_h5py_is_one_of_the_file(tmp_path):
    h5py.File(tmp_path / "x.h5", "w").close()
    with (
        pytest.raises(FileFormatError, match=r"x\.h5 is damaged"),
        open_hdf5(tmp_path / "x.h5") as file,
    ):
        file["nothing"]


def test_name_that_is_no_utf8_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group(b"group/\xff")
    with (
        open_hdf5(tmp_path / "x.h5") as file,
        pytest.raises(FileFormatError, match="below group is not UTF-8"),
    ):
        member_names(file, "group")


def test_damaged_chunk_is_named(tmp_path):
    path = tmp_path / "x.h5"
    noise = np.random.default_rng(0).integers(0, 9, (64, 64))
    with h5py.File(path, "w") as file:
        data = file.create_dataset("a/x", data=noise, compression="gzip")
        offset = data.id.get_chunk_info(0).byte_offset
    damaged = bytearray(path.read_bytes())
    damaged[offset : offset + 40] = b"\0" * 40
    path.write_bytes(damaged)
    with open_hdf5(path) as file, pytest.raises(FileFormatError, match="/a/x"):
        read_array(require_dataset(file, "a/x"))


@pytest.mark.parametrize("text", ["no hdf5 file", ""])
def test_other_file_is_refused_by_name(tmp_path, text):
    (tmp_path / "x.h5").write_text(text)
    with pytest.raises(FileFormatError, match=r"x\.h5"), open_hdf5(tmp_path / "x.h5"):
        pass


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3.0), (np.full((1, 1), 0.5, "f4"), 0.5), ([1, 2], None), ("text", None)],
)
def test_number_is_read_however_it_is_wrapped(tmp_path, value, number):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = value
    with open_hdf5(tmp_path / "x.h5") as file:
        assert read_scalar(file, "x") == number
        assert read_scalar(file, "absent") is None


@pytest.mark.parametrize(("value", "text"), [("gel", "gel"), ([1, 2], None), (3, None)])
def test_text_is_read(tmp_path, value, text):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = value
    with open_hdf5(tmp_path / "x.h5") as file:
        assert read_text(file, "x") == text
        assert read_text(file, "absent") is None

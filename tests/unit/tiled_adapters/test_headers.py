"""Objects of large files: their headers tell which heaps HDF5 will walk."""

import os
import struct

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import (
    array_datasets,
    open_hdf5,
    read_attributes,
    require_dataset,
)
from tiled_adapters.headers import header_messages

LARGE = 2**26 + 1
ATTRIBUTE, LAYOUT = 0x0C, 0x08


@pytest.fixture
def make_large(tmp_path):
    """Write a file that is too large to be searched, its heap whole or circular."""

    def make(fill, *, libver="earliest", userblock_size=0, is_circular=True):
        path = tmp_path / "x.h5"
        with h5py.File(path, "w", libver=libver, userblock_size=userblock_size) as file:
            fill(file)
        content = bytearray(path.read_bytes())
        heap = content.index(b"GCOL")
        if is_circular:
            content[heap + 16 : heap + 32] = struct.pack("<HHIQ", 0, 0, 0, 0)
        path.write_bytes(content)
        os.truncate(path, LARGE)  # HDF5 does not mind what follows
        return path

    return make


def few_attributes(file):
    file.create_group("md").attrs["sample"] = "a gel"


def attributes_in_several_parts(file):
    few_attributes(file)
    file["later"] = np.arange(9)
    for index in range(6):
        file["md"].attrs[f"number_{index}"] = np.arange(30.0)
    file["md"].attrs["more"] = "of it"


@pytest.mark.timeout(20, method="thread")
@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("userblock_size", [0, 512])
@pytest.mark.parametrize("fill", [few_attributes, attributes_in_several_parts])
def test_circular_heap_of_attributes_is_refused(
    make_large, fill, libver, userblock_size
):
    path = make_large(fill, libver=libver, userblock_size=userblock_size)
    with (
        pytest.raises(FileFormatError, match=r"x\.h5 .* heap at \d+ has no end"),
        open_hdf5(path) as file,
    ):
        read_attributes(file, "/md")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("fill", [few_attributes, attributes_in_several_parts])
def test_whole_heap_of_attributes_is_read(make_large, fill, libver):
    path = make_large(fill, libver=libver, is_circular=False)
    with open_hdf5(path) as file:
        assert read_attributes(file, "/md")["sample"] == "a gel"


@pytest.mark.timeout(20, method="thread")
@pytest.mark.parametrize(
    "read",
    [lambda file: require_dataset(file, "/d"), lambda file: array_datasets(file, {1})],
)
def test_circular_heap_of_a_virtual_dataset_is_refused_unopened(make_large, read):
    def fill(file):
        layout = h5py.VirtualLayout((3,), int)
        layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
        file.create_virtual_dataset("d", layout)

    with (
        pytest.raises(FileFormatError, match="has no end"),
        open_hdf5(make_large(fill)) as file,
    ):
        read(file)


def test_attributes_that_are_kept_apart_are_refused(make_large):
    def fill(file):
        few_attributes(file)
        for index in range(20):
            file["md"].attrs[f"number_{index}"] = index

    path = make_large(fill, libver="latest", is_circular=False)
    with (
        pytest.raises(FileFormatError, match=r"/md are kept apart.*libver='earliest'"),
        open_hdf5(path) as file,
    ):
        read_attributes(file, "/md")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_messages_of_a_header_are_all_found(tmp_path, libver):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["d"] = np.arange(3)
        for index in range(8):
            file["d"].attrs[f"name_{index}"] = np.full(40, index)
        address = h5py.h5o.get_info(file["d"].id).addr
    with path.open("rb") as stream:
        kinds = [kind for kind, _ in header_messages(stream, address)]
    assert kinds.count(ATTRIBUTE) == 8
    assert kinds.count(LAYOUT) == 1


def test_header_without_an_end_is_refused(tmp_path):
    own_extent = struct.pack("<QQ", 16, 24)
    header = struct.pack("<BxHII4x", 1, 1, 1, 24) + struct.pack("<HHB3x", 0x10, 16, 0)
    (tmp_path / "x").write_bytes(header + own_extent)
    with (
        (tmp_path / "x").open("rb") as stream,
        pytest.raises(FileFormatError, match="header at 0 has no end"),
    ):
        list(header_messages(stream, 0))


@pytest.mark.parametrize("content", [b"", b"OHDR\x02", b"neither of the versions."])
def test_what_is_no_header_has_no_messages(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with (tmp_path / "x").open("rb") as stream:
        assert list(header_messages(stream, 0)) == []

"""Names that lead out of a file are told without opening what they lead to."""

import os

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import (
    array_datasets,
    holds,
    member_names,
    open_hdf5,
    read_attributes,
    read_scalar,
    require_dataset,
)
from tiled_adapters.formats import open_frames, read_two_time
from tiled_adapters.links import Elsewhere, follow, foreign_part


@pytest.fixture
def tempting(tmp_path):
    """A file whose links end at a pipe: who opens it waits for ever."""
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "x.h5"
    endless = h5py.h5s.UNLIMITED
    layout = h5py.VirtualLayout((4, 8, 8), "u2", maxshape=(None, 8, 8))
    source = h5py.VirtualSource("pipe", "/x", (4, 8, 8), maxshape=(None, 8, 8))
    layout[0 : h5py.h5s.UNLIMITED] = source[0:endless]
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink("pipe", "/x")
        file["way"] = h5py.SoftLink("/link/further")
        file["own/map"] = np.ones((3, 3))
        file.create_virtual_dataset("virtual", layout)
    with open_hdf5(path) as file:
        yield file


@pytest.mark.timeout(20, method="thread")
@pytest.mark.parametrize("name", ["link", "link/below", "way", "/way/below"])
@pytest.mark.parametrize(
    "read", [require_dataset, read_attributes, member_names, read_scalar]
)
def test_link_to_another_file_is_refused_unopened(tempting, read, name):
    assert holds(tempting, name)
    assert foreign_part(tempting, name) == name
    with pytest.raises(FileFormatError, match=f"{name} lies in another file, 'pipe'"):
        read(tempting, name)


@pytest.mark.timeout(20, method="thread")
def test_whole_file_is_searched_without_opening_another(tempting):
    assert foreign_part(tempting) in {"/link", "/way", "/virtual"}
    assert array_datasets(tempting, {2, 3}) == {"/own/map": (3, 3)}
    assert read_two_time(tempting.filename).two_time.shape == (1, 3, 3)


@pytest.mark.timeout(20, method="thread")
@pytest.mark.parametrize("dataset", ["/link", "/way", "/virtual"])
def test_frames_behind_a_link_are_refused_unopened(tempting, dataset):
    with (
        pytest.raises(FileFormatError, match="elsewhere"),
        open_frames(tempting.filename, dataset),
    ):
        pass


@pytest.mark.timeout(20, method="thread")
@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_scan_whose_frames_lie_outside_is_refused_unopened(tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "scan").mkdir()
    with h5py.File(tmp_path / "scan/x.h5", "w") as file:
        group = file.create_group("1.1/measurement")
        if kind == "external":
            group["frames"] = h5py.ExternalLink("../pipe", "/x")
        else:
            layout = h5py.VirtualLayout((4, 8, 8), "u2")
            layout[:] = h5py.VirtualSource("../pipe", "/x", (4, 8, 8))
            group.create_virtual_dataset("frames", layout)
    with (
        pytest.raises(FileFormatError, match="outside"),
        open_frames(tmp_path / "scan/x.h5"),
    ):
        pass


def test_link_tells_where_it_leads(tempting):
    assert follow(tempting, "way/below") == Elsewhere("pipe", "/x/further/below")


@pytest.mark.parametrize(
    ("name", "target"),
    [("/", "/"), ("a//./x", "/a/x"), ("relative", "/a/x"), ("/absolute/x", "/a/x")],
)
def test_way_inside_the_file_is_followed(tmp_path, name, target):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/x"] = 1
        file["relative"] = h5py.SoftLink("a/x")
        file["absolute"] = h5py.SoftLink("/a")
        assert follow(file, name) == file[target]


@pytest.mark.parametrize("name", ["nothing", "a/x/below", "nowhere", "circle", "one"])
def test_way_to_nowhere_ends(tmp_path, name):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/x"] = 1
        file["nowhere"] = h5py.SoftLink("/not/there")
        file["circle"] = h5py.SoftLink("circle")
        file["one"] = h5py.SoftLink("/two/x")
        file["two"] = h5py.SoftLink("/one")
        assert follow(file, name) is None
        assert not holds(file, name)

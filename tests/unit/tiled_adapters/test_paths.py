"""Where files lie, and which may be opened."""

import os

import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import open_hdf5
from tiled_adapters.formats.binary import open_binary
from tiled_adapters.formats.numpy_files import open_npy, open_npz
from tiled_adapters.paths import local_path, require_under


def test_path_is_judged_after_links_are_followed(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    assert require_under(inside / "x", [outside, inside]) == inside / "x"
    for path in (inside / "link/x", inside / "../out/x", outside / "x"):
        with pytest.raises(FileFormatError, match="outside"):
            require_under(path, [inside])


def test_neighbour_of_the_same_beginning_is_outside(tmp_path):
    with pytest.raises(FileFormatError, match="outside"):
        require_under(tmp_path / "data2/x", [tmp_path / "data"])


@pytest.mark.parametrize("uri", ["http://host/x", "/plain/path", "s3://bucket/x"])
def test_uri_that_is_no_file_is_refused(uri):
    with pytest.raises(FileFormatError, match="only file URIs"):
        local_path(uri)


def test_uri_with_escapes_is_a_path():
    assert str(local_path("file://localhost/a%20b/../c")) == "/c"


@pytest.mark.parametrize(
    "name", ["gel 5C.cmp", "gel#5.h5", "[gel].h5", "100%.h5", "a%20b.h5", "ä?;.h5"]
)
def test_uri_of_a_path_leads_back_to_it(tmp_path, name):
    assert local_path((tmp_path / name).as_uri()) == tmp_path / name


def test_uri_of_no_path_is_refused():
    with pytest.raises(FileFormatError, match="path of no file"):
        local_path("file://localhost/a%00b")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("open_file", [open_hdf5, open_binary, open_npy, open_npz])
def test_pipe_is_refused_and_not_waited_for(tmp_path, open_file):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with (
        pytest.raises(FileFormatError, match="link is no regular file"),
        open_file(tmp_path / "link"),
    ):
        pass

import os

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import EventSource, open_frames
from tiled_adapters.formats.sparse_frames import SparseFramesAdapter

FRAMES = np.random.default_rng(0).poisson(0.3, (8, 4, 5)).astype("u2")
FRAMES[5:7] = 0
GROUP = "/entry_0000/measurement/data"


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "sample_0001" / "scan0002"
    folder.mkdir(parents=True)
    return writers.write_sparse_frames(folder, FRAMES, 3, mask=np.zeros((4, 5)))


def read_all(path, block_frames=2):
    with open_frames(path) as source:
        assert isinstance(source, EventSource)
        return np.concatenate(list(source.blocks(block_frames)))


@pytest.mark.parametrize("block_frames", [1, 2, 100])
def test_first_file_stands_for_the_series(path, block_frames):
    np.testing.assert_array_equal(read_all(path, block_frames), FRAMES)


def test_later_file_stands_for_itself(path):
    later = path.with_name("eiger4m_v2_sparse_frame_0_00001.h5")
    np.testing.assert_array_equal(read_all(later), FRAMES[3:6])


def test_masked_pixels_are_not_usable(tmp_path):
    mask = np.ones((4, 5))
    mask[0] = np.nan
    path = writers.write_sparse_frames(tmp_path, FRAMES, 8, mask=mask)
    with open_frames(path) as source:
        assert source.usable_pixels.all(axis=1).tolist() == [False, True, True, True]
    assert read_all(path)[:, 0].max() == 0


def test_frame_time_is_that_of_the_scan(path):
    with open_frames(path) as source:
        assert source.frame_time is None
    with h5py.File(path.parents[1] / "sample_0001.h5", "w") as file:
        writers.write_scan(file, "2.1", FRAMES, period=0.25)
    with open_frames(path) as source:
        assert source.frame_time == 0.25


@pytest.mark.timeout(20, method="thread")
def test_served_frames_need_no_file_above_their_folder(path):
    master = path.parents[1] / "sample_0001.h5"
    with h5py.File(master, "w") as file:
        writers.write_scan(file, "2.1", FRAMES, period=0.25)
    adapter = SparseFramesAdapter.from_uris(path.as_uri())
    assert adapter.metadata()["frame_time"] == 0.25
    master.unlink()
    os.mkfifo(master)  # who opens it waits for ever
    np.testing.assert_array_equal(adapter.read(), FRAMES)


def test_name_tells_the_detector_where_the_file_does_not(tmp_path):
    path = writers.write_sparse_frames(tmp_path, FRAMES, 8)
    with open_frames(path) as source:
        assert source.shape == (8, 2162, 2068)
    other = path.rename(tmp_path / "other_00000.h5")
    with pytest.raises(FileFormatError, match="shape of the detector"):
        read_all(other)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("frame_ptr", [0, 5, 3, 6], "frame_ptr: frames"),
        ("frame_ptr", [0, 1, 2, 9_999], "of .* events"),
        ("frame_ptr", np.array([-1, 1, 2, 3]), "frame_ptr: frames"),
        ("frame_ptr", np.array([0, 2**63, 2**63], "u8"), "frame_ptr"),
        ("frame_ptr", [0], "1 frame pointers"),
        ("frame_ptr", [0.0, 1.0], "float64"),
        ("index", np.full(99, 20), "99 pixels"),
        ("intensity", [1, 2], "2 counts"),
        ("intensity", ["a"], "intensity"),
        ("index", None, "index, entry 0: pixel 20"),
        ("background_avg", [1.0], "background"),
    ],
)
def test_damage_is_refused_with_the_place(path, name, value, message):
    with h5py.File(path, "a") as file:
        group = file[GROUP]
        if value is None:
            value = np.full(len(group[name]), 20)
        if name in group:
            del group[name]
        group[name] = value
    with pytest.raises(FileFormatError, match=message) as caught:
        read_all(path)
    assert "sparse_frame_0_00000.h5" in str(caught.value)


def test_link_out_of_the_folder_is_refused(path, tmp_path):
    other = path.with_name("eiger4m_v2_sparse_frame_0_00001.h5")
    other.rename(tmp_path / "secret.h5")
    other.symlink_to(tmp_path / "secret.h5")
    with pytest.raises(FileFormatError, match="outside"):
        read_all(path)

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.formats import open_frames

FRAMES = np.random.default_rng(0).poisson(2, (7, 4, 5)).astype("u4")


def read_all(path, dataset=None):
    with open_frames(path, dataset) as source:
        return np.concatenate(list(source.blocks(3)))


def test_scan_tells_time_title_and_positions(tmp_path):
    path = writers.write_bliss(tmp_path / "x.h5", FRAMES)
    with open_frames(path) as source:
        assert source.frame_time == pytest.approx(0.01)
        assert source.timestamps[1] == pytest.approx(0.01)
        assert source.metadata["title"] == "mtimescan 0.01 7"
        assert source.metadata["energy"] == 8.1
        assert source.metadata["positioners"] == {"monoe": 8.1}
    np.testing.assert_array_equal(read_all(path), FRAMES)


def test_several_scans_must_be_chosen_from(tmp_path):
    path = writers.write_bliss(tmp_path / "x.h5", FRAMES, scans=("1.1", "2.1"))
    with h5py.File(path, "a") as file:
        file["2.1/measurement/fast_timer_period"][:] = 0.5
    with pytest.raises(FileFormatError, match=r"/2\.1/measurement/eiger4m .*--dataset"):
        read_all(path)
    for dataset in ("2.1", "/2.1", "/2.1/measurement/eiger4m"):
        with open_frames(path, dataset) as source:
            assert source.frame_time == 0.5
            assert source.metadata["dataset"] == "/2.1/measurement/eiger4m"


def test_frames_in_files_of_lima_are_read(tmp_path):
    path = writers.write_virtual_bliss(tmp_path / "x.h5", FRAMES)
    np.testing.assert_array_equal(read_all(path), FRAMES)
    with open_frames(path) as source:
        assert [part.shape[0] for part in source.parts] == [4, 3]


@pytest.mark.parametrize(
    "write", [writers.write_bliss, writers.write_virtual_bliss], ids=["own", "lima"]
)
def test_gaps_between_modules_are_not_usable(tmp_path, write):
    frames = FRAMES.copy()
    frames[:, 1] = 2**32 - 1
    frames[0, 3, 3] = 2**32 - 1  # over range for once
    path = write(tmp_path / "x.h5", frames)
    with open_frames(path) as source:
        assert (~source.usable_pixels).sum(axis=1).tolist() == [0, 5, 0, 0]
    assert read_all(path)[:, 1].max() == 0


@pytest.mark.parametrize("kind", ["virtual", "external", "symbolic"])
def test_frames_out_of_the_folder_are_refused(tmp_path, kind):
    folder = tmp_path / "scan"
    folder.mkdir()
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = FRAMES
    path = writers.write_bliss(folder / "x.h5", FRAMES)
    (folder / "inside.h5").symlink_to(tmp_path / "secret.h5")
    target = "inside.h5" if kind == "symbolic" else "../secret.h5"
    with h5py.File(path, "a") as file:
        del file["1.1/instrument/eiger4m/data"]
        if kind == "external":
            link = h5py.ExternalLink(target, "/x")
            file["1.1/instrument/eiger4m/data"] = link
        else:
            layout = h5py.VirtualLayout(FRAMES.shape, FRAMES.dtype)
            layout[:] = h5py.VirtualSource(target, "x", FRAMES.shape)
            file.create_virtual_dataset("1.1/instrument/eiger4m/data", layout)
    with pytest.raises(FileFormatError, match="outside"):
        read_all(path)


def test_missing_file_of_lima_is_named(tmp_path):
    path = writers.write_virtual_bliss(tmp_path / "x.h5", FRAMES)
    (tmp_path / "scan0001/eiger4m_0001.h5").unlink()
    with pytest.raises(FileFormatError, match=r"eiger4m_0001\.h5"):
        read_all(path)


def test_source_with_fewer_frames_than_taken_is_refused(tmp_path):
    path = writers.write_virtual_bliss(tmp_path / "x.h5", FRAMES)
    with h5py.File(tmp_path / "scan0001/eiger4m_0001.h5", "w") as file:
        file["/entry_0000/measurement/data"] = FRAMES[:1]
    with pytest.raises(FileFormatError, match=r"eiger4m takes frames 0 \.\. 3"):
        read_all(path)


def test_frames_between_sources_that_are_missing_are_refused(tmp_path):
    path = tmp_path / "x.h5"
    writers.write_virtual_bliss(path, FRAMES)
    with h5py.File(path, "a") as file:
        del file["1.1/instrument/eiger4m/data"]
        layout = h5py.VirtualLayout(FRAMES.shape, FRAMES.dtype)
        name = "scan0001/eiger4m_0000.h5"
        source = h5py.VirtualSource(name, "/entry_0000/measurement/data", (6, 4, 5))
        layout[:4] = source[:4]
        file.create_virtual_dataset("1.1/instrument/eiger4m/data", layout)
    with pytest.raises(FileFormatError, match="has 7 frames, its sources 4"):
        read_all(path)


@pytest.mark.parametrize("dataset", ["/1.1/measurement/nothing", "3.1"])
def test_scan_that_is_not_there_is_refused(tmp_path, dataset):
    path = writers.write_bliss(tmp_path / "x.h5", FRAMES)
    with pytest.raises(FileFormatError, match=dataset):
        read_all(path, dataset)


def test_real_scan_reads(real_file):
    with open_frames(real_file("synthetic_id10_scan.h5")) as source:
        assert source.shape == (300, 192, 192)
        assert source.frame_time == 0.01
        assert source.metadata["energy"] == 12.0
        assert len(source.timestamps) == 300

"""Files of an archive: which are found, how they are named, what is refused."""

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError, PartitionError
from ainerd_bluesky.xpcs import QPartition
from flows.archive import FileReading, analyse_file, file_uid, find_files
from tiled_adapters.formats.qmap import write_partition

pytest.importorskip("torch")
from ainerd_bluesky.ml import load_model


@pytest.fixture(scope="module")
def model():
    return load_model()


def stationary_map(rng, n_frames=80):
    frame = np.arange(n_frames)
    two_time = 1 + 0.4 * np.exp(-np.abs(frame[:, None] - frame) / 5)
    noise = 0.02 * rng.standard_normal(two_time.shape)
    return (two_time + (noise + noise.T) / 2).astype(np.float32)


@pytest.fixture
def frames_file(tmp_path, speckle_counts):
    frames = speckle_counts(120, 400, tau=15.0).reshape(120, 20, 20)
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["entry/data/data"] = frames
    partition = QPartition(np.ones((20, 20), np.int32), [0.01], [np.nan])
    write_partition(tmp_path / "qmap.hdf", partition)
    return tmp_path / "raw.h5"


def test_folder_is_searched_for_data_and_not_for_companions(tmp_path):
    names = ["b.npy", "sub/a.hdf", "x_metadata.hdf", "qmap_S9.hdf", "e_data_000001.h5"]
    (tmp_path / "sub").mkdir()
    for name in [*names, "notes.txt"]:
        (tmp_path / name).touch()
    found = find_files([tmp_path, tmp_path / "b.npy", tmp_path / "notes.txt"])
    assert [path.name for path in found] == ["b.npy", "a.hdf", "notes.txt"]


def test_uid_follows_name_and_content(tmp_path):
    for name, content in (("a b.npy", b"1"), ("c.npy", b"1"), ("d.npy", b"2")):
        (tmp_path / name).write_bytes(content)
    uids = [file_uid(tmp_path / name) for name in ("a b.npy", "c.npy", "d.npy")]
    assert uids[0].startswith("a-b-")
    assert uids[0][-8:] == uids[1][-8:] != uids[2][-8:]


def test_bare_map_is_analysed(tmp_path, rng, model):
    np.save(tmp_path / "map.npy", stationary_map(rng))
    analysis = analyse_file(tmp_path / "map.npy", model)
    assert analysis.summary["label"] == "stationary"
    assert analysis.run_uid == file_uid(tmp_path / "map.npy")


def test_given_frame_time_scales_the_rates(tmp_path, rng, model):
    np.save(tmp_path / "map.npy", stationary_map(rng))
    per_frame, per_second = (
        analyse_file(tmp_path / "map.npy", model, FileReading(frame_time=time))
        for time in (1.0, 0.01)
    )
    rates = [a.summary["physics"]["relaxation_rate"] for a in (per_frame, per_second)]
    assert rates[1] == pytest.approx(100 * rates[0], rel=1e-3)
    assert rates[0] == pytest.approx(0.1, rel=0.1)  # exp(-2 Gamma t) = exp(-t / 5)


def test_raw_frames_are_reduced_with_their_partition(frames_file, model):
    reading = FileReading(is_raw=True, partition=frames_file.parent / "qmap.hdf")
    analysis = analyse_file(frames_file, model, reading)
    assert analysis.arrays["two_time"].shape == (1, 120, 120)


def test_array_that_is_not_square_is_refused(tmp_path, model):
    np.save(tmp_path / "odd.npy", np.ones((10, 20)))
    with pytest.raises(FileFormatError, match=r"odd\.npy"):
        analyse_file(tmp_path / "odd.npy", model)


def test_map_that_is_too_small_is_invalid_with_a_reason(tmp_path, model):
    np.save(tmp_path / "tiny.npy", np.ones((3, 3)))
    summary = analyse_file(tmp_path / "tiny.npy", model).summary
    assert summary["label"] == "invalid"
    assert summary["quality"]["reasons"]


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(60), b"text"], ids=len
)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".hdf"])
def test_damaged_file_is_named(tmp_path, model, suffix, content):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"damaged\\{suffix}"):
        analyse_file(path, model)


def test_frames_without_a_partition_are_refused_with_the_option(frames_file, model):
    with pytest.raises(PartitionError, match="--partition"):
        analyse_file(frames_file, model, FileReading(is_raw=True))


def test_partition_of_another_shape_makes_an_invalid_result(
    frames_file, model, tmp_path
):
    other = QPartition(np.ones((5, 5), np.int32), [0.01], [np.nan])
    write_partition(tmp_path / "other.hdf", other)
    reading = FileReading(is_raw=True, partition=tmp_path / "other.hdf")
    summary = analyse_file(frames_file, model, reading).summary
    assert summary["label"] == "invalid"
    assert "(n, 5, 5)" in " ".join(summary["quality"]["reasons"])

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats import open_frames, read_two_time
from tiled_adapters.formats.half_maps import read_maps


def test_maps_belong_to_the_processed_bins(make_result):
    read = read_two_time(make_result(processed_bins=(2, 4)))
    assert read.q_values.tolist() == [0.02, 0.04]
    assert read.metadata["q_bins"] == [2, 4]


def test_lower_triangle_is_mirrored(make_result):
    two_time = read_two_time(make_result()).two_time
    np.testing.assert_array_equal(two_time, two_time.transpose(0, 2, 1))
    assert two_time[0, 0, 1] == 1 + 6 + 2
    assert two_time.dtype == np.float32


def test_row_of_a_map_counts_stride_and_average(make_result):
    assert read_two_time(make_result()).frame_time == pytest.approx(0.5 * 2 * 3)


def test_sample_is_told(make_result):
    assert read_two_time(make_result()).metadata["sample"] == "gel"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("xpcs/twotime/processed_bins", None, "processed_bins"),
        ("xpcs/twotime/processed_bins", [1, 2, 3], "2 maps .* 3 entries"),
        ("xpcs/twotime/processed_bins", [1, 9], "names bins"),
        ("xpcs/twotime/correlation_map/c2_00001", np.ones((2, 3)), r"shape \(2, 3\)"),
        (
            "xpcs/twotime/correlation_map/c2_00002",
            np.ones((3, 3)),
            r"c2_00002.*\(3, 3\)",
        ),
        ("xpcs/twotime/correlation_map/c2_00001", ["a"], r"shape \(1,\)"),
        ("xpcs/twotime/processed_bins", [1, np.nan], "nan"),
        ("xpcs/twotime/processed_bins", ["a", "b"], "not real numbers"),
        ("xpcs/qmap", None, "/xpcs/qmap/dynamic_v_list_dim0"),
    ],
    ids=[
        "no-bins",
        "too-many-bins",
        "unknown-bin",
        "not-square",
        "unequal",
        "not-a-map",
        "bin-not-finite",
        "bin-of-text",
        "no-partition",
    ],
)
def test_damaged_result_names_the_place(make_result, name, value, message):
    path = make_result()
    with h5py.File(path, "a") as file:
        del file[name]
        if value is not None:
            file[name] = value
    with pytest.raises(FileFormatError, match=message) as caught:
        read_two_time(path)
    assert path.name in str(caught.value)


def test_sample_that_is_no_utf8_is_told_as_far_as_it_goes(make_result):
    path = make_result()
    with h5py.File(path, "a") as file:
        del file["entry/sample/short_description"]
        file["entry/sample/short_description"] = b"gel \xff"
    assert read_two_time(path).metadata["sample"] == "gel \ufffd"


def test_truncated_result_is_refused(make_result):
    path = make_result()
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(FileFormatError, match=r"sample_results\.hdf"):
        read_two_time(path)


def test_frames_take_their_time_from_the_sibling(tmp_path):
    frames = np.arange(24, dtype="u2").reshape(4, 2, 3)
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["/entry/data/data"] = frames
    with h5py.File(tmp_path / "run_metadata.hdf", "w") as file:
        file["/entry/instrument/detector_1/frame_time"] = np.full((1, 1), 0.5)
    with open_frames(tmp_path / "run.h5") as source:
        assert source.frame_time == 0.5
        assert source.usable_pixels is None
        np.testing.assert_array_equal(np.concatenate(list(source.blocks(3))), frames)


def write_raw(folder, **attributes):
    with h5py.File(folder / "run.h5", "w") as file:
        file["/entry/data/data"] = np.ones((4, 2, 3), "u2")
        for name, values in attributes.items():
            file[f"/entry/instrument/NDAttributes/{name}"] = values
    return folder / "run.h5"


@pytest.mark.parametrize(
    ("attributes", "times"),
    [
        ({"NDArrayTimeStamp": [1.0, 2.0, 3.0, 4.0]}, [1, 2, 3, 4]),
        (
            {"NDArrayEpicsTSSec": [7] * 4, "NDArrayEpicsTSnSec": [0, 5e8, 1e8, 2e8]},
            [7, 7.5, 7.1, 7.2],
        ),
        ({"NDArrayTimeStamp": [1.0, 2.0]}, None),
        ({"NDArrayEpicsTSSec": [7] * 4, "NDArrayEpicsTSnSec": [0, 5]}, None),
        ({}, None),
    ],
    ids=["plain", "epics", "too-few", "unequal", "none"],
)
def test_frames_have_their_times(tmp_path, attributes, times):
    with open_frames(write_raw(tmp_path, **attributes)) as source:
        found = source.timestamps
    assert (None if found is None else found.tolist()) == (
        None if times is None else pytest.approx(times)
    )


def test_metadata_beside_the_frames_are_told(tmp_path):
    path = write_raw(tmp_path)
    with h5py.File(tmp_path / "run_metadata.hdf", "w") as file:
        detector = file.create_group("/entry/instrument/detector_1")
        detector["count_time"] = 0.0099
        detector["detector_name"] = "Eiger4m"
        detector["distance"] = np.nan
        file["/entry/instrument/incident_beam/incident_energy"] = [[12.0]]
        file["/entry/start_time"] = "2026-01-01"
    with open_frames(path) as source:
        assert source.metadata == {
            "start_time": "2026-01-01",
            "detector": "Eiger4m",
            "count_time": 0.0099,
            "energy": 12.0,
        }


def test_metadata_behind_a_link_out_of_the_folder_are_refused(tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    path = write_raw(folder)
    (tmp_path / "secret.hdf").touch()
    (folder / "run_metadata.hdf").symlink_to(tmp_path / "secret.hdf")
    with pytest.raises(FileFormatError, match="outside"), open_frames(path):
        pass


def test_average_names_its_files(make_result):
    path = make_result()
    with h5py.File(path, "a") as file:
        file["xpcs/rawdata_path"] = "first.h5"
        file["xpcs/average/file_list"] = ["first.h5", "second.h5"]
    metadata = read_two_time(path).metadata
    assert metadata["raw_files"] == ["first.h5", "second.h5"]
    assert "raw_file" not in metadata


def test_list_of_raw_files_in_the_settings_is_told(make_result):
    path = make_result()
    with h5py.File(path, "a") as file:
        file["xpcs/twotime/config/raw"] = ["a.h5", "b.h5"]
    assert read_two_time(path).metadata["raw_files"] == ["a.h5", "b.h5"]


def test_distance_is_the_one_that_q_was_made_with(make_result):
    path = make_result()
    with h5py.File(path, "a") as file:
        file["entry/instrument/detector_1/distance"] = 11.6
        file["xpcs/qmap/detector_distance"][()] = 9.03
    assert read_two_time(path).metadata["detector_distance"] == 9.03


@pytest.mark.parametrize("lost", ["stride_frame", "avg_frame"])
def test_setting_that_older_files_lack_is_one(make_result, lost):
    path = make_result()
    with h5py.File(path, "a") as file:
        del file[f"xpcs/twotime/config/{lost}"]
    kept = {"stride_frame": 3, "avg_frame": 2}[lost]
    assert read_two_time(path).frame_time == pytest.approx(0.5 * kept)


def test_result_of_boost_corr_reads(real_file):
    read = read_two_time(
        real_file("synthetic_8idi/Z0001_dqsel_3_5_twotime_results.hdf")
    )
    everything = read_two_time(
        real_file(
            "synthetic_8idi/Z0001_synthetic-aging_a0001_f000600_r00001_results.hdf"
        )
    )
    assert read.metadata["q_bins"] == [3, 5]
    np.testing.assert_array_equal(read.q_values, everything.q_values[[2, 4]])
    np.testing.assert_array_equal(read.two_time, everything.two_time[[2, 4]])
    assert read.frame_time == 0.01


def test_raw_frames_of_8_id_read(real_file):
    name = "synthetic_8idi/Z0001_synthetic-aging_a0001_f000600_r00001.h5"
    with open_frames(real_file(name)) as source:
        assert source.shape == (600, 192, 192)
        assert source.frame_time == 0.01
        assert source.metadata["energy"] == 12.0
        assert source.metadata["count_time"] == 0.0099
        assert source.metadata["detector"] == "Eiger4m"
        assert next(source.blocks(2)).sum() > 0


def test_many_names_for_one_map_are_refused(tmp_path):
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("map", (64, 64), "f4")
        for index in range(9):
            file[f"c2_{index}"] = file["map"]
    names = [f"/c2_{index}" for index in range(9)]
    with (
        h5py.File(tmp_path / "bomb.h5") as file,
        pytest.raises(FileFormatError, match=r"9 maps below .* are 1 datasets"),
    ):
        read_maps(file, names)

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats import open_frames, read_two_time


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
        assert next(source.blocks(2)).sum() > 0

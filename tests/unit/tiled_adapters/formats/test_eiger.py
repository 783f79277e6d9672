import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats import open_frames


def test_data_files_follow_one_another(make_eiger):
    with open_frames(make_eiger()) as source:
        frames = np.concatenate(list(source.blocks(2)))
        assert source.shape == (6, 4, 5)
        assert source.frame_time == 0.25
    np.testing.assert_array_equal(frames[:, 3, 4], np.arange(1, 7) * 20 - 1)


def test_masked_pixels_are_not_usable_and_read_zero(make_eiger):
    with open_frames(make_eiger()) as source:
        assert np.flatnonzero(~source.usable_pixels).tolist() == [0]
        assert np.concatenate(list(source.blocks(6)))[:, 0, 0].tolist() == [0] * 6


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (2, 5), (4, 6), (0, 99)])
def test_range_of_frames_spans_files(make_eiger, start, stop):
    with open_frames(make_eiger()) as source:
        everything = np.concatenate(list(source.blocks(6)))
        part = np.concatenate(list(source.blocks(2, start, stop)))
    np.testing.assert_array_equal(part, everything[start:stop])


@pytest.mark.parametrize("target", ["/etc/passwd", "../elsewhere.h5"])
def test_link_out_of_the_folder_is_refused(make_eiger, target):
    with (
        pytest.raises(FileFormatError, match="outside of the master's folder"),
        open_frames(make_eiger(link_to=target)),
    ):
        pass


def test_missing_data_file_is_named(make_eiger):
    master = make_eiger()
    (master.parent / "run_data_000002.h5").unlink()
    with (
        pytest.raises(FileFormatError, match=r"run_data_000002\.h5"),
        open_frames(master),
    ):
        pass


def test_data_files_of_different_shape_are_refused(make_eiger):
    master = make_eiger()
    with h5py.File(master.parent / "run_data_000002.h5", "w") as file:
        file["/entry/data/data"] = np.zeros((3, 9, 9))
    with pytest.raises(FileFormatError, match=r"\(3, 9, 9\)"), open_frames(master):
        pass


def test_data_files_of_different_type_are_refused(make_eiger):
    master = make_eiger()
    with h5py.File(master.parent / "run_data_000002.h5", "w") as file:
        file["/entry/data/data"] = np.zeros((3, 4, 5))
    with (
        pytest.raises(FileFormatError, match="float64, its neighbours uint32"),
        open_frames(master),
    ):
        pass


def test_pixel_mask_of_another_shape_is_refused(make_eiger):
    master = make_eiger()
    with h5py.File(master, "a") as file:
        del file["/entry/instrument/detector/detectorSpecific/pixel_mask"]
        file["/entry/instrument/detector/detectorSpecific/pixel_mask"] = np.zeros(
            (9, 9)
        )
    with pytest.raises(FileFormatError, match=r"mask \(9, 9\)"), open_frames(master):
        pass


def test_dataset_where_a_group_of_links_may_be_is_no_master(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["/entry/data"] = np.ones((3, 4, 5))
    with open_frames(tmp_path / "x.h5") as source:
        assert source.shape == (3, 4, 5)


def test_frames_of_text_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["/entry/data/data"] = np.full((2, 3, 4), b"x")
    with pytest.raises(FileFormatError, match="not counts"):
        open_frames(tmp_path / "x.h5").__enter__()


def test_pixels_that_read_the_maximum_in_every_frame_are_not_usable(make_eiger):
    master = make_eiger()
    with h5py.File(master, "a") as file:
        del file["/entry/instrument/detector/detectorSpecific/pixel_mask"]
    with h5py.File(master.parent / "run_data_000001.h5", "a") as file:
        file["/entry/data/data"][0, 3, 3] = 2**32 - 1  # over range for once
    with open_frames(master) as source:
        assert np.flatnonzero(~source.usable_pixels).tolist() == [0]


@pytest.mark.parametrize("value", [1, 2, 4, 8, 16])
def test_every_bit_of_the_mask_takes_a_pixel_out(make_eiger, value):
    master = make_eiger()
    with h5py.File(master, "a") as file:
        file["/entry/instrument/detector/detectorSpecific/pixel_mask"][2, 2] = value
    with open_frames(master) as source:
        assert not source.usable_pixels[2, 2]


def test_master_tells_exposure_energy_and_geometry(make_eiger):
    master = make_eiger()
    with h5py.File(master, "a") as file:
        detector = file["/entry/instrument/detector"]
        detector["count_time"] = 0.24
        detector["description"] = "Dectris Eiger 4M"
        detector["detectorSpecific/nimages"] = 6
        detector["beam_center_x"] = np.float32(np.nan)
        file["/entry/instrument/beam/incident_wavelength"] = 1.0332
    with open_frames(master) as source:
        assert source.metadata == {
            "detector": "Dectris Eiger 4M",
            "count_time": 0.24,
            "energy": pytest.approx(12.0, abs=1e-3),
            "n_frames_planned": 6,
        }


def test_master_of_old_firmware_reads(make_eiger):
    master = make_eiger()
    with h5py.File(master, "a") as file:
        for name in ("data_000001", "data_000002"):
            link = file["/entry/data"].get(name, getlink=True)
            file[f"/entry/{name}"] = h5py.ExternalLink(link.filename, link.path)
        del file["/entry/data"]
        file["/entry/instrument/monochromator/wavelength"] = 1.0332
    with open_frames(master) as source:
        assert source.shape == (6, 4, 5)
        assert source.metadata["energy"] == pytest.approx(12.0, abs=1e-3)


def test_real_master_reads(real_file):
    with open_frames(real_file("synthetic_eiger/chxsyn_1_master.h5")) as source:
        assert source.shape == (300, 192, 192)
        assert source.frame_time == 0.01
        assert source.metadata["energy"] == pytest.approx(12.0, abs=1e-3)
        assert source.metadata["n_frames_planned"] == 300
        assert max(block.max() for block in source.blocks(100)) < 1000

from dataclasses import replace

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError, PartitionError
from ainerd_bluesky.xpcs.data.roi import QPartition
from tiled_adapters.formats import read_partition, without_pixels, write_partition
from tiled_adapters.formats.qmap import read_geometry
from tiled_adapters.formats.qmap_layout import _content_hash
from tiled_adapters.geometry import DetectorGeometry

NAN = float("nan")


@pytest.fixture
def roi_map():
    roi_map = np.zeros((6, 8), np.int32)
    roi_map[0:2], roi_map[2:4], roi_map[4, :4], roi_map[4, 4:] = 1, 2, 3, 4
    return roi_map


@pytest.mark.parametrize(
    ("q_values", "phi_values"),
    [
        ([0.01, 0.02, 0.03, 0.04], [NAN] * 4),
        ([0.01, 0.01, 0.02, 0.02], [45.0, 225.0, 45.0, 225.0]),
        ([0.04, 0.03, 0.02, 0.01], [10.0, 20.0, 30.0, 40.0]),
    ],
    ids=["rings", "sectors", "each-its-own"],
)
def test_partition_survives_a_file(tmp_path, roi_map, q_values, phi_values):
    partition = QPartition(roi_map, np.array(q_values), np.array(phi_values))
    write_partition(tmp_path / "q.h5", partition)
    assert read_partition(tmp_path / "q.h5").sha256 == partition.sha256


def test_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, roi_map):
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    write_partition(tmp_path / "q.h5", partition)
    with pytest.raises(AttributeError):
        write_partition(tmp_path / "q.h5", partition, geometry="no geometry")
    assert read_partition(tmp_path / "q.h5").sha256 == partition.sha256
    assert [path.name for path in tmp_path.iterdir()] == ["q.h5"]


def test_file_has_what_other_programs_look_for(tmp_path, roi_map):
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    write_partition(tmp_path / "q.h5", partition)
    with h5py.File(tmp_path / "q.h5") as file:
        group = file["qmap"]
        assert {"mask", "static_roi_map", "map_names", "map_units"} <= set(group)
        assert group["dynamic_num_pts"][:].tolist() == [4, 1]
        assert group["dynamic_v_list_dim0"].attrs["name"] == "q"


def test_bins_without_pixels_are_left_out(tmp_path, roi_map):
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    write_partition(tmp_path / "q.h5", partition, mask=roi_map != 2)
    read = read_partition(tmp_path / "q.h5")
    assert read.q_values.tolist() == [0.01, 0.03, 0.04]
    np.testing.assert_array_equal(read.roi_map == 2, roi_map == 3)


def test_unusable_pixels_belong_to_no_bin(roi_map):
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    usable = np.ones(roi_map.shape, bool)
    usable[0] = False
    masked = without_pixels(partition, usable)
    assert (masked.roi_map == 1).sum() == 8
    assert masked.n_q_bins == 4


def test_detector_without_mask_changes_nothing(roi_map):
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    assert without_pixels(partition, None) is partition


def test_mask_of_another_detector_is_refused(roi_map):
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    with pytest.raises(PartitionError, match=r"\(6, 8\), a frame \(2, 2\)"):
        without_pixels(partition, np.ones((2, 2), bool))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dynamic_v_list_dim0", None, "cannot open /qmap/dynamic_v_list_dim0"),
        ("dynamic_roi_map", np.full((6, 8), 9), r"labels 9 \.\. 9, there are 4 bins"),
        ("dynamic_roi_map", np.full((6, 8), -1), "labels -1"),
        ("dynamic_roi_map", np.ones(6, int), r"shape \(6,\)"),
        ("dynamic_index_mapping", np.array([0, 1, 2, 7]), "names bin 7 of 4 x 1"),
    ],
    ids=["missing", "label-too-high", "negative", "one-dimensional", "mapping"],
)
def test_damaged_partition_is_refused(tmp_path, roi_map, name, value, message):
    path = tmp_path / "q.h5"
    write_partition(path, QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN)))
    with h5py.File(path, "a") as file:
        del file["qmap"][name], file["qmap/mask"]
        if value is not None:
            file["qmap"][name] = value
    with pytest.raises(FileFormatError, match=message):
        read_partition(path)


def test_file_without_partition_says_where_it_looked(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["other"] = 1
    with pytest.raises(FileFormatError, match="/qmap and /xpcs/qmap"):
        read_partition(tmp_path / "x.h5")


def static_partition(roi_map):
    static_map = np.zeros(roi_map.shape, np.int32)
    static_map[0], static_map[1], static_map[2:4] = 1, 2, 3
    static_map[4, :4], static_map[4, 4:] = 4, 5
    return QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN), static_map)


def test_static_bins_survive_a_file(tmp_path, roi_map):
    partition = static_partition(roi_map)
    write_partition(tmp_path / "q.h5", partition, static_q=np.arange(5) / 100)
    read = read_partition(tmp_path / "q.h5")
    np.testing.assert_array_equal(read.static_map, partition.static_map)
    assert read.sha256 == partition.sha256


def test_static_bins_across_two_q_bins_are_divided(tmp_path, roi_map):
    path = tmp_path / "q.h5"
    write_partition(path, static_partition(roi_map))
    with h5py.File(path, "a") as file:
        file["qmap/static_roi_map"][:] = (roi_map > 0) * 7
    read = read_partition(path)
    np.testing.assert_array_equal(read.static_map, roi_map)


def test_unusable_pixels_belong_to_no_static_bin(roi_map):
    usable = np.ones(roi_map.shape, bool)
    usable[0] = False
    masked = without_pixels(static_partition(roi_map), usable)
    assert not masked.static_map[0].any()
    assert np.unique(masked.static_map).tolist() == [0, 1, 2, 3, 4]


def test_static_bins_of_unknown_q_keep_rows_of_their_own(tmp_path, roi_map):
    write_partition(tmp_path / "q.h5", static_partition(roi_map))
    with h5py.File(tmp_path / "q.h5") as file:
        assert file["qmap/static_index_mapping"][:].tolist() == [0, 1, 2, 3, 4]
        assert np.isnan(file["qmap/static_v_list_dim0"][:]).all()


def test_geometry_survives_a_file(tmp_path, roi_map):
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    geometry = DetectorGeometry((3.5, 2.5), 75e-6, 4.0, 1.25, tilt=3.0, tilt_plane=20.0)
    write_partition(tmp_path / "q.h5", partition, geometry=geometry)
    read = read_geometry(tmp_path / "q.h5")
    assert read == replace(geometry, wavelength=read.wavelength)
    assert read.wavelength == pytest.approx(1.25)


def test_unknown_geometry_is_nan_and_read_as_none(tmp_path, roi_map):
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    write_partition(tmp_path / "q.h5", partition)
    assert read_geometry(tmp_path / "q.h5") is None
    with h5py.File(tmp_path / "q.h5") as file:
        assert np.isnan(file["qmap/energy"][()])


def test_hash_is_the_one_that_pysimplemask_writes(real_file):
    with h5py.File(real_file("synthetic_8idi/qmap_S90_D9.hdf")) as file:
        assert _content_hash(file["qmap"]) == file["qmap"].attrs["hash"]


def test_real_partition_has_static_bins_inside_its_q_bins(real_file):
    partition = read_partition(real_file("synthetic_8idi/qmap_S90_D9.hdf"))
    used = partition.static_map > 0
    pairs = np.unique(
        np.stack([partition.static_map[used], partition.roi_map[used]]), axis=1
    )
    assert (pairs.shape[1], partition.n_q_bins) == (90, 9)
    assert read_geometry(real_file("synthetic_8idi/qmap_S90_D9.hdf")).distance == 12.0


def test_boost_corr_reads_what_is_written(tmp_path, roi_map):
    qpartitionmap = pytest.importorskip("boost_corr.xpcs_aps_8idi.xpcs_qpartitionmap")
    partition = static_partition(roi_map)
    write_partition(tmp_path / "q.h5", partition)
    read = qpartitionmap.XpcsQPartitionMap(str(tmp_path / "q.h5"), flag_sort=True)
    np.testing.assert_array_equal(read.dqmap, partition.roi_map)
    np.testing.assert_array_equal(read.sqmap, partition.static_map)
    assert read.qinfo["dq_idx"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mask", np.zeros((3, 3)), r"mask has shape \(3, 3\)"),
        ("dynamic_roi_map", np.full((6, 8), 2**32 + 1), r"labels 0 \.\. 4294967297"),
        ("map_names", [b"x", b"y"], "by 'x', not by q"),
    ],
    ids=["mask", "label", "coordinates"],
)
def test_part_that_cannot_be_meant_is_refused(tmp_path, roi_map, name, value, message):
    path = tmp_path / "q.h5"
    partition = QPartition(roi_map, np.arange(1, 5) / 100, np.full(4, NAN))
    write_partition(path, partition)
    with h5py.File(path, "a") as file:
        del file[f"qmap/{name}"]
        file[f"qmap/{name}"] = value
    with pytest.raises(FileFormatError, match=message):
        read_partition(path)

"""Exported results, read back by the programs that they are for."""

import json
from collections import defaultdict
from dataclasses import asdict
from unittest.mock import MagicMock

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import ConfigError, UnsuitableRunError
from ainerd_bluesky.pipeline import Analysis
from ainerd_bluesky.xpcs.data.roi import ring_partition
from ainerd_bluesky.xpcs.lags.one_time import g2_from_two_time
from ainerd_bluesky.xpcs.two_time.maps import two_time_map
from tiled_adapters.export import export_result
from tiled_adapters.export_layout import diagonal_means
from tiled_adapters.formats import read_partition, read_two_time, write_partition
from tiled_adapters.geometry import DetectorGeometry

N_FRAMES = 60
GEOMETRY = DetectorGeometry((20.0, 24.0), 75e-6, 5.0, 1.2)


@pytest.fixture
def partition():
    return ring_partition(
        (40, 48),
        beam_center=GEOMETRY.beam_center,
        pixel_size=GEOMETRY.pixel_size,
        distance=GEOMETRY.distance,
        wavelength=GEOMETRY.wavelength,
        q_edges=[4e-4, 9e-4, 1.4e-3, 2e-3],
    )


@pytest.fixture
def partition_file(tmp_path, partition):
    write_partition(tmp_path / "q.hdf", partition, geometry=GEOMETRY)
    return tmp_path / "q.hdf"


@pytest.fixture
def analysis(partition, speckle_counts):
    """A result of three q-bins as the pipeline publishes it."""
    maps = [two_time_map(speckle_counts(N_FRAMES, 200, 10.0)) for _ in range(3)]
    lags = np.array([1, 2, 3, 4, 6, 8])
    g2 = 1 + 0.5 * np.exp(-2 * lags / 10.0) * np.ones((3, 1))
    return Analysis(
        run_uid="0a1b2c3d-run",
        recipe={"reduction": {"estimators": {"g2": "multi-tau, ratio of sums, 1"}}},
        provenance={
            "partition_sha256": partition.sha256,
            "source": "/data/raw.h5",
            "software": {"ainerd-bluesky": "0.1.0"},
            "metadata": {"start_time": 1.7e9, "scan_id": 12, "count_time": 0.009},
        },
        summary={"frame_time": 0.01, "n_frames": N_FRAMES, "sample": "gel"},
        arrays={
            "two_time": np.stack(maps).astype(np.float32),
            "lags": lags,
            "g2": g2,
            "g2_err": np.full(g2.shape, 0.01),
            "intensity": np.linspace(1, 2, N_FRAMES),
        },
        bins={
            "q_bin": [1, 2, 3],
            "q": list(partition.q_values),
            "phi": [float("nan")] * 3,
        },
    )


@pytest.fixture
def exported(tmp_path, analysis, partition_file):
    path = tmp_path / "x_results.hdf"
    export_result(analysis, path, partition=partition_file)
    return path


@pytest.fixture
def viewer(monkeypatch):
    """The reader of xpcs-viewer, without its window."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    return pytest.importorskip("pyxpcsviewer.core", reason="xpcs-viewer is not here")


@pytest.fixture
def viewer_file(viewer, exported):
    module = pytest.importorskip("pyxpcsviewer.core.xpcs_file")
    # Averages over bins of unknown intensity are nan, which numpy remarks on.
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="empty"):
        return module.XpcsFile(str(exported))


def test_viewer_finds_both_kinds_of_correlation(viewer_file):
    assert set(viewer_file.atype) == {"Multitau", "Twotime"}
    assert viewer_file.t0 == pytest.approx(0.01)


def test_viewer_sees_the_functions_of_the_result(viewer_file, analysis):
    np.testing.assert_allclose(viewer_file.g2, analysis.arrays["g2"].T, rtol=1e-6)
    np.testing.assert_allclose(viewer_file.t_el, analysis.arrays["lags"] * 0.01)
    np.testing.assert_allclose(viewer_file.Int_t[1], analysis.arrays["intensity"])


def test_viewer_sees_the_maps(viewer, exported, analysis):
    module = pytest.importorskip("pyxpcsviewer.core.twotime_utils")
    two_time, step = module.read_single_c2((str(exported), "c2_00002", -1, False))
    assert step == 1
    np.testing.assert_array_equal(two_time, analysis.arrays["two_time"][1])
    shown = module.get_single_c2_from_hdf(str(exported), selection=2, t0=0.01)
    assert shown["g2_full"].shape == (N_FRAMES,)
    assert shown["g2_partial"].shape == (5, N_FRAMES // 5)


def test_viewer_shows_the_means_of_the_static_bins(
    viewer, tmp_path, analysis, partition, partition_file
):
    module = pytest.importorskip("pyxpcsviewer.core.xpcs_file")
    analysis.arrays["static_intensity"] = np.arange(1.0, partition.static_map.max() + 1)
    export_result(analysis, tmp_path / "x_results.hdf", partition=partition_file)
    shown = module.XpcsFile(str(tmp_path / "x_results.hdf"))
    is_used = partition.static_map > 0
    np.testing.assert_array_equal(shown.saxs_2d[is_used], partition.static_map[is_used])
    assert np.isfinite(shown.saxs_2d_log).all()
    np.testing.assert_allclose(
        np.sort(shown.saxs_1d["Iq"][np.isfinite(shown.saxs_1d["Iq"])]),
        analysis.arrays["static_intensity"],
    )


def test_viewer_draws_the_tab_of_two_times(viewer_file, analysis):
    module = pytest.importorskip("pyxpcsviewer.gui.control.plot.twotime")
    panes = defaultdict(MagicMock)
    # Where the intensity is not known, the background is plain.
    module.plot_twotime(viewer_file, panes, selection=1)
    (drawn,) = panes["tt"].setImage.call_args.args
    np.testing.assert_array_equal(drawn, analysis.arrays["two_time"][1])
    assert not panes["saxs"].setImage.call_args.args[0].any()


def test_viewer_sees_the_geometry(viewer_file, partition):
    qmap = viewer_file.qmap
    np.testing.assert_array_equal(qmap.dqmap, partition.roi_map)
    assert qmap.bcx == pytest.approx(24.0)
    assert qmap.X_energy == pytest.approx(GEOMETRY.energy)
    assert qmap.get_qbin_label(1).startswith(f"q={partition.q_values[0]:.5f}")


def test_viewer_calls_it_a_file_of_today(viewer, exported):
    module = pytest.importorskip("pyxpcsviewer.core.file_io.ftype_utils")
    assert module.get_ftype(str(exported)) == "nexus"


def test_own_reader_gets_the_maps_back(exported, analysis, partition):
    read = read_two_time(exported)
    np.testing.assert_array_equal(read.two_time, analysis.arrays["two_time"])
    np.testing.assert_allclose(read.q_values, partition.q_values)
    assert read.frame_time == pytest.approx(0.01)
    assert read_partition(exported).sha256 == partition.sha256


def test_nexus_view_shares_the_data(exported):
    with h5py.File(exported) as file:
        assert file["entry/definition"].asstr()[()] == "NXxpcs"
        assert file["entry/data/g2"] == file["xpcs/multitau/normalized_g2"]
        maps = file["entry/twotime/two_time_corr_func"]
        assert maps == file["xpcs/twotime/correlation_map"]
        assert maps.attrs["populated_elements"] == "upper_half"
        assert maps.attrs["baseline_reference"] == 1
        assert file["entry/instrument/detector_1/distance"][()] == 5.0


def test_file_says_how_it_was_made(exported, analysis, partition):
    with h5py.File(exported) as file:
        process = file["entry/process"]
        assert json.loads(process["recipe/data"][()]) == analysis.recipe
        assert process["partition_sha256"].asstr()[()] == partition.sha256
        assert process["key"].asstr()[()] == analysis.key
        assert file["entry/start_time"].asstr()[()] == "2023-11-14T22:13:20+00:00"


def test_filters_are_those_every_hdf5_has(exported):
    with h5py.File(exported) as file:
        found = set()
        file.visititems(lambda _, item: found.add(getattr(item, "compression", None)))
    assert found == {None, "lzf"}


def test_what_is_not_known_is_named_and_not_made_up(tmp_path, analysis):
    missing = export_result(analysis, tmp_path / "x.hdf")
    assert any("pixels of the q-bins" in line for line in missing)
    assert any("mean image" in line for line in missing)
    with h5py.File(tmp_path / "x.hdf") as file:
        assert np.isnan(file["xpcs/qmap/energy"][()])
        assert "dynamic_roi_map" not in file["xpcs/qmap"]
        assert "scattering_2d" not in file["xpcs/temporal_mean"]
    assert read_two_time(tmp_path / "x.hdf").q_values.tolist() == analysis.bins["q"]


def test_published_partition_and_means_are_written(tmp_path, analysis, partition):
    analysis.arrays["roi_map"] = partition.roi_map
    analysis.arrays["static_map"] = partition.static_map
    known = np.arange(1.0, partition.static_map.max() + 1)
    analysis.arrays["static_intensity"] = known
    missing = export_result(analysis, tmp_path / "x.hdf")
    assert missing == [
        "beam centre, distance, energy and pixel size",
        "mean image finer than the static bins",
    ]
    with h5py.File(tmp_path / "x.hdf") as file:
        means = file["xpcs/temporal_mean"]
        assert means["scattering_1d"][:].tolist() == [known.tolist()]
        image = means["scattering_2d"][0]
    is_used = partition.static_map > 0
    np.testing.assert_array_equal(image[is_used], partition.static_map[is_used])
    assert np.isnan(image[~is_used]).all()
    assert read_partition(tmp_path / "x.hdf").sha256 == partition.sha256


HEADER = {
    "beam_center_x": 24.0,
    "beam_center_y": 20.0,
    "detector_distance": 5.0,
    "x_pixel_size": 75e-6,
    "y_pixel_size": 75e-6,
    "energy": GEOMETRY.energy,
}


@pytest.mark.parametrize(
    "metadata",
    [HEADER, {**HEADER, "detector_distance": 9.0, "geometry": asdict(GEOMETRY)}],
    ids=["of the frames", "of the q-bins"],
)
def test_geometry_of_the_provenance_is_written(tmp_path, analysis, metadata):
    analysis.provenance["metadata"] = metadata
    missing = export_result(analysis, tmp_path / "x.hdf")
    assert not any("beam centre" in line for line in missing)
    with h5py.File(tmp_path / "x.hdf") as file:
        qmap = file["xpcs/qmap"]
        assert qmap["detector_distance"][()] == 5.0
        assert (qmap["beam_center_x"][()], qmap["beam_center_y"][()]) == (24.0, 20.0)
        assert qmap["energy"][()] == pytest.approx(GEOMETRY.energy)


def test_selected_bins_keep_their_labels(tmp_path, analysis, partition_file):
    for name in ("two_time", "g2", "g2_err"):
        analysis.arrays[name] = analysis.arrays[name][[0, 2]]
    for name, column in analysis.bins.items():
        analysis.bins[name] = [column[0], column[2]]
    export_result(analysis, tmp_path / "x.hdf", partition=partition_file)
    with h5py.File(tmp_path / "x.hdf") as file:
        assert list(file["xpcs/twotime/correlation_map"]) == ["c2_00001", "c2_00002"]
        assert file["xpcs/twotime/processed_bins"][:].tolist() == [1, 3]
        assert np.isnan(file["xpcs/multitau/normalized_g2"][:, 1]).all()


def test_another_partition_is_refused(tmp_path, analysis, partition):
    write_partition(tmp_path / "q.hdf", ring_partition(
        (40, 48), beam_center=(0, 0), pixel_size=75e-6, distance=5.0, wavelength=1.2,
        q_edges=[4e-4, 9e-4],
    ))  # fmt: skip
    with pytest.raises(ConfigError, match="the result was made with"):
        export_result(analysis, tmp_path / "x.hdf", partition=tmp_path / "q.hdf")
    assert not (tmp_path / "x.hdf").exists()


def test_run_without_arrays_says_why(tmp_path, analysis):
    analysis.arrays.clear()
    analysis.summary["quality"] = {"reasons": ["only 12 frames"]}
    with pytest.raises(UnsuitableRunError, match=r"no correlation .*: only 12 frames"):
        export_result(analysis, tmp_path / "x.hdf")


def test_a_failure_leaves_the_old_file(exported, analysis, monkeypatch):
    before = exported.read_bytes()
    analysis.arrays["two_time"] = analysis.arrays["two_time"][:, :, 0]
    with pytest.raises(ValueError, match="unpack"):
        export_result(analysis, exported)
    assert exported.read_bytes() == before
    assert [path.name for path in exported.parent.glob(".*")] == []


def test_diagonal_means_are_those_of_numpy(rng):
    two_time = rng.random((300, 300))
    two_time[17] = two_time[:, 17] = np.nan
    slow = [np.nanmean(np.diagonal(two_time, lag)) for lag in range(300)]
    np.testing.assert_allclose(diagonal_means(two_time), slow)


def test_diagonal_means_agree_with_g2_of_the_map(analysis):
    two_time = analysis.arrays["two_time"][0]
    np.testing.assert_allclose(
        diagonal_means(two_time)[1:], g2_from_two_time(two_time), rtol=1e-5
    )

"""q-partitions from geometry, and the command that makes them."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ainerd_bluesky.errors import (
    AinerdError,
    ConfigError,
    FileFormatError,
    MemoryBudgetError,
    PartitionError,
)
from ainerd_bluesky.xpcs.machine import memory
from tiled_adapters.commands import register
from tiled_adapters.formats.qmap import read_geometry, read_partition
from tiled_adapters.geometry import DetectorModel
from tiled_adapters.partitions import QmapRequest, make_qmap, read_mask

SHAPE = (60, 80)
GEOMETRY = {
    "beam_center": (20.0, 30.0),
    "pixel_size": 75e-6,
    "distance": 5.0,
    "wavelength": 1.5,
}


@pytest.fixture(autouse=True)
def _pyfai():
    pytest.importorskip("pyFAI", reason="pyFAI is not installed")


def test_made_file_is_read_back(tmp_path):
    request = QmapRequest(**GEOMETRY, shape=SHAPE, n_q=4, n_phi=2, n_static=3)
    made = make_qmap(request)
    made.write(tmp_path / "q.hdf")
    assert read_partition(tmp_path / "q.hdf").sha256 == made.partition.sha256
    assert read_geometry(tmp_path / "q.hdf") == made.geometry


def test_static_bins_of_a_file_tell_their_q(tmp_path):
    made = make_qmap(QmapRequest(**GEOMETRY, shape=SHAPE, n_q=4, n_static=3))
    made.write(tmp_path / "q.hdf")
    with h5py.File(tmp_path / "q.hdf") as file:
        static_q = file["qmap/static_v_list_dim0"][:]
        order = file["qmap/static_index_mapping"][:]
    for label in (1, 5):
        own = made.q[made.partition.static_map == label].mean()
        assert static_q[order[label - 1]] == pytest.approx(own)
    assert (np.diff(static_q) > 0).all()


def test_all_pixels_lie_in_a_ring_if_no_range_is_given():
    made = make_qmap(QmapRequest(**GEOMETRY, shape=SHAPE, n_q=3))
    assert (made.partition.roi_map > 0).all()


def test_logarithmic_rings_grow_by_a_factor():
    request = QmapRequest(
        **GEOMETRY, shape=(400, 400), n_q=4, q_min=1e-4, q_max=1.6e-3, spacing="log"
    )
    q_values = make_qmap(request).partition.q_values
    np.testing.assert_allclose(q_values[1:] / q_values[:-1], 2.0, rtol=0.05)


def test_given_values_stand_above_the_calibration(tmp_path):
    module = pytest.importorskip("pyFAI.integrator.azimuthal")
    calibrated = module.AzimuthalIntegrator(
        dist=2.0, poni1=0.04, poni2=0.04, detector="Eiger500k", wavelength=1.2e-10
    )
    calibrated.save(str(tmp_path / "x.poni"))
    made = make_qmap(QmapRequest(poni=tmp_path / "x.poni", distance=3.0))
    assert (made.geometry.distance, made.geometry.wavelength) == (3.0, 1.2)
    assert made.partition.shape == DetectorModel.named("Eiger500k").shape


def test_frames_tell_shape_and_masked_pixels(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["entry/data/data_000001"] = np.zeros((3, *SHAPE), "u2")
        mask = np.zeros(SHAPE, "u4")
        mask[:, :10] = 1
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = mask
    made = make_qmap(QmapRequest(**GEOMETRY, frames=tmp_path / "x.h5"))
    assert made.partition.shape == SHAPE
    assert not made.partition.roi_map[:, :10].any()
    assert made.partition.roi_map[:, 10:].all()


@pytest.fixture
def master(tmp_path):
    """An Eiger master that tells the geometry, of 12 keV."""
    with h5py.File(tmp_path / "x_master.h5", "w") as file:
        file["entry/data/data_000001"] = np.zeros((3, *SHAPE), "u2")
        detector = file.create_group("entry/instrument/detector")
        detector["beam_center_x"], detector["beam_center_y"] = 30.0, 20.0
        detector["x_pixel_size"] = detector["y_pixel_size"] = np.float32(75e-6)
        detector["detector_distance"] = 4.9
        file["entry/instrument/beam/incident_wavelength"] = 1.5
    return tmp_path / "x_master.h5"


def test_frames_tell_the_geometry(master):
    made = make_qmap(QmapRequest(frames=master, n_q=2))
    assert made.geometry.beam_center == (20.0, 30.0)
    assert made.geometry.pixel_size == pytest.approx(75e-6)
    assert made.geometry.distance == 4.9
    assert made.geometry.wavelength == pytest.approx(1.5)
    assert made.conflicts == ()


@pytest.mark.parametrize(("distance", "n_conflicts"), [(4.91, 0), (10.0, 1)])
def test_given_value_stands_above_the_frames_and_a_conflict_is_told(
    master, distance, n_conflicts
):
    made = make_qmap(QmapRequest(frames=master, distance=distance, n_q=2))
    assert made.geometry.distance == distance
    assert len(made.conflicts) == n_conflicts
    assert all("distance is 10 as given" in line for line in made.conflicts)


def test_values_that_no_detector_has_are_asked_for(master):
    with h5py.File(master, "r+") as file:
        file["entry/instrument/detector/detector_distance"][()] = 0.0
        file["entry/instrument/detector/y_pixel_size"][()] = 55e-6
    with pytest.raises(ConfigError, match="give --pixel-size --distance, or"):
        make_qmap(QmapRequest(frames=master, n_q=2))


def test_command_tells_what_stands_against_the_frames(tmp_path, master, app):
    given = ["--frames", str(master), "--distance", "10", "--n-q", "2"]
    done = CliRunner().invoke(app, ["qmap", str(tmp_path / "q.hdf"), *given])
    assert done.exit_code == 0, done.output
    assert "beam centre 20 30, pixel 7.5e-05 m, distance 10 m" in done.output
    assert "differs: distance is 10 as given" in done.output.replace("\n", " ")


@pytest.mark.parametrize("is_inverted", [False, True])
@pytest.mark.parametrize("suffix", [".npy", ".tif", ".h5"])
def test_mask_of_a_file_leaves_pixels_out(tmp_path, suffix, is_inverted):
    used = np.zeros(SHAPE, np.uint8)
    used[:, 40:] = 1
    path = tmp_path / f"mask{suffix}"
    stored = 1 - used if is_inverted else used
    if suffix == ".npy":
        np.save(path, stored)
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["mask"] = stored
    else:
        module = pytest.importorskip("fabio.tifimage")
        module.TifImage(data=stored).write(str(path))
    request = QmapRequest(
        **GEOMETRY, shape=SHAPE, mask=path, is_mask_inverted=is_inverted
    )
    np.testing.assert_array_equal(make_qmap(request).partition.roi_map > 0, used > 0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"distance": None}, ConfigError, "give --distance"),
        ({"shape": None}, ConfigError, "give --shape"),
        ({"q_min": 1.0, "q_max": 0.5}, PartitionError, "q-min below --q-max"),
        ({"q_min": 0.001, "q_max": 0.001}, PartitionError, "reach from 0 to 0.0039"),
        ({"n_q": 10**15}, PartitionError, "4800 usable pixels: give a smaller --n-q"),
        ({"shape": (10**9, 10**9)}, PartitionError, r"none has more.*give --shape"),
        (
            {"mask": Path("gone.npy")},
            FileFormatError,
            r"gone\.npy: no such.*give --mask",
        ),
        ({"q_min": 5.0, "q_max": 6.0}, PartitionError, "no usable pixel"),
        ({"q_min": 0.0, "spacing": "log"}, PartitionError, "cannot begin at q = 0"),
    ],
)
def test_what_cannot_be_made_says_what_is_missing(changes, error, message):
    request = QmapRequest(**{**GEOMETRY, "shape": SHAPE, **changes})
    with pytest.raises(error, match=message):
        make_qmap(request)


def test_detector_that_does_not_fit_into_memory_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    request = QmapRequest(**GEOMETRY, shape=(16_000, 16_000))
    with pytest.raises(MemoryBudgetError, match=r"\(16000, 16000\).*give --shape"):
        make_qmap(request)


def test_several_images_in_a_mask_file_are_named(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a"] = file["b"] = np.ones(SHAPE)
    with pytest.raises(FileFormatError, match=r"which of 2 images.*/a, /b"):
        read_mask(tmp_path / "m.h5")


@pytest.mark.parametrize(
    ("name", "content"),
    [("m.npy", b"nothing"), ("m.tif", b"nothing"), ("m.h5", b"nothing")],
)
def test_mask_that_is_no_image_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AinerdError, match=name):
        read_mask(tmp_path / name)


def test_mask_of_another_shape_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.ones((2, 2)))
    request = QmapRequest(**GEOMETRY, shape=SHAPE, mask=tmp_path / "m.npy")
    with pytest.raises(PartitionError, match=r"mask has shape \(2, 2\)"):
        make_qmap(request)


@pytest.fixture
def app():
    app = typer.Typer()
    register(app)
    return app


def test_command_writes_file_and_picture_and_lists_the_bins(tmp_path, app):
    given = [
        "--shape",
        "60",
        "80",
        "--beam-center",
        "20",
        "30",
        "--pixel-size",
        "75e-6",
    ]
    given += ["--distance", "5", "--energy", "8.265", "--n-q", "3", "--n-phi", "2"]
    done = CliRunner().invoke(app, ["qmap", str(tmp_path / "q.hdf"), *given])
    assert done.exit_code == 0, done.output
    assert "6 q-bins" in done.output
    assert (tmp_path / "q.png").read_bytes().startswith(b"\x89PNG")
    assert read_geometry(tmp_path / "q.hdf").wavelength == pytest.approx(1.5, rel=1e-3)
    assert read_partition(tmp_path / "q.hdf").n_q_bins == 6


def test_command_takes_energy_or_wavelength(tmp_path, app):
    given = ["qmap", str(tmp_path / "q.hdf"), "--energy", "8", "--wavelength", "1"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 2
    assert "not both" in done.output


@pytest.fixture
def make_from_frames(tmp_path, app):
    """Run `ainerd qmap OUTPUT` with options, on frames in `raw.h5`."""
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["entry/data/data"] = np.ones((3, *SHAPE), "u2")
    given = (
        "--beam-center 20 30 --pixel-size 75e-6 --distance 5 --wavelength 1.5 --n-q 2"
    )

    def make(output, *options):
        frames = ["--frames", str(tmp_path / "raw.h5")]
        arguments = ["qmap", str(output), *frames, *given.split(), *options]
        return CliRunner().invoke(app, arguments)

    return make


@pytest.mark.parametrize("options", [[], ["--force"]])
@pytest.mark.parametrize("name", ["raw.h5", "link.h5"])
def test_command_never_replaces_what_it_reads(
    tmp_path, make_from_frames, name, options
):
    (tmp_path / "link.h5").hardlink_to(tmp_path / "raw.h5")
    before = (tmp_path / "raw.h5").read_bytes()
    done = make_from_frames(tmp_path / name, *options)
    assert "write to another file" in str(done.exception)
    assert (tmp_path / "raw.h5").read_bytes() == before


@pytest.mark.parametrize("name", ["q.hdf", "q.png"])
def test_command_replaces_a_file_only_by_force(tmp_path, make_from_frames, name):
    (tmp_path / name).write_bytes(b"precious")
    done = make_from_frames(tmp_path / "q.hdf")
    assert "--force" in str(done.exception)
    assert (tmp_path / name).read_bytes() == b"precious"
    done = make_from_frames(tmp_path / "q.hdf", "--force")
    assert done.exit_code == 0, done.output
    assert read_partition(tmp_path / "q.hdf").n_q_bins == 2

"""Geometry by pyFAI: equal to the plain formula where that holds."""

import numpy as np
import pytest

from ainerd_bluesky.errors import ConfigError, FileFormatError, PartitionError
from ainerd_bluesky.xpcs.data.roi import ring_partition, sector_partition
from tiled_adapters import geometry as geometry_module
from tiled_adapters.geometry import DetectorGeometry, DetectorModel, q_and_phi

SHAPE = (60, 80)
FLAT = DetectorGeometry((20.7, 30.2), 75e-6, 5.0, 1.5)


@pytest.fixture(autouse=True)
def _pyfai():
    pytest.importorskip("pyFAI", reason="pyFAI is not installed")


@pytest.mark.parametrize("n_phi", [1, 6])
def test_untilted_detector_has_the_bins_of_the_plain_formula(n_phi):
    bins = {"q_edges": np.linspace(2e-4, 3e-3, 6), "n_phi": n_phi, "n_static": 3}
    q, phi = q_and_phi(FLAT, SHAPE)
    plain = ring_partition(
        SHAPE,
        beam_center=FLAT.beam_center,
        pixel_size=FLAT.pixel_size,
        distance=FLAT.distance,
        wavelength=FLAT.wavelength,
        **bins,
    )
    made = sector_partition(q, phi, **bins)
    np.testing.assert_array_equal(made.roi_map, plain.roi_map)
    # Edges of static bins are q of pixels: rounding may put these on either side.
    assert (made.static_map != plain.static_map).mean() < 1e-3
    np.testing.assert_allclose(made.q_values, plain.q_values, rtol=1e-12)


def test_tilted_detector_follows_the_angle_to_the_beam():
    tilt = np.radians(30.0)
    tilted = DetectorGeometry((20.0, 30.0), 1e-3, 0.5, 1.5, tilt=30.0)
    q, _ = q_and_phi(tilted, SHAPE)
    # Pixels on the line of the tilt: the detector leans towards or away from them.
    offsets = (np.arange(80) - 30.0) * 1e-3
    z, x = 0.5 + offsets * np.sin(tilt), offsets * np.cos(tilt)
    expected = 4 * np.pi / 1.5 * np.sin(np.arctan2(np.abs(x), z) / 2)
    other = (
        4
        * np.pi
        / 1.5
        * np.sin(np.arctan2(np.abs(x), 0.5 - offsets * np.sin(tilt)) / 2)
    )
    row = q[20]
    assert np.allclose(row, expected, rtol=1e-6) or np.allclose(row, other, rtol=1e-6)


def test_azimuth_counts_as_in_ring_partition():
    _, phi = q_and_phi(DetectorGeometry((10.0, 10.0), 1e-4, 1.0, 1.0), (21, 21))
    ends = [phi[10, 20], phi[0, 10], phi[10, 0], phi[20, 10]]
    assert ends == pytest.approx([0.0, 90.0, 180.0, 270.0])


def test_calibration_is_read(tmp_path):
    module = pytest.importorskip("pyFAI.integrator.azimuthal")
    calibrated = module.AzimuthalIntegrator(
        dist=2.0, poni1=0.03, poni2=0.04, rot1=0.05, rot2=-0.02, detector="Eiger1M",
        wavelength=1.2e-10,
    )  # fmt: skip
    calibrated.save(str(tmp_path / "x.poni"))
    geometry = DetectorGeometry.from_poni(tmp_path / "x.poni")
    model = DetectorModel.from_poni(tmp_path / "x.poni")
    assert (model.shape, model.pixel_size) == ((1065, 1030), 75e-6)
    assert geometry.wavelength == pytest.approx(1.2)
    q, _ = q_and_phi(geometry, (40, 50))
    expected = calibrated.center_array((40, 50), unit="q_A^-1", scale=True)
    np.testing.assert_allclose(q, expected, rtol=1e-9)


def test_detector_is_known_by_name_with_its_gaps():
    model = DetectorModel.named("Eiger1M")
    assert model.shape == (1065, 1030)
    assert (~model.usable_pixels).sum() == 37 * 1030


def test_unknown_detector_lists_those_alike():
    with pytest.raises(ConfigError, match=r"no detector 'Eiger1N'; alike are: eiger1m"):
        DetectorModel.named("Eiger1N")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("dist: one metre\n", "no calibration of pyFAI"),
        ("Distance: 1.0\n", "does not tell the wavelength"),
    ],
)
def test_bad_calibration_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.poni").write_text(content)
    with pytest.raises(FileFormatError, match=message):
        DetectorGeometry.from_poni(tmp_path / "x.poni")


@pytest.mark.parametrize(
    ("field", "value"),
    [("pixel_size", 0.0), ("distance", -1.0), ("wavelength", np.nan), ("tilt", 95.0),
     ("beam_center", (np.inf, 0.0))],
)  # fmt: skip
def test_impossible_geometry_is_refused(field, value):
    values = {"beam_center": (0.0, 0.0), "pixel_size": 1e-4, "distance": 1.0,
              "wavelength": 1.0, field: value}  # fmt: skip
    with pytest.raises(ConfigError, match=field):
        DetectorGeometry(**values)


def test_detector_without_rows_is_refused():
    with pytest.raises(PartitionError, match="rows and columns"):
        q_and_phi(FLAT, (0, 5))


def test_missing_pyfai_names_the_cure(monkeypatch):
    monkeypatch.setattr(geometry_module, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install .*\[geometry\]"):
        q_and_phi(FLAT, SHAPE)


def test_energy_and_wavelength_belong_together():
    assert DetectorGeometry.wavelength_of(12.398419843320026) == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="energy"):
        DetectorGeometry.wavelength_of(0.0)

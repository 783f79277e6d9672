"""Where a detector stands, and what that makes of its pixels; pyFAI computes it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError, FileFormatError, PartitionError
from ainerd_bluesky.xpcs.machine.memory import require_memory

__all__ = [
    "KEV_ANGSTROM",
    "DetectorGeometry",
    "DetectorModel",
    "known_geometry",
    "q_and_phi",
]

KEV_ANGSTROM = 12.398419843320026
"""Energy times wavelength of a photon: h c, exact in the SI of 2019."""
_MOST_PIXELS = 2**28
_BYTES_PER_PIXEL = 128
"""What pyFAI and the bins take of memory while a partition is made."""
_PLAUSIBLE = {
    "pixel_size": (1e-6, 1e-2),
    "distance": (1e-2, 1e2),
    "wavelength": (1e-2, 1e2),
}
"""In metres and angstrom: files hold 0 for unknown, or millimetres."""
_ANY_ROTATION = {0, 3}
"""Orientations of pyFAI in which rows and columns count as they do in the file."""


@dataclass(frozen=True)
class DetectorGeometry:
    """A flat detector in the scattered beam.

    Parameters
    ----------
    beam_center : tuple of float
        Row and column where the direct beam would hit, in pixels; whole numbers are
        pixel centres.
    pixel_size : float
        Edge of a square pixel, in metres.
    distance : float
        From sample to detector along the direct beam, in metres.
    wavelength : float
        In angstrom.
    tilt, tilt_plane : float
        Angle between the detector's normal and the beam, and the direction of that
        tilt, in degrees, as FIT2D and pyFAI count them. 0 for a detector normal to
        the beam.

    Raises
    ------
    ConfigError
        If a length is not positive, or an angle too large for a detector in the beam.

    Examples
    --------
    >>> geometry = DetectorGeometry((511.5, 511.5), 75e-6, 5.0, 1.0)
    >>> round(geometry.energy, 3)
    12.398
    """

    beam_center: tuple[float, float]
    pixel_size: float
    distance: float
    wavelength: float
    tilt: float = 0.0
    tilt_plane: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pixel_size", "distance", "wavelength"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be positive, got {value}")
        angles = (self.tilt, self.tilt_plane)
        if not (
            np.isfinite([*self.beam_center, *angles]).all() and abs(self.tilt) < 90
        ):
            raise ConfigError(
                f"beam_center {self.beam_center}, tilt {self.tilt} and tilt_plane "
                f"{self.tilt_plane} must be finite, the tilt below 90 degrees"
            )

    @property
    def energy(self) -> float:
        """Energy of the photons, in keV."""
        return KEV_ANGSTROM / self.wavelength

    @staticmethod
    def wavelength_of(energy: float) -> float:
        """Return the wavelength in angstrom of photons of an energy in keV."""
        if not energy > 0:
            raise ConfigError(f"energy must be positive, got {energy} keV")
        return KEV_ANGSTROM / energy

    @classmethod
    def from_poni(cls, path: Path) -> Self:
        """Read a calibration of pyFAI.

        Parameters
        ----------
        path : Path
            A `.poni` file.

        Returns
        -------
        DetectorGeometry
            Of the calibrated detector.

        Raises
        ------
        FileFormatError
            If it is no calibration of a flat detector of square pixels, or does not
            tell the wavelength.
        """
        calibrated = _load_poni(path)
        detector = calibrated.detector
        sizes = detector.pixel1, detector.pixel2
        is_square = detector.IS_FLAT and detector.uniform_pixel and sizes[0] == sizes[1]
        if not is_square or detector.orientation.value not in _ANY_ROTATION:
            raise FileFormatError(
                f"{path}: {detector.name} is no flat detector of square pixels in its "
                f"own orientation (pixels {sizes}, {detector.orientation!r})"
            )
        if not calibrated.wavelength:
            raise FileFormatError(f"{path} does not tell the wavelength")
        fit2d = calibrated.getFit2D()
        return cls(
            beam_center=(fit2d["centerY"] - 0.5, fit2d["centerX"] - 0.5),
            pixel_size=float(sizes[0]),
            distance=fit2d["directDist"] / 1000,
            wavelength=calibrated.wavelength * 1e10,
            tilt=fit2d["tilt"],
            tilt_plane=fit2d["tiltPlanRotation"],
        )


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """What is known of a detector before it stands anywhere.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    usable_pixels : ndarray of bool, shape (n_rows, n_cols), or None
        False in the gaps between modules; None if there are none.
    pixel_size : float or None
        Edge of a square pixel, in metres.
    """

    shape: tuple[int, int]
    usable_pixels: NDArray[np.bool_] | None
    pixel_size: float | None

    @classmethod
    def named(cls, name: str) -> Self:
        """Look a detector up.

        Parameters
        ----------
        name : str
            As pyFAI calls it, for example `Eiger4M`.

        Returns
        -------
        DetectorModel
            With the gaps between its modules.

        Raises
        ------
        ConfigError
            If pyFAI does not know it, or its pixels are not square.
        """
        detectors = _pyfai("pyFAI.detectors")
        # pyFAI itself would log all of its detectors.
        if name.lower() not in detectors.ALL_DETECTORS:
            alike = get_close_matches(name.lower(), detectors.ALL_DETECTORS)
            raise ConfigError(
                f"pyFAI knows no detector {name!r}; alike are: {', '.join(alike)}"
            )
        detector = detectors.detector_factory(name)
        if detector.shape is None or detector.pixel1 != detector.pixel2:
            raise ConfigError(
                f"detector {name!r} has shape {detector.shape} and pixels of "
                f"{detector.pixel1} x {detector.pixel2} m"
            )
        return cls._of(detector)

    @classmethod
    def from_poni(cls, path: Path) -> Self | None:
        """Return the detector of a calibration of pyFAI; None if it has no shape."""
        detector = _load_poni(path).detector
        return None if detector.shape is None else cls._of(detector)

    @classmethod
    def _of(cls, detector: Any) -> Self:  # noqa: ANN401 - pyFAI ships no types
        n_rows, n_cols = detector.shape
        masked = detector.mask
        usable = None if masked is None else np.asarray(masked) == 0
        return cls((int(n_rows), int(n_cols)), usable, float(detector.pixel1))


def known_geometry(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the metadata of frames tell of a geometry.

    Parameters
    ----------
    metadata : mapping
        As the readers of frames give it: lengths in metres, energy in keV.

    Returns
    -------
    dict
        Arguments of `DetectorGeometry`; without those that are absent or no value that
        a detector can have, and without the beam centre of frames that were turned.

    Examples
    --------
    >>> known_geometry({"detector_distance": 5, "x_pixel_size": 0, "beam_center_x": 1.0,
    ...                 "beam_center_y": 2.0})
    {'distance': 5.0, 'beam_center': (2.0, 1.0)}
    """

    def number(name: str) -> float:
        value = metadata.get(name)
        return float(value) if isinstance(value, int | float) else math.nan

    width, height = number("x_pixel_size"), number("y_pixel_size")
    found = {
        "pixel_size": width if math.isclose(width, height) else math.nan,
        "distance": number("detector_distance"),
        "wavelength": KEV_ANGSTROM / (number("energy") or math.nan),
    }
    known: dict[str, Any] = {
        name: value
        for name, value in found.items()
        if _PLAUSIBLE[name][0] <= value <= _PLAUSIBLE[name][1]
    }
    center = number("beam_center_y"), number("beam_center_x")
    is_told = np.isfinite(center).all() and center != (0, 0)
    if is_told and not metadata.get("is_turned"):
        known["beam_center"] = center
    return known


def q_and_phi(
    geometry: DetectorGeometry, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the momentum transfer and the azimuth of each pixel.

    Parameters
    ----------
    geometry : DetectorGeometry
        Where the detector stands.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    q : ndarray of float64, shape (n_rows, n_cols)
        In 1/angstrom, at the pixel's centre.
    phi : ndarray of float64, shape (n_rows, n_cols)
        In degrees, 0 to 360; counts from the direction of rising columns,
        counter-clockwise as the image is shown with its origin in the upper left.

    Raises
    ------
    PartitionError
        If the shape is that of no detector.

    Notes
    -----
    A shape that is too large for the memory is a `MemoryBudgetError`; nothing is
    allocated before.

    References
    ----------
    .. [1] J. Kieffer et al., pyFAI, J. Appl. Cryst. 48, 510 (2015).
    """
    if min(shape) < 1:
        raise PartitionError(f"a detector has rows and columns, got {shape}")
    n_pixels = math.prod(shape)
    if n_pixels > _MOST_PIXELS:
        raise PartitionError(
            f"a detector of shape {shape} has {n_pixels:.3g} pixels, none has more "
            f"than {_MOST_PIXELS:.3g}: give --shape ROWS COLUMNS of a frame"
        )
    require_memory(
        _BYTES_PER_PIXEL * n_pixels,
        f"the geometry of a detector of shape {shape}",
        "give --shape ROWS COLUMNS of a frame",
    )
    edge = geometry.pixel_size
    detectors, geometries = _pyfai("pyFAI.detectors"), _pyfai("pyFAI.geometry")
    row, col = geometry.beam_center
    pyfai = geometries.Geometry(
        detector=detectors.Detector(pixel1=edge, pixel2=edge, max_shape=shape),
        wavelength=geometry.wavelength * 1e-10,
    )
    # FIT2D counts from the corner of a pixel, and millimetres.
    pyfai.setFit2D(
        geometry.distance * 1000,
        col + 0.5,
        row + 0.5,
        tilt=geometry.tilt,
        tiltPlanRotation=geometry.tilt_plane,
    )
    q = pyfai.center_array(shape, unit="q_A^-1", scale=True)
    # pyFAI's angle turns towards rising rows, which an image shows downwards.
    phi = -np.degrees(pyfai.center_array(shape, unit="chi_rad", scale=False)) % 360.0
    return np.asarray(q, np.float64), np.asarray(phi, np.float64)


def _load_poni(path: Path) -> Any:  # noqa: ANN401 - pyFAI ships no types
    if not path.is_file():
        raise FileFormatError(f"cannot read {path}: no such file")
    try:
        return _pyfai("pyFAI").load(str(path))
    except (LookupError, RuntimeError, TypeError, ValueError, OSError) as error:
        raise FileFormatError(f"{path} is no calibration of pyFAI: {error}") from error


def _pyfai(module: str) -> Any:  # noqa: ANN401 - pyFAI ships no types
    """Import a module of pyFAI, which takes seconds: only who needs it pays."""
    if find_spec("pyFAI") is None:
        raise ConfigError(
            "the geometry of a detector needs pyFAI, which is not installed: "
            'pip install "ainerd-bluesky[geometry]"'
        )
    return import_module(module)

"""q-partitions made from the geometry of a detector."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError, FileFormatError, PartitionError
from ainerd_bluesky.xpcs.data.roi import QPartition, sector_partition
from tiled_adapters.files import (
    DAMAGE,
    array_datasets,
    holds,
    open_hdf5,
    read_numbers,
)
from tiled_adapters.formats.numpy_files import open_npy
from tiled_adapters.formats.qmap import write_partition
from tiled_adapters.formats.qmap_layout import static_q_means
from tiled_adapters.formats.readers import open_frames
from tiled_adapters.geometry import (
    DetectorGeometry,
    DetectorModel,
    known_geometry,
    q_and_phi,
)

__all__ = ["Qmap", "QmapRequest", "make_qmap", "read_mask"]

Spacing = Literal["linear", "log"]
_MASK = "/qmap/mask"
_ALIKE = 0.01
"""Largest relative difference between two values of a geometry that are the same."""


@dataclass(frozen=True)
class QmapRequest:
    """What a person knows about the bins that are wanted; None is for not known.

    A value given here stands above the one in the calibration, that one above the one
    in the file of frames, and that one above what is known of the detector by its name.

    Parameters
    ----------
    poni : Path, optional
        Calibration of pyFAI.
    detector : str, optional
        Name of the detector in pyFAI.
    frames : Path, optional
        File of frames, for their shape, the pixels that their detector masks, and the
        geometry as far as it is told there.
    shape : tuple of int, optional
        Rows and columns.
    beam_center : tuple of float, optional
        Row and column of the direct beam, in pixels.
    pixel_size, distance : float, optional
        In metres.
    wavelength : float, optional
        In angstrom.
    tilt, tilt_plane : float, optional
        As of `DetectorGeometry`, in degrees.
    mask : Path, optional
        Image of the pixels that may be used.
    is_mask_inverted : bool
        Whether the mask is nonzero where pixels may not be used.
    q_min, q_max : float, optional
        In 1/angstrom; by default all that the usable pixels reach.
    n_q, n_phi, n_static : int
        Rings, sectors of a ring, and most static bins of a q-bin.
    spacing : {"linear", "log"}
        How the edges of the rings follow one another.
    """

    poni: Path | None = None
    detector: str | None = None
    frames: Path | None = None
    shape: tuple[int, int] | None = None
    beam_center: tuple[float, float] | None = None
    pixel_size: float | None = None
    distance: float | None = None
    wavelength: float | None = None
    tilt: float | None = None
    tilt_plane: float | None = None
    mask: Path | None = None
    is_mask_inverted: bool = False
    q_min: float | None = None
    q_max: float | None = None
    n_q: int = 10
    n_phi: int = 1
    n_static: int = 10
    spacing: Spacing = "linear"


@dataclass(frozen=True, eq=False)
class Qmap:
    """A q-partition and the geometry that it was made from.

    Parameters
    ----------
    partition : QPartition
        The bins.
    geometry : DetectorGeometry
        Where the detector stands.
    q : ndarray of float64, shape (n_rows, n_cols)
        Momentum transfer of each pixel, in 1/angstrom.
    usable_pixels : ndarray of bool, shape (n_rows, n_cols)
        True where a pixel may be used.
    conflicts : tuple of str
        Where the file of frames tells another geometry, by more than 1 %.
    """

    partition: QPartition
    geometry: DetectorGeometry
    q: NDArray[np.float64]
    usable_pixels: NDArray[np.bool_]
    conflicts: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write it as boost-corr, xpcs-viewer and this suite read it."""
        write_partition(
            path,
            self.partition,
            mask=self.usable_pixels & (self.partition.roi_map > 0),
            geometry=self.geometry,
            static_q=static_q_means(self.partition, self.q),
        )


def make_qmap(request: QmapRequest) -> Qmap:
    """Divide a detector into bins.

    Parameters
    ----------
    request : QmapRequest
        Geometry, mask and bins.

    Returns
    -------
    Qmap
        Ready to be written.

    Raises
    ------
    ConfigError
        If the shape of the detector, or a part of its geometry, is not known.
    PartitionError
        If no usable pixel lies in any bin, or shapes do not fit.
    """
    frames = None if request.frames is None else _read_frames(request.frames)
    model = _model(request, frames)
    in_frames = {} if frames is None else frames.geometry
    geometry = _geometry(request, model, in_frames)
    shape = request.shape or (model.shape if model else None)
    if shape is None:
        raise ConfigError(
            "the shape of the detector is not known: give --shape ROWS COLUMNS, "
            "--detector, --frames or a .poni file that names its detector"
        )

    q, phi = q_and_phi(geometry, shape)
    usable = np.ones(shape, bool)
    for mask in (model.usable_pixels if model else None, _given_mask(request)):
        if mask is not None and mask.shape != tuple(shape):
            raise PartitionError(f"a mask has shape {mask.shape}, the detector {shape}")
        usable = usable if mask is None else usable & mask
    partition = sector_partition(
        q,
        phi,
        q_edges=_q_edges(request, q[usable]),
        n_phi=request.n_phi,
        n_static=request.n_static,
        mask=usable,
    )
    conflicts = tuple(_conflicts(geometry, in_frames, request.frames))
    return Qmap(partition, geometry, q, usable, conflicts)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read an image of truth values.

    Parameters
    ----------
    path : Path
        `.npy`, HDF5 (`/qmap/mask`, or the only image in it), or an image that fabio
        reads, such as `.tif` and `.edf`.

    Returns
    -------
    ndarray of bool, shape (n_rows, n_cols)
        True where the image is not 0.

    Raises
    ------
    FileFormatError
        If the file cannot be read, or holds no image.
    """
    if not path.is_file():
        raise FileFormatError(
            f"cannot read the mask {path}: no such file; give --mask an image "
            "(.npy, .tif, .edf or HDF5)"
        )
    if path.suffix == ".npy":
        image = _load_npy(path)
    elif h5py.is_hdf5(path):
        image = _load_hdf5(path)
    else:
        image = _load_image(path)
    if image.ndim != 2:
        raise FileFormatError(f"{path}: a mask is an image, not of shape {image.shape}")
    return np.asarray(image != 0)


@dataclass(frozen=True, eq=False)
class _Frames:
    """What a file of frames tells of its detector."""

    shape: tuple[int, int]
    usable_pixels: NDArray[np.bool_] | None
    geometry: Mapping[str, Any]


def _read_frames(path: Path) -> _Frames:
    with open_frames(path) as source:
        known = known_geometry(source.metadata)
        return _Frames(source.shape[1:], source.usable_pixels, known)


def _model(request: QmapRequest, frames: _Frames | None) -> DetectorModel | None:
    """Return what frames, name or calibration tell of the detector."""
    model = None
    if request.detector is not None:
        model = DetectorModel.named(request.detector)
    elif request.poni is not None:
        model = DetectorModel.from_poni(request.poni)
    if frames is None:
        return model
    shape, usable = frames.shape, frames.usable_pixels
    pixel_size = model.pixel_size if model else None
    if model is not None and model.shape == shape and model.usable_pixels is not None:
        usable = model.usable_pixels if usable is None else usable & model.usable_pixels
    return DetectorModel(shape, usable, pixel_size)


def _geometry(
    request: QmapRequest, model: DetectorModel | None, in_frames: Mapping[str, Any]
) -> DetectorGeometry:
    """Return the calibration, or that of the frames, with what was given beside it."""
    names = (
        "beam_center",
        "pixel_size",
        "distance",
        "wavelength",
        "tilt",
        "tilt_plane",
    )
    given: dict[str, Any] = {
        name: getattr(request, name)
        for name in names
        if getattr(request, name) is not None
    }
    if request.poni is not None:
        return replace(DetectorGeometry.from_poni(request.poni), **given)
    given = {**in_frames, **given}
    if model is not None and model.pixel_size is not None:
        given.setdefault("pixel_size", model.pixel_size)
    missing = [name for name in names[:4] if name not in given]
    if missing:
        cures = " ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise ConfigError(
            f"the geometry is not complete: give {cures}, or --poni with a calibration "
            "of pyFAI"
        )
    return DetectorGeometry(**given)


def _conflicts(
    geometry: DetectorGeometry, in_frames: Mapping[str, Any], path: Path | None
) -> Iterator[str]:
    """Say where a value that was given is another one than that of the frames."""
    for name, stored in in_frames.items():
        used = getattr(geometry, name)
        if not np.allclose(used, stored, rtol=_ALIKE, atol=0):
            yield f"{name} is {_digits(used)} as given, {path} says {_digits(stored)}"


def _digits(value: Any) -> str:  # noqa: ANN401 - a number or two
    return " ".join(f"{number:.6g}" for number in np.atleast_1d(value))


def _q_edges(request: QmapRequest, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of the rings; q is that of the usable pixels."""
    if q.size == 0:
        raise PartitionError("the mask leaves no pixel of the detector")
    q_min = float(q.min()) if request.q_min is None else request.q_min
    # The upper edge does not belong to its ring; the pixel farthest out shall.
    q_max = np.nextafter(q.max(), np.inf) if request.q_max is None else request.q_max
    _require_rings(request, q_min, q_max, q)
    if request.spacing == "linear":
        return np.linspace(q_min, q_max, request.n_q + 1)
    if q_min <= 0:
        raise PartitionError(
            f"rings that grow by a factor cannot begin at q = 0, got {q_min:.4g}: "
            "give --q-min above 0, or leave out --log"
        )
    return np.geomspace(q_min, q_max, request.n_q + 1)


def _require_rings(
    request: QmapRequest, q_min: float, q_max: float, q: NDArray[np.float64]
) -> None:
    reach = f"the usable pixels reach from {q.min():.4g} to {q.max():.4g} 1/angstrom"
    if not 0 <= q_min < q_max:
        raise PartitionError(
            f"q_min {q_min:.4g} is not between 0 and q_max {q_max:.4g}: give --q-min "
            f"below --q-max; {reach}"
        )
    n_bins = request.n_q * request.n_phi
    if not 1 <= n_bins <= q.size:
        raise PartitionError(
            f"{request.n_q} rings of {request.n_phi} sectors are {n_bins} bins for "
            f"{q.size} usable pixels: give a smaller --n-q or --n-phi"
        )


def _given_mask(request: QmapRequest) -> NDArray[np.bool_] | None:
    if request.mask is None:
        return None
    mask = read_mask(request.mask)
    return ~mask if request.is_mask_inverted else mask


def _load_npy(path: Path) -> NDArray[Any]:
    with open_npy(path) as image:
        return image.read()


def _load_hdf5(path: Path) -> NDArray[Any]:
    with open_hdf5(path) as file:
        if holds(file, _MASK):
            return read_numbers(file, _MASK)
        images = list(array_datasets(file, {2}))
        if not images:
            raise FileFormatError(f"{path} holds no image of numbers to be a mask")
        if len(images) > 1:
            raise FileFormatError(
                f"{path}: which of {len(images)} images is the mask? "
                f"{', '.join(images)}. Keep one only, or name it {_MASK}"
            )
        return read_numbers(file, images[0])


def _load_image(path: Path) -> NDArray[Any]:
    fabio = import_module("fabio")  # comes with pyFAI, and only who needs it pays
    try:
        return np.asarray(fabio.open(str(path)).data)
    except (*DAMAGE, EOFError, AttributeError) as error:
        raise FileFormatError(f"cannot read the mask {path}: {error}") from error

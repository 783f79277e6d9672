"""q-partitions in the layout of APS 8-ID: the group `/qmap` of an HDF5 file."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError, FileFormatError, PartitionError
from ainerd_bluesky.files import replaced
from ainerd_bluesky.xpcs.data.roi import QPartition
from tiled_adapters.files import holds, open_hdf5, read_numbers, read_scalar
from tiled_adapters.formats.facts import read_texts
from tiled_adapters.formats.qmap_layout import GEOMETRY_KEYS, write_partition_into
from tiled_adapters.geometry import DetectorGeometry

__all__ = [
    "bin_values",
    "partition_from_group",
    "read_geometry",
    "read_partition",
    "without_pixels",
    "write_partition",
]

_GROUPS = ("/qmap", "/xpcs/qmap")


def read_partition(path: Path) -> QPartition:
    """Read the q-partition of a file.

    Parameters
    ----------
    path : Path
        A qmap file (`/qmap`) or a result file (`/xpcs/qmap`).

    Returns
    -------
    QPartition
        Labels 1..n; masked pixels and bins without a pixel are left out. Static bins
        where they divide the q-bins further.

    Notes
    -----
    A file that is damaged or holds no partition is a `FileFormatError`.
    """
    with open_hdf5(Path(path)) as file:
        return partition_from_group(file, _group_name(file))


def read_geometry(path: Path) -> DetectorGeometry | None:
    """Read where the detector of a q-partition stands.

    Parameters
    ----------
    path : Path
        A qmap file (`/qmap`) or a result file (`/xpcs/qmap`).

    Returns
    -------
    DetectorGeometry or None
        None where the file does not tell all of it.

    Raises
    ------
    FileFormatError
        If the file is damaged, holds no partition, or an impossible geometry.
    """
    with open_hdf5(Path(path)) as file:
        name = _group_name(file)
        stored = {key: read_scalar(file, f"{name}/{key}") for key in GEOMETRY_KEYS}
    known = {key: value for key, value in stored.items() if value is not None}
    if len(known) < len(GEOMETRY_KEYS) or not np.isfinite(list(known.values())).all():
        return None
    tilts = {"tilt": 0.0, "tilt_plane": 0.0}
    with open_hdf5(Path(path)) as file:
        for key in tilts:
            tilts[key] = read_scalar(file, f"{name}/detector_{key}") or 0.0
    try:
        return DetectorGeometry(
            beam_center=(known["beam_center_y"], known["beam_center_x"]),
            pixel_size=known["pixel_size"],
            distance=known["detector_distance"],
            wavelength=DetectorGeometry.wavelength_of(known["energy"]),
            **tilts,
        )
    except ConfigError as error:
        raise FileFormatError(f"{path}: {name} has no usable geometry: {error}") from (
            error
        )


def _group_name(file: h5py.File) -> str:
    for name in _GROUPS:
        if holds(file, name):
            return name
    raise FileFormatError(
        f"{file.filename}: no q-partition, looked for {' and '.join(_GROUPS)}"
    )


def partition_from_group(file: h5py.File, name: str) -> QPartition:
    """Read the q-partition below one group of an open file.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        The group.

    Returns
    -------
    QPartition
        As of `read_partition`.

    Raises
    ------
    FileFormatError
        If its parts do not fit one another.
    """
    roi_map = _read_labels(file, f"{name}/dynamic_roi_map")
    if holds(file, f"{name}/mask"):
        mask = read_numbers(file, f"{name}/mask").astype(bool)
        if mask.shape != roi_map.shape:
            raise FileFormatError(
                f"{file.filename}: {name}/mask has shape {mask.shape}, "
                f"{name}/dynamic_roi_map {roi_map.shape}"
            )
        roi_map = np.where(mask, roi_map, 0)
    q_values, phi_values = bin_values(file, name)
    if roi_map.ndim != 2 or roi_map.size == 0:
        raise FileFormatError(
            f"{file.filename}: {name}/dynamic_roi_map has shape {roi_map.shape}"
        )
    if not 0 <= roi_map.min() <= roi_map.max() <= q_values.size:
        raise FileFormatError(
            f"{file.filename}: {name}/dynamic_roi_map has "
            f"labels {roi_map.min()} .. {roi_map.max()}, there are {q_values.size} bins"
        )
    roi_map = roi_map.astype(np.int32)
    static_map = _read_static(file, name, roi_map)
    try:
        return _compacted(roi_map, q_values, phi_values, static_map)
    except PartitionError as error:
        raise FileFormatError(f"{file.filename}: {name}: {error}") from error


def bin_values(
    file: h5py.File, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read q and angle of every label, with pixels or not.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        The group of the partition.

    Returns
    -------
    q_values : ndarray of shape (n_labels,)
        In 1/angstrom; entry 0 belongs to label 1.
    phi_values : ndarray of shape (n_labels,)
        In degrees; nan for whole rings.

    Raises
    ------
    FileFormatError
        If a label points outside of the grid of q and angle.
    """
    first = read_texts(file, f"{name}/map_names")[:1]
    if first not in ([], ["q"]):
        raise FileFormatError(
            f"{file.filename}: {name} divides the detector by {first[0]!r}, not by q"
        )
    q_axis = _read_axis(file, f"{name}/dynamic_v_list_dim0")
    phi_axis = _read_axis(file, f"{name}/dynamic_v_list_dim1")
    n_cells = q_axis.size * phi_axis.size
    natural = np.arange(n_cells)
    if holds(file, f"{name}/dynamic_index_mapping"):
        natural = _read_labels(file, f"{name}/dynamic_index_mapping").reshape(-1)
    if natural.size and not 0 <= natural.min() <= natural.max() < n_cells:
        raise FileFormatError(
            f"{file.filename}: {name}/dynamic_index_mapping names bin {natural.max()} "
            f"of {q_axis.size} x {phi_axis.size}"
        )

    phi_values = phi_axis[natural % phi_axis.size]
    if phi_axis.size == 1:  # one sector is a whole ring; its mean angle says nothing
        phi_values = np.full(natural.shape, np.nan)
    return q_axis[natural // phi_axis.size], phi_values


def write_partition(
    path: Path,
    partition: QPartition,
    *,
    mask: NDArray[np.bool_] | None = None,
    geometry: DetectorGeometry | None = None,
    static_q: NDArray[np.float64] | None = None,
) -> None:
    """Write a q-partition that this suite, boost-corr and xpcs-viewer can read.

    Parameters
    ----------
    path : Path
        The file; replaced if it exists, once the new one is whole.
    partition : QPartition
        Labels, q and angle per bin.
    mask : ndarray of bool, shape (n_rows, n_cols), optional
        Usable pixels; by default those with a label.
    geometry : DetectorGeometry, optional
        Where the detector stands; nan is written for what is not known.
    static_q : ndarray of float64, shape (n_static_bins,), optional
        Mean q of each static bin, in 1/angstrom.
    """
    with replaced(Path(path)) as draft, h5py.File(draft, "w") as file:
        write_partition_into(
            file.create_group("qmap"),
            partition,
            mask=mask,
            geometry=geometry,
            static_q=static_q,
        )


def without_pixels(
    partition: QPartition, usable_pixels: NDArray[np.bool_] | None
) -> QPartition:
    """Return the partition without the pixels that a detector declares unusable.

    Parameters
    ----------
    partition : QPartition
        As planned.
    usable_pixels : ndarray of bool, shape (n_rows, n_cols), or None
        True where the detector counts; None if all do.

    Returns
    -------
    QPartition
        Bins that lost every pixel are gone.

    Raises
    ------
    PartitionError
        If the shapes differ.
    """
    if usable_pixels is None:
        return partition
    if usable_pixels.shape != partition.shape:
        raise PartitionError(
            f"the partition has shape {partition.shape}, a frame {usable_pixels.shape}"
        )
    roi_map = np.where(usable_pixels, partition.roi_map, 0)
    q_values, phi_values = partition.q_values, partition.phi_values
    return _compacted(roi_map, q_values, phi_values, partition.static_map)


def _compacted(
    roi_map: NDArray[Any],
    q_values: NDArray[Any],
    phi_values: NDArray[Any],
    static_map: NDArray[Any] | None,
) -> QPartition:
    """Return the partition with labels 1..n over the bins that have pixels."""
    counts = np.bincount(roi_map.reshape(-1), minlength=q_values.size + 1)
    filled = counts[1:] > 0
    labels = np.concatenate(([0], np.cumsum(filled) * filled)).astype(np.int32)
    return QPartition(
        roi_map=labels[roi_map],
        q_values=q_values[filled],
        phi_values=phi_values[filled],
        static_map=None if static_map is None else _static_labels(roi_map, static_map),
    )


def _static_labels(roi_map: NDArray[Any], static_map: NDArray[Any]) -> NDArray[Any]:
    """Return labels 1..n of static bins that lie in one q-bin each."""
    is_used = (roi_map > 0) & (static_map > 0)
    q_bins, parts = roi_map[is_used].astype(np.int64), static_map[is_used]
    numbers, labels = np.unique(parts, return_inverse=True)
    pairs, pair_labels = np.unique(q_bins * numbers.size + labels, return_inverse=True)
    # Programs that make both kinds of bins apart leave static bins across two q-bins.
    if pairs.size > numbers.size:
        labels = pair_labels
    compact = np.zeros(roi_map.shape, np.int32)
    compact[is_used] = labels + 1
    return compact


def _read_static(
    file: h5py.File, name: str, roi_map: NDArray[Any]
) -> NDArray[np.int64] | None:
    """Read the static bins; None where there are none of their own."""
    path = f"{name}/static_roi_map"
    if not holds(file, path):
        return None
    static_map = _read_labels(file, path)
    if static_map.shape != roi_map.shape:
        raise FileFormatError(
            f"{file.filename}: {path} has shape {static_map.shape}, the detector "
            f"{roi_map.shape}"
        )
    if static_map.min() < 0:
        raise FileFormatError(f"{file.filename}: {path} has label {static_map.min()}")
    used = roi_map > 0
    # A writer that knows no static bins repeats the q-bins.
    return None if np.array_equal(static_map[used], roi_map[used]) else static_map


def _read_axis(file: h5py.File, name: str) -> NDArray[np.float64]:
    return read_numbers(file, name).astype(np.float64).reshape(-1)


def _read_labels(file: h5py.File, name: str) -> NDArray[np.int64]:
    stored = read_numbers(file, name)
    if not np.isfinite(stored).all():
        raise FileFormatError(f"{file.filename}: {name} has labels that are not finite")
    return stored.astype(np.int64)

"""q-partitions in the layout of APS 8-ID: the group `/qmap` of an HDF5 file."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError, PartitionError
from ainerd_bluesky.xpcs.roi import QPartition
from tiled_adapters.files import holds, open_hdf5, read_numbers

__all__ = [
    "bin_values",
    "partition_from_group",
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
        Labels 1..n; masked pixels and bins without a pixel are left out.

    Raises
    ------
    FileFormatError
        If the file is damaged or holds no partition.
    """
    with open_hdf5(Path(path)) as file:
        for name in _GROUPS:
            if holds(file, name):
                return partition_from_group(file, name)
    raise FileFormatError(f"{path}: no q-partition, looked for {' and '.join(_GROUPS)}")


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
    roi_map = _read_labels(file, f"{name}/dynamic_roi_map").astype(np.int32)
    if holds(file, f"{name}/mask"):
        mask = read_numbers(file, f"{name}/mask").astype(bool)
        roi_map = np.where(mask, roi_map, 0) if mask.shape == roi_map.shape else roi_map
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
    return _compacted(roi_map, q_values, phi_values)


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
    path: Path, partition: QPartition, *, mask: NDArray[np.bool_] | None = None
) -> None:
    """Write a q-partition that this suite, boost-corr and xpcs-viewer can read.

    Parameters
    ----------
    path : Path
        The file; replaced if it exists.
    partition : QPartition
        Labels, q and angle per bin.
    mask : ndarray of bool, shape (n_rows, n_cols), optional
        Usable pixels; by default those with a label.
    """
    q_axis, q_index = np.unique(partition.q_values, return_inverse=True)
    phi_axis, phi_index = np.unique(partition.phi_values, return_inverse=True)
    natural = q_index * phi_axis.size + phi_index
    used = partition.roi_map > 0 if mask is None else mask
    with h5py.File(path, "w") as file:
        group = file.create_group("qmap")
        group.attrs["version"] = "0.4.5"
        group.attrs["hash"] = partition.sha256
        _write_array(group, "mask", used)
        for kind in ("dynamic", "static"):
            _write_array(group, f"{kind}_roi_map", partition.roi_map.astype(np.int32))
            group[f"{kind}_index_mapping"] = natural.astype(np.int64)
            group[f"{kind}_num_pts"] = np.array([q_axis.size, phi_axis.size])
            _write_axis(group, f"{kind}_v_list_dim0", q_axis, name="q", unit="Å⁻¹")
            _write_axis(group, f"{kind}_v_list_dim1", phi_axis, name="phi", unit="deg")
        group["map_names"] = [b"q", b"phi"]
        group["map_units"] = ["Å⁻¹".encode(), b"deg"]


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
    return _compacted(roi_map, partition.q_values, partition.phi_values)


def _compacted(
    roi_map: NDArray[Any], q_values: NDArray[Any], phi_values: NDArray[Any]
) -> QPartition:
    """Return the partition with labels 1..n over the bins that have pixels."""
    counts = np.bincount(roi_map.reshape(-1), minlength=q_values.size + 1)
    filled = counts[1:] > 0
    labels = np.concatenate(([0], np.cumsum(filled) * filled)).astype(np.int32)
    return QPartition(
        roi_map=labels[roi_map],
        q_values=q_values[filled],
        phi_values=phi_values[filled],
    )


def _read_axis(file: h5py.File, name: str) -> NDArray[np.float64]:
    return read_numbers(file, name).astype(np.float64).reshape(-1)


def _read_labels(file: h5py.File, name: str) -> NDArray[np.int64]:
    stored = read_numbers(file, name)
    if not np.isfinite(stored).all():
        raise FileFormatError(f"{file.filename}: {name} has labels that are not finite")
    return stored.astype(np.int64)


def _write_array(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    group.create_dataset(name, data=values, compression="lzf", shuffle=True)


def _write_axis(
    group: h5py.Group, path: str, values: NDArray[Any], *, name: str, unit: str
) -> None:
    group[path] = values
    group[path].attrs.update({"name": name, "unit": unit, "size": values.size})

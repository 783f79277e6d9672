"""The group `/qmap` as pysimplemask lays it out, written."""

import hashlib
import json
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.data.roi import QPartition
from tiled_adapters.geometry import DetectorGeometry

__all__ = [
    "GEOMETRY_KEYS",
    "static_q_means",
    "write_bin_values",
    "write_geometry",
    "write_partition_into",
]

GEOMETRY_KEYS = (
    "beam_center_x",
    "beam_center_y",
    "detector_distance",
    "energy",
    "pixel_size",
)
"""Columns, rows, metres, keV and metres."""
_LAYOUT_VERSION = "0.4.5"
"""Of pysimplemask, whose layout this is."""
_SMALL = 1024


def write_partition_into(
    group: h5py.Group,
    partition: QPartition,
    *,
    mask: NDArray[np.bool_] | None = None,
    geometry: DetectorGeometry | None = None,
    static_q: NDArray[np.float64] | None = None,
) -> None:
    """Write a q-partition into an empty group.

    Parameters
    ----------
    group : h5py.Group
        Where to write.
    partition, mask, geometry, static_q
        As for `qmap.write_partition`.
    """
    used = partition.roi_map > 0 if mask is None else mask
    _write_array(group, "mask", used)
    q_values, phi_values = partition.q_values, partition.phi_values
    _write_array(group, "dynamic_roi_map", partition.roi_map)
    write_bin_values(group, "dynamic", q_values, phi_values)
    if partition.static_map is None:  # other programs insist on static bins
        _write_array(group, "static_roi_map", partition.roi_map)
        write_bin_values(group, "static", q_values, phi_values)
    else:
        unknown = np.full(int(partition.static_map.max()), np.nan)
        _write_array(group, "static_roi_map", partition.static_map)
        q_means = unknown if static_q is None else static_q
        write_bin_values(group, "static", q_means, unknown)
    write_geometry(group, geometry)
    group["map_names"] = [b"q", b"phi"]
    group["map_units"] = ["Å⁻¹".encode(), b"deg"]
    group.attrs["version"] = _LAYOUT_VERSION
    group.attrs["hash"] = _content_hash(group)
    group.attrs["partition_sha256"] = partition.sha256


def static_q_means(
    partition: QPartition, q: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return the mean q of each static bin.

    Parameters
    ----------
    partition : QPartition
        The bins.
    q : ndarray of float64, shape (n_rows, n_cols)
        Momentum transfer of each pixel, in 1/angstrom.

    Returns
    -------
    ndarray of float64, shape (n_static_bins,), or None
        None for a partition without static bins; nan for a bin without a pixel.
    """
    if partition.static_map is None:
        return None
    labels = partition.static_map.reshape(-1)
    n_pixels = np.bincount(labels)[1:]
    sums = np.bincount(labels, weights=q.reshape(-1))[1:]
    return np.asarray(np.where(n_pixels > 0, sums / np.maximum(n_pixels, 1), np.nan))


def write_bin_values(
    group: h5py.Group,
    kind: str,
    q_values: NDArray[np.float64],
    phi_values: NDArray[np.float64],
) -> None:
    """Write q and angle of bins on a grid of both.

    Parameters
    ----------
    group : h5py.Group
        Where to write.
    kind : str
        `dynamic` for q-bins, `static`.
    q_values : ndarray of shape (n_bins,)
        In 1/angstrom, by label; nan where unknown.
    phi_values : ndarray of shape (n_bins,)
        In degrees, by label; nan for whole rings.
    """
    if np.isnan(q_values).any():  # without q every bin gets a row of its own
        q_axis, q_index = q_values, np.arange(q_values.size)
    else:
        q_axis, q_index = np.unique(q_values, return_inverse=True)
    phi_axis, phi_index = np.unique(phi_values, return_inverse=True)
    natural = q_index * phi_axis.size + phi_index
    group[f"{kind}_index_mapping"] = natural.astype(np.int64)
    group[f"{kind}_num_pts"] = np.array([q_axis.size, phi_axis.size])
    for dim, (axis, name, unit) in enumerate(
        ((q_axis, "q", "Å⁻¹"), (phi_axis, "phi", "deg"))
    ):
        path = f"{kind}_v_list_dim{dim}"
        group[path] = axis
        group[path].attrs.update({"name": name, "unit": unit, "size": axis.size})


def write_geometry(group: h5py.Group, geometry: DetectorGeometry | None) -> None:
    """Write where the detector stands; nan for all of it if that is not known.

    Parameters
    ----------
    group : h5py.Group
        Where to write.
    geometry : DetectorGeometry or None
        Beam centre, distance, energy and size of a pixel.
    """
    if geometry is None:
        group.update(dict.fromkeys(GEOMETRY_KEYS, np.nan))
        return
    row, col = geometry.beam_center
    values = (col, row, geometry.distance, geometry.energy, geometry.pixel_size)
    group.update(dict(zip(GEOMETRY_KEYS, map(float, values), strict=True)))
    if geometry.tilt:
        group["detector_tilt"] = geometry.tilt
        group["detector_tilt_plane"] = geometry.tilt_plane


def _write_array(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    compression = "lzf" if values.size > _SMALL else None
    group.create_dataset(name, data=values, compression=compression)


def _content_hash(group: h5py.Group) -> str:
    """Return the hash that pysimplemask would write; xpcs-viewer caches by it."""
    digest = hashlib.sha256()
    for name in sorted(group):
        digest.update(name.encode())
        value = group[name][()]
        if name.endswith("num_pts"):
            value = value.tolist()
        elif isinstance(value, np.ndarray) and value.dtype.kind == "O":
            value = [text.decode() for text in value]
        if isinstance(value, np.ndarray):
            digest.update(value.tobytes())
        else:
            text = value.decode() if isinstance(value, bytes) else value
            plain = text.item() if isinstance(text, np.generic) else text
            digest.update(json.dumps(plain, sort_keys=True).encode())
    return digest.hexdigest()

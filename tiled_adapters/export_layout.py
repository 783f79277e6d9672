"""A result in the layout of boost-corr, which xpcs-viewer opens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.data.roi import QPartition
from tiled_adapters.formats.qmap_layout import (
    static_q_means,
    write_bin_values,
    write_geometry,
    write_partition_into,
)
from tiled_adapters.geometry import DetectorGeometry, q_and_phi
from tiled_adapters.publish import AnalysisLike

__all__ = ["Exported", "diagonal_means", "write_boost_corr"]

_LARGEST_CHUNK_EDGE = 16_384
_N_SEGMENTS = 5
_BLOCK_ROWS = 256


@dataclass(frozen=True, eq=False)
class Exported:
    """What goes into a file.

    Parameters
    ----------
    analysis : AnalysisLike
        The result.
    partition : QPartition or None
        Its q-bins; None where only their q is known.
    geometry : DetectorGeometry or None
        Where the detector stood; None where that is not known.
    """

    analysis: AnalysisLike
    partition: QPartition | None
    geometry: DetectorGeometry | None

    @property
    def q_bins(self) -> NDArray[np.int32]:
        """Label of the q-bin of each map."""
        return np.asarray(self.analysis.bins["q_bin"], np.int32)

    @property
    def n_q_bins(self) -> int:
        """Labels there are, with maps or not."""
        if self.partition is not None:
            return self.partition.n_q_bins
        return int(self.q_bins.max())

    @property
    def n_static_bins(self) -> int:
        """Static bins there are."""
        if self.partition is None or self.partition.static_map is None:
            return self.n_q_bins
        return int(self.partition.static_map.max())

    @property
    def start_time(self) -> str | None:
        """When the run began, as ISO 8601."""
        given = self.metadata.get("start_time")
        if isinstance(given, int | float):
            return datetime.fromtimestamp(given, UTC).isoformat()
        return given if isinstance(given, str) else None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was known of the acquisition."""
        return self.analysis.provenance.get("metadata") or {}

    def seconds(self, name: str) -> float:
        """Return `frame_time` or `count_time`; nan where it is not known."""
        given = self.analysis.summary.get(name, self.metadata.get(name))
        return float(given) if isinstance(given, int | float) else np.nan

    def by_label(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Spread columns of the processed bins over all labels; nan for the others."""
        spread = np.full((len(values), self.n_q_bins), np.nan, np.float32)
        spread[:, self.q_bins - 1] = values
        return spread

    def missing(self) -> list[str]:
        """Say what could not be written."""
        arrays = self.analysis.arrays
        lacks = {
            "the pixels of the q-bins: xpcs-viewer will not open the file; give the "
            "q-partition of the run": self.partition is None,
            "beam centre, distance, energy and pixel size": self.geometry is None,
            "frame time": np.isnan(self.seconds("frame_time")),
            "count time": np.isnan(self.seconds("count_time")),
            "start time": self.start_time is None,
            "two-time maps": "two_time" not in arrays,
            "multi-tau g2": "g2" not in arrays,
            "intensity of the frames": "intensity" not in arrays,
            "mean image finer than the static bins": True,
            "intensity of the static bins": "static_intensity" not in arrays,
        }
        return [text for text, is_missing in lacks.items() if is_missing]


def write_boost_corr(file: h5py.File, content: Exported) -> None:
    """Write the group `/xpcs` and what xpcs-viewer reads of `/entry`.

    Parameters
    ----------
    file : h5py.File
        An empty file.
    content : Exported
        The result.
    """
    xpcs = file.create_group("xpcs")
    _write_qmap(xpcs.create_group("qmap"), content)
    arrays = content.analysis.arrays
    if "two_time" in arrays:
        _write_two_time(xpcs.create_group("twotime"), content)
    if "g2" in arrays:
        _write_multi_tau(xpcs.create_group("multitau"), content)
    _write_means(xpcs, content)
    xpcs["rawdata_path"] = str(content.analysis.provenance.get("source") or "")
    detector = file.create_group("entry/instrument/detector_1")
    for name in ("frame_time", "count_time"):
        detector[name] = content.seconds(name)
        detector[name].attrs["units"] = "s"
    file["entry/instrument/incident_beam/incident_energy"] = file["xpcs/qmap/energy"]
    file["entry/start_time"] = content.start_time or ""


def diagonal_means(two_time: NDArray[Any]) -> NDArray[np.float64]:
    """Average a two-time map along its diagonals.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        A map; nan does not count.

    Returns
    -------
    ndarray of float64, shape (n_frames,)
        For lags of 0, 1, ... frames; lag 0 holds the shot noise. nan where a diagonal
        has no value.
    """
    n_frames = len(two_time)
    sums, counts = np.zeros(n_frames), np.zeros(n_frames)
    for start in range(0, n_frames, _BLOCK_ROWS):
        rows = np.asarray(two_time[start : start + _BLOCK_ROWS, start:])
        is_known = np.isfinite(rows)
        n_lags = rows.shape[1]
        sums[:n_lags] += _column_sums(np.where(is_known, rows, 0))
        counts[:n_lags] += _column_sums(is_known)
    unknown = np.full(n_frames, np.nan)
    return np.asarray(np.divide(sums, counts, out=unknown, where=counts > 0))


def _column_sums(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return sums over the diagonals of a block of rows that begin at column 0."""
    n_rows, n_cols = rows.shape
    # Rows that are longer by one when read than when written slide to the left.
    width = n_cols + n_rows
    flat = np.zeros(n_rows * (width + 1), rows.dtype)
    flat[: n_rows * width].reshape(n_rows, width)[:, :n_cols] = rows
    slid = flat.reshape(n_rows, width + 1)[:, :n_cols]
    return np.asarray(slid.sum(axis=0, dtype=np.float64))


def _write_qmap(group: h5py.Group, content: Exported) -> None:
    partition, geometry = content.partition, content.geometry
    if partition is not None:
        static_q = None
        # A calibrated geometry tells the q of the static bins; pyFAI may be absent.
        if geometry is not None and find_spec("pyFAI") is not None:
            q, _ = q_and_phi(geometry, partition.shape)
            static_q = static_q_means(partition, q)
        write_partition_into(group, partition, geometry=geometry, static_q=static_q)
        return
    bins = content.analysis.bins
    columns = {}
    for name in ("q", "phi"):
        columns[name] = np.full(content.n_q_bins, np.nan)
        columns[name][content.q_bins - 1] = np.asarray(bins[name], np.float64)
    write_bin_values(group, "dynamic", columns["q"], columns["phi"])
    write_geometry(group, geometry)


def _write_two_time(group: h5py.Group, content: Exported) -> None:
    """Write upper triangles, bin by bin, and what is averaged out of them."""
    maps = content.analysis.arrays["two_time"]
    n_maps, n_frames, _ = maps.shape
    edge = min(n_frames, _LARGEST_CHUNK_EDGE)
    length = n_frames // _N_SEGMENTS
    g2 = np.empty((n_frames, n_maps), np.float32)
    segments = np.empty((length, _N_SEGMENTS, n_maps), np.float32)
    for index in range(n_maps):
        two_time = np.asarray(maps[index])
        group.create_dataset(
            f"correlation_map/c2_{index + 1:05d}",
            data=np.triu(two_time.astype(np.float32)),
            chunks=(edge, edge),
            compression="lzf",
        )
        g2[:, index] = diagonal_means(two_time)
        for segment in range(_N_SEGMENTS):
            part = slice(segment * length, (segment + 1) * length)
            segments[:, segment, index] = diagonal_means(two_time[part, part])
    group["processed_bins"] = content.q_bins
    for name, values in (
        ("normalized_g2", g2),
        ("normalized_g2_segments", segments),
    ):
        group[name] = values
        group[name].attrs["estimator"] = "mean along the diagonals of the map"
    _write_config(group, "twotime", content)


def _write_multi_tau(group: h5py.Group, content: Exported) -> None:
    arrays = content.analysis.arrays
    group["delay_list"] = np.asarray(arrays["lags"], np.int64)
    g2 = np.asarray(arrays["g2"])
    g2_err = np.asarray(arrays.get("g2_err", np.full(g2.shape, np.nan)))
    group["normalized_g2"] = content.by_label(g2.T)
    group["normalized_g2_err"] = content.by_label(g2_err.T)
    _write_config(group, "multitau", content)


def _write_config(group: h5py.Group, kind: str, content: Exported) -> None:
    config = group.create_group("config")
    config["analysis_type"] = kind
    # The frame time is that of a row of the maps: nothing is skipped or averaged.
    config["stride_frame"] = 1
    config["avg_frame"] = 1
    reduction = content.analysis.recipe.get("reduction") or {}
    estimators = reduction.get("estimators") or {}
    config.update({name: str(text) for name, text in estimators.items()})


def _write_means(xpcs: h5py.Group, content: Exported) -> None:
    """Write mean intensities; what is not known is nan, or absent if an image."""
    arrays = content.analysis.arrays
    n_frames = int(content.analysis.summary.get("n_frames") or 0)
    intensity = np.asarray(arrays.get("intensity", np.full(n_frames, np.nan)))
    against_time = np.stack([np.arange(intensity.size), intensity])
    xpcs["spatial_mean/intensity_vs_time"] = against_time.astype(np.float32)
    unknown = np.full(content.n_static_bins, np.nan)
    known = arrays.get("static_intensity", unknown)
    segments = np.atleast_2d(np.asarray(known, np.float32))
    means = xpcs.create_group("temporal_mean")
    means["scattering_1d"] = segments.mean(axis=0, keepdims=True)
    means["scattering_1d_segments"] = segments
    if content.partition is None:
        return
    # Two tabs of xpcs-viewer show nothing without an image.
    image = _painted(content.partition, segments.mean(axis=0))[np.newaxis]
    means.create_dataset(
        "scattering_2d", data=image, chunks=image.shape, compression="lzf"
    )
    means["scattering_2d"].attrs["estimator"] = "mean of each static bin on its pixels"


def _painted(
    partition: QPartition, intensity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return an image of the static bins; nan outside of them."""
    static_map = partition.static_map
    labels = partition.roi_map if static_map is None else static_map
    return np.concatenate([np.full(1, np.nan, np.float32), intensity])[labels]

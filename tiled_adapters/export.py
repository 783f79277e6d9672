"""Results as one file for other programs: the layout of boost-corr, and NXxpcs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError, UnsuitableRunError
from ainerd_bluesky.files import replaced
from ainerd_bluesky.xpcs.data.roi import QPartition
from tiled_adapters.client import XPCSResult, XPCSResults
from tiled_adapters.export_layout import Exported, write_boost_corr
from tiled_adapters.export_nexus import write_nexus_view
from tiled_adapters.formats.qmap import read_geometry, read_partition
from tiled_adapters.geometry import DetectorGeometry, known_geometry
from tiled_adapters.publish import AnalysisLike

__all__ = ["export_result", "published_analysis"]

_NEEDED = {"beam_center", "pixel_size", "distance", "wavelength"}


def published_analysis(node: XPCSResults | XPCSResult) -> AnalysisLike:
    """Return a published result as what it was before.

    Parameters
    ----------
    node : XPCSResults or XPCSResult
        A run, of which the current result is taken, or one result.

    Returns
    -------
    AnalysisLike
        Its arrays are fetched when they are asked for, the maps when indexed.

    Raises
    ------
    UnsuitableRunError
        If no result of the run is complete.
    """
    try:
        result = node.result if isinstance(node, XPCSResults) else node
    except LookupError as error:
        raise UnsuitableRunError(str(error.args[0])) from error
    metadata = dict(result.metadata)
    contents = tuple(metadata.get("contents") or ())
    recipe, provenance = metadata.pop("recipe", {}), metadata.pop("provenance", {})
    frame = result.bins if "bins" in contents else pd.DataFrame()
    return _Published(
        run_uid=metadata["run_uid"],
        key=result.item["id"],
        recipe=recipe,
        provenance=provenance,
        summary=metadata,
        arrays=_RemoteArrays(result, contents),
        bins={str(name): frame[name].tolist() for name in frame},
    )


def export_result(
    analysis: AnalysisLike, path: Path, *, partition: Path | None = None
) -> list[str]:
    """Write a result into one HDF5 file that other programs open.

    Parameters
    ----------
    analysis : AnalysisLike
        An analysis, or what `published_analysis` returns.
    path : Path
        The file; replaced if it exists, and only by a whole one.
    partition : Path, optional
        File with the q-partition and the geometry, where the result has none.

    Returns
    -------
    list of str
        What is not known and was therefore left out or written as nan, one sentence
        each. Nothing is made up.

    Raises
    ------
    UnsuitableRunError
        If the result has no correlation functions.
    ConfigError
        If the partition is not the one of the result, or the file cannot be written.

    Notes
    -----
    Compression is lzf: xpcs-viewer loads no further filters.
    """
    if not {"two_time", "g2"} & set(analysis.arrays):
        quality = analysis.summary.get("quality") or {}
        reasons = "; ".join(quality.get("reasons") or ()) or "it was not reduced"
        raise UnsuitableRunError(
            f"run {analysis.run_uid} has no correlation functions to export: {reasons}"
        )
    content = Exported(
        analysis,
        partition=_partition(analysis, partition),
        geometry=_geometry(analysis, partition),
    )
    try:
        with replaced(path) as draft, h5py.File(draft, "w") as file:
            write_boost_corr(file, content)
            write_nexus_view(file, content)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}") from error
    return content.missing()


@dataclass(frozen=True, eq=False)
class _Published:
    """A result as the server holds it; see `AnalysisLike`."""

    run_uid: str
    key: str
    recipe: Mapping[str, Any]
    provenance: Mapping[str, Any]
    summary: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    bins: Mapping[str, Sequence[Any]]


class _RemoteArrays(Mapping[str, Any]):
    """Arrays of a result, fetched one at a time."""

    def __init__(self, result: XPCSResult, contents: Sequence[str]) -> None:
        self._result = result
        self._names = tuple(name for name in contents if name != "bins")

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - an array or its client
        if name not in self._names:
            raise KeyError(name)
        node = self._result[name]
        # Maps can be larger than the memory: whoever writes them takes one at a time.
        return node if name == "two_time" else node.read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _partition(analysis: AnalysisLike, path: Path | None) -> QPartition | None:
    """Return the partition of the result, or the one of a file that is the same."""
    sha256 = analysis.provenance.get("partition_sha256")
    if "roi_map" in analysis.arrays:
        arrays = analysis.arrays
        return QPartition(
            np.asarray(arrays["roi_map"]),
            np.asarray(analysis.bins["q"], np.float64),
            np.asarray(analysis.bins["phi"], np.float64),
            np.asarray(arrays["static_map"]) if "static_map" in arrays else None,
        )
    if path is None:
        return None
    partition = read_partition(path)
    if sha256 is not None and sha256 != partition.sha256:
        raise ConfigError(
            f"{path} holds the partition {partition.sha256[:12]}, the result was made "
            f"with {sha256[:12]}"
        )
    q_bins = np.asarray(analysis.bins["q_bin"], np.int64)
    q_values = np.asarray(analysis.bins["q"], np.float64)
    is_known = np.isfinite(q_values)
    # Maps of an archive come without a hash; their q says whose they are.
    if q_bins.max() > partition.n_q_bins or not np.allclose(
        partition.q_values[q_bins - 1][is_known], q_values[is_known], rtol=1e-4
    ):
        raise ConfigError(f"the q-bins of {path} are not those of the result")
    return partition


def _geometry(analysis: AnalysisLike, path: Path | None) -> DetectorGeometry | None:
    """Return what made the q-bins, or else what the frames tell, if complete."""
    given = None if path is None else read_geometry(path)
    metadata = analysis.provenance.get("metadata") or {}
    stored = metadata.get("geometry") or known_geometry(metadata)
    if given is not None or not stored.keys() >= _NEEDED:
        return given
    row, col = stored["beam_center"]
    return DetectorGeometry(**{**stored, "beam_center": (float(row), float(col))})

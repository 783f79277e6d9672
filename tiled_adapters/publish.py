"""Bring analyses into the catalog: arrays first, the label last, twice means once."""

import math
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tiled.client.base import BaseClient
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.core import Spec, StructureFamily
from tiled.structures.data_source import DataSource
from tiled.structures.table import TableStructure

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.json_values import as_json
from tiled_adapters.catalog import create_container, set_metadata
from tiled_adapters.specs import RESULT, RESULTS, TWO_TIME

__all__ = ["AnalysisLike", "ResultsPublisher", "check_key", "write_table"]

_KEY = re.compile(r"[A-Za-z0-9._-]+")
_TILE = 1000
"""Edge of a stored chunk: 1000 x 1000 float32 are 4 MB."""
_UPLOAD_BYTES = 32_000_000
"""Largest array sent in one request."""
_UPLOADS = 4
_CONFLICT = 409
_WORDS = ("vocabulary", "model_label")
"""What of a summary relabelling may change under the same key, and what it keeps."""
_DIMS = {
    "two_time": ("q_bin", "t1", "t2"),
    "g2": ("q_bin", "lag"),
    "g2_err": ("q_bin", "lag"),
    "lags": ("lag",),
    "embedding": ("q_bin", "component"),
    "intensity": ("frame",),
    "roi_map": ("row", "column"),
    "static_intensity": ("static_bin",),
    "static_map": ("row", "column"),
}


class AnalysisLike(Protocol):
    """What can be published of one run."""

    @property
    def run_uid(self) -> str:
        """The run that was analysed."""
        ...

    @property
    def key(self) -> str:
        """Name of the result; the same recipe gives the same name."""
        ...

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What decides the result."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it came from."""
        ...

    @property
    def summary(self) -> Mapping[str, Any]:
        """What people search, the label among it."""
        ...

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Arrays by name."""
        ...

    @property
    def bins(self) -> Mapping[str, Sequence[Any]]:
        """Columns of the table of q-bins."""
        ...


class ResultsPublisher:
    """Writes analyses below a container of results.

    A result is `writing` until every array is there. Only then does it get its label,
    and the run its summary, so that no search finds half a result. Whoever publishes
    an analysis again, after a crash or beside another process, leaves the same result.
    The run shows the result that was published last: going back to an earlier model
    brings its label back, and a result that was relabelled since gets its words back.

    Parameters
    ----------
    container : Container
        `/processed/xpcs` of a server.
    """

    def __init__(self, container: Container) -> None:
        self._container = container

    def publish(self, analysis: AnalysisLike) -> str:
        """Write one analysis.

        Parameters
        ----------
        analysis : AnalysisLike
            Refused runs as well: they have a label and no arrays.

        Returns
        -------
        str
            Key of the result below the run.
        """
        for name in (analysis.run_uid, analysis.key, *analysis.arrays):
            check_key(name)

        run = self._open(self._container, analysis.run_uid, {}, analysis, RESULTS)
        details = {"recipe": analysis.recipe, "provenance": analysis.provenance}
        result = self._open(run, analysis.key, details, analysis, RESULT)
        if result.metadata["status"] != "complete":
            _write_contents(result, analysis)
            _commit(result, analysis, details)
        elif not _has_words(result, analysis):
            _rename(result, analysis)
        is_shown = run.metadata.get("current") == analysis.key
        if not is_shown or not _has_words(run, analysis):
            summary = {
                key: value
                for key, value in result.metadata.items()
                if key not in details
            }
            is_first = run.metadata["status"] == "writing"
            run.replace_metadata(
                {**summary, "current": analysis.key}, drop_revision=is_first
            )
        return analysis.key

    @staticmethod
    def _open(
        parent: Container,
        key: str,
        details: Mapping[str, Any],
        analysis: AnalysisLike,
        spec: Spec,
    ) -> Container:
        """Return a container of the result, made `writing` if it is new."""
        metadata = {**details, "run_uid": analysis.run_uid, "status": "writing"}
        return create_container(parent, key, metadata=as_json(metadata), specs=[spec])


def check_key(key: str) -> None:
    """Refuse a name that would not be one step in the catalog.

    Parameters
    ----------
    key : str
        Name of a node.

    Raises
    ------
    ConfigError
        If it holds other characters than letters, digits, `.`, `_` and `-`, or is a
        step upwards.
    """
    if not _KEY.fullmatch(key) or key in {".", ".."}:
        raise ConfigError(
            f"a name in the catalog has letters, digits and . _ - only, got {key!r}"
        )


def write_table(parent: Container, name: str, frame: pd.DataFrame) -> None:
    """Write a table, over what a crash or another process may have left.

    Parameters
    ----------
    parent : Container
        Where.
    name : str
        Key of the table.
    frame : pandas.DataFrame
        Its columns.
    """
    structure = TableStructure.from_pandas(frame)
    node = _open_node(parent, name, StructureFamily.table, structure)
    node.write(frame)


def _commit(
    result: Container, analysis: AnalysisLike, details: Mapping[str, Any]
) -> None:
    """Give a result its label, unless somebody else just did."""
    result.refresh()
    if result.metadata["status"] == "complete":
        return
    contents = [*analysis.arrays, *(["bins"] if analysis.bins else [])]
    metadata = {
        **analysis.summary,
        **details,
        "run_uid": analysis.run_uid,
        "contents": contents,
        "status": "complete",
        "published": time.time(),
    }
    result.replace_metadata(as_json(metadata), drop_revision=True)


def _has_words(node: Container, analysis: AnalysisLike) -> bool:
    """Return whether a node was labelled with the words that the analysis has."""
    return all(
        node.metadata.get(key) == as_json(analysis.summary.get(key)) for key in _WORDS
    )


def _rename(result: Container, analysis: AnalysisLike) -> None:
    """Give a complete result, relabelled since, the labels of the analysis again."""
    if analysis.bins:
        write_table(result, "bins", _as_frame(analysis.bins))
    set_metadata(result, as_json(analysis.summary))


def _write_contents(result: Container, analysis: AnalysisLike) -> None:
    """Write arrays and table, over what a crash may have left."""
    # A request is half waiting: four at a time save a third of the time.
    with ThreadPoolExecutor(_UPLOADS) as uploads:
        pending = [
            uploads.submit(_write_array, result, name, array, analysis)
            for name, array in analysis.arrays.items()
        ]
        if analysis.bins:
            frame = _as_frame(analysis.bins)
            pending.append(uploads.submit(write_table, result, "bins", frame))
    for upload in pending:
        upload.result()


def _write_array(
    result: Container, name: str, array: NDArray[Any], analysis: AnalysisLike
) -> None:
    array = np.ascontiguousarray(array)
    is_map = name == "two_time"
    dims = _DIMS.get(name)
    structure = ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(array.dtype),
        shape=array.shape,
        chunks=_chunks(array.shape, is_map=is_map),
        dims=dims if dims and len(dims) == array.ndim else None,
    )
    node = _open_node(
        result,
        name,
        StructureFamily.array,
        structure,
        metadata=_map_metadata(analysis) if is_map else {},
        specs=[TWO_TIME] if is_map else [],
    )
    if array.nbytes <= _UPLOAD_BYTES:
        node.write(array)
        return
    for block in np.ndindex(*(len(sizes) for sizes in structure.chunks)):
        starts = [
            sum(sizes[:i]) for sizes, i in zip(structure.chunks, block, strict=True)
        ]
        part = tuple(
            slice(start, start + sizes[i])
            for start, sizes, i in zip(starts, structure.chunks, block, strict=True)
        )
        node.write_block(np.ascontiguousarray(array[part]), block)


def _open_node(
    result: Container,
    name: str,
    family: StructureFamily,
    structure: ArrayStructure | TableStructure,
    *,
    metadata: dict[str, Any] | None = None,
    specs: Sequence[Spec] = (),
) -> BaseClient:
    """Return the node of an array or a table, new or as a crash has left it."""

    def create() -> BaseClient:
        source = DataSource(structure=structure, structure_family=family)
        return result.new(
            family, [source], key=name, metadata=metadata, specs=list(specs)
        )

    try:
        return create()
    except ClientError as error:
        if error.response.status_code != _CONFLICT:
            raise
    node = result[name]
    if node.structure() == structure:
        return node
    result.delete_contents(name, external_only=False)
    return create()


def _chunks(shape: tuple[int, ...], *, is_map: bool) -> tuple[tuple[int, ...], ...]:
    """Return the chunks of an array: of maps one q-bin each, in tiles of 4 MB."""
    edges = [1, _TILE, _TILE] if is_map and len(shape) == 3 else [10**6] * len(shape)
    return tuple(
        (edge,) * (length // edge) + ((length % edge,) if length % edge else ())
        for length, edge in zip(shape, edges, strict=True)
    )


def _map_metadata(analysis: AnalysisLike) -> dict[str, Any]:
    """Return what a map needs to be understood alone; the label comes elsewhere."""
    title = analysis.summary.get("sample") or analysis.run_uid[:8]
    return {
        "title": str(title),
        "frame_time": as_json(analysis.summary.get("row_time")),
        "q_values": as_json(analysis.bins.get("q", [])),
        "phi_values": as_json(analysis.bins.get("phi", [])),
    }


def _as_frame(bins: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return the table of q-bins; numbers that are unknown are nan."""
    return pd.DataFrame({name: _as_column(values) for name, values in bins.items()})


def _as_column(values: Sequence[Any]) -> Sequence[Any]:
    is_number = [isinstance(value, int | float | None) for value in values]
    if any(value is None for value in values) and all(is_number):
        return [math.nan if value is None else float(value) for value in values]
    return values

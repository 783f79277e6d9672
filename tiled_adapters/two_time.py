"""Two-time maps that are computed when somebody looks: nothing is stored."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tiled.adapters.core import Adapter
from tiled.client.base import BaseClient
from tiled.client.container import Container
from tiled.ndslice import NDBlock, NDSlice
from tiled.storage import FileStorage, Storage
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.core import Spec, StructureFamily
from tiled.structures.data_source import Asset, DataSource, Management

from ainerd_bluesky.errors import FrameStackError, PartitionError
from ainerd_bluesky.xpcs.data.series import PixelSeries
from ainerd_bluesky.xpcs.two_time.maps import two_time_map
from tiled_adapters.catalog import create_container
from tiled_adapters.formats.adapters import CatalogNode
from tiled_adapters.formats.qmap import read_partition
from tiled_adapters.formats.readers import frames_adapter, open_frames
from tiled_adapters.paths import local_path
from tiled_adapters.publish import check_key
from tiled_adapters.specs import RESULTS, TWO_TIME

__all__ = ["MAX_FRAMES", "MIMETYPE", "TwoTimeAdapter", "register_two_time"]

MIMETYPE = "application/x-xpcs-two-time+hdf5"
MAX_FRAMES = 2048
"""Longest series that a server computes a map of: 16 MB, about a second."""
_BLOCK_FRAMES = 64
_CACHE_BYTES = 256_000_000
_EVERYTHING = NDSlice(...)


class TwoTimeAdapter(Adapter[ArrayStructure]):
    """Serve the two-time map of one q-bin, computed from the frames when it is read.

    Parameters
    ----------
    frames, partition : Path
        File of detector frames, and of the q-partition.
    structure : ArrayStructure
        (n_frames, n_frames) float32.
    dataset : str, optional
        Path of the frames inside their file.
    q_bin : int
        Label of the q-bin, from 1.
    metadata : dict, optional
        Of the node.
    specs : list of Spec, optional
        Of the node.
    """

    structure_family = StructureFamily.array
    mimetype = MIMETYPE

    def __init__(  # noqa: PLR0913 - two files and a recipe, then what every adapter has
        self,
        frames: Path,
        partition: Path,
        structure: ArrayStructure,
        *,
        dataset: str | None = None,
        q_bin: int = 1,
        metadata: dict[str, Any] | None = None,
        specs: list[Spec] | None = None,
    ) -> None:
        self._frames = frames
        self._partition = partition
        self._dataset = dataset
        self._q_bin = q_bin
        super().__init__(structure, metadata=metadata, specs=specs)

    @classmethod
    def from_catalog(
        cls,
        data_source: DataSource[ArrayStructure],
        node: CatalogNode,
        /,
        dataset: str | None = None,
        q_bin: int = 1,
    ) -> Self:
        """Make the adapter of a registered node; called for every request."""
        paths = {asset.parameter: asset.data_uri for asset in data_source.assets}
        return cls(
            local_path(paths["data_uri"]),
            local_path(paths["partition_uri"]),
            data_source.structure,
            dataset=dataset,
            q_bin=q_bin,
            metadata=node.metadata_,
            specs=node.specs,
        )

    @staticmethod
    def structure_for(n_frames: int) -> ArrayStructure:
        """Return the structure of a map of so many frames."""
        return ArrayStructure(
            data_type=BuiltinDtype.from_numpy_dtype(np.dtype(np.float32)),
            shape=(n_frames, n_frames),
            chunks=((n_frames,), (n_frames,)),
            dims=("t1", "t2"),
        )

    @classmethod
    def supported_storage(cls) -> set[type[Storage]]:
        """Return the kinds of storage the files may lie in."""
        return {FileStorage}

    def read(self, slice: NDSlice = _EVERYTHING) -> NDArray[Any]:
        """Return the map, or the part of it that `slice` selects."""
        return np.asarray(self._map()[tuple(slice)], order="C")

    def read_block(self, block: NDBlock, slice: NDSlice = _EVERYTHING) -> NDArray[Any]:
        """Return one block, or the part of it that `slice` selects."""
        part = self._map()[tuple(block.slice_from_chunks(self._structure.chunks))]
        return np.asarray(part[tuple(slice)], order="C")

    def _map(self) -> NDArray[np.float32]:
        files = (self._frames, self._partition)
        stamps = tuple((str(path), path.stat().st_mtime_ns) for path in files)
        key = (*stamps, self._dataset, self._q_bin)
        return _CACHE.get(key, self._compute)

    def _compute(self) -> NDArray[np.float32]:
        partition = read_partition(self._partition)
        if not 1 <= self._q_bin <= partition.n_q_bins:
            raise PartitionError(
                f"q_bin must be 1..{partition.n_q_bins}, got {self._q_bin}"
            )
        roi_mask = partition.roi_map == self._q_bin
        adapter = frames_adapter(self._frames, self._dataset)
        with adapter.open_alone(self._frames, self._dataset) as source:
            _require_short(source.shape[0])
            if source.usable_pixels is not None:
                roi_mask &= source.usable_pixels
            series = PixelSeries(roi_mask.astype(np.int32), n_q_bins=1)
            for block in source.blocks(_BLOCK_FRAMES):
                series.append(block)
        return two_time_map(series.counts(1))


def register_two_time(
    results: Container,
    run_uid: str,
    *,
    frames: Path,
    partition: Path,
    dataset: str | None = None,
) -> dict[int, BaseClient]:
    """Offer the two-time maps of a run without computing them.

    They appear at `<results>/<run_uid>/derived/q<bin>`: beside the stored results and
    never below the raw run, which a foreign child would break.

    Parameters
    ----------
    results : Container
        `/processed/xpcs` of a server.
    run_uid : str
        The run.
    frames : Path
        Its detector file, where the server may read.
    partition : Path
        File of the q-partition, where the server may read.
    dataset : str, optional
        Path of the frames inside their file.

    Returns
    -------
    dict of int to XPCSTwoTime
        Array client of each q-bin.
    """
    check_key(run_uid)
    q_values = read_partition(partition).q_values
    with open_frames(frames, dataset) as source:
        n_frames, frame_time = source.shape[0], source.frame_time
    _require_short(n_frames)

    run = create_container(
        results,
        run_uid,
        metadata={"run_uid": run_uid, "status": "writing"},
        specs=[RESULTS],
    )
    derived = create_container(run, "derived")
    there = set(derived)
    for q_bin, q_value in enumerate(q_values, start=1):
        if f"q{q_bin}" not in there:
            derived.new(
                StructureFamily.array,
                [_data_source(frames, partition, n_frames, dataset, q_bin)],
                key=f"q{q_bin}",
                metadata={
                    "q": float(q_value),
                    "q_bin": q_bin,
                    "frame_time": frame_time,
                },
                specs=[TWO_TIME],
            )
    return {q_bin: derived[f"q{q_bin}"] for q_bin in range(1, len(q_values) + 1)}


def _data_source(
    frames: Path, partition: Path, n_frames: int, dataset: str | None, q_bin: int
) -> DataSource[ArrayStructure]:
    # Without a number, subscribers drop the news of the node.
    assets = [
        Asset(path.resolve().as_uri(), is_directory=False, parameter=parameter, num=0)
        for parameter, path in (("data_uri", frames), ("partition_uri", partition))
    ]
    return DataSource(
        structure_family=StructureFamily.array,
        structure=TwoTimeAdapter.structure_for(n_frames),
        mimetype=MIMETYPE,
        parameters={"dataset": dataset, "q_bin": q_bin},
        assets=assets,
        management=Management.external,
    )


def _require_short(n_frames: int) -> None:
    if n_frames > MAX_FRAMES:
        raise FrameStackError(
            f"a map of {n_frames} frames is too large to compute on demand "
            f"(at most {MAX_FRAMES}); let a flow publish it"
        )


class MapCache:
    """Keep the last maps, and compute each once however many ask for it.

    Parameters
    ----------
    max_bytes : int
        Memory for maps that nobody is waiting for.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._futures: OrderedDict[Hashable, Future[NDArray[np.float32]]] = (
            OrderedDict()
        )

    def get(
        self, key: Hashable, compute: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return the map of a key, computed by the first who asks."""
        with self._lock:
            future = self._futures.get(key)
            is_first = future is None
            if future is None:
                future = self._futures[key] = Future()
            self._futures.move_to_end(key)
        if is_first:
            self._run(key, future, compute)
        return future.result()

    def _run(
        self,
        key: Hashable,
        future: Future[NDArray[np.float32]],
        compute: Callable[[], NDArray[np.float32]],
    ) -> None:
        try:
            future.set_result(compute())
        except BaseException as error:
            future.set_exception(error)
            with self._lock:
                self._futures.pop(key, None)
            raise
        with self._lock:
            self._shrink()

    def _shrink(self) -> None:
        sizes = {
            key: future.result().nbytes
            for key, future in self._futures.items()
            if future.done()
        }
        for key, size in list(sizes.items())[:-1]:
            if sum(sizes.values()) <= self._max_bytes:
                return
            del self._futures[key]
            sizes[key] -= size


_CACHE = MapCache(_CACHE_BYTES)

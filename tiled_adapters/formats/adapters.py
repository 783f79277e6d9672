"""What the adapters of all formats share: arrays that are read along the first axis."""

import math
from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from tiled.adapters.core import Adapter
from tiled.ndslice import NDBlock, NDSlice
from tiled.storage import FileStorage, Storage
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.core import Spec, StructureFamily
from tiled.structures.data_source import DataSource

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.formats.records import EventSource, FrameSource
from tiled_adapters.paths import local_path
from tiled_adapters.specs import TWO_TIME, XPCS_FRAMES

__all__ = [
    "CatalogNode",
    "FileArrayAdapter",
    "FramesAdapter",
    "MapsAdapter",
    "array_structure",
]

_BLOCK_BYTES = 4_000_000
_MOST_BLOCKS = 2**18
"""Longest list of blocks to describe; each costs some bytes of every answer."""
_EVERYTHING = NDSlice(...)


class CatalogNode(Protocol):
    """What an adapter needs to know of the node it serves."""

    metadata_: dict[str, Any]
    specs: list[Spec]


def array_structure(
    shape: tuple[int, ...], dtype: np.dtype[Any], dims: tuple[str, ...]
) -> ArrayStructure:
    """Return the structure of an array cut along its first axis.

    Parameters
    ----------
    shape : tuple of int
        Of the whole array.
    dtype : dtype
        Of an element.
    dims : tuple of str
        Name of each axis.

    Returns
    -------
    ArrayStructure
        Blocks of at most 4 MB, or of one entry of the first axis.

    Raises
    ------
    FileFormatError
        If there are more blocks than a client could take in: a header may claim
        anything.
    """
    entry_bytes = dtype.itemsize * math.prod(shape[1:])
    size = max(1, min(shape[0], _BLOCK_BYTES // max(entry_bytes, 1)))
    full, rest = divmod(shape[0], size)
    if full > _MOST_BLOCKS:
        raise FileFormatError(
            f"an array of shape {shape} has {full} blocks, "
            f"at most {_MOST_BLOCKS} can be served"
        )
    leading = (size,) * full + ((rest,) if rest else ())
    return ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(dtype),
        shape=shape,
        chunks=(leading, *((length,) for length in shape[1:])),
        dims=dims,
    )


class FileArrayAdapter(Adapter[ArrayStructure]):
    """Serve an array of a file, reading no more of its first axis than is asked for.

    Parameters
    ----------
    data_uri : str
        `file:` URI.
    structure : ArrayStructure
        As registered.
    metadata : dict, optional
        Of the node.
    specs : list of Spec, optional
        Of the node.
    dataset : str, optional
        Path inside the file, where the format leaves it open.
    """

    structure_family = StructureFamily.array
    mimetype: ClassVar[str]

    def __init__(
        self,
        data_uri: str,
        structure: ArrayStructure,
        *,
        metadata: dict[str, Any] | None = None,
        specs: list[Spec] | None = None,
        dataset: str | None = None,
    ) -> None:
        self._path = local_path(data_uri)
        self._dataset = dataset
        super().__init__(structure, metadata=metadata, specs=specs)

    @classmethod
    @abstractmethod
    def from_uris(cls, data_uri: str, dataset: str | None = None) -> Self:
        """Make the adapter of a file that is being registered."""

    @classmethod
    def from_catalog(
        cls,
        data_source: DataSource[ArrayStructure],
        node: CatalogNode,
        /,
        dataset: str | None = None,
    ) -> Self:
        """Make the adapter of a registered node; called for every request."""
        (asset,) = data_source.assets
        return cls(
            asset.data_uri,
            data_source.structure,
            metadata=node.metadata_,
            specs=node.specs,
            dataset=dataset,
        )

    @classmethod
    def supported_storage(cls) -> set[type[Storage]]:
        """Return the kinds of storage the data may lie in."""
        return {FileStorage}

    def read(self, slice: NDSlice = _EVERYTHING) -> NDArray[Any]:
        """Return the array, or the part of it that `slice` selects."""
        selection = slice.expand_for_shape(self._structure.shape)
        leading, *rest = tuple(selection)
        start, stop, step = _range_of(leading, self._structure.shape[0])
        loaded = self._entries(start, stop) if stop > start else self._nothing()
        return np.asarray(loaded[(step, *rest)], order="C")

    def read_block(self, block: NDBlock, slice: NDSlice = _EVERYTHING) -> NDArray[Any]:
        """Return one block, or the part of it that `slice` selects."""
        leading = block.slice_from_chunks(self._structure.chunks)[0]
        loaded = self._entries(leading.start, leading.stop)
        return np.asarray(loaded[tuple(slice)], order="C")

    def _entries(self, start: int, stop: int) -> NDArray[Any]:
        loaded = self._load(start, stop)
        expected = (stop - start, *self._structure.shape[1:])
        if loaded.shape != expected:
            raise FileFormatError(
                f"{self._path} gives an array of shape {loaded.shape} where "
                f"{expected} was registered"
            )
        return loaded

    def _nothing(self) -> NDArray[Any]:
        dtype = self._structure.data_type.to_numpy_dtype()
        return np.empty((0, *self._structure.shape[1:]), dtype)

    @abstractmethod
    def _load(self, start: int, stop: int) -> NDArray[Any]:
        """Read the entries start..stop of the first axis."""


class MapsAdapter(FileArrayAdapter):
    """Serve two-time maps, one q-bin a block."""

    @classmethod
    def from_uris(cls, data_uri: str, dataset: str | None = None) -> Self:
        """Make the adapter of a file that is being registered."""
        path = local_path(data_uri)
        shape, dtype, metadata = cls._describe(path, dataset)
        structure = array_structure(shape, dtype, ("q_bin", "t1", "t2"))
        return cls(
            data_uri, structure, metadata=metadata, specs=[TWO_TIME], dataset=dataset
        )

    @classmethod
    @abstractmethod
    def _describe(
        cls, path: Path, dataset: str | None, /
    ) -> tuple[tuple[int, ...], np.dtype[Any], dict[str, Any]]:
        """Return shape, type and metadata of the maps."""


class FramesAdapter(FileArrayAdapter):
    """Serve detector frames; those of events as a detector would show them."""

    @classmethod
    def from_uris(cls, data_uri: str, dataset: str | None = None) -> Self:
        """Make the adapter of a file that is being registered."""
        with cls.open(local_path(data_uri), dataset) as source:
            structure = array_structure(
                source.shape, source.dtype, ("frame", "row", "col")
            )
            metadata = {**source.metadata, "frame_time": source.frame_time}
        return cls(
            data_uri,
            structure,
            metadata=metadata,
            specs=[XPCS_FRAMES],
            dataset=dataset,
        )

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        with self.open_alone(self._path, self._dataset) as source:
            if source.shape[0] < stop:
                raise FileFormatError(
                    f"{self._path} has {source.shape[0]} frames, fewer than registered"
                )
            return np.concatenate(list(source.blocks(stop - start, start, stop)))

    @staticmethod
    @abstractmethod
    def open(
        path: Path, dataset: str | None = None, /
    ) -> AbstractContextManager[FrameSource | EventSource]:
        """Open the frames of a file."""

    @classmethod
    def open_alone(
        cls, path: Path, dataset: str | None = None, /
    ) -> AbstractContextManager[FrameSource | EventSource]:
        """Open the frames of a file, and nothing above its folder.

        A server was told which folders it may read; what the files of a format keep
        in the folder above is for those who register them.

        Parameters
        ----------
        path : Path
            The file.
        dataset : str, optional
            Path inside it, where the format leaves it open.

        Returns
        -------
        context manager of FrameSource or EventSource
            Without what only a file above tells, such as the frame time.
        """
        return cls.open(path, dataset)


def _range_of(leading: int | slice, length: int) -> tuple[int, int, int | slice]:
    """Return the contiguous range to load, and what to select of it."""
    if isinstance(leading, int):
        return leading, leading + 1, 0
    indices = range(length)[leading]
    if not indices:
        return 0, 0, slice(None)
    start = min(indices[0], indices[-1])
    stop = max(indices[0], indices[-1]) + 1
    return start, stop, slice(None, None, indices.step)

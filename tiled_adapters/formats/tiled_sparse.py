"""Sparse arrays of a Tiled server, as the CHX sandbox keeps detector frames."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from tiled.client.sparse import SparseClient
from tiled.client.utils import ClientError

from ainerd_bluesky.errors import FileFormatError, FrameStackError
from tiled_adapters.formats.binary import require_counts, require_pixels
from tiled_adapters.formats.facts import present
from tiled_adapters.formats.records import Events, EventSource

__all__ = ["read_sparse_node"]

_FACTS = ("masks_names", "mask_uids", "uid", "suid", "sample", "count_time", "detector")
_MOST_BLOCKS = 2**18


def read_sparse_node(node: SparseClient) -> EventSource:
    """Read detector frames that a server keeps as a sparse array.

    Parameters
    ----------
    node : SparseClient
        An array of shape (n_events, n_frames, n_rows, n_cols), of one event or of
        events of one frame, or without the first axis. Its metadata may tell
        `frame_time`, in seconds.

    Returns
    -------
    EventSource
        Blocks are fetched when they are asked for; valid as long as the client.

    Notes
    -----
    A `FileFormatError` is raised if the array is no stack of frames.
    A `FrameStackError` is raised if it has several events of several frames: time
    passes between events.
    """
    blocks = _Blocks(node)
    metadata = dict(node.metadata)
    frame_time = metadata.get("frame_time")
    return EventSource(
        node.uri,
        blocks.shape,
        blocks.dtype,
        blocks.read,
        frame_time=float(frame_time) if isinstance(frame_time, int | float) else None,
        metadata=present({key: metadata.get(key) for key in _FACTS}),
    )


class _Blocks:
    """The blocks of a node, along its axis of frames."""

    def __init__(self, node: SparseClient) -> None:
        self._node = node
        shape, chunks = tuple(node.shape), tuple(map(tuple, node.chunks))
        if len(shape) not in {3, 4} or not all(map(len, chunks)):
            raise FileFormatError(f"{node.uri} has shape {shape}: that are no frames")
        if len(shape) == 4 and min(shape[:2]) > 1:
            raise FrameStackError(
                f"{node.uri} has {shape[0]} events of {shape[1]} frames: "
                "a series is one event"
            )
        if np.prod([float(len(sizes)) for sizes in chunks]) > _MOST_BLOCKS:
            raise FileFormatError(f"{node.uri} has more than {_MOST_BLOCKS} blocks")
        self._edges = [np.cumsum((0, *sizes)) for sizes in chunks]
        leading = shape[:-2]
        self._frame_axis = int(np.argmax(leading))
        n_rows, n_cols = shape[-2:]
        self.shape = (leading[self._frame_axis], n_rows, n_cols)
        self.dtype: np.dtype[Any] = _counts_dtype(node)

    def read(self, start: int, stop: int) -> Events:
        """Fetch the events of frames start..stop."""
        found = [self._fetch(block) for block in self._blocks(start, stop)]
        coords = np.concatenate([coords for coords, _ in found], axis=1)
        counts = np.concatenate([counts for _, counts in found])
        frame_index = coords[self._frame_axis]
        keep = (frame_index >= start) & (frame_index < stop)
        pixel_index = coords[-2] * self.shape[2] + coords[-1]
        order = np.flatnonzero(keep)
        order = order[np.argsort(frame_index[order], kind="stable")]
        return Events(frame_index[order], pixel_index[order], counts[order])

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, ...]]:
        """Yield the numbers of the blocks that have frames start..stop."""
        axes = [range(len(edges) - 1) for edges in self._edges]
        edges = self._edges[self._frame_axis]
        first = int(np.searchsorted(edges, start, side="right")) - 1
        last = int(np.searchsorted(edges, stop, side="left"))
        axes[self._frame_axis] = range(first, last)
        yield from product(*axes)

    def _fetch(self, block: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Fetch one block; positions are those in the whole array."""
        place = f"{self._node.uri}, block {block}"
        try:
            found = self._node.read_block(block)
        except (ClientError, httpx.HTTPError, OSError, LookupError) as error:
            raise FileFormatError(f"{place} cannot be read: {error}") from error
        coords = np.asarray(found.coords, np.int64)
        for axis, edges in enumerate(self._edges):
            begin, end = edges[block[axis]], edges[block[axis] + 1]
            require_pixels(coords[axis], int(end - begin), lambda _: place)
            coords[axis] += begin
        require_counts(found.data, lambda _: place)
        return coords, found.data


def _counts_dtype(node: SparseClient) -> np.dtype[Any]:
    dtype: np.dtype[Any] = node.structure().data_type.to_numpy_dtype()
    if dtype.kind not in "biuf":
        raise FileFormatError(f"{node.uri} holds {dtype}, not counts")
    return dtype

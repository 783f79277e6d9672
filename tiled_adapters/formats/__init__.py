"""File formats of XPCS: readers for programs, adapters for the server."""

from tiled_adapters.formats.one_time import read_one_time
from tiled_adapters.formats.qmap import (
    read_partition,
    without_pixels,
    write_partition,
)
from tiled_adapters.formats.readers import open_frames, read_two_time
from tiled_adapters.formats.records import (
    Events,
    EventSource,
    FrameSource,
    OneTimeFile,
    TwoTimeFile,
)
from tiled_adapters.formats.tiled_sparse import read_sparse_node

__all__ = [
    "EventSource",
    "Events",
    "FrameSource",
    "OneTimeFile",
    "TwoTimeFile",
    "open_frames",
    "read_one_time",
    "read_partition",
    "read_sparse_node",
    "read_two_time",
    "without_pixels",
    "write_partition",
]

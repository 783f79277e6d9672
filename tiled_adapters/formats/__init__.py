"""File formats of XPCS: readers for programs, adapters for the server."""

from tiled_adapters.formats.qmap import (
    read_partition,
    without_pixels,
    write_partition,
)
from tiled_adapters.formats.readers import open_frames, read_two_time
from tiled_adapters.formats.records import FrameSource, TwoTimeFile

__all__ = [
    "FrameSource",
    "TwoTimeFile",
    "open_frames",
    "read_partition",
    "read_two_time",
    "without_pixels",
    "write_partition",
]

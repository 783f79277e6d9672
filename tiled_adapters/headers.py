"""Headers of HDF5 objects, read before HDF5 reads them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ainerd_bluesky.errors import FileFormatError

__all__ = ["ATTRIBUTE_INFO", "header_messages"]

ATTRIBUTE_INFO = 0x15
"""Message of an object with so many attributes that they are kept apart."""
_CONTINUATION = 0x10
_MOST_BYTES = 2**24
# Version 1 begins with its number, version 2 with a signature and sets of bits.
_FIRST = struct.Struct("<BxHII4x")
_FIRST_MESSAGE = struct.Struct("<HHB3x")
_SECOND = struct.Struct("<4sBB")
_SECOND_MESSAGE = struct.Struct("<BHB")
_HAS_TIMES, _HAS_LIMITS, _HAS_ORDER = 0x20, 0x10, 0x04
_CHECKSUM_BYTES = 4
_EXTENT = struct.Struct("<QQ")


def header_messages(
    stream: BinaryIO, address: int, base: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield the messages in the header of an object.

    Parameters
    ----------
    stream : binary file
        The HDF5 file, whose addresses and lengths have eight bytes.
    address : int
        Of the header.
    base : int
        Where address 0 lies in the file.

    Yields
    ------
    kind : int
        Number of the kind of message.
    content : bytes
        As stored. What is cut off is left out: HDF5 will say so itself.

    Raises
    ------
    FileFormatError
        If the header goes on for ever.

    References
    ----------
    .. [1] The HDF Group, HDF5 File Format Specification 3.0, section IV.A.
    """
    layout = _layout_of(stream, base + address)
    if layout is None:
        return
    pending, n_read = [(layout.start, layout.n_bytes)], 0
    while pending:
        start, n_bytes = pending.pop()
        n_read += n_bytes + 1
        if n_read > _MOST_BYTES:
            raise FileFormatError(
                f"{stream.name} is damaged: the header at {address} has no end"
            )
        for kind, content in layout.messages(_bytes_at(stream, start, n_bytes)):
            yield kind, content
            if kind == _CONTINUATION and len(content) >= _EXTENT.size:
                place, length = _EXTENT.unpack_from(content)
                inside = max(length - layout.frame_bytes, 0)
                pending.append((base + place + layout.frame_bytes // 2, inside))


@dataclass(frozen=True)
class _Layout:
    """How the messages of a header follow one another."""

    start: int
    n_bytes: int
    message: struct.Struct
    gap: int = 0
    frame_bytes: int = 0
    """Signature and checksum around the messages of a continuation."""

    def messages(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        at, head_bytes = 0, self.message.size + self.gap
        while at + head_bytes <= len(chunk):
            kind, n_bytes, _ = self.message.unpack_from(chunk, at)
            at += head_bytes
            yield kind, chunk[at : at + n_bytes]
            at += n_bytes


def _layout_of(stream: BinaryIO, place: int) -> _Layout | None:
    prefix = _bytes_at(stream, place, _FIRST.size)
    if len(prefix) < _FIRST.size:
        return None
    if prefix.startswith(b"OHDR\x02"):
        flags = _SECOND.unpack_from(prefix)[2]
        start, n_bytes = _second_extent(stream, place, flags)
        gap = 2 if flags & _HAS_ORDER else 0
        return _Layout(start, n_bytes, _SECOND_MESSAGE, gap, 2 * _CHECKSUM_BYTES)
    if prefix.startswith(b"\x01"):
        n_bytes = _FIRST.unpack(prefix)[3]
        return _Layout(place + _FIRST.size, n_bytes, _FIRST_MESSAGE)
    return None


def _second_extent(stream: BinaryIO, address: int, flags: int) -> tuple[int, int]:
    """Return where the messages of a header of version 2 begin, and their length."""
    skipped = 16 * bool(flags & _HAS_TIMES) + 4 * bool(flags & _HAS_LIMITS)
    width = 1 << (flags & 3)
    start = address + _SECOND.size + skipped
    n_bytes = int.from_bytes(_bytes_at(stream, start, width), "little")
    return start + width, n_bytes


def _bytes_at(stream: BinaryIO, place: int, n_bytes: int) -> bytes:
    stream.seek(min(place, 2**62))
    return stream.read(n_bytes)

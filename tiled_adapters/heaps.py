"""Heaps that hold the texts of an HDF5 file, checked before HDF5 walks them."""

import mmap
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.headers import ATTRIBUTE_INFO, header_messages

__all__ = [
    "require_sound_attributes",
    "require_sound_heaps",
    "require_sound_object",
    "require_sound_text",
]

_SIGNATURE = b"GCOL\x01"
_HEADER = struct.Struct("<8sQ")
_OBJECT = struct.Struct("<HHIQ")
# What a text of any length leaves in its dataset: length, address of heap, number.
_REFERENCE = struct.Struct("<IQI")
_EIGHT_BYTES = (8, 8)
_LARGEST_SEARCHED = 2**26
_NOWHERE = 2**64 - 1


def require_sound_text(dataset: h5py.Dataset) -> None:
    """Refuse texts over whose heap HDF5 would walk in a circle for ever.

    Parameters
    ----------
    dataset : h5py.Dataset
        Texts of any length; those of a fixed length have no heap.

    Raises
    ------
    FileFormatError
        If an object of the heap does not lead to the next.
    """
    text_type = h5py.check_string_dtype(dataset.dtype)
    offset = dataset.id.get_offset()
    plist = dataset.file.id.get_create_plist()
    is_free_length = text_type is not None and text_type.length is None
    if not is_free_length or offset is None or plist.get_sizes() != _EIGHT_BYTES:
        return
    path, base = Path(dataset.file.filename), dataset.file.userblock_size
    with path.open("rb") as file:
        file.seek(offset)
        stored = file.read(_REFERENCE.size * dataset.size)
        whole = len(stored) // _REFERENCE.size * _REFERENCE.size
        for _, address, _ in _REFERENCE.iter_unpack(stored[:whole]):
            file.seek(min(base + address, 2**62))
            head = file.read(_HEADER.size)
            if not head.startswith(_SIGNATURE) or len(head) < _HEADER.size:
                continue  # HDF5 will say that this is no heap
            size = min(_HEADER.unpack(head)[1], path.stat().st_size)
            steps = list(_steps(head + file.read(size - len(head)), size))
            if 0 in steps or sum(steps) > size - _HEADER.size:
                raise FileFormatError(
                    f"{path}: the heap of {dataset.name} at {address} is damaged"
                )


def require_sound_heaps(path: Path) -> None:
    """Refuse a file with a heap over which HDF5 would walk for ever.

    Attributes and virtual datasets do not tell where their heap lies, and HDF5 walks it
    as soon as they are opened. So the file is searched, once, if it is small; of a
    large one, full of frames, `require_sound_object` checks what is opened.

    Parameters
    ----------
    path : Path
        An HDF5 file.

    Raises
    ------
    FileFormatError
        If an object of a heap does not lead to the next.
    """
    status = path.stat()
    if not 0 < status.st_size <= _LARGEST_SEARCHED:
        return
    place = _circular_heap(path, status.st_size, status.st_mtime_ns)
    if place is not None:
        raise FileFormatError(f"{path} is damaged: its heap at {place} has no end")


def require_sound_object(file: h5py.File, address: int) -> None:
    """Refuse an object of a large file whose header leads to a heap without an end.

    To search gigabytes of frames would take minutes. The header of an object is small,
    and names every heap that HDF5 walks when the object or its attributes are opened.

    Parameters
    ----------
    file : h5py.File
        An open file.
    address : int
        Of the object's header, as the link to it says; the object is not yet opened.

    Raises
    ------
    FileFormatError
        If an object of a heap does not lead to the next.
    """
    for _, content in _messages_of_large(file, address):
        place = _circular_heap_named(file, content)
        if place is not None:
            raise FileFormatError(
                f"{file.filename} is damaged: its heap at {place} has no end"
            )


def require_sound_attributes(item: h5py.Group | h5py.Dataset) -> None:
    """Refuse attributes of a large file over whose heap HDF5 would walk for ever.

    Parameters
    ----------
    item : h5py.Group or h5py.Dataset
        An open object.

    Raises
    ------
    FileFormatError
        If an object of a heap does not lead to the next, or the attributes are so many
        that HDF5 keeps them apart from the object: their heaps cannot be told.
    """
    address = h5py.h5o.get_info(item.id).addr
    require_sound_object(item.file, address)
    for kind, content in _messages_of_large(item.file, address):
        # Version, bits, a number of two bytes if the first bit is set, the address.
        start = 4 if content[1:2] and content[1] & 1 else 2
        apart = int.from_bytes(content[start : start + 8], "little")
        if kind == ATTRIBUTE_INFO and apart != _NOWHERE:
            raise FileFormatError(
                f"{item.file.filename}: the attributes of {item.name} are kept apart "
                f"from it, and cannot be checked in a file of this size; write it with "
                f"libver='earliest'"
            )


def _messages_of_large(file: h5py.File, address: int) -> Iterator[tuple[int, bytes]]:
    path = Path(file.filename)
    is_searched = path.stat().st_size <= _LARGEST_SEARCHED
    if is_searched or file.id.get_create_plist().get_sizes() != _EIGHT_BYTES:
        return
    with path.open("rb") as stream:
        yield from header_messages(stream, address, file.userblock_size)


def _circular_heap_named(file: h5py.File, content: bytes) -> int | None:
    """Return where a heap lies that leads to itself and that a message may name."""
    path, base = Path(file.filename), file.userblock_size
    size = path.stat().st_size
    # Where in the message an address stands depends on its kind: all are tried.
    words = [
        np.frombuffer(content[at : at + (len(content) - at) // 8 * 8], "<u8")
        for at in range(min(8, len(content)))
    ]
    addresses = np.unique(np.concatenate(words)) if words else np.empty(0, "<u8")
    with path.open("rb") as stream:
        for address in addresses[addresses < size].tolist():
            stream.seek(base + address)
            head = stream.read(_HEADER.size)
            if not head.startswith(_SIGNATURE) or len(head) < _HEADER.size:
                continue
            heap = head + stream.read(min(_HEADER.unpack(head)[1], size) - len(head))
            if any(map(_leads_back, _steps(heap, len(heap)))):
                return int(address)
    return None


@lru_cache(maxsize=256)
def _circular_heap(path: Path, _size: int, _modified: int) -> int | None:
    """Return where a heap lies that leads to itself; size and time name the version."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        place = content.find(_SIGNATURE)
        while 0 <= place <= len(content) - _HEADER.size:
            _, size = _HEADER.unpack_from(content, place)
            heap = content[place : place + size]
            # Only what has no end: space that was freed may hold half a heap.
            if len(heap) == size and any(map(_leads_back, _steps(heap, size))):
                return place
            place = content.find(_SIGNATURE, place + len(_SIGNATURE))
    return None


def _steps(heap: bytes, size: int) -> Iterator[int]:
    """Yield how far each object of a heap is from the next; 0 ends the walk."""
    place = _HEADER.size
    while place + _OBJECT.size <= min(size, len(heap)):
        number, _, _, n_bytes = _OBJECT.unpack_from(heap, place)
        # An object 0 is the free space, whose size counts its own header.
        step = n_bytes if number == 0 else _OBJECT.size + (n_bytes + 7) // 8 * 8
        yield step
        if step == 0:
            return
        place += step


def _leads_back(step: int) -> bool:
    """Return whether a step leads nowhere, or back in addresses of 64 bits."""
    return step == 0 or step >= 2**63

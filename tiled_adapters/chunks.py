"""Stored chunks, checked before a filter that trusts them is let loose on them."""

import struct
from collections.abc import Iterator
from itertools import product
from math import prod

import h5py

from ainerd_bluesky.errors import FileFormatError

__all__ = [
    "HEADER_BYTES",
    "block_bytes_of",
    "is_bitshuffled_lz4",
    "require_sound_chunks",
]

HEADER_BYTES = 12
"""Bytes before the first block: size of the chunk and of a block, big-endian."""
_LZ4_FILTER = 32004
_BITSHUFFLE = 32008
_LZ4, _ZSTD = 2, 3
_length_at = struct.Struct(">I").unpack_from


def is_bitshuffled_lz4(dataset: h5py.Dataset) -> bool:
    """Return whether chunks are bitshuffle with LZ4, and nothing else.

    Parameters
    ----------
    dataset : h5py.Dataset
        An open dataset.

    Returns
    -------
    bool
        False also where the options of the filter do not fit the type.
    """
    pipeline = dataset.id.get_create_plist()
    if dataset.chunks is None or pipeline.get_nfilters() != 1:
        return False
    code, _, options, _ = pipeline.get_filter(0)
    itemsize = dataset.dtype.itemsize
    return bool(code == _BITSHUFFLE and options[2:5:2] == (itemsize, _LZ4))


def require_sound_chunks(
    dataset: h5py.Dataset, selection: tuple[slice, ...] = ()
) -> None:
    """Refuse chunks over which a filter of HDF5 would crash.

    The filters of the detectors believe the lengths they find: they divide by them,
    read beyond the end of a chunk, and take the process with them.

    Parameters
    ----------
    dataset : h5py.Dataset
        An open dataset.
    selection : tuple of slices
        What will be read; all of it by default.

    Raises
    ------
    FileFormatError
        If the options of a filter, or the lengths in a chunk, cannot be right.
    """
    # Compact and contiguous data, and those of other filters, HDF5 looks after itself.
    if dataset.chunks is None:
        return
    pipeline = dataset.id.get_create_plist()
    n_filters = pipeline.get_nfilters()
    filters = [pipeline.get_filter(index)[::2] for index in range(n_filters)]
    place = f"{dataset.file.filename}: {dataset.name}"
    itemsize = dataset.dtype.itemsize
    for code, options in filters:
        if code == _BITSHUFFLE and options[2:3] != (itemsize,):
            raise FileFormatError(
                f"{place} is damaged: bitshuffle of {options[2:3]} bytes for elements "
                f"of {itemsize}"
            )
    # A filter before the last gets what the last has checked.
    if filters and _has_lengths(*filters[-1]):
        group_bytes = 1 if filters[-1][0] == _LZ4_FILTER else 8 * itemsize
        _require_whole_chunks(dataset, selection, place, group_bytes)


def block_bytes_of(chunk: bytes, n_bytes: int, group_bytes: int) -> int | None:
    """Return the size of the blocks in a chunk.

    Parameters
    ----------
    chunk : bytes
        As stored: a header, then blocks with their lengths before them.
    n_bytes : int
        Size of the chunk when it is decoded.
    group_bytes : int
        Bytes that are shuffled together: those of eight elements, or 1 without.

    Returns
    -------
    int or None
        None if the blocks do not fill the chunk, or their lengths lead out of it.
    """
    if len(chunk) < HEADER_BYTES:
        return None
    total, block_bytes = struct.unpack_from(">QI", chunk)
    if total != n_bytes or block_bytes == 0 or block_bytes % group_bytes:
        return None
    n_full, rest = divmod(n_bytes, block_bytes)
    n_blocks = n_full + (rest >= group_bytes)
    position, last = HEADER_BYTES, len(chunk) - 4
    for _ in range(n_blocks):
        if position > last:
            return None
        position += 4 + _length_at(chunk, position)[0]
    # What does not fill a group of eight elements is stored as it is.
    is_whole = position + rest % group_bytes <= len(chunk)
    return int(block_bytes) if is_whole else None


def _has_lengths(code: int, options: tuple[int, ...]) -> bool:
    is_packed = code == _BITSHUFFLE and options[4:5] in {(_LZ4,), (_ZSTD,)}
    return is_packed or code == _LZ4_FILTER


def _require_whole_chunks(
    dataset: h5py.Dataset, selection: tuple[slice, ...], place: str, group_bytes: int
) -> None:
    n_bytes = prod(dataset.chunks) * dataset.dtype.itemsize
    for corner in product(*_corners(dataset, selection)):
        try:
            skipped, chunk = dataset.id.read_direct_chunk(corner)
        except (OSError, RuntimeError, ValueError):
            continue  # there is no chunk, or HDF5 will say itself what is wrong with it
        if not skipped and block_bytes_of(chunk, n_bytes, group_bytes) is None:
            raise FileFormatError(
                f"{place} is damaged: the {len(chunk)} bytes of the chunk at {corner} "
                f"do not decode to {n_bytes}"
            )


def _corners(dataset: h5py.Dataset, selection: tuple[slice, ...]) -> Iterator[range]:
    """Yield where the chunks of a selection begin, axis by axis."""
    chosen = selection + (slice(None),) * (dataset.ndim - len(selection))
    for part, length, edge in zip(chosen, dataset.shape, dataset.chunks, strict=True):
        start, stop, _ = part.indices(length)
        yield range(start - start % edge, stop, edge)

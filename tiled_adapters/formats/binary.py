"""Files that are no HDF5: read where asked for, never more than they hold."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.paths import require_regular, require_under

__all__ = ["BinaryFile", "open_binary", "require_counts", "require_pixels", "sibling"]


class BinaryFile:
    """An open file, read by position.

    It is not mapped into memory: a mapped file that another program cuts off ends this
    process, not just the reading.

    Parameters
    ----------
    path : Path
        For messages.
    stream : BufferedReader
        The open file.
    """

    def __init__(self, path: Path, stream: BufferedReader) -> None:
        self.path = path
        self._stream = stream
        self.size = os.fstat(stream.fileno()).st_size

    def peek(self, offset: int, n_bytes: int) -> bytes:
        """Read a few bytes.

        Parameters
        ----------
        offset : int
            Of the first byte.
        n_bytes : int
            How many.

        Returns
        -------
        bytes
            As many as asked for.

        Notes
        -----
        A `FileFormatError` is raised if the file ends before.
        """
        found = os.pread(self._stream.fileno(), n_bytes, offset)
        if len(found) < n_bytes:
            raise self.cut_off(offset, n_bytes)
        return found

    def read(self, offset: int, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        """Read an array.

        Parameters
        ----------
        offset : int
            Of the first byte.
        dtype : dtype
            Of an element.
        count : int
            Number of elements.

        Returns
        -------
        ndarray of shape (count,)
            The elements.

        Notes
        -----
        A `FileFormatError` is raised if the file ends before; nothing is
        allocated then.
        """
        n_bytes = count * dtype.itemsize
        if count < 0 or offset + n_bytes > self.size:
            raise self.cut_off(offset, n_bytes)
        self._stream.seek(offset)
        found = np.fromfile(self._stream, dtype, count)
        if len(found) < count:
            raise self.cut_off(offset, n_bytes)
        return found

    def cut_off(self, offset: int, n_bytes: int) -> FileFormatError:
        """Return the error of a file that ends too early."""
        return FileFormatError(
            f"{self.path} is cut off: {n_bytes} bytes expected at byte {offset}, "
            f"the file has {self.size}"
        )


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryFile]:
    """Open a file for reading by position.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    BinaryFile
        Closed afterwards.

    Raises
    ------
    FileFormatError
        If the file cannot be opened.
    """
    require_regular(path)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FileFormatError(f"cannot open {path}: {error.strerror}") from error
    with stream:
        yield BinaryFile(path, stream)


def sibling(path: Path, name: str) -> Path | None:
    """Return a file that belongs to another one in the same folder.

    Parameters
    ----------
    path : Path
        The file that may be read.
    name : str
        Of the other one.

    Returns
    -------
    Path or None
        None if there is no such file.

    Notes
    -----
    A link that leads out of the folder is a `FileFormatError`: a server that may read
    the one file may not read what the other one stands for.
    """
    other = path.with_name(name)
    if not other.exists():
        return None
    return require_under(other, [path.parent])


def require_pixels(
    pixel_index: NDArray[np.int64], n_pixels: int, place: Callable[[int], str]
) -> None:
    """Refuse positions that are not on the detector.

    Parameters
    ----------
    pixel_index : ndarray of int64, shape (n_events,)
        Flat positions.
    n_pixels : int
        Of the detector.
    place : callable
        Says where in the file an event stands, given its number.

    Raises
    ------
    FileFormatError
        If one is negative or too large.
    """
    is_outside = (pixel_index < 0) | (pixel_index >= n_pixels)
    if is_outside.any():
        first = int(np.argmax(is_outside))
        raise FileFormatError(
            f"{place(first)}: pixel {pixel_index[first]} on a detector of {n_pixels}"
        )


def require_counts(counts: NDArray[Any], place: Callable[[int], str]) -> None:
    """Refuse counts that are no counts.

    Parameters
    ----------
    counts : ndarray of shape (n_events,)
        Photons.
    place : callable
        Says where in the file an event stands, given its number.

    Raises
    ------
    FileFormatError
        If one is negative, nan or infinite.
    """
    is_count = np.isfinite(counts) & (counts >= 0)
    if not is_count.all():
        first = int(np.argmin(is_count))
        raise FileFormatError(f"{place(first)}: {counts[first]} is no count")

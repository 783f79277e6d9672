"""Arrays in files of numpy, read part by part and never unpickled."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from struct import error as StructError  # noqa: N812 (an exception in all but its name)
from tokenize import TokenError
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError  # noqa: N812 (an exception in all but its name)

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from ainerd_bluesky.errors import AinerdError, FileFormatError
from ainerd_bluesky.xpcs.machine.memory import require_memory
from tiled_adapters.paths import require_regular

__all__ = ["StoredArray", "open_npy", "open_npz"]

# What numpy and zipfile raise over damaged bytes, depending on where they are.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    LZMAError,
    MemoryError,
    RuntimeError,
    StructError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
    ZlibError,
)
_HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}
# zlib makes at most 1032 bytes of one; the others that numpy never uses make more.
_MOST_FROM_A_BYTE = 32_768


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in an open file, of which only the shape was read.

    Parameters
    ----------
    place : str
        File and name inside it, for messages.
    shape : tuple of int
        As the header says; the file is long enough for it.
    dtype : dtype
        Numbers of any kind.
    is_fortran : bool
        Whether the first axis is the one that varies fastest.
    fetch : callable
        `fetch(first, count)` gives consecutive elements in order of the file.
    """

    place: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    fetch: Callable[[int, int], NDArray[Any]]

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Read entries of the first axis.

        Parameters
        ----------
        start, stop : int
            First entry, and the one after the last; all by default.

        Returns
        -------
        ndarray of shape (stop - start, ...)
            The entries.

        Notes
        -----
        What is damaged is a `FileFormatError`, what does not fit into memory a
        `MemoryBudgetError`.
        """
        if not self.shape:
            return self._fetched(0, 1).reshape(())
        first, last, _ = slice(start, stop).indices(self.shape[0])
        if self.is_fortran:
            whole = self._fetched(0, math.prod(self.shape))
            return whole.reshape(self.shape[::-1]).T[first:last]
        entry = math.prod(self.shape[1:])
        found = self._fetched(first * entry, max(last - first, 0) * entry)
        return found.reshape(-1 if entry else last - first, *self.shape[1:])

    def _fetched(self, first: int, count: int) -> NDArray[Any]:
        n_bytes = count * self.dtype.itemsize
        require_memory(n_bytes, f"{self.place} of shape {self.shape}", "read a part")
        found = self.fetch(first, count)
        if len(found) < count:
            raise FileFormatError(f"{self.place} is cut off before {n_bytes} bytes")
        return found


@contextmanager
def open_npy(path: Path) -> Iterator[StoredArray]:
    """Open the array of a `.npy` file.

    It is not mapped into memory: a mapped file that another program cuts off ends this
    process, not just the reading.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    StoredArray
        Valid inside the `with` block.

    Notes
    -----
    What is no array of numbers, or cut off, is a `FileFormatError`.
    """
    with ExitStack() as files:
        with _said_clearly(path):
            require_regular(path)
            stream = files.enter_context(path.open("rb"))
            stored = _stored(path, str(path), stream, path.stat().st_size)
        yield stored


@contextmanager
def open_npz(path: Path) -> Iterator[Mapping[str, StoredArray]]:
    """Open the arrays of a `.npz` file; only their headers are unpacked.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    mapping of str to StoredArray
        Valid inside the `with` block.

    Notes
    -----
    What is no archive of arrays, or claims more than it can hold, is a
    `FileFormatError`.
    """
    with ExitStack() as files:
        with _said_clearly(path):
            require_regular(path)
            archive = files.enter_context(ZipFile(path))
            members = {
                info.filename.removesuffix(".npy"): _member(path, archive, info)
                for info in archive.infolist()
            }
        yield members


def _member(path: Path, archive: ZipFile, info: ZipInfo) -> StoredArray:
    place = f"{path}: {info.filename}"
    packed = min(info.compress_size, path.stat().st_size)
    if info.file_size > packed * _MOST_FROM_A_BYTE:
        raise FileFormatError(
            f"{place} claims {info.file_size:.3g} bytes, but stores {packed}"
        )
    # Closed with the archive: the readers of its members all share one file.
    return _stored(path, place, archive.open(info), info.file_size)


def _stored(path: Path, place: str, stream: IO[bytes], n_bytes: int) -> StoredArray:
    """Read the header of an array, and refuse one that its bytes cannot fill."""
    version = npy_format.read_magic(stream)
    if version not in _HEADERS:
        raise FileFormatError(f"{place}: version {version} of .npy is not read")
    shape, is_fortran, dtype = _HEADERS[version](stream)
    start = stream.tell()
    if dtype.kind not in "biuf" or any(length < 0 for length in shape):
        raise FileFormatError(
            f"{place} holds {dtype} of shape {shape}, no array of real numbers"
        )
    wanted = math.prod(shape) * dtype.itemsize
    if start + wanted > n_bytes:
        raise FileFormatError(
            f"{place} of shape {shape} is cut off: {wanted} bytes expected at byte "
            f"{start}, there are {n_bytes}"
        )

    def fetch(first: int, count: int) -> NDArray[Any]:
        with _said_clearly(path):
            stream.seek(start + first * dtype.itemsize)
            content = stream.read(count * dtype.itemsize)
        return np.frombuffer(content, dtype, len(content) // dtype.itemsize)

    return StoredArray(place, shape, dtype, is_fortran, fetch)


@contextmanager
def _said_clearly(path: Path) -> Iterator[None]:
    """Turn what numpy and zipfile raise into an error that names the file."""
    try:
        yield
    except AinerdError:
        raise
    except OSError as error:
        raise FileFormatError(
            f"cannot read {path}: {error.strerror or error}"
        ) from error
    except _DAMAGE as error:
        # numpy's own words advise to unpickle what may be anybody's file.
        raise FileFormatError(f"{path} is no readable {path.suffix} file") from error

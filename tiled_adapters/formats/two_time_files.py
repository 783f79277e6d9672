"""Two-time maps on their own: .npy, .npz, or a dataset of an HDF5 file."""

from collections.abc import Mapping
from lzma import LZMAError
from pathlib import Path
from struct import error as StructError  # noqa: N812 (an exception in all but its name)
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError  # noqa: N812 (an exception in all but its name)

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import (
    array_datasets,
    open_hdf5,
    read_array,
    require_dataset,
)
from tiled_adapters.formats.adapters import MapsAdapter
from tiled_adapters.formats.records import TwoTimeFile

__all__ = ["TwoTimeFileAdapter", "read_bare_maps"]

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


def read_bare_maps(path: Path, dataset: str | None = None) -> TwoTimeFile:
    """Read maps from a file that holds nothing else about them.

    Parameters
    ----------
    path : Path
        `.npy`, `.npz`, or HDF5 of any suffix.
    dataset : str, optional
        Array in the `.npz`, or path in the HDF5 file; needed where several fit.

    Returns
    -------
    TwoTimeFile
        One map per q-bin; q, angle and frame time unknown.

    Notes
    -----
    A file that is damaged, or not clear about which array is meant, is refused with a
    `FileFormatError` that lists the candidates.
    """
    maps = _load_maps(Path(path), dataset)
    unknown = np.full(len(maps), np.nan)
    return TwoTimeFile(maps, unknown, unknown, metadata={"file_name": Path(path).name})


class TwoTimeFileAdapter(MapsAdapter):
    """Two-time maps of a .npy, .npz or plain HDF5 file."""

    mimetype = "application/x-xpcs-two-time"

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        return _load_maps(self._path, self._dataset)[start:stop]

    @classmethod
    def _describe(
        cls, path: Path, dataset: str | None, /
    ) -> tuple[tuple[int, ...], np.dtype[Any], dict[str, Any]]:
        maps = _load_maps(path, dataset)
        return maps.shape, maps.dtype, {"file_name": path.name}


def _load_maps(path: Path, dataset: str | None) -> NDArray[np.float32]:
    readers = {".npy": _load_npy, ".npz": _load_npz}
    stored = readers.get(path.suffix, _load_hdf5)(path, dataset)
    maps = stored[np.newaxis] if stored.ndim == 2 else stored
    if not _is_maps(maps.shape):
        raise FileFormatError(f"{path}: shape {stored.shape} is no stack of squares")
    if maps.dtype.kind not in "iuf":
        raise FileFormatError(f"{path} holds {maps.dtype}, not real numbers")
    return maps.astype(np.float32)


def _is_maps(shape: tuple[int, ...]) -> bool:
    return len(shape) in {2, 3} and shape[-1] == shape[-2] > 1


def _load_npy(path: Path, _dataset: str | None) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except OSError as error:
        raise FileFormatError(
            f"cannot read {path}: {error.strerror or error}"
        ) from error
    except _DAMAGE as error:
        # numpy's own words advise to unpickle what may be anybody's file.
        raise FileFormatError(f"{path} is not a plain .npy array") from error


def _load_npz(path: Path, dataset: str | None) -> NDArray[Any]:
    try:
        # numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            shapes = {name: archive[name].shape for name in archive.files}
            return np.asarray(archive[_choose(path, dataset, shapes)])
    except FileFormatError:
        raise
    except OSError as error:
        raise FileFormatError(
            f"cannot read {path}: {error.strerror or error}"
        ) from error
    except _DAMAGE as error:
        raise FileFormatError(f"{path} is not a plain .npz of arrays") from error


def _load_hdf5(path: Path, dataset: str | None) -> NDArray[Any]:
    with open_hdf5(path) as file:
        name = dataset or _choose(path, None, array_datasets(file, {2, 3}))
        return read_array(require_dataset(file, name))


def _choose(path: Path, dataset: str | None, shapes: Mapping[str, Any]) -> str:
    """Return the one array that can be meant."""
    candidates = [name for name, shape in shapes.items() if _is_maps(shape)]
    if dataset in candidates:
        return str(dataset)
    if dataset is None and len(candidates) == 1:
        return candidates[0]
    listing = ", ".join(f"{name} {shapes[name]}" for name in candidates) or "none"
    wanted = "several arrays may be meant" if dataset is None else f"no {dataset!r}"
    raise FileFormatError(
        f"{path}: {wanted}; square arrays are: {listing}. "
        "Name one with --dataset PATH (dataset=...)"
    )

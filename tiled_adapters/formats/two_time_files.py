"""Two-time maps on their own: .npy, .npz, or a dataset of an HDF5 file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
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
from tiled_adapters.formats.numpy_files import StoredArray, open_npy, open_npz
from tiled_adapters.formats.records import TwoTimeFile

__all__ = ["TwoTimeFileAdapter", "read_bare_maps"]


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
    with _open_maps(Path(path), dataset) as stored:
        maps = stored.read(0, stored.shape[0])
    unknown = np.full(len(maps), np.nan)
    return TwoTimeFile(maps, unknown, unknown, metadata={"file_name": Path(path).name})


class TwoTimeFileAdapter(MapsAdapter):
    """Two-time maps of a .npy, .npz or plain HDF5 file, read one q-bin at a time."""

    mimetype = "application/x-xpcs-two-time"

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        with _open_maps(self._path, self._dataset) as maps:
            return maps.read(start, stop)

    @classmethod
    def _describe(
        cls, path: Path, dataset: str | None, /
    ) -> tuple[tuple[int, ...], np.dtype[Any], dict[str, Any]]:
        with _open_maps(path, dataset) as maps:
            return maps.shape, np.dtype(np.float32), {"file_name": path.name}


@dataclass(frozen=True, eq=False)
class _Maps:
    """Maps in an open file, of which nothing was read yet."""

    stored_shape: tuple[int, ...]
    fetch: Callable[[int, int], NDArray[Any]]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_q_bins, n_frames, n_frames)."""
        return (1, *self.stored_shape)[-3:]

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read some maps."""
        if len(self.stored_shape) == 2:
            whole = self.fetch(0, self.stored_shape[0])
            return whole.astype(np.float32)[np.newaxis][start:stop]
        return self.fetch(start, stop).astype(np.float32)


@contextmanager
def _open_maps(path: Path, dataset: str | None) -> Iterator[_Maps]:
    openers = {".npy": _open_npy, ".npz": _open_npz}
    with openers.get(path.suffix, _open_hdf5)(path, dataset) as (array, fetch):
        if not _is_maps(array.shape):
            raise FileFormatError(
                f"{path}: shape {array.shape} is no stack of squares, as two-time maps "
                "are"
            )
        if array.dtype.kind not in "iuf":
            raise FileFormatError(f"{path} holds {array.dtype}, not real numbers")
        yield _Maps(array.shape, fetch)


def _is_maps(shape: tuple[int, ...] | None) -> bool:
    # Of a dataset without a shape, h5py says None.
    return shape is not None and len(shape) in {2, 3} and shape[-1] == shape[-2] > 1


_Opened = tuple[StoredArray | h5py.Dataset, Callable[[int, int], NDArray[Any]]]


@contextmanager
def _open_npy(path: Path, _dataset: str | None) -> Iterator[_Opened]:
    with open_npy(path) as array:
        yield array, array.read


@contextmanager
def _open_npz(path: Path, dataset: str | None) -> Iterator[_Opened]:
    with open_npz(path) as arrays:
        shapes = {name: array.shape for name, array in arrays.items()}
        array = arrays[_choose(path, dataset, shapes)]
        yield array, array.read


@contextmanager
def _open_hdf5(path: Path, dataset: str | None) -> Iterator[_Opened]:
    with open_hdf5(path) as file:
        name = dataset or _choose(path, None, array_datasets(file, {2, 3}))
        stored = require_dataset(file, name)
        yield stored, lambda start, stop: read_array(stored, slice(start, stop))


def _choose(
    path: Path, dataset: str | None, shapes: Mapping[str, tuple[int, ...]]
) -> str:
    """Return the one array that can be meant."""
    candidates = [name for name, shape in shapes.items() if _is_maps(shape)]
    if dataset in candidates:
        return str(dataset)
    if dataset is None and len(candidates) == 1:
        return candidates[0]
    listing = ", ".join(f"{name} {shapes[name]}" for name in candidates)
    if not listing:
        raise FileFormatError(
            f"{path} holds no two-time map: none of its {len(shapes)} arrays is square "
            "(n_frames, n_frames), alone or in a stack"
        )
    wanted = f"no map {dataset!r}" if dataset else f"{len(candidates)} arrays may be it"
    raise FileFormatError(
        f"{path}: {wanted}; square arrays are: {listing}. "
        "Name one with --dataset PATH (dataset=...)"
    )

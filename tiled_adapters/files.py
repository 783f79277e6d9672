"""Open data files with care: are they whole, what do they link to."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 (registers the detectors' compression filters)
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import AinerdError, FileFormatError
from tiled_adapters.chunks import require_sound_chunks
from tiled_adapters.heaps import (
    require_sound_attributes,
    require_sound_heaps,
    require_sound_text,
)
from tiled_adapters.links import Elsewhere, follow, has_own_values, walk
from tiled_adapters.paths import require_regular
from tiled_adapters.sizes import require_plausible_size, selected_bytes

__all__ = [
    "DAMAGE",
    "array_datasets",
    "holds",
    "member_names",
    "open_hdf5",
    "read_array",
    "read_attributes",
    "read_numbers",
    "read_scalar",
    "read_text",
    "require_dataset",
]

DAMAGE = (
    ArithmeticError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What h5py raises over damaged bytes, depending on where they are."""


@contextmanager
def open_hdf5(path: Path, *, swmr: bool = False) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without taking the writer's lock.

    Parameters
    ----------
    path : Path
        The file.
    swmr : bool
        Whether a detector may still be writing it.

    Yields
    ------
    h5py.File
        Closed afterwards.

    Raises
    ------
    FileFormatError
        If the file is missing, cut off, or not HDF5, or if h5py stumbles over it later
        in the `with` block. Errors from elsewhere in that block pass unchanged.
    """
    try:
        require_regular(Path(path))
        require_sound_heaps(Path(path))
        file = h5py.File(path, "r", locking=False, swmr=swmr)
    except FileFormatError:
        raise
    except DAMAGE as error:
        # A damaged link may lead to a name that is no text, and could not be logged.
        text = f"cannot open {path} as HDF5: {error}"
        raise FileFormatError(text.encode(errors="replace").decode()) from error
    try:
        with file:
            yield file
    except DAMAGE as error:
        if isinstance(error, AinerdError) or not _is_raised_by_h5py(error):
            raise
        raise FileFormatError(f"{path} is damaged: {error}") from error


def _is_raised_by_h5py(error: BaseException) -> bool:
    """Return whether an error came out of h5py, not out of its caller."""
    modules = (
        str(frame.f_globals.get("__name__", ""))
        for frame, _ in walk_tb(error.__traceback__)
    )
    return any(module.partition(".")[0] == "h5py" for module in modules)


def holds(file: h5py.File, name: str) -> bool:
    """Return whether there is something of that name.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        Path inside the file.

    Returns
    -------
    bool
        False also for a soft link to nowhere; True for a link to another file, which
        is not opened.

    Raises
    ------
    FileFormatError
        If the way there is damaged.
    """
    try:
        return follow(file, name) is not None
    except DAMAGE as error:
        place = f"{file.filename}: cannot look for {name}"
        raise FileFormatError(f"{place}: {error}") from error


def member_names(file: h5py.File, name: str) -> list[str]:
    """Return the sorted names below a group; none if there is no such group.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        Path inside the file.

    Returns
    -------
    list of str
        Names, without the path of the group.

    Raises
    ------
    FileFormatError
        If a name is no text, or the group is damaged or lies in another file.
    """
    if not holds(file, name):
        return []
    group = _open_item(file, name)
    names = list(group) if isinstance(group, h5py.Group) else []
    if not all(isinstance(member, str) for member in names):
        raise FileFormatError(f"{file.filename}: a name below {name} is not UTF-8")
    return sorted(names)


def _open_item(file: h5py.File, name: str) -> h5py.Group | h5py.Dataset:
    try:
        item = follow(file, name)
    except DAMAGE as error:
        raise FileFormatError(f"{file.filename}: cannot open {name}: {error}") from (
            error
        )
    if item is None:
        raise FileFormatError(f"{file.filename}: cannot open {name}")
    if isinstance(item, Elsewhere):
        raise FileFormatError(
            f"{file.filename}: {name} lies in another file, {item.filename!r}; values "
            "that are kept elsewhere are not read"
        )
    return item


def read_attributes(file: h5py.File, name: str) -> dict[str, Any]:
    """Read the attributes of something in the file itself; none where it is absent.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        Path inside the file.

    Returns
    -------
    dict
        As h5py gives them.

    Raises
    ------
    FileFormatError
        If the name leads out of the file, or the attributes are damaged.
    """
    if not holds(file, name):
        return {}
    item = _open_item(file, name)
    require_sound_attributes(item)
    try:
        return dict(item.attrs)
    except DAMAGE as error:
        raise FileFormatError(f"{file.filename}: {name} is damaged: {error}") from error


def require_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset whose values lie in the file itself.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        Path inside the file.

    Returns
    -------
    h5py.Dataset
        Neither virtual, nor stored or linked outside of `file`.

    Raises
    ------
    FileFormatError
        If there is no such dataset, or its values lie elsewhere.
    """
    dataset = _open_item(file, name)
    if not isinstance(dataset, h5py.Dataset):
        raise FileFormatError(f"{file.filename}: {name} is not a dataset")
    if not has_own_values(dataset):
        raise FileFormatError(f"{file.filename}: {name} keeps its values elsewhere")
    return dataset


def read_array(
    dataset: h5py.Dataset, selection: slice | tuple[slice, ...] = ()
) -> NDArray[Any]:
    """Read values of a dataset.

    Parameters
    ----------
    dataset : h5py.Dataset
        An open dataset.
    selection : slice or tuple of slices
        Which part; all of it by default.

    Returns
    -------
    ndarray
        The values.

    Raises
    ------
    FileFormatError
        If a chunk is damaged or missing a filter, or the shape is absurd.
    """
    if dataset.shape is None:
        raise FileFormatError(f"{dataset.file.filename}: {dataset.name} is empty")
    chosen = selection if isinstance(selection, tuple) else (selection,)
    require_plausible_size(dataset, selected_bytes(dataset, chosen))
    require_sound_chunks(dataset, chosen)
    require_sound_text(dataset)
    try:
        return np.asarray(dataset[selection])
    except DAMAGE as error:
        place = f"{dataset.file.filename}: {dataset.name}"
        raise FileFormatError(f"{place} is damaged: {error}") from error


def read_numbers(file: h5py.File, name: str) -> NDArray[Any]:
    """Read a dataset of real numbers.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        Path inside the file.

    Returns
    -------
    ndarray
        Integers, floating point numbers or truth values.

    Raises
    ------
    FileFormatError
        If there is no such dataset, it is damaged, or holds something else.
    """
    dataset = require_dataset(file, name)
    if dataset.dtype.kind not in "biuf":
        raise FileFormatError(
            f"{file.filename}: {name} holds {dataset.dtype}, not real numbers"
        )
    return read_array(dataset)


def read_scalar(file: h5py.File, name: str) -> float | None:
    """Read one number, however it is wrapped; None where it is absent."""
    if not holds(file, name):
        return None
    dataset = require_dataset(file, name)
    if dataset.size != 1 or dataset.dtype.kind not in "iuf":
        return None
    value = read_array(dataset)
    return float(value.reshape(-1)[0])


def read_text(file: h5py.File, name: str) -> str | None:
    """Read one string; None where it is absent or not a string."""
    if not holds(file, name):
        return None
    dataset = require_dataset(file, name)
    # Damage can make anything of a type, and HDF5 crash when it reads what is no text.
    if dataset.size != 1 or h5py.check_string_dtype(dataset.dtype) is None:
        return None
    text = read_array(dataset).reshape(-1)[0]
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


def array_datasets(
    file: h5py.File, n_dims: Iterable[int]
) -> Mapping[str, tuple[int, ...]]:
    """Return path and shape of the numeric datasets that have so many dimensions.

    Parameters
    ----------
    file : h5py.File
        An open file.
    n_dims : iterable of int
        Numbers of dimensions that are wanted.

    Returns
    -------
    mapping of str to tuple of int
        In order of paths. What keeps its values elsewhere is left out: to ask for its
        shape may open other files.
    """
    wanted = set(n_dims)
    datasets = (
        (name, item)
        for name, item in walk(file)
        if isinstance(item, h5py.Dataset) and has_own_values(item)
    )
    return {
        name: item.shape
        for name, item in sorted(datasets, key=lambda found: found[0])
        if item.dtype.kind in "iuf" and item.ndim in wanted
    }

"""Two-time maps that are stored as an upper triangle, as 8-ID does."""

import math
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from ainerd_bluesky.xpcs.machine.memory import require_memory
from tiled_adapters.files import read_numbers, require_dataset

__all__ = ["map_shape", "read_maps"]


def map_shape(file: h5py.File, names: list[str]) -> tuple[int, int]:
    """Return the one shape that all maps have.

    Parameters
    ----------
    file : h5py.File
        An open file.
    names : list of str
        Path of each map inside the file.

    Returns
    -------
    tuple of int
        (n_frames, n_frames).

    Raises
    ------
    FileFormatError
        If a map is no square, or unlike the others.
    """
    shapes = {name: require_dataset(file, name).shape for name in names}
    shape = shapes[names[0]]
    for name, found in shapes.items():
        if len(found or ()) != 2 or found[0] != found[1]:
            raise FileFormatError(f"{file.filename}: {name} has shape {found}")
        if found != shape:
            raise FileFormatError(
                f"{file.filename}: {name} has shape {found}, {names[0]} has {shape}"
            )
    n_rows, n_cols = shape
    return n_rows, n_cols


def read_maps(file: h5py.File, names: list[str]) -> NDArray[np.float32]:
    """Read maps as filled squares.

    Parameters
    ----------
    file : h5py.File
        An open file.
    names : list of str
        Path of each map inside the file.

    Returns
    -------
    ndarray of float32, shape (n_names, n_frames, n_frames)
        Symmetric, also where only one triangle is stored.
    """
    shape = (len(names), *map_shape(file, names))
    _require_plausible(file, names, shape)
    maps = np.empty(shape, np.float32)
    for one_map, name in zip(maps, names, strict=True):
        one_map[...] = _filled(read_numbers(file, name))
    return maps


def _require_plausible(
    file: h5py.File, names: list[str], shape: tuple[int, ...]
) -> None:
    """Refuse maps that are one and the same, or do not fit together."""
    # Many names for one dataset, never written, would fill any memory.
    places = {h5py.h5o.get_info(file[name].id).addr for name in names}
    if len(places) < len(names):
        raise FileFormatError(
            f"{file.filename}: {len(names)} maps below {names[0].rpartition('/')[0]} "
            f"are {len(places)} datasets"
        )
    require_memory(
        2 * 4 * math.prod(shape),
        f"{file.filename}: {len(names)} maps of {shape[1]} frames",
        "read fewer q-bins at once",
    )


def _filled(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Return a map whose lower triangle is there."""
    square = stored.astype(np.float32)
    if np.tril(square, -1).any():
        return square
    return square + np.triu(square, 1).T

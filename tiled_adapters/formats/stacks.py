"""Stacks of frames in HDF5, of a layout that is known or not."""

from collections.abc import Iterator
from contextlib import contextmanager
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
from tiled_adapters.formats.adapters import FramesAdapter
from tiled_adapters.formats.records import FrameSource, StackRange

__all__ = ["StackAdapter", "counting_pixels", "open_stack"]


@contextmanager
def open_stack(path: Path, dataset: str | None = None, /) -> Iterator[FrameSource]:
    """Open frames in an HDF5 file of no known layout.

    Parameters
    ----------
    path : Path
        An HDF5 file.
    dataset : str, optional
        Path inside it; needed where it holds several stacks.

    Yields
    ------
    FrameSource
        Valid inside the `with` block.
    """
    with open_hdf5(path) as file:
        name = dataset or _only_stack(file)
        yield FrameSource((require_dataset(file, name),))


class StackAdapter(FramesAdapter):
    """Frames in an HDF5 file of no known layout."""

    mimetype = "application/x-xpcs-frames+hdf5"
    open = staticmethod(open_stack)


def counting_pixels(
    parts: tuple[h5py.Dataset | StackRange, ...],
    unmasked: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_] | None:
    """Return which pixels of a detector count, as mask and frames tell.

    Detectors write the largest number of the type where they do not count: between
    modules, in dead pixels, and in some files instead of a mask.

    Parameters
    ----------
    parts : tuple of h5py.Dataset or StackRange
        Stacks of frames that follow one another.
    unmasked : ndarray of bool, shape (n_rows, n_cols), optional
        False where the file has a mask.

    Returns
    -------
    ndarray of bool, shape (n_rows, n_cols), or None
        None if all pixels count.
    """
    filled = [part for part in parts if len(part.shape) == 3 and part.shape[0] > 0]
    if not filled or {part.dtype.kind for part in filled} != {"u"}:
        return unmasked
    # A pixel that is over range now and then is another matter: it is masked only if
    # it never counts, in the first frame nor in the last.
    last = filled[-1].shape[0] - 1
    ends = (
        _read(filled[0], slice(1))[0],
        _read(filled[-1], slice(last, last + 1))[0],
    )
    # Stacks that do not fit one another are for others to refuse.
    if (ends[0].shape, ends[0].dtype) != (ends[1].shape, ends[1].dtype):
        return unmasked
    is_counting: NDArray[np.bool_] = ~np.logical_and(
        *(end == np.iinfo(end.dtype).max for end in ends)
    )
    if unmasked is not None and unmasked.shape == is_counting.shape:
        return unmasked & is_counting
    if unmasked is not None:
        return unmasked
    return None if is_counting.all() else is_counting


def _read(part: h5py.Dataset | StackRange, frames: slice) -> NDArray[Any]:
    return part[frames] if isinstance(part, StackRange) else read_array(part, frames)


def _only_stack(file: h5py.File) -> str:
    stacks = array_datasets(file, {3})
    if len(stacks) == 1:
        return next(iter(stacks))
    if not stacks:
        raise FileFormatError(
            f"{file.filename} holds no stack of frames: none of its own datasets has "
            "the shape (n_frames, n_rows, n_cols); links to other files are not read"
        )
    listing = ", ".join(f"{name} {shape}" for name, shape in stacks.items())
    raise FileFormatError(
        f"{file.filename}: which stack of frames? There are: {listing}. "
        "Name one with --dataset PATH (dataset=...)"
    )

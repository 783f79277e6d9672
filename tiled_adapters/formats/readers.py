"""One way in: find out what a file is, and read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import array_datasets, open_hdf5, require_dataset
from tiled_adapters.formats import aps_8idi, eiger, two_time_files
from tiled_adapters.formats.records import FrameSource, TwoTimeFile

__all__ = ["open_frames", "read_two_time"]


def read_two_time(path: Path, dataset: str | None = None) -> TwoTimeFile:
    """Read two-time maps from a file of any known format.

    Parameters
    ----------
    path : Path
        A boost-corr result, `.npy`, `.npz`, or an HDF5 file with a map in it.
    dataset : str, optional
        Which array, where a file of no known layout holds several.

    Returns
    -------
    TwoTimeFile
        Filled squares, one per q-bin.

    Raises
    ------
    FileFormatError
        If the file is damaged, or holds no map or detector frames; the text names the
        path inside it.
    """
    path = Path(path)
    if dataset is None and path.suffix not in {".npy", ".npz"}:
        with open_hdf5(path) as file:
            is_result = aps_8idi.is_result(file)
            holds_frames = not is_result and _holds_frames(file)
        if holds_frames:
            raise FileFormatError(
                f"{path} holds detector frames: use --raw --partition FILE; "
                "if they are maps, name them with --dataset PATH"
            )
        if is_result:
            return aps_8idi.read_result(path)
    return two_time_files.read_bare_maps(path, dataset)


def _holds_frames(file: h5py.File) -> bool:
    """Return whether a file has the layout of a detector, or one stack and no map."""
    shapes = array_datasets(file, {2, 3}).values()
    stacks = [shape for shape in shapes if len(shape) == 3]
    if eiger.is_master(file) or (stacks and aps_8idi.is_raw(file)):
        return True
    return len(stacks) == 1 and all(shape[-1] != shape[-2] for shape in shapes)


@contextmanager
def open_frames(path: Path, dataset: str | None = None) -> Iterator[FrameSource]:
    """Open detector frames of any known format.

    Parameters
    ----------
    path : Path
        A DECTRIS master file, 8-ID raw frames, or an HDF5 file with a stack in it.
    dataset : str, optional
        Path inside the file, where it holds several stacks.

    Yields
    ------
    FrameSource
        Valid inside the `with` block.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        is_master, is_raw = eiger.is_master(file), aps_8idi.is_raw(file)
    if dataset is None and is_master:
        opened = eiger.open_master(path)
    elif dataset is None and is_raw:
        opened = aps_8idi.open_raw(path)
    else:
        opened = _open_stack(path, dataset)
    with opened as source:
        yield source


@contextmanager
def _open_stack(path: Path, dataset: str | None) -> Iterator[FrameSource]:
    with open_hdf5(path) as file:
        name = dataset or _only_stack(file)
        yield FrameSource((require_dataset(file, name),))


def _only_stack(file: h5py.File) -> str:
    stacks = array_datasets(file, {3})
    if len(stacks) == 1:
        return next(iter(stacks))
    listing = ", ".join(f"{name} {shape}" for name, shape in stacks.items()) or "none"
    raise FileFormatError(
        f"{file.filename}: which stack of frames? There are: {listing}. "
        "Name one with --dataset PATH (dataset=...)"
    )

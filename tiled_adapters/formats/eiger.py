"""Frames of DECTRIS Eiger detectors: a master file with links to its data files."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import (
    holds,
    member_names,
    open_hdf5,
    read_numbers,
    read_scalar,
    require_dataset,
)
from tiled_adapters.formats.adapters import FramesAdapter
from tiled_adapters.formats.records import FrameSource

__all__ = ["EigerAdapter", "is_master", "open_master"]

_DETECTOR = "/entry/instrument/detector"
_PIXEL_MASK = f"{_DETECTOR}/detectorSpecific/pixel_mask"


def is_master(file: h5py.File) -> bool:
    """Return whether an open file links to data files as a master does."""
    return bool(_links(file))


@contextmanager
def open_master(path: Path) -> Iterator[FrameSource]:
    """Open the frames of a master file.

    Parameters
    ----------
    path : Path
        `*_master.h5`; the data files lie in its folder.

    Yields
    ------
    FrameSource
        Valid inside the `with` block; pixels that the detector masks read as 0.
    """
    path = Path(path)
    with ExitStack() as stack:
        master = stack.enter_context(open_hdf5(path))
        parts = tuple(
            _open_part(stack, path, name, link) for name, link in _links(master).items()
        )
        yield FrameSource(
            parts,
            frame_time=read_scalar(master, f"{_DETECTOR}/frame_time"),
            usable_pixels=_usable_pixels(master),
        )


class EigerAdapter(FramesAdapter):
    """Frames of an Eiger master file, across its data files."""

    mimetype = "application/x-xpcs-eiger-master+hdf5"
    _open = staticmethod(open_master)


def _links(file: h5py.File) -> dict[str, h5py.HardLink | h5py.ExternalLink]:
    """Return the links to stacks of frames, by path; old firmware has them higher."""
    for folder in ("/entry/data", "/entry"):
        members = member_names(file, folder)
        names = [name for name in members if name.startswith("data_0")]
        if names:
            group = file[folder]
            return {f"{folder}/{name}": group.get(name, getlink=True) for name in names}
    return {}


def _open_part(
    stack: ExitStack, path: Path, name: str, link: h5py.HardLink | h5py.ExternalLink
) -> h5py.Dataset:
    """Open one stack; a linked file must lie in the folder of the master."""
    if not isinstance(link, h5py.ExternalLink):
        return require_dataset(stack.enter_context(open_hdf5(path)), name)
    target = (path.parent / link.filename).resolve()
    if target.parent != path.parent.resolve():
        raise FileFormatError(
            f"{path}: {name} links to {link.filename!r}, outside of the master's folder"
        )
    return require_dataset(stack.enter_context(open_hdf5(target)), link.path)


def _usable_pixels(master: h5py.File) -> NDArray[np.bool_] | None:
    if not holds(master, _PIXEL_MASK):
        return None
    return np.asarray(read_numbers(master, _PIXEL_MASK) == 0)

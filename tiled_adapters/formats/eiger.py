"""Frames of DECTRIS Eiger detectors: a master file with links to its data files."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

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
from tiled_adapters.formats.facts import (
    energy_from_wavelength,
    present,
    read_facts,
)
from tiled_adapters.formats.records import FrameSource
from tiled_adapters.formats.stacks import counting_pixels
from tiled_adapters.links import Elsewhere, follow

__all__ = ["EigerAdapter", "is_master", "open_master"]

_DETECTOR = "/entry/instrument/detector"
_SPECIFIC = f"{_DETECTOR}/detectorSpecific"
_FACTS = {
    "detector": f"{_DETECTOR}/description",
    "start_time": f"{_SPECIFIC}/data_collection_date",
    "count_time": f"{_DETECTOR}/count_time",
    "detector_distance": f"{_DETECTOR}/detector_distance",
    "beam_center_x": f"{_DETECTOR}/beam_center_x",
    "beam_center_y": f"{_DETECTOR}/beam_center_y",
    "x_pixel_size": f"{_DETECTOR}/x_pixel_size",
    "y_pixel_size": f"{_DETECTOR}/y_pixel_size",
}
# Firmware before 1.3 keeps the wavelength at the monochromator.
_WAVELENGTHS = (
    "/entry/instrument/beam/incident_wavelength",
    "/entry/instrument/monochromator/wavelength",
)
_DATA = re.compile(r"data_\d{6}$")


def is_master(file: h5py.File) -> bool:
    """Return whether an open file links to data files as a master does."""
    return bool(_stacks(file))


@contextmanager
def open_master(path: Path, _dataset: str | None = None, /) -> Iterator[FrameSource]:
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
    with ExitStack() as stack:
        master = stack.enter_context(open_hdf5(path))
        parts = tuple(_open_part(stack, path, master, name) for name in _stacks(master))
        yield FrameSource(
            parts,
            frame_time=read_scalar(master, f"{_DETECTOR}/frame_time"),
            usable_pixels=counting_pixels(parts, _unmasked_pixels(master)),
            metadata=_metadata(master),
        )


class EigerAdapter(FramesAdapter):
    """Frames of an Eiger master file, across its data files."""

    mimetype = "application/x-xpcs-eiger-master+hdf5"
    open = staticmethod(open_master)


def _stacks(file: h5py.File) -> list[str]:
    """Return the paths of the stacks of frames; old firmware has them higher."""
    for folder in ("/entry/data", "/entry"):
        members = member_names(file, folder)
        names = [name for name in members if _DATA.match(name)]
        if names:
            return [f"{folder}/{name}" for name in names]
    return []


def _open_part(
    stack: ExitStack, path: Path, master: h5py.File, name: str
) -> h5py.Dataset:
    """Open one stack; a linked file must lie in the folder of the master."""
    link = follow(master, name)
    if not isinstance(link, Elsewhere):
        return require_dataset(master, name)
    target = (path.parent / link.filename).resolve()
    if target.parent != path.parent.resolve():
        raise FileFormatError(
            f"{path}: {name} links to {link.filename!r}, outside of the master's folder"
        )
    return require_dataset(stack.enter_context(open_hdf5(target)), link.path)


def _unmasked_pixels(master: h5py.File) -> NDArray[np.bool_] | None:
    name = f"{_SPECIFIC}/pixel_mask"
    if not holds(master, name):
        return None
    # Any bit of the mask (gap, dead, under, over, noisy) takes a pixel out.
    return np.asarray(read_numbers(master, name) == 0)


def _metadata(master: h5py.File) -> dict[str, Any]:
    wavelengths = (read_scalar(master, name) for name in _WAVELENGTHS)
    wavelength = next((value for value in wavelengths if value), None)
    n_images = read_scalar(master, f"{_SPECIFIC}/nimages")
    n_triggers = read_scalar(master, f"{_SPECIFIC}/ntrigger") or 1.0
    return present(
        {
            **read_facts(master, _FACTS),
            "energy": energy_from_wavelength(wavelength),
            "n_frames_planned": int(n_images * n_triggers) if n_images else None,
        }
    )

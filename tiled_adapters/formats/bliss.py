"""Scans of ESRF beamlines as BLISS writes them: one group a scan."""

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
    read_scalar,
    require_dataset,
)
from tiled_adapters.formats.adapters import FramesAdapter
from tiled_adapters.formats.facts import present, read_energy, read_facts, read_times
from tiled_adapters.formats.records import FrameSource, StackRange
from tiled_adapters.formats.stacks import counting_pixels
from tiled_adapters.links import Elsewhere, follow, has_own_values
from tiled_adapters.paths import require_under

__all__ = ["BlissAdapter", "is_bliss", "open_scan", "scan_frame_time"]

_SCAN = re.compile(r"/?(\d+\.\d+)(/.*)?$")
_MOST_POSITIONERS = 64


def is_bliss(file: h5py.File, dataset: str | None = None) -> bool:
    """Return whether an open file holds scans of BLISS with frames.

    Parameters
    ----------
    file : h5py.File
        An open file.
    dataset : str, optional
        Path inside it that is asked for.

    Returns
    -------
    bool
        False also if `dataset` lies outside of the scans.
    """
    if dataset is not None:
        match = _SCAN.match(dataset)
        return bool(match and holds(file, f"/{match[1]}/measurement"))
    return bool(_stacks(file))


@contextmanager
def open_scan(path: Path, dataset: str | None = None, /) -> Iterator[FrameSource]:
    """Open the frames of a scan.

    Parameters
    ----------
    path : Path
        The file of a dataset; frames may lie in files of LIMA below its folder.
    dataset : str, optional
        The scan (`2.1`), or the frames in it (`/2.1/measurement/eiger4m`); needed where
        the file holds several.

    Yields
    ------
    FrameSource
        Valid inside the `with` block; pixels between the modules read as 0.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open_hdf5(path))
        name = _chosen_stack(file, dataset)
        parts = _open_parts(stack, path, file, name)
        scan = f"/{name.split('/')[1]}"
        n_frames = sum(part.shape[0] for part in parts)
        yield FrameSource(
            parts,
            frame_time=scan_frame_time(file, scan),
            usable_pixels=counting_pixels(parts),
            timestamps=_timestamps(file, scan, n_frames),
            metadata={**_metadata(file, scan), "dataset": name},
        )


class BlissAdapter(FramesAdapter):
    """Frames of one scan of a BLISS file."""

    mimetype = "application/x-xpcs-bliss+hdf5"
    open = staticmethod(open_scan)


def scan_frame_time(file: h5py.File, scan: str) -> float | None:
    """Return the start-to-start time of the frames of a scan.

    Parameters
    ----------
    file : h5py.File
        An open file.
    scan : str
        Group of the scan.

    Returns
    -------
    float or None
        In seconds; None where the scan does not tell.
    """
    periods = read_times(file, f"{scan}/measurement/fast_timer_period")
    if periods is None or periods.size == 0 or not np.median(periods) > 0:
        return None
    return float(np.median(periods))


def _stacks(file: h5py.File, scan: str | None = None) -> list[str]:
    """Return the paths of the frames in all scans, or in one."""
    scans = [name for name in member_names(file, "/") if _SCAN.fullmatch(name)]
    found = []
    for name in [scan] if scan else scans:
        group = f"/{name}/measurement"
        found += [
            f"{group}/{member}"
            for member in member_names(file, group)
            if _may_be_stack(follow(file, f"{group}/{member}"))
        ]
    return found


def _may_be_stack(item: object) -> bool:
    """Return whether something may hold frames; no other file is opened for it."""
    if isinstance(item, h5py.Dataset) and has_own_values(item):
        return bool(item.ndim == 3)
    return isinstance(item, h5py.Dataset | Elsewhere)


def _shape(item: h5py.Dataset | Elsewhere | None) -> str:
    if isinstance(item, h5py.Dataset) and has_own_values(item):
        return str(item.shape)
    return "(in other files)"


def _chosen_stack(file: h5py.File, dataset: str | None) -> str:
    match = _SCAN.match(dataset or "")
    if match and match[2] and match[2] != "/":
        return f"/{match[1]}{match[2]}"
    found = _stacks(file, match[1] if match else None)
    if len(found) == 1:
        return found[0]
    if not found:
        raise FileFormatError(
            f"{file.filename}: no frames below /SCAN/measurement, where BLISS puts "
            f"them, for --dataset {dataset}"
        )
    listing = ", ".join(f"{name} {_shape(follow(file, name))}" for name in found)
    raise FileFormatError(
        f"{file.filename}: which frames? There are: {listing}. "
        "Name one with --dataset PATH (dataset=...)"
    )


def _open_parts(
    stack: ExitStack, path: Path, file: h5py.File, name: str
) -> tuple[h5py.Dataset | StackRange, ...]:
    """Return the frames themselves, or the parts that a virtual dataset is made of."""
    dataset = follow(file, name)
    if isinstance(dataset, Elsewhere):
        real = require_under(path.parent / dataset.filename, [path.parent])
        return (require_dataset(stack.enter_context(open_hdf5(real)), dataset.path),)
    if not isinstance(dataset, h5py.Dataset):
        raise FileFormatError(f"{file.filename}: {name} is not a dataset")
    if not dataset.is_virtual:
        return (require_dataset(file, name),)
    # HDF5 would follow the sources wherever they lead: they are opened one by one.
    sources = sorted(
        dataset.virtual_sources(), key=lambda s: s.vspace.get_select_bounds()[0][0]
    )
    parts = tuple(_open_source(stack, path, name, source) for source in sources)
    n_frames = sum(part.shape[0] for part in parts)
    if n_frames != dataset.shape[0]:
        raise FileFormatError(
            f"{path}: {name} has {dataset.shape[0]} frames, its sources {n_frames}"
        )
    return parts


def _open_source(
    stack: ExitStack,
    path: Path,
    name: str,
    source: Any,  # noqa: ANN401 - h5py gives its kind no public name
) -> StackRange:
    """Open one source of a virtual dataset; its file lies below the scan's folder."""
    target = path if source.file_name == "." else path.parent / source.file_name
    real = require_under(target, [path.parent])
    dataset = require_dataset(stack.enter_context(open_hdf5(real)), source.dset_name)
    first, last = source.vspace.get_select_bounds()
    n_frames, frame_shape = last[0] - first[0] + 1, tuple(np.subtract(last, first) + 1)
    start = 0
    if source.src_space.get_select_type() == h5py.h5s.SEL_HYPERSLABS:
        start = source.src_space.get_select_bounds()[0][0]
    is_whole = dataset.ndim == 3 and frame_shape[1:] == dataset.shape[1:]
    if not is_whole or start + n_frames > len(dataset):
        raise FileFormatError(
            f"{path}: {name} takes frames {start} .. {start + n_frames} of {real}: "
            f"{dataset.name}, which has shape {dataset.shape}"
        )
    return StackRange(dataset, start, start + n_frames)


def _timestamps(
    file: h5py.File, scan: str, n_frames: int
) -> NDArray[np.float64] | None:
    group = f"{scan}/measurement"
    times = read_times(file, f"{group}/fast_timer_trig", f"{group}/elapsed_time")
    return times if times is not None and times.size == n_frames else None


def _metadata(file: h5py.File, scan: str) -> dict[str, Any]:
    """Return title, times, energy and positions of a scan, as plain JSON values."""
    names = ("title", "start_time", "end_time")
    group = f"{scan}/instrument/positioners"
    motors = member_names(file, group)[:_MOST_POSITIONERS]
    positions = {motor: read_scalar(file, f"{group}/{motor}") for motor in motors}
    return present(
        {
            **read_facts(file, {name: f"{scan}/{name}" for name in names}),
            "scan": scan.strip("/"),
            "energy": read_energy(file, f"{group}/monoe"),
            "positioners": present(positions) or None,
        }
    )

"""One way in: find out what a file is, and read it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import h5py

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import array_datasets, open_hdf5
from tiled_adapters.formats import (
    aps_8idi,
    aps_legacy,
    bliss,
    chx_result,
    eiger,
    one_time,
    sparse_frames,
    two_time_files,
)
from tiled_adapters.formats.adapters import FramesAdapter, MapsAdapter
from tiled_adapters.formats.chx import CmpAdapter
from tiled_adapters.formats.imm import ImmAdapter
from tiled_adapters.formats.records import EventSource, FrameSource, TwoTimeFile
from tiled_adapters.formats.rigaku import Rigaku3mAdapter, Rigaku500kAdapter
from tiled_adapters.formats.stacks import StackAdapter

__all__ = ["frames_adapter", "maps_adapter", "open_frames", "read_two_time"]

# What is no HDF5 is told by its name.
_BY_NAME: tuple[tuple[str, type[FramesAdapter]], ...] = (
    (".bin.000", Rigaku3mAdapter),
    (".bin", Rigaku500kAdapter),
    (".imm", ImmAdapter),
    (".cmp", CmpAdapter),
)


class _Layout(NamedTuple):
    """A kind of result."""

    is_of: Callable[[h5py.File], bool]
    read: Callable[[Path], TwoTimeFile]
    adapter: type[MapsAdapter]


_RESULTS = (
    _Layout(aps_8idi.is_result, aps_8idi.read_result, aps_8idi.Aps8IdiResultAdapter),
    _Layout(
        aps_legacy.is_legacy_result,
        aps_legacy.read_legacy_result,
        aps_legacy.Aps8IdiLegacyAdapter,
    ),
    _Layout(
        chx_result.is_chx_result,
        chx_result.read_chx_result,
        chx_result.ChxResultAdapter,
    ),
)


def read_two_time(path: Path, dataset: str | None = None) -> TwoTimeFile:
    """Read two-time maps from a file of any known format.

    Parameters
    ----------
    path : Path
        A result of boost-corr, an older one of 8-ID, one of pyCHX, `.npy`, `.npz`, or
        an HDF5 file with a map in it.
    dataset : str, optional
        Which array, where a file of no known layout holds several.

    Returns
    -------
    TwoTimeFile
        Filled squares, one per q-bin.

    Notes
    -----
    A `FileFormatError` is raised if the file is damaged, or holds no map or
    detector frames; the text names the path inside it.
    """
    path = Path(path)
    layout = _find_result(path, dataset)
    if layout is None:
        return two_time_files.read_bare_maps(path, dataset)
    return layout.read(path)


def maps_adapter(path: Path, dataset: str | None = None) -> type[MapsAdapter]:
    """Return the adapter that serves the maps of a file.

    Parameters
    ----------
    path : Path
        As for `read_two_time`.
    dataset : str, optional
        As for `read_two_time`.

    Returns
    -------
    type
        An adapter class.
    """
    layout = _find_result(Path(path), dataset)
    return two_time_files.TwoTimeFileAdapter if layout is None else layout.adapter


@contextmanager
def open_frames(
    path: Path, dataset: str | None = None
) -> Iterator[FrameSource | EventSource]:
    """Open detector frames of any known format.

    Parameters
    ----------
    path : Path
        A DECTRIS master file, raw frames of 8-ID, a file of Rigaku (`.bin`,
        `.bin.000`), IMM or pyCHX (`.cmp`), a BLISS scan, sparse frames of ID10, or an
        HDF5 file with a stack in it.
    dataset : str, optional
        Path inside the file, where it holds several stacks or scans.

    Yields
    ------
    FrameSource or EventSource
        Valid inside the `with` block. Both give `blocks`; an `EventSource` has `events`
        too, and is best read by them.
    """
    path = Path(path)
    with frames_adapter(path, dataset).open(path, dataset) as source:
        yield source


def frames_adapter(path: Path, dataset: str | None = None) -> type[FramesAdapter]:
    """Return the adapter that opens and serves the frames of a file.

    Parameters
    ----------
    path : Path
        As for `open_frames`.
    dataset : str, optional
        As for `open_frames`.

    Returns
    -------
    type
        An adapter class.

    Raises
    ------
    FileFormatError
        If the file is no HDF5, and its name is of no other format.
    """
    named = _named_adapter(Path(path))
    if named is not None and dataset is not None:
        raise FileFormatError(f"{path} is no HDF5: there is no {dataset} in it")
    if named is not None:
        return named
    with open_hdf5(Path(path)) as file:
        if bliss.is_bliss(file, dataset):
            return bliss.BlissAdapter
        if dataset is not None:
            return StackAdapter
        return _known_adapter(file) or StackAdapter


def _named_adapter(path: Path) -> type[FramesAdapter] | None:
    names = (adapter for ending, adapter in _BY_NAME if path.name.endswith(ending))
    return next(names, None)


def _known_adapter(file: h5py.File) -> type[FramesAdapter] | None:
    if eiger.is_master(file):
        return eiger.EigerAdapter
    if sparse_frames.is_sparse_frames(file):
        return sparse_frames.SparseFramesAdapter
    if aps_8idi.is_raw(file):
        return aps_8idi.Aps8IdiFramesAdapter
    return None


def _find_result(path: Path, dataset: str | None) -> _Layout | None:
    """Return the layout of a result; None for a bare map, and an error for frames."""
    if dataset is not None or path.suffix in {".npy", ".npz"}:
        return None
    if _named_adapter(path) is not None:
        raise _holds_frames(path)
    with open_hdf5(path) as file:
        found = next((layout for layout in _RESULTS if layout.is_of(file)), None)
        if found is None and one_time.holds_one_time(file):
            raise FileFormatError(f"{path} holds g2 only, no two-time maps")
        if found is None and _is_of_frames(file):
            raise _holds_frames(path)
    return found


def _holds_frames(path: Path) -> FileFormatError:
    return FileFormatError(
        f"{path} holds detector frames: use --raw --partition FILE; "
        "if they are maps, name them with --dataset PATH"
    )


def _is_of_frames(file: h5py.File) -> bool:
    """Return whether a file has the layout of a detector, or one stack and no map."""
    shapes = array_datasets(file, {2, 3}).values()
    stacks = [shape for shape in shapes if len(shape) == 3]
    known = _known_adapter(file)
    if known not in {None, aps_8idi.Aps8IdiFramesAdapter} or bliss.is_bliss(file):
        return True
    if stacks and known is not None:
        return True
    return len(stacks) == 1 and all(shape[-1] != shape[-2] for shape in shapes)

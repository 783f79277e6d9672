"""Files of APS 8-ID: results of boost-corr, and raw frames with their metadata."""

from collections.abc import Iterator
from contextlib import contextmanager
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
    read_text,
    require_dataset,
)
from tiled_adapters.formats.adapters import FramesAdapter, MapsAdapter
from tiled_adapters.formats.qmap import bin_values
from tiled_adapters.formats.records import FrameSource, TwoTimeFile

__all__ = [
    "Aps8IdiFramesAdapter",
    "Aps8IdiResultAdapter",
    "is_raw",
    "is_result",
    "open_raw",
    "read_result",
]

_MAPS = "/xpcs/twotime/correlation_map"
_FRAMES = "/entry/data/data"
_DETECTOR = "/entry/instrument/detector_1"


def is_result(file: h5py.File) -> bool:
    """Return whether an open file holds two-time maps of boost-corr."""
    return holds(file, _MAPS)


def is_raw(file: h5py.File) -> bool:
    """Return whether an open file holds raw frames as EPICS writes them."""
    return holds(file, _FRAMES) and isinstance(file[_FRAMES], h5py.Dataset)


def read_result(path: Path) -> TwoTimeFile:
    """Read the two-time maps of a boost-corr result.

    Parameters
    ----------
    path : Path
        `*_results.hdf`.

    Returns
    -------
    TwoTimeFile
        One map per processed q-bin, the stored upper triangle mirrored.

    Raises
    ------
    FileFormatError
        If the file is damaged or its parts do not fit.
    """
    with open_hdf5(Path(path)) as file:
        names = _map_names(file)
        q_bins = _processed_bins(file, names)
        q_values, phi_values = bin_values(file, "/xpcs/qmap")
        if q_bins.min() < 1 or q_bins.max() > q_values.size:
            raise FileFormatError(
                f"{path}: /xpcs/twotime/processed_bins names bins {q_bins.tolist()}, "
                f"the partition has {q_values.size}"
            )
        return TwoTimeFile(
            two_time=_read_maps(file, names),
            q_values=q_values[q_bins - 1],
            phi_values=phi_values[q_bins - 1],
            frame_time=_row_time(file),
            metadata=_metadata(file, q_bins),
        )


@contextmanager
def open_raw(path: Path) -> Iterator[FrameSource]:
    """Open raw frames as the detector's EPICS plugin writes them.

    Parameters
    ----------
    path : Path
        The frames; `<stem>_metadata.hdf` beside it tells the frame time.

    Yields
    ------
    FrameSource
        Valid inside the `with` block.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        frames = require_dataset(file, _FRAMES)
        yield FrameSource((frames,), frame_time=_sibling_frame_time(path))


class Aps8IdiResultAdapter(MapsAdapter):
    """Two-time maps of a boost-corr result, read one q-bin at a time."""

    mimetype = "application/x-xpcs-8idi-result+hdf5"

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        with open_hdf5(self._path) as file:
            return _read_maps(file, _map_names(file)[start:stop])

    @classmethod
    def _describe(
        cls, path: Path, _dataset: str | None, /
    ) -> tuple[tuple[int, ...], np.dtype[Any], dict[str, Any]]:
        with open_hdf5(path) as file:
            names = _map_names(file)
            shape = (len(names), *_map_shape(file, names))
            metadata = _metadata(file, _processed_bins(file, names))
            return shape, np.dtype(np.float32), metadata


class Aps8IdiFramesAdapter(FramesAdapter):
    """Raw frames of 8-ID with the frame time of the sibling metadata file."""

    mimetype = "application/x-xpcs-8idi-frames+hdf5"
    _open = staticmethod(open_raw)


def _map_names(file: h5py.File) -> list[str]:
    """Return the paths of the maps, in the order of the processed bins."""
    names = member_names(file, _MAPS)
    if not names:
        raise FileFormatError(f"{file.filename}: no maps below {_MAPS}")
    return [f"{_MAPS}/{name}" for name in names]


def _processed_bins(file: h5py.File, names: list[str]) -> NDArray[np.int64]:
    """Return the q-bin of each map: c2_00001 is the first processed bin, not bin 1."""
    stored = read_numbers(file, "/xpcs/twotime/processed_bins")
    if not np.isfinite(stored).all():
        raise FileFormatError(
            f"{file.filename}: /xpcs/twotime/processed_bins holds {stored.tolist()}"
        )
    q_bins = stored.astype(np.int64).reshape(-1)
    if q_bins.size != len(names):
        raise FileFormatError(
            f"{file.filename}: {len(names)} maps below {_MAPS}, "
            f"{q_bins.size} entries in /xpcs/twotime/processed_bins"
        )
    return q_bins


def _map_shape(file: h5py.File, names: list[str]) -> tuple[int, int]:
    """Return the one shape that all maps have."""
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


def _read_maps(file: h5py.File, names: list[str]) -> NDArray[np.float32]:
    """Return maps as filled squares, one per name."""
    _map_shape(file, names)
    return np.stack([_filled(read_numbers(file, name)) for name in names])


def _filled(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Return a map whose lower triangle is there."""
    square = stored.astype(np.float32)
    if np.tril(square, -1).any():
        return square
    return square + np.triu(square, 1).T


def _row_time(file: h5py.File) -> float | None:
    """Return the time between two rows of a map, in seconds."""
    frame_time = read_scalar(file, f"{_DETECTOR}/frame_time")
    if frame_time is None:
        return None
    config = "/xpcs/twotime/config"
    stride = read_scalar(file, f"{config}/stride_frame") or 1.0
    average = read_scalar(file, f"{config}/avg_frame") or 1.0
    return frame_time * stride * average


def _sibling_frame_time(path: Path) -> float | None:
    sibling = path.with_name(f"{path.stem}_metadata.hdf")
    if not sibling.exists():
        return None
    with open_hdf5(sibling) as file:
        return read_scalar(file, f"{_DETECTOR}/frame_time")


def _metadata(file: h5py.File, q_bins: NDArray[np.int64]) -> dict[str, Any]:
    """Return what helps to find the measurement again."""
    # The uuid and the scan number in these files are often placeholders: a result is
    # joined to its run by the name of its raw file.
    texts = {
        "sample": "/entry/sample/short_description",
        "start_time": "/entry/start_time",
        "raw_file": "/xpcs/rawdata_path",
        "beamline": "/entry/beamline",
    }
    found = {key: read_text(file, name) for key, name in texts.items()}
    return {
        "file_name": Path(file.filename).name,
        "q_bins": q_bins.tolist(),
        "frame_time": _row_time(file),
        **{key: value for key, value in found.items() if value},
    }

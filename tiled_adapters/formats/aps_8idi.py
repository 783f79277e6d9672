"""Files of APS 8-ID: two-time maps of boost-corr, and raw frames with metadata."""

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
    require_dataset,
)
from tiled_adapters.formats.adapters import FramesAdapter, MapsAdapter
from tiled_adapters.formats.aps_g2 import correlated_frame_time, result_facts
from tiled_adapters.formats.aps_metadata import read_sibling
from tiled_adapters.formats.facts import read_times
from tiled_adapters.formats.half_maps import map_shape, read_maps
from tiled_adapters.formats.qmap import bin_values
from tiled_adapters.formats.records import FrameSource, TwoTimeFile
from tiled_adapters.links import follow

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
_ATTRIBUTES = "/entry/instrument/NDAttributes"


def is_result(file: h5py.File) -> bool:
    """Return whether an open file holds two-time maps of boost-corr."""
    return holds(file, _MAPS)


def is_raw(file: h5py.File) -> bool:
    """Return whether an open file holds raw frames as EPICS writes them."""
    return isinstance(follow(file, _FRAMES), h5py.Dataset)


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
            two_time=read_maps(file, names),
            q_values=q_values[q_bins - 1],
            phi_values=phi_values[q_bins - 1],
            frame_time=_row_time(file),
            metadata=_metadata(file, q_bins),
        )


@contextmanager
def open_raw(path: Path, _dataset: str | None = None, /) -> Iterator[FrameSource]:
    """Open raw frames as the detector's EPICS plugin writes them.

    Parameters
    ----------
    path : Path
        The frames; `<stem>_metadata.hdf` beside it tells frame time, exposure, energy
        and detector.

    Yields
    ------
    FrameSource
        Valid inside the `with` block.
    """
    facts = read_sibling(path, path.stem)
    with open_hdf5(path) as file:
        frames = require_dataset(file, _FRAMES)
        yield FrameSource(
            (frames,),
            frame_time=facts.frame_time,
            timestamps=_read_timestamps(file, len(frames)),
            metadata=facts.metadata,
        )


class Aps8IdiResultAdapter(MapsAdapter):
    """Two-time maps of a boost-corr result, read one q-bin at a time."""

    mimetype = "application/x-xpcs-8idi-result+hdf5"

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        with open_hdf5(self._path) as file:
            return read_maps(file, _map_names(file)[start:stop])

    @classmethod
    def _describe(
        cls, path: Path, _dataset: str | None, /
    ) -> tuple[tuple[int, ...], np.dtype[Any], dict[str, Any]]:
        with open_hdf5(path) as file:
            names = _map_names(file)
            shape = (len(names), *map_shape(file, names))
            metadata = _metadata(file, _processed_bins(file, names))
            return shape, np.dtype(np.float32), metadata


class Aps8IdiFramesAdapter(FramesAdapter):
    """Raw frames of 8-ID with the frame time of the sibling metadata file."""

    mimetype = "application/x-xpcs-8idi-frames+hdf5"
    open = staticmethod(open_raw)


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


def _row_time(file: h5py.File) -> float | None:
    """Return the time between two rows of a map, in seconds."""
    return correlated_frame_time(file, "/xpcs/twotime/config")


def _read_timestamps(file: h5py.File, n_frames: int) -> NDArray[np.float64] | None:
    """Return when the frames came in, in seconds of the detector's computer."""
    seconds = read_times(file, f"{_ATTRIBUTES}/NDArrayEpicsTSSec")
    nanoseconds = read_times(file, f"{_ATTRIBUTES}/NDArrayEpicsTSnSec")
    times = read_times(file, f"{_ATTRIBUTES}/NDArrayTimeStamp")
    if seconds is not None and nanoseconds is not None:
        same = seconds.shape == nanoseconds.shape
        times = seconds + 1e-9 * nanoseconds if same else None
    return times if times is not None and times.size == n_frames else None


def _metadata(file: h5py.File, q_bins: NDArray[np.int64]) -> dict[str, Any]:
    """Return what helps to find the measurement again."""
    return {
        **result_facts(file),
        "q_bins": q_bins.tolist(),
        "frame_time": _row_time(file),
    }

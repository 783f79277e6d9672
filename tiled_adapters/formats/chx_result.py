"""Results of pyCHX: flat datasets, with settings as attributes."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import (
    holds,
    open_hdf5,
    read_array,
    read_attributes,
    read_numbers,
    require_dataset,
)
from tiled_adapters.formats.adapters import MapsAdapter
from tiled_adapters.formats.facts import present
from tiled_adapters.formats.records import OneTimeFile, TwoTimeFile

__all__ = [
    "ChxResultAdapter",
    "holds_chx_g2",
    "is_chx_result",
    "read_chx_g2",
    "read_chx_result",
]

_MAPS = "/g12b"
_G2 = "/g2"
_TAUS = "/taus"
_BINS = "/qval_dict"
_FACTS = {
    "sample": "sample",
    "run_uid": "uid",
    "scan_id": "scan_id",
    "start_time": "start_time",
    "detector": "detector",
}


def is_chx_result(file: h5py.File) -> bool:
    """Return whether an open file holds two-time maps of pyCHX."""
    return holds(file, _MAPS) and holds(file, _BINS)


def read_chx_result(path: Path) -> TwoTimeFile:
    """Read the two-time maps of a pyCHX result.

    Parameters
    ----------
    path : Path
        An HDF5 file with `g12b` and `qval_dict`.

    Returns
    -------
    TwoTimeFile
        One map per region; angles where the regions have them.

    Notes
    -----
    A `FileFormatError` is raised if the file is damaged or its parts do not fit.
    """
    with open_hdf5(path) as file:
        n_frames, _, n_q_bins = _maps_dataset(file).shape
        q_values, phi_values = _bin_values(file, n_q_bins)
        return TwoTimeFile(
            two_time=_read_maps(file, 0, n_q_bins),
            q_values=q_values,
            phi_values=phi_values,
            frame_time=_frame_time(file, n_frames),
            metadata=_metadata(file),
        )


def holds_chx_g2(file: h5py.File) -> bool:
    """Return whether an open file holds g2 of pyCHX."""
    return all(holds(file, name) for name in (_G2, _TAUS, _BINS))


def read_chx_g2(path: Path) -> OneTimeFile:
    """Read the multi-tau g2 of a pyCHX result.

    Parameters
    ----------
    path : Path
        An HDF5 file with `g2`, `taus` and `qval_dict`.

    Returns
    -------
    OneTimeFile
        g2 of every region, without lag 0, where it holds the shot noise; errors are
        nan, because pyCHX writes none.

    Raises
    ------
    FileFormatError
        If the file is damaged or its parts do not fit.
    """
    with open_hdf5(path) as file:
        g2 = read_numbers(file, _G2).astype(np.float64)
        taus = read_numbers(file, _TAUS).astype(np.float64).reshape(-1)
        if g2.ndim != 2 or len(g2) != taus.size:
            raise FileFormatError(
                f"{file.filename}: {_G2} has shape {g2.shape}, {_TAUS} {taus.size} "
                "entries"
            )
        is_lag = taus > 0
        if not is_lag.any() or not np.isfinite(taus).all():
            raise FileFormatError(f"{file.filename}: {_TAUS} has no times above 0")
        q_values, phi_values = _bin_values(file, g2.shape[1])
        frame_time = float(taus[is_lag].min())
        return OneTimeFile(
            lags=np.rint(taus[is_lag] / frame_time),
            g2=g2[is_lag],
            g2_err=np.full(g2[is_lag].shape, np.nan),
            q_values=q_values,
            phi_values=phi_values,
            frame_time=frame_time,
            metadata=_metadata(file),
        )


class ChxResultAdapter(MapsAdapter):
    """Two-time maps of a pyCHX result, read one region at a time."""

    mimetype = "application/x-xpcs-chx-result+hdf5"

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        with open_hdf5(self._path) as file:
            return _read_maps(file, start, stop)

    @classmethod
    def _describe(
        cls, path: Path, _dataset: str | None, /
    ) -> tuple[tuple[int, ...], np.dtype[Any], dict[str, Any]]:
        with open_hdf5(path) as file:
            n_frames, _, n_q_bins = _maps_dataset(file).shape
            metadata = {
                **_metadata(file),
                "frame_time": _frame_time(file, n_frames),
            }
            return (n_q_bins, n_frames, n_frames), np.dtype(np.float32), metadata


def _maps_dataset(file: h5py.File) -> h5py.Dataset:
    dataset = require_dataset(file, _MAPS)
    shape: tuple[int, ...] = dataset.shape or ()
    if len(shape) != 3 or shape[0] != shape[1] or dataset.dtype.kind not in "iuf":
        raise FileFormatError(
            f"{file.filename}: {_MAPS} has shape {shape} of {dataset.dtype}, not "
            "(n_frames, n_frames, n_q_bins)"
        )
    return dataset


def _read_maps(file: h5py.File, start: int, stop: int) -> NDArray[np.float32]:
    """Return the maps of some regions, the region first."""
    everything = slice(None)
    chosen = (everything, everything, slice(start, stop))
    stored = read_array(_maps_dataset(file), chosen)
    return np.ascontiguousarray(np.moveaxis(stored, -1, 0), np.float32)


def _bin_values(
    file: h5py.File, n_q_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return q and angle of every region; its number is the name of an attribute."""
    require_dataset(file, _BINS)
    attributes = read_attributes(file, _BINS)
    values = np.full((2, n_q_bins), np.nan)
    for q_bin in range(n_q_bins):
        if str(q_bin) not in attributes:
            raise FileFormatError(
                f"{file.filename}: {_BINS} does not name region {q_bin} of {n_q_bins}"
            )
        stored = np.ravel(attributes[str(q_bin)])[:2]
        if stored.dtype.kind in "iuf":
            values[: stored.size, q_bin] = stored
    return values[0], values[1]


def _frame_time(file: h5py.File, n_frames: int) -> float | None:
    """Return the time between two rows of a map, in seconds."""
    if not holds(file, "/tausb"):
        return None
    taus = read_numbers(file, "/tausb").astype(np.float64).reshape(-1)
    # They begin with 0 and end one step before the last row.
    steps = np.diff(taus)
    if not 1 <= steps.size <= n_frames or not steps[0] > 0:
        return None
    return float(steps[0])


def _plain(value: np.generic) -> object:
    plain = value.item()
    return plain.decode(errors="replace") if isinstance(plain, bytes) else plain


def _metadata(file: h5py.File) -> dict[str, Any]:
    attributes = read_attributes(file, "/md")
    found = {key: attributes.get(name) for key, name in _FACTS.items()}
    told = {
        key: value if isinstance(value, str) else _plain(value)
        for key, value in found.items()
        if isinstance(value, str | np.generic)
    }
    return {"file_name": Path(file.filename).name, **present(told)}

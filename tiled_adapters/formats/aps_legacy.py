"""Results of APS 8-ID until 2024: maps and g2 below `/exchange`."""

import re
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
)
from tiled_adapters.formats.adapters import MapsAdapter
from tiled_adapters.formats.aps_g2 import fitting_curves
from tiled_adapters.formats.facts import present, read_energy, read_facts, read_texts
from tiled_adapters.formats.half_maps import map_shape, read_maps
from tiled_adapters.formats.records import OneTimeFile, TwoTimeFile

__all__ = [
    "Aps8IdiLegacyAdapter",
    "holds_legacy_g2",
    "is_legacy_result",
    "read_legacy_g2",
    "read_legacy_result",
]

_MAPS = "C2T_all"
_G2 = "norm-0-g2"
_DETECTOR = "/measurement/instrument/detector"
_FACTS = {
    "start_time": "/measurement/instrument/source_begin/datetime",
    "detector": f"{_DETECTOR}/manufacturer",
    "count_time": f"{_DETECTOR}/exposure_time",
    "raw_file": "/measurement/instrument/acquisition/datafilename",
    "version": "/xpcs/Version",
}
_NUMBERED = re.compile(r"(g2|c2)_(\d{5})$")


def is_legacy_result(file: h5py.File) -> bool:
    """Return whether an open file holds two-time maps of the old layout."""
    return holds(file, f"{_output(file)}/{_MAPS}")


def holds_legacy_g2(file: h5py.File) -> bool:
    """Return whether an open file holds g2 of the old layout."""
    return holds(file, f"{_output(file)}/{_G2}")


def read_legacy_result(path: Path) -> TwoTimeFile:
    """Read the two-time maps of an old result.

    Parameters
    ----------
    path : Path
        An HDF5 file with `/exchange/C2T_all`.

    Returns
    -------
    TwoTimeFile
        One map per processed q-bin, the stored upper triangle mirrored.

    Raises
    ------
    FileFormatError
        If the file is damaged or its parts do not fit.
    """
    with open_hdf5(path) as file:
        names, q_bins = _maps(file)
        q_values, phi_values = _bin_values(file)
        if q_bins.min() < 1 or q_bins.max() > q_values.size:
            raise FileFormatError(
                f"{path}: {names[0]} ... are of bins {q_bins.tolist()}, "
                f"/xpcs/dqlist names {q_values.size}"
            )
        return TwoTimeFile(
            two_time=read_maps(file, names),
            q_values=q_values[q_bins - 1],
            phi_values=phi_values[q_bins - 1],
            frame_time=_frame_time(file),
            metadata=_metadata(file, q_bins),
        )


def read_legacy_g2(path: Path) -> OneTimeFile:
    """Read the g2 of an old result.

    Parameters
    ----------
    path : Path
        An HDF5 file with `/exchange/norm-0-g2`.

    Returns
    -------
    OneTimeFile
        g2 at the lags of the multi-tau scheme, for every q-bin.

    Notes
    -----
    A `FileFormatError` is raised if the file is damaged or its parts do not fit.
    """
    with open_hdf5(path) as file:
        q_values, phi_values = _bin_values(file)
        output = _output(file)
        lags, g2, g2_err = fitting_curves(
            file,
            lags=f"{output}/tau",
            g2=f"{output}/{_G2}",
            g2_err=f"{output}/norm-0-stderr",
            n_q_bins=q_values.size,
        )
        return OneTimeFile(
            lags=lags,
            g2=g2,
            g2_err=g2_err,
            q_values=q_values,
            phi_values=phi_values,
            frame_time=_frame_time(file),
            metadata=_facts(file),
        )


class Aps8IdiLegacyAdapter(MapsAdapter):
    """Two-time maps of an old 8-ID result, read one q-bin at a time."""

    mimetype = "application/x-xpcs-8idi-legacy-result+hdf5"

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        with open_hdf5(self._path) as file:
            return read_maps(file, _maps(file)[0][start:stop])

    @classmethod
    def _describe(
        cls, path: Path, _dataset: str | None, /
    ) -> tuple[tuple[int, ...], np.dtype[Any], dict[str, Any]]:
        with open_hdf5(path) as file:
            names, q_bins = _maps(file)
            shape = (len(names), *map_shape(file, names))
            return shape, np.dtype(np.float32), _metadata(file, q_bins)


def _output(file: h5py.File) -> str:
    """Return the group of the results; a second analysis of a scan had its own."""
    return read_text(file, "/xpcs/output_data") or "/exchange"


def _maps(file: h5py.File) -> tuple[list[str], NDArray[np.int64]]:
    """Return the paths of the maps, and the q-bin of each."""
    group = f"{_output(file)}/{_MAPS}"
    numbers = {
        name: int(match[2])
        for name in member_names(file, group)
        if (match := _NUMBERED.match(name))
    }
    if not numbers:
        raise FileFormatError(f"{file.filename}: no maps g2_00001 ... below {group}")
    names = sorted(numbers, key=numbers.__getitem__)
    q_bins = np.array([numbers[name] for name in names])
    # Where bins were selected, some versions counted the maps and listed the bins.
    listed = _listed_bins(file)
    is_counted = q_bins.tolist() == list(range(1, len(q_bins) + 1))
    if is_counted and listed.size == q_bins.size:
        q_bins = listed
    return [f"{group}/{name}" for name in names], q_bins


def _listed_bins(file: h5py.File) -> NDArray[np.int64]:
    name = "/xpcs/qphi_bin_to_process"
    if not holds(file, name):
        return np.empty(0, np.int64)
    stored = read_numbers(file, name).reshape(-1)
    if not np.isfinite(stored).all():
        raise FileFormatError(f"{file.filename}: {name} holds {stored.tolist()}")
    return stored.astype(np.int64)


def _bin_values(file: h5py.File) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return q and angle of every bin; entry 0 belongs to label 1."""
    q_values = read_numbers(file, "/xpcs/dqlist").astype(np.float64).reshape(-1)
    phi_values = np.full(q_values.shape, np.nan)
    if holds(file, "/xpcs/dphilist"):
        stored = read_numbers(file, "/xpcs/dphilist").astype(np.float64).reshape(-1)
        n_sectors = read_scalar(file, "/xpcs/dnophi")
        # One sector is a whole ring; its mean angle says nothing.
        if stored.shape == q_values.shape and n_sectors != 1:
            phi_values = stored
    return q_values, phi_values


def _frame_time(file: h5py.File) -> float | None:
    """Return the time between frames as they were correlated, in seconds."""
    # exposure_time is how long the shutter was open, not how often.
    period = read_scalar(file, f"{_DETECTOR}/exposure_period")
    if period is None:
        return None
    stride = read_scalar(file, "/xpcs/stride_frames") or 1.0
    average = read_scalar(file, "/xpcs/avg_frames") or 1.0
    return period * stride * average


def _metadata(file: h5py.File, q_bins: NDArray[np.int64]) -> dict[str, Any]:
    return {
        **_facts(file),
        "q_bins": q_bins.tolist(),
        "frame_time": _frame_time(file),
    }


def _facts(file: h5py.File) -> dict[str, Any]:
    remote = read_texts(file, "/xpcs/input_file_remote")
    return present(
        {
            "file_name": Path(file.filename).name,
            "raw_file": remote[0] if remote else None,
            **read_facts(file, _FACTS),
            "energy": read_energy(file, "/measurement/instrument/source_begin/energy"),
        }
    )

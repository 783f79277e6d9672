"""g2 in results of APS 8-ID: the multi-tau part of what boost-corr writes."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import holds, open_hdf5, read_numbers, read_scalar
from tiled_adapters.formats.aps_metadata import read_scan_facts
from tiled_adapters.formats.facts import present, read_texts
from tiled_adapters.formats.qmap import bin_values
from tiled_adapters.formats.records import OneTimeFile

__all__ = [
    "correlated_frame_time",
    "fitting_curves",
    "holds_g2",
    "read_g2",
    "result_facts",
]

_GROUP = "/xpcs/multitau"
_G2 = f"{_GROUP}/normalized_g2"


def holds_g2(file: h5py.File) -> bool:
    """Return whether an open file holds g2 of boost-corr."""
    return holds(file, _G2)


def read_g2(path: Path) -> OneTimeFile:
    """Read the g2 of a boost-corr result.

    Parameters
    ----------
    path : Path
        `*_results.hdf`.

    Returns
    -------
    OneTimeFile
        g2 at the lags of the multi-tau scheme, for every q-bin with pixels.

    Notes
    -----
    A `FileFormatError` is raised if the file is damaged or its parts do not fit.
    """
    with open_hdf5(path) as file:
        q_values, phi_values = bin_values(file, "/xpcs/qmap")
        lags, g2, g2_err = fitting_curves(
            file,
            lags=f"{_GROUP}/delay_list",
            g2=_G2,
            g2_err=f"{_G2}_err",
            n_q_bins=q_values.size,
        )
        return OneTimeFile(
            lags=lags,
            g2=g2,
            g2_err=g2_err,
            q_values=q_values,
            phi_values=phi_values,
            frame_time=correlated_frame_time(file, f"{_GROUP}/config"),
            metadata=result_facts(file),
        )


def fitting_curves(
    file: h5py.File, *, lags: str, g2: str, g2_err: str, n_q_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Read lags, g2 and its errors, if they fit one another and the partition.

    Parameters
    ----------
    file : h5py.File
        An open file.
    lags, g2, g2_err : str
        Paths inside the file; lags may be a row or a column.
    n_q_bins : int
        Of the partition.

    Returns
    -------
    lags, g2, g2_err : ndarray of float64
        Of shapes (n_lags,) and (n_lags, n_q_bins).

    Raises
    ------
    FileFormatError
        If the shapes do not fit.
    """
    values = read_numbers(file, g2).astype(np.float64)
    errors = read_numbers(file, g2_err).astype(np.float64)
    steps = read_numbers(file, lags).astype(np.float64).reshape(-1)
    if values.shape != (steps.size, n_q_bins) or errors.shape != values.shape:
        raise FileFormatError(
            f"{file.filename}: {g2} has shape {values.shape}, {g2_err} "
            f"{errors.shape}, {lags} has {steps.size} entries, there are "
            f"{n_q_bins} q-bins"
        )
    return steps, values, errors


def correlated_frame_time(file: h5py.File, config: str) -> float | None:
    """Return the time between frames as they were correlated.

    Parameters
    ----------
    file : h5py.File
        A result.
    config : str
        Group of the settings; older files lack some of them.

    Returns
    -------
    float or None
        In seconds; None where the file does not tell the frame time.
    """
    frame_time = read_scan_facts(file).frame_time
    if frame_time is None:
        return None
    stride = read_scalar(file, f"{config}/stride_frame") or 1.0
    average = read_scalar(file, f"{config}/avg_frame") or 1.0
    return frame_time * stride * average


def result_facts(file: h5py.File) -> dict[str, Any]:
    """Return what a result tells of its measurement, as plain JSON values.

    Parameters
    ----------
    file : h5py.File
        A result.

    Returns
    -------
    dict
        Among it `raw_file`, or `raw_files` where several were averaged.
    """
    raw_files = _raw_files(file)
    facts = read_scan_facts(file).metadata
    # The distance in /entry is not always the one that q was calculated with.
    distance = read_scalar(file, "/xpcs/qmap/detector_distance")
    return present(
        {
            "file_name": Path(file.filename).name,
            **facts,
            "detector_distance": distance or facts.get("detector_distance"),
            "raw_file": raw_files[0] if len(raw_files) == 1 else None,
            "raw_files": raw_files if len(raw_files) > 1 else None,
        }
    )


def _raw_files(file: h5py.File) -> list[str]:
    """Return the names of the raw files; an average has several."""
    places = (
        "/xpcs/average/file_list",
        "/xpcs/rawdata_path",
        "/xpcs/multitau/config/raw",
        "/xpcs/twotime/config/raw",
    )
    found = (read_texts(file, name) for name in places)
    return next((texts for texts in found if texts), [])

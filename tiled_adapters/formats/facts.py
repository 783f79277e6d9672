"""What files tell besides their arrays, as plain JSON values."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tiled_adapters.files import (
    holds,
    read_array,
    read_numbers,
    read_scalar,
    read_text,
    require_dataset,
)
from tiled_adapters.geometry import KEV_ANGSTROM

__all__ = [
    "energy_from_wavelength",
    "present",
    "read_energy",
    "read_facts",
    "read_texts",
    "read_times",
]

_HIGHEST_KEV = 500.0
"""A larger number is one of electronvolts."""
_MOST_TEXTS = 64
_LONGEST_TEXT = 4096
"""Characters; a longer text is a document, and would travel with every answer."""


def read_facts(file: h5py.File, names: Mapping[str, str]) -> dict[str, Any]:
    """Read numbers and words of a file.

    Parameters
    ----------
    file : h5py.File
        An open file.
    names : mapping of str to str
        Path inside the file of each fact.

    Returns
    -------
    dict
        Without what is absent, empty, or no finite number.
    """
    found = {key: read_scalar(file, name) for key, name in names.items()}
    texts = {key: read_text(file, name) for key, name in names.items()}
    return present({key: texts[key] if texts[key] else found[key] for key in names})


def present(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that are there, short, and that JSON can express."""
    return {
        key: value
        for key, value in facts.items()
        if value not in (None, "", [])
        and not (isinstance(value, float) and not isfinite(value))
        and not (isinstance(value, str) and len(value) > _LONGEST_TEXT)
    }


def read_texts(file: h5py.File, name: str) -> list[str]:
    """Read one string or several, however they are wrapped; at most 64.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        Path inside the file.

    Returns
    -------
    list of str
        Empty where there is none.
    """
    if not holds(file, name):
        return []
    dataset = require_dataset(file, name)
    if h5py.check_string_dtype(dataset.dtype) is None or dataset.ndim > 1:
        return []
    texts = np.atleast_1d(read_array(dataset, (slice(_MOST_TEXTS),) * dataset.ndim))
    decoded = (
        text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        for text in texts
    )
    return [text for text in decoded if len(text) <= _LONGEST_TEXT]


def read_energy(file: h5py.File, name: str) -> float | None:
    """Read a photon energy.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        Path inside the file; in keV, or eV where the number says so.

    Returns
    -------
    float or None
        In keV; None where it is absent.
    """
    energy = read_scalar(file, name)
    if energy is None or not energy > 0:
        return None
    return energy / 1000 if energy > _HIGHEST_KEV else energy


def energy_from_wavelength(wavelength: float | None) -> float | None:
    """Return the energy in keV of a wavelength in angstrom, if there is one."""
    if wavelength is None or not wavelength > 0:
        return None
    return KEV_ANGSTROM / wavelength


def read_times(file: h5py.File, *names: str) -> NDArray[np.float64] | None:
    """Read the times of frames from the first of several places.

    Parameters
    ----------
    file : h5py.File
        An open file.
    *names : str
        Paths inside the file.

    Returns
    -------
    ndarray of float64, shape (n_frames,), or None
        In the unit of the file; None where there is none.
    """
    for name in names:
        if holds(file, name):
            times = read_numbers(file, name).astype(np.float64)
            return times.reshape(-1)
    return None

"""g2 that stands in a result file: lags, values and errors as arrays to be served."""

from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import open_hdf5
from tiled_adapters.formats.adapters import FileArrayAdapter, array_structure
from tiled_adapters.formats.aps_g2 import holds_g2, read_g2
from tiled_adapters.formats.aps_legacy import holds_legacy_g2, read_legacy_g2
from tiled_adapters.formats.chx_result import holds_chx_g2, read_chx_g2
from tiled_adapters.formats.records import OneTimeFile
from tiled_adapters.paths import local_path
from tiled_adapters.specs import ONE_TIME

__all__ = ["ONE_TIME_ARRAYS", "OneTimeAdapter", "holds_one_time", "read_one_time"]

_READERS = (
    (holds_g2, read_g2),
    (holds_legacy_g2, read_legacy_g2),
    (holds_chx_g2, read_chx_g2),
)
ONE_TIME_ARRAYS = ("g2", "g2_err", "lags")
"""What can be served of such a file."""


def holds_one_time(file: h5py.File) -> bool:
    """Return whether an open file holds g2 of a known layout."""
    return any(holds(file) for holds, _ in _READERS)


def read_one_time(path: Path) -> OneTimeFile:
    """Read g2 from a result of any known layout.

    Parameters
    ----------
    path : Path
        A result of boost-corr, an older one of 8-ID, or one of pyCHX.

    Returns
    -------
    OneTimeFile
        g2 of every q-bin.

    Raises
    ------
    FileFormatError
        If the file is damaged, or holds no g2.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        reader = next((read for holds, read in _READERS if holds(file)), None)
    if reader is None:
        raise FileFormatError(f"{path} holds no g2 of a known layout")
    return reader(path)


class OneTimeAdapter(FileArrayAdapter):
    """g2, its error or its lags, out of a result file; `dataset` says which."""

    mimetype = "application/x-xpcs-one-time+hdf5"

    @classmethod
    def from_uris(cls, data_uri: str, dataset: str | None = "g2") -> Self:
        """Make the adapter of a file that is being registered."""
        found = read_one_time(local_path(data_uri))
        values = _array(found, dataset or "g2")
        dims = ("lag", "q_bin")[: values.ndim]
        metadata = {
            **found.metadata,
            "frame_time": found.frame_time,
            "array": dataset,
            "q_values": _json_list(found.q_values),
            "phi_values": _json_list(found.phi_values),
        }
        return cls(
            data_uri,
            array_structure(values.shape, values.dtype, dims),
            metadata=metadata,
            specs=[ONE_TIME],
            dataset=dataset,
        )

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        return _array(read_one_time(self._path), self._dataset or "g2")[start:stop]


def _array(found: OneTimeFile, name: str) -> NDArray[np.float64]:
    if name not in ONE_TIME_ARRAYS:
        raise FileFormatError(f"no array {name!r} of g2, only {ONE_TIME_ARRAYS}")
    values: NDArray[np.float64] = getattr(found, name)
    return values


def _json_list(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]

"""What APS 8-ID writes beside its data: the metadata of the beamline."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from tiled_adapters.files import open_hdf5, read_scalar
from tiled_adapters.formats.binary import sibling
from tiled_adapters.formats.facts import present, read_energy, read_facts

__all__ = ["ScanFacts", "read_scan_facts", "read_sibling"]

_DETECTOR = "/entry/instrument/detector_1"
# The uuid and the scan number in these files are often placeholders: a result is joined
# to its run by the name of its raw file.
_FACTS = {
    "sample": "/entry/sample/short_description",
    "start_time": "/entry/start_time",
    "beamline": "/entry/beamline",
    "detector": f"{_DETECTOR}/detector_name",
    "count_time": f"{_DETECTOR}/count_time",
    "detector_distance": f"{_DETECTOR}/distance",
    "beam_center_x": f"{_DETECTOR}/beam_center_x",
    "beam_center_y": f"{_DETECTOR}/beam_center_y",
    "x_pixel_size": f"{_DETECTOR}/x_pixel_size",
    "y_pixel_size": f"{_DETECTOR}/y_pixel_size",
}


@dataclass(frozen=True)
class ScanFacts:
    """What the beamline tells about a scan."""

    frame_time: float | None = None
    """Start-to-start time of frames, in seconds."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Plain JSON values; lengths in metres, energy in keV."""


def read_scan_facts(file: h5py.File) -> ScanFacts:
    """Read the metadata in a file of 8-ID.

    Parameters
    ----------
    file : h5py.File
        A metadata file, or a result: it has a copy of one.

    Returns
    -------
    ScanFacts
        Without what the file does not tell.
    """
    energy = read_energy(file, "/entry/instrument/incident_beam/incident_energy")
    return ScanFacts(
        read_scalar(file, f"{_DETECTOR}/frame_time"),
        present({**read_facts(file, _FACTS), "energy": energy}),
    )


def read_sibling(path: Path, stem: str) -> ScanFacts:
    """Read the metadata file beside raw data.

    Parameters
    ----------
    path : Path
        The raw data.
    stem : str
        Name of the scan; the metadata are in `<stem>_metadata.hdf`.

    Returns
    -------
    ScanFacts
        Empty if there is no such file.
    """
    metadata = sibling(path, f"{stem}_metadata.hdf")
    if metadata is None:
        return ScanFacts()
    with open_hdf5(metadata) as file:
        return read_scan_facts(file)

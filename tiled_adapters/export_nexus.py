"""The NeXus view of an exported result: hard links in the order of NXxpcs."""

import json

import h5py
import numpy as np

from ainerd_bluesky.xpcs.data.roi import QPartition
from tiled_adapters.export_layout import Exported

__all__ = ["write_nexus_view"]


def write_nexus_view(file: h5py.File, content: Exported) -> None:
    """Add `/entry` as the application definition NXxpcs describes it.

    Parameters
    ----------
    file : h5py.File
        With what `write_boost_corr` writes.
    content : Exported
        The result.

    References
    ----------
    .. [1] NeXus definitions, contributed_definitions/NXxpcs.nxdl.xml.
    """
    file.attrs["default"] = "entry"
    entry = file["entry"]
    entry.attrs.update({"NX_class": "NXentry", "default": "data"})
    entry["definition"] = "NXxpcs"
    entry["entry_identifier"] = str(content.metadata.get("scan_id") or "")
    entry["entry_identifier_uuid"] = content.analysis.run_uid
    _write_data(file, content)
    _write_two_time(file)
    _write_instrument(file)
    _write_masks(file, content.partition)
    sample = _group(entry, "sample", "NXsample")
    # Readers of 8-ID files look for the second.
    for name in ("name", "short_description"):
        sample[name] = str(content.analysis.summary.get("sample") or "")
    _write_process(entry, content)


def _write_data(file: h5py.File, content: Exported) -> None:
    data = _group(file["entry"], "data", "NXdata")
    if "multitau" not in file["xpcs"]:
        return
    links = {
        "g2": "xpcs/multitau/normalized_g2",
        "g2_derr": "xpcs/multitau/normalized_g2_err",
        "delay_difference": "xpcs/multitau/delay_list",
    }
    for name, target in links.items():
        data[name] = file[target]
        data[name].attrs["storage_mode"] = "one_array"
    data["delay_difference"].attrs["units"] = "frames"
    data.attrs.update({"signal": "g2", "axes": ["delay_difference", "."]})
    if "intensity" in content.analysis.arrays:
        data["frame_average"] = file["xpcs/spatial_mean/intensity_vs_time"][1]


def _write_two_time(file: h5py.File) -> None:
    if "twotime" not in file["xpcs"]:
        return
    two_time = _group(file["entry"], "twotime", "NXdata")
    links = {
        "two_time_corr_func": ("correlation_map", "data_exchange_keys"),
        "g2_from_two_time_corr_func": ("normalized_g2", "one_array_q_last"),
        "g2_from_two_time_corr_func_partials": ("normalized_g2_segments", "other"),
    }
    for name, (target, storage_mode) in links.items():
        two_time[name] = file[f"xpcs/twotime/{target}"]
        two_time[name].attrs["storage_mode"] = storage_mode
        two_time[name].attrs["baseline_reference"] = 1
    two_time["two_time_corr_func"].attrs.update(
        {"time_origin_location": "upper_left", "populated_elements": "upper_half"}
    )
    # Lag 0 holds the shot noise.
    two_time["g2_from_two_time_corr_func"].attrs["first_point_for_fit"] = 0


def _write_instrument(file: h5py.File) -> None:
    instrument = file["entry/instrument"]
    instrument.attrs["NX_class"] = "NXinstrument"
    instrument["incident_beam"].attrs["NX_class"] = "NXbeam"
    instrument["incident_beam/incident_energy"].attrs["units"] = "keV"
    # xpcs-viewer tells files with this group from legacy ones.
    _group(instrument, "bluesky", "NXnote").create_group("metadata")
    detector = instrument["detector_1"]
    detector.attrs["NX_class"] = "NXdetector"
    for name, source, unit in (
        ("beam_center_x", "beam_center_x", "pixel"),
        ("beam_center_y", "beam_center_y", "pixel"),
        ("distance", "detector_distance", "m"),
        ("x_pixel_size", "pixel_size", "m"),
        ("y_pixel_size", "pixel_size", "m"),
    ):
        detector[name] = file[f"xpcs/qmap/{source}"]
        detector[name].attrs["units"] = unit


def _write_masks(file: h5py.File, partition: QPartition | None) -> None:
    masks = _group(file["entry/instrument"], "masks", "NXnote")
    if partition is None:
        return
    qmap = file["xpcs/qmap"]
    for name in ("dynamic_roi_map", "static_roi_map"):
        masks[name] = qmap[name]
        masks[name].attrs["units"] = "au"
    masks["dynamic_q_list"] = partition.q_values
    masks["dynamic_phi_list"] = partition.phi_values
    natural = qmap["static_index_mapping"][:]
    n_phi = len(qmap["static_v_list_dim1"])
    masks["static_q_list"] = np.asarray(qmap["static_v_list_dim0"][:])[natural // n_phi]
    units = {"dynamic_q_list": "1/angstrom", "static_q_list": "1/angstrom"}
    for name, unit in {**units, "dynamic_phi_list": "degree"}.items():
        masks[name].attrs["units"] = unit


def _write_process(entry: h5py.Group, content: Exported) -> None:
    """Say how the result was made: what decides it, where it came from, its label."""
    analysis = content.analysis
    process = _group(entry, "process", "NXprocess")
    process["program"] = "ainerd-bluesky"
    software = analysis.provenance.get("software") or {}
    process["version"] = str(software.get("ainerd-bluesky") or "")
    process["key"] = analysis.key
    process["partition_sha256"] = str(analysis.provenance.get("partition_sha256") or "")
    for name, values in (
        ("recipe", analysis.recipe),
        ("provenance", analysis.provenance),
        ("summary", analysis.summary),
    ):
        note = _group(process, name, "NXnote")
        note["type"] = "application/json"
        note["data"] = json.dumps(values, sort_keys=True)


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.require_group(name)
    group.attrs["NX_class"] = nx_class
    return group

"""Read damaged files of one format; run in a process of its own.

HDF5 may crash over damaged bytes and nobody could catch it: the parent sees how this
process ends, and `last.txt` tells the damage it was at.

Usage: damaged_reader.py N_FILES FOLDER KIND...
"""

import faulthandler
import json
import resource
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ainerd_bluesky.errors import AinerdError
from ainerd_bluesky.xpcs.data.roi import QPartition
from tests import damage
from tests import format_writers as writers
from tiled_adapters.files import open_hdf5
from tiled_adapters.formats import (
    EventSource,
    open_frames,
    read_one_time,
    read_partition,
    read_two_time,
    write_partition,
)
from tiled_adapters.formats.qmap import read_geometry
from tiled_adapters.geometry import DetectorGeometry
from tiled_adapters.links import foreign_part

SECONDS = 20
MEGABYTES = 1000
"""More memory than so much above the start is a blow-up."""
METADATA_BYTES = 100_000
"""More metadata than so much would burden every answer of a server."""
_ADDRESS_SPACE = 16 * 2**30

_FRAMES = np.random.default_rng(0).poisson(0.4, (7, 9, 11)).astype("u2")
_MAPS = np.random.default_rng(1).random((2, 8, 8), np.float32)


def frames_of(path):
    with open_frames(path) as source:
        yield {**source.metadata, "frame_time": source.frame_time}
        if isinstance(source, EventSource):
            for events in islice(source.events(10_000), 500):
                yield from events
        else:
            yield from islice(source.blocks(3), 200)


def maps_of(path):
    found = read_two_time(path)
    yield {**found.metadata, "frame_time": found.frame_time}
    yield from (found.two_time, found.q_values, found.phi_values)


def curves_of(path):
    found = read_one_time(path)
    yield {**found.metadata, "frame_time": found.frame_time}
    yield from (found.g2, found.g2_err, found.lags, found.q_values, found.phi_values)


def partition_of(path):
    partition = read_partition(path)
    yield from (partition.roi_map, partition.q_values, partition.phi_values)
    geometry = read_geometry(path)
    yield {} if geometry is None else asdict(geometry)


def links_of(path):
    with open_hdf5(path) as file:
        foreign_part(file)
    return ()


def write_raw(folder):
    path = folder / "raw.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "/entry/data/data",
            data=_FRAMES,
            chunks=(1, 9, 11),
            **hdf5plugin.Bitshuffle(nelems=0, cname="lz4"),
        )
    with h5py.File(folder / "raw_metadata.hdf", "w") as file:
        file["/entry/instrument/detector_1/frame_time"] = np.full((1, 1), 0.01, "f4")
        file["/entry/start_time"] = "2026-01-01"
    return path


def write_raw_metadata(folder):
    write_raw(folder)
    return folder / "raw_metadata.hdf"


def write_eiger(folder):
    master = folder / "run_master.h5"
    with h5py.File(master, "w") as file:
        for number in (1, 2):
            name = f"run_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as data:
                data.create_dataset(
                    "/entry/data/data",
                    data=_FRAMES,
                    chunks=(1, 9, 11),
                    compression=32008,
                )
            file[f"/entry/data/data_{number:06d}"] = h5py.ExternalLink(
                name, "/entry/data/data"
            )
        detector = file.create_group("/entry/instrument/detector")
        detector["detectorSpecific/pixel_mask"] = np.zeros((9, 11), "u4")
        detector["frame_time"] = 0.25
    return master


def write_eiger_data(folder):
    write_eiger(folder)
    return folder / "run_data_000002.h5"


def write_qmap(folder):
    roi_map = np.repeat(np.arange(1, 5), 4).reshape(4, 4)
    static_map = np.arange(1, 17).reshape(4, 4)
    values = np.arange(1, 5) / 100
    partition = QPartition(roi_map, values, np.full(4, np.nan), static_map)
    geometry = DetectorGeometry((2.0, 2.0), 75e-6, 5.0, 1.0)
    write_partition(folder / "q.hdf", partition, geometry=geometry)
    return folder / "q.hdf"


def write_result(folder):
    path = write_qmap(folder).rename(folder / "x_results.hdf")
    with h5py.File(path, "a") as file:
        file.move("qmap", "xpcs/qmap")
        for number, two_time in enumerate(_MAPS, start=1):
            file.create_dataset(
                f"xpcs/twotime/correlation_map/c2_{number:05d}",
                data=np.triu(two_time),
                compression="lzf",
            )
        file["xpcs/twotime/processed_bins"] = [1, 3]
        file["entry/instrument/detector_1/frame_time"] = 0.5
        file["entry/sample/short_description"] = "gel"
    return writers.write_curves(path)


def write_plain(folder):
    with h5py.File(folder / "plain.h5", "w") as file:
        file.create_dataset("a/map", data=_MAPS[0], compression="gzip", shuffle=True)
        file["a/text"] = "gel"
    return folder / "plain.h5"


def write_npy(folder):
    np.save(folder / "map.npy", _MAPS)
    return folder / "map.npy"


def write_npz(folder):
    np.savez_compressed(folder / "map.npz", map=_MAPS)
    return folder / "map.npz"


def write_rigaku(folder):
    frames = writers.sparse_frames(7, (512, 1024))
    return writers.write_rigaku(folder / "x.bin", frames)


def write_rigaku_3m(folder):
    frames = writers.sparse_frames(3, (1676, 2100))
    return writers.write_rigaku_3m(folder, "x", frames)


def named(write, name, *content, **options):
    """Return a writer that takes the folder only."""
    return lambda folder: write(folder / name, *content, **options)


def beside(name, read):
    """Return a reader of the file that belongs to a damaged one."""
    return lambda path: read(path.with_name(name))


FORMATS = {
    "8idi-raw": (write_raw, frames_of),
    "8idi-raw-metadata": (write_raw_metadata, beside("raw.h5", frames_of)),
    "8idi-result": (write_result, maps_of),
    "8idi-result-g2": (write_result, curves_of),
    "8idi-result-partition": (write_result, partition_of),
    "qmap": (write_qmap, partition_of),
    "eiger-master": (write_eiger, frames_of),
    "eiger-data": (write_eiger_data, beside("run_master.h5", frames_of)),
    "legacy": (named(writers.write_legacy, "x.hdf", _MAPS), maps_of),
    "legacy-g2": (named(writers.write_legacy, "x.hdf", _MAPS), curves_of),
    "chx-result": (named(writers.write_chx_result, "x.h5", _MAPS), maps_of),
    "chx-result-g2": (named(writers.write_chx_result, "x.h5", _MAPS), curves_of),
    "bliss": (named(writers.write_bliss, "x.h5", _FRAMES), frames_of),
    "bliss-virtual": (named(writers.write_virtual_bliss, "x.h5", _FRAMES), frames_of),
    "id10-sparse": (named(writers.write_sparse_frames, "s", _FRAMES, 4), frames_of),
    "plain-hdf5": (write_plain, maps_of),
    "plain-hdf5-links": (write_plain, links_of),
    "cmp": (named(writers.write_cmp, "x.cmp", _FRAMES), frames_of),
    "rigaku-500k": (write_rigaku, frames_of),
    "rigaku-3m": (write_rigaku_3m, frames_of),
    "imm": (named(writers.write_imm, "x.imm", _FRAMES, is_sparse=True), frames_of),
    "imm-dense": (
        named(writers.write_imm, "x.imm", _FRAMES, is_sparse=False),
        frames_of,
    ),
    "npy": (write_npy, maps_of),
    "npz": (write_npz, maps_of),
}
"""How a small whole file of a format is written (the path is of the file that gets
damaged) and read. A new format joins with a line."""


def check(path, read, is_foreign):
    """Read a damaged file; it is refused by name, or read."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        for found in read(path):
            if isinstance(found, dict):
                check_metadata(found, is_foreign)
            elif is_foreign:
                assert not (np.asarray(found) == damage.SECRET).any(), "foreign values"
    except AinerdError as error:
        text = str(error)
        text.encode()  # it can be logged and stored
        # Which file it is may be what the damage changed, in one that links to others.
        assert str(path.parent) in text, f"names no file: {text}"
        return True
    finally:
        faulthandler.cancel_dump_traceback_later()
    return False


def check_metadata(metadata, is_foreign):
    """A server can send it with every answer, and it tells nothing of other files."""
    text = json.dumps(metadata)
    text.encode()
    assert len(text) < METADATA_BYTES, f"{len(text)} bytes of metadata"
    # Damaged bytes may say anything, but never by chance what lies outside.
    if is_foreign:
        assert str(damage.SECRET) not in text, "foreign metadata"


def damage_and_read(kind, n_files, folder):
    """Damage one file `n_files` times, its bytes or its structure, and read it."""
    write, read = FORMATS[kind]
    home = folder / kind / "data"
    home.mkdir(parents=True)
    damage.write_outside(home.parent)
    path = write(home)
    whole = path.read_bytes()
    assert not check(path, read, is_foreign=False), "the whole file is refused"
    start = _megabytes()
    drawn = st.tuples(st.just(False), damage.byte_damage())
    if h5py.is_hdf5(path):
        drawn |= st.tuples(st.just(True), damage.structure_damage())
    outcomes = [0, 0]

    @settings(
        max_examples=n_files,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def run(drawn_damage):
        is_structure, edit = drawn_damage
        (folder / "last.txt").write_text(f"{kind}: {edit!r}")
        damage.replace_by(path, whole)
        (damage.apply_structure if is_structure else damage.apply_bytes)(path, edit)
        outcomes[check(path, read, is_structure)] += 1
        grown = _megabytes() - start
        assert grown < MEGABYTES, f"{grown} MB more than at the start"

    run()
    return {"kind": kind, "read": outcomes[0], "refused": outcomes[1]}


def _megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    # What gets past the readers shall not take the machine with it.
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    for kind in sys.argv[3:]:
        outcome = damage_and_read(kind, int(sys.argv[1]), Path(sys.argv[2]))
        sys.stdout.write(json.dumps(outcome) + "\n")

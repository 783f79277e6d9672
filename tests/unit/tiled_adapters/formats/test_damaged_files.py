"""Damaged files, by the hundred: a reader refuses them or reads them, no more."""

from collections import Counter

import h5py
import numpy as np
import pytest

from ainerd_bluesky.errors import FileFormatError, PartitionError
from tiled_adapters.files import foreign_part, open_hdf5
from tiled_adapters.formats import open_frames, read_partition, read_two_time

N_COPIES = 25
HEADER_BYTES = 12_000


def read_all_frames(path):
    with open_frames(path) as source:
        for _ in source.blocks(2):
            pass


def search_links(path):
    with open_hdf5(path) as file:
        foreign_part(file)


def write_qmap(make_result):
    path = make_result()
    with h5py.File(path, "a") as file:
        file.move("xpcs/qmap", "qmap")
        del file["xpcs"]
    return path


@pytest.fixture
def make_file(tmp_path, make_result, make_eiger):
    """Write a whole file of some kind; the path is of the part to damage."""
    maps = np.random.default_rng(0).random((8, 8), dtype=np.float32)

    def make(kind):
        path = tmp_path / kind
        if kind == "result":
            return make_result()
        if kind == "qmap":
            return write_qmap(make_result)
        if kind == "master":
            return make_eiger()
        if kind == "raw.h5":
            with h5py.File(path, "w") as file:
                file.create_dataset(
                    "/entry/data/data", data=np.ones((4, 6, 7), "u2"), chunks=(1, 6, 7)
                )
        elif kind == "plain.h5":
            with h5py.File(path, "w") as file:
                file.create_dataset("a/map", data=maps, compression="gzip")
                file["a/text"] = "gel"
        elif kind == "map.npy":
            np.save(path, maps)
        else:
            np.savez_compressed(path, map=maps)
        return path

    return make


def damaged(whole, rng):
    """Return a copy with some bytes of the header changed, or cut off."""
    copy = np.frombuffer(whole, np.uint8).copy()
    places = rng.integers(0, min(len(copy), HEADER_BYTES), rng.integers(1, 30))
    copy[places] = rng.integers(0, 256, len(places))
    end = rng.integers(len(copy)) if rng.random() < 0.15 else len(copy)
    return copy[:end].tobytes()


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("result", read_two_time),
        ("result", read_partition),
        ("qmap", read_partition),
        ("plain.h5", read_two_time),
        ("plain.h5", search_links),
        ("map.npy", read_two_time),
        ("map.npz", read_two_time),
        ("raw.h5", read_all_frames),
        ("master", read_all_frames),
        ("master", search_links),
    ],
)
def test_damaged_file_is_refused_by_name_or_read(make_file, kind, read, rng):
    path = make_file(kind)
    whole = path.read_bytes()
    read(path)

    outcomes = Counter()
    for _ in range(N_COPIES):
        path.write_bytes(damaged(whole, rng))
        try:
            read(path)
        except (FileFormatError, PartitionError) as error:
            outcomes[type(error)] += 1
            str(error).encode()  # it can be logged and stored
    assert outcomes.total() > 0

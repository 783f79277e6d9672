"""Files that others made, read by the suite and by the plainest means there are."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from tiled.ndslice import NDSlice

from tiled_adapters.formats.readers import frames_adapter, maps_adapter

RAW = "synthetic_8idi/Z0001_synthetic-aging_a0001_f000600_r00001.h5"
RESULT = "synthetic_8idi/Z0001_dqsel_3_5_twotime_results.hdf"
EIGER = "synthetic_eiger/chxsyn_1_master.h5"
BLISS = "synthetic_id10_scan.h5"


def read_rigaku(path, index):
    words = np.fromfile(path, "<u8")
    words = words[(words >> 40) == index]
    frame = np.zeros(512 * 1024, "u2")
    np.add.at(frame, (words >> 16) & (2**21 - 1), (words & 4095).astype("u2"))
    return frame.reshape(512, 1024)


def read_cmp(path, index):
    content, offset = path.read_bytes(), 1024
    for _ in range(index):
        offset += 4 + 6 * int.from_bytes(content[offset : offset + 4], "little")
    length = int.from_bytes(content[offset : offset + 4], "little")
    frame = np.zeros(192 * 192, "u2")
    pixels = np.frombuffer(content, "<i4", length, offset + 4)
    frame[pixels] = np.frombuffer(content, "<u2", length, offset + 4 + 4 * length)
    return frame.reshape(192, 192)


def read_hdf5(name):
    def read(path, index):
        with h5py.File(path) as file:
            return file[name][index]

    return read


def read_eiger(path, index):
    with h5py.File(path) as file:
        frame = file[f"entry/data/data_{index // 100 + 1:06d}"][index % 100]
        mask = file["entry/instrument/detector/detectorSpecific/pixel_mask"][:]
    return np.where(mask > 0, 0, frame)


def read_map(path, index):
    with h5py.File(path) as file:
        half = file[f"xpcs/twotime/correlation_map/c2_{index + 1:05d}"][:]
    return half + half.T - np.diag(np.diag(half))


CASES = {
    RAW: (frames_adapter, read_hdf5("entry/data/data"), (600, 192, 192)),
    RESULT: (maps_adapter, read_map, (2, 600, 600)),
    EIGER: (frames_adapter, read_eiger, (300, 192, 192)),
    BLISS: (frames_adapter, read_hdf5("1.1/measurement/eiger4m"), (300, 192, 192)),
    "synthetic_chx.cmp": (frames_adapter, read_cmp, (60, 192, 192)),
    "synthetic_rigaku500k_f004096.bin": (
        frames_adapter,
        read_rigaku,
        (4096, 512, 1024),
    ),
}


@pytest.fixture(params=CASES, ids=lambda name: Path(name).name)
def case(request, shared_data):
    path = shared_data / "formats" / request.param
    find, read, shape = CASES[request.param]
    return path, find(path).from_uris(path.as_uri()), read, shape


def test_shape_is_that_of_the_file(case):
    _, adapter, _, shape = case
    assert adapter.structure().shape == shape


def test_first_middle_and_last_entry_are_those_of_the_file(case):
    path, adapter, read, shape = case
    for index in (0, shape[0] // 2, shape[0] - 1):
        np.testing.assert_array_equal(adapter.read(NDSlice(index)), read(path, index))


def test_frame_time_is_told_where_the_file_tells_it(case):
    path, adapter, _, _ = case
    expected = None if path.suffix == ".bin" else 0.01
    assert adapter.metadata()["frame_time"] == expected

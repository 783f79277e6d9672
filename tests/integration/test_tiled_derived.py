"""Arrays that a server makes of detector and result files."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from tiled.client.utils import ClientError
from tiled.structures.data_source import Asset, DataSource, Management

from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.data.roi import QPartition
from ainerd_bluesky.xpcs.two_time.maps import two_time_maps
from tiled_adapters.formats import write_partition
from tiled_adapters.formats.two_time_files import TwoTimeFileAdapter
from tiled_adapters.two_time import MAX_FRAMES, register_two_time

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def files(tiled_server):
    """Frames and partition where the server may read."""
    frames = np.random.default_rng(0).poisson(2, (40, 8, 9)).astype("uint16")
    roi_map = np.zeros((8, 9), np.int32)
    roi_map[:4], roi_map[5:] = 1, 2
    frames_path = tiled_server.detector_folder / "derived.h5"
    with h5py.File(frames_path, "w") as file:
        file["/entry/data/data"] = frames
    partition_path = tiled_server.detector_folder / "qmap.h5"
    partition = QPartition(roi_map, np.array([0.01, 0.02]), np.full(2, np.nan))
    write_partition(partition_path, partition)
    return frames_path, partition_path, two_time_maps(frames, roi_map)


@pytest.fixture(scope="module")
def derived(results, files):
    run_uid = str(uuid.uuid4())
    nodes = register_two_time(results, run_uid, frames=files[0], partition=files[1])
    return run_uid, nodes


def test_map_is_computed_when_read(derived, files):
    _, nodes = derived
    for q_bin, expected in enumerate(files[2], start=1):
        np.testing.assert_allclose(nodes[q_bin][:], expected, rtol=1e-6)


def test_part_of_a_map_is_the_same_part(derived, files):
    _, nodes = derived
    np.testing.assert_allclose(nodes[2][3:10, ::2], files[2][1][3:10, ::2], rtol=1e-6)


def test_many_readers_at_once_agree(derived, files):
    _, nodes = derived
    with ThreadPoolExecutor(4) as readers:
        maps = list(readers.map(lambda _: nodes[1][:], range(4)))
    for two_time in maps:
        np.testing.assert_allclose(two_time, files[2][0], rtol=1e-6)


def test_derived_maps_lie_beside_the_results(results, derived):
    run_uid, _ = derived
    assert list(results[run_uid]["derived"]) == ["q1", "q2"]
    assert run_uid not in set(results.labels_table()["run_uid"])


def test_registering_again_is_harmless(results, derived, files):
    run_uid, _ = derived
    again = register_two_time(results, run_uid, frames=files[0], partition=files[1])
    assert list(again) == [1, 2]


def test_derived_map_can_be_drawn(derived, tmp_path):
    _, nodes = derived
    nodes[1].export(str(tmp_path / "map.png"))
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_series_that_is_too_long_is_left_to_a_flow(results, files, tmp_path):
    long = tmp_path / "long.h5"
    with h5py.File(long, "w") as file:
        file["/entry/data/data"] = np.zeros((MAX_FRAMES + 1, 8, 9), np.uint8)
    with pytest.raises(FrameStackError, match="let a flow publish it"):
        register_two_time(results, "x", frames=long, partition=files[1])


def test_frames_where_the_server_may_not_read_are_refused(results, files, tmp_path):
    elsewhere = tmp_path / "frames.h5"
    elsewhere.write_bytes(files[0].read_bytes())
    nodes = register_two_time(
        results, str(uuid.uuid4()), frames=elsewhere, partition=files[1]
    )
    with pytest.raises(ClientError, match="outside of the folders"):
        nodes[1][:]


def test_result_file_is_served_as_it_lies(tiled_server, catalog):
    maps = np.random.default_rng(0).random((3, 20, 20), dtype=np.float32)
    path = tiled_server.detector_folder / "maps.npy"
    np.save(path, maps)
    adapter = TwoTimeFileAdapter.from_uris(path.as_uri())
    source = DataSource(
        structure_family="array",
        structure=adapter.structure(),
        mimetype=TwoTimeFileAdapter.mimetype,
        assets=[Asset(path.as_uri(), is_directory=False, parameter="data_uri", num=0)],
        management=Management.external,
    )
    node = catalog["processed"].new("array", [source], specs=adapter.specs)
    np.testing.assert_array_equal(node[1], maps[1])
    np.testing.assert_array_equal(node[::-1, 2], maps[::-1, 2])

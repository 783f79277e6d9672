"""Files of other programs, shown by a server where they lie."""

import json
from contextlib import closing

import numpy as np
import pytest
from tiled.client.utils import ClientError
from tiled.structures.core import StructureFamily
from tiled.structures.data_source import Asset, DataSource, Management

from ainerd_bluesky.errors import FileFormatError
from tests import format_writers as writers
from tiled_adapters.catalog import create_container, open_catalog
from tiled_adapters.formats.chx import CmpAdapter
from tiled_adapters.registration import register_file
from tiled_adapters.specs import RESULTS

pytestmark = pytest.mark.integration

FRAMES = np.random.default_rng(0).poisson(0.5, (9, 6, 7)).astype("u2")
FRAMES[-1, 0, 0] = 1
WIDE = np.zeros((5, 512, 1024), "u2")
WIDE[:, 100, 200] = [1, 2, 0, 3, 4]


@pytest.fixture
def register(results):
    """Register a file below a run of its own."""

    def register(path, **options):
        uid = f"format-{path.stem}-{path.suffix.strip('.')}"
        metadata = {"run_uid": uid, "status": "writing"}
        create_container(results, uid, metadata=metadata, specs=[RESULTS])
        return register_file(results, uid, path, **options), results[uid]

    return register


@pytest.mark.parametrize(
    ("name", "write", "frames"),
    [
        ("served.bin", writers.write_rigaku, WIDE),
        ("served.cmp", writers.write_cmp, FRAMES),
        ("dense.imm", lambda p, f: writers.write_imm(p, f, is_sparse=False), FRAMES),
        ("sparse.imm", lambda p, f: writers.write_imm(p, f, is_sparse=True), FRAMES),
        ("bliss.h5", writers.write_bliss, FRAMES),
    ],
)
def test_frames_of_other_programs_are_served(
    tiled_server, register, name, write, frames
):
    path = write(tiled_server.detector_folder / name, frames)
    node, _ = register(path, is_raw=True)
    assert node.shape == frames.shape
    np.testing.assert_array_equal(node[1:4], frames[1:4])
    assert "frame_time" in node.metadata


def test_scan_is_served_as_it_was_chosen(tiled_server, register):
    path = tiled_server.detector_folder / "scans.h5"
    writers.write_bliss(path, FRAMES, scans=("1.1", "2.1"))
    with pytest.raises(FileFormatError, match="--dataset"):
        register(path, is_raw=True)
    node, _ = register(path, is_raw=True, dataset="2.1")
    assert node.metadata["scan"] == "2.1"
    np.testing.assert_array_equal(node[2], FRAMES[2])


def test_g2_of_a_result_is_served_beside_its_maps(tiled_server, register):
    maps = np.ones((2, 8, 8), "f4")
    path = writers.write_legacy(tiled_server.detector_folder / "old.hdf", maps)
    node, run = register(path)
    assert node.shape == (2, 8, 8)
    assert run["source_g2"].read().shape == (3, 4)
    assert run["source_g2_err"][0, 0] == pytest.approx(0.1)
    assert run["source_lags"].read().tolist() == [1, 2, 4]
    assert run["source_g2"].metadata["q_values"] == [0.01, 0.02, 0.03, 0.04]


def test_file_that_changed_since_is_refused_with_the_reason(tiled_server, register):
    path = writers.write_cmp(tiled_server.detector_folder / "later.cmp", FRAMES)
    node, _ = register(path, is_raw=True)
    writers.write_cmp(path, FRAMES[:2])
    answer = node.context.http_client.get(
        node.item["links"]["full"], headers={"Accept": "application/octet-stream"}
    )
    assert answer.status_code == 422
    assert "fewer than registered" in answer.json()["detail"]


def test_names_that_a_uri_quotes_are_served(serve, tmp_path):
    folder, archive = tmp_path / "server", tmp_path / "my scans #3 [b]"
    archive.mkdir()
    serve(folder, "--readable", str(archive))
    uri = json.loads((folder / "server.json").read_text())["uri"]
    root = open_catalog(uri, api_key=(folder / "api_key").read_text())
    with closing(root.context.http_client):
        results = root["processed/xpcs"]
        for uid, name in (("a", "gel 5C.cmp"), ("b", "gel#5C.cmp"), ("c", "5%20C.cmp")):
            path = writers.write_cmp(archive / name, FRAMES)
            metadata = {"run_uid": uid, "status": "writing"}
            create_container(results, uid, metadata=metadata, specs=[RESULTS])
            node = register_file(results, uid, path, is_raw=True)
            np.testing.assert_array_equal(node[1:4], FRAMES[1:4])


def test_file_elsewhere_is_not_served_under_a_quoted_name(
    tiled_server, results, tmp_path
):
    readable = tiled_server.detector_folder / "a%2Fb"
    uri = f"file://localhost{readable}%2F..%2F..%2F..{tmp_path}/x.cmp"
    writers.write_cmp(tmp_path / "x.cmp", FRAMES)
    adapter = CmpAdapter.from_uris((tmp_path / "x.cmp").as_uri())
    source = DataSource(
        structure_family=StructureFamily.array,
        structure=adapter.structure(),
        mimetype=adapter.mimetype,
        assets=[Asset(uri, is_directory=False, parameter="data_uri", num=0)],
        management=Management.external,
    )
    node = results.new(StructureFamily.array, [source])
    with pytest.raises(ClientError, match="outside of the folders"):
        node[:]

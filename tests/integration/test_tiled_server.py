"""The server as it is shipped: layout, security, formats, a clean end."""

import json
import os
import shutil
import signal
from pathlib import Path

import h5py
import httpx
import numpy as np
import pytest
from tiled.client.utils import ClientError
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.data_source import Asset, DataSource, Management
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ainerd_bluesky.errors import CatalogError
from tiled_adapters.catalog import open_catalog
from tiled_adapters.formats.aps_8idi import Aps8IdiFramesAdapter
from tiled_adapters.server import initialise

pytestmark = pytest.mark.integration


@pytest.fixture
def secret(results, make_analysis):
    """Path of an array that strangers must not see."""
    results.write_array(np.arange(4.0), key=(key := make_analysis().run_uid))
    return f"processed/xpcs/{key}"


def test_layout_is_there_when_the_server_answers(catalog):
    assert set(catalog) >= {"raw", "processed"}
    assert set(catalog["processed"]) >= {"xpcs", "models"}
    assert type(catalog["raw"]).__name__ == "CatalogOfBlueskyRuns"
    assert type(catalog["processed/xpcs"]).__name__ == "XPCSResultsCatalog"


def test_layout_can_be_made_again(catalog):
    before = set(catalog), set(catalog["processed"])
    initialise(catalog)
    assert (set(catalog), set(catalog["processed"])) == before


@pytest.mark.parametrize(
    "route",
    [
        "/api/v1/metadata/",
        "/api/v1/search/",
        "/api/v1/metadata/{}",
        "/api/v1/array/full/{}",
        "/zarr/v2/{}/.zarray",
        "/zarr/v2/{}/0",
        "/zarr/v3/{}/zarr.json",
        "/zarr/v3/{}/c/0",
        "/zarr/v3/processed/zarr.json",
    ],
)
def test_stranger_gets_nothing(tiled_server, secret, route):
    response = httpx.get(tiled_server.uri + route.format(secret))
    assert response.status_code in {401, 403, 404}
    assert set(response.json()) == {"detail"}


@pytest.mark.parametrize("route", ["/zarr/v2/{}/.zarray", "/zarr/v3/{}/zarr.json"])
def test_route_that_is_closed_to_strangers_is_open_with_the_key(
    tiled_server, secret, route
):
    headers = {"Authorization": f"Apikey {tiled_server.api_key}"}
    response = httpx.get(tiled_server.uri + route.format(secret), headers=headers)
    assert response.status_code == 200


def test_stranger_learns_nothing_by_graphql(tiled_server):
    query = {"query": "{ entities { edges { node { name } } } }"}
    response = httpx.post(tiled_server.uri + "/api/graphql", json=query)
    assert "name" not in json.dumps(response.json().get("data") or {})


def test_stranger_cannot_listen(tiled_server):
    address = tiled_server.uri.replace("http", "ws", 1)
    address += "/api/v1/stream/single/processed?envelope_format=json&start=0"
    with connect(address) as socket:  # taken, and asked for a key
        socket.send(json.dumps({"type": "auth", "api_key": "wrong"}))
        with pytest.raises(ConnectionClosed, match="Authentication failed"):
            socket.recv(timeout=10)


def test_stored_files_cannot_be_fetched_as_they_are(tiled_server, catalog, secret):
    headers = {"Authorization": f"Apikey {tiled_server.api_key}"}
    asset = catalog[secret].data_sources()[0].assets[0]
    response = httpx.get(
        f"{tiled_server.uri}/api/v1/asset/bytes/{secret}",
        params={"id": asset.id, "relative_path": "../../../catalog.db"},
        headers=headers,
    )
    assert response.status_code == 403


def _register(catalog, uri, *, parameter="data_uri", mimetype="application/x-hdf5"):
    structure = ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(np.dtype("int64")),
        shape=(3,),
        chunks=((3,),),
    )
    source = DataSource(
        structure_family="array",
        structure=structure,
        mimetype=mimetype,
        parameters={"dataset": "/x"},
        assets=[Asset(uri, is_directory=False, parameter=parameter, num=0)],
        management=Management.external,
    )
    return catalog["processed"].new("array", [source])


@pytest.fixture
def files(tiled_server, tmp_path):
    """Files that hold [1, 2, 3] in /x, inside and outside of the readable folder."""
    folder = tiled_server.detector_folder / tmp_path.name
    folder.mkdir(exist_ok=True)
    outside = tmp_path / "outside.h5"
    for path in (outside, folder / "good.h5"):
        with h5py.File(path, "w") as file:
            file["x"] = [1, 2, 3]
    (folder / "symlink.h5").symlink_to(outside)
    with h5py.File(folder / "external.h5", "w") as file:
        file["x"] = h5py.ExternalLink(str(outside), "/x")
    layout = h5py.VirtualLayout((3,), int)
    layout[:] = h5py.VirtualSource(str(outside), "x", (3,))
    with h5py.File(folder / "virtual.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    with h5py.File(folder / "storage.h5", "w") as file:
        file.create_dataset("x", (3,), int, external=[(str(outside), 0, 24)])
    yield folder, outside
    shutil.rmtree(folder)


def test_file_in_a_readable_folder_is_served(catalog, files):
    node = _register(catalog, (files[0] / "good.h5").as_uri())
    assert node[:].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "name", ["symlink.h5", "external.h5", "virtual.h5", "storage.h5"]
)
def test_file_that_points_outside_is_refused(catalog, files, name):
    node = _register(catalog, (files[0] / name).as_uri())
    with pytest.raises(ClientError, match="403"):
        node[:]


@pytest.mark.parametrize("parameter", ["data_uri", None])
def test_path_that_climbs_out_is_refused(catalog, files, parameter):
    folder, outside = files
    climb = os.path.relpath(outside, folder)
    uri = f"file://localhost{folder}/{climb}"
    node = _register(catalog, uri, parameter=parameter)
    with pytest.raises(ClientError, match="403"):
        node[:]


def test_damaged_file_is_explained_at_once(catalog, files):
    path = files[0] / "cut.h5"
    whole = (files[0] / "good.h5").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    structure = ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(np.dtype("uint16")),
        shape=(3, 2, 2),
        chunks=((3,), (2,), (2,)),
    )
    source = DataSource(
        structure_family="array",
        structure=structure,
        mimetype=Aps8IdiFramesAdapter.mimetype,
        assets=[Asset(path.as_uri(), is_directory=False, parameter="data_uri", num=0)],
        management=Management.external,
    )
    node = catalog["processed"].new("array", [source])
    with pytest.raises(ClientError, match=r"cut\.h5"):
        node[:]


def test_map_is_drawn_by_the_server(results, make_analysis, tmp_path):
    node = results.write_array(
        np.random.default_rng(0).random((2, 40, 40)),
        key=make_analysis().run_uid,
        specs=["XPCSTwoTime"],
    )
    node.export(str(tmp_path / "map.png"))
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_key_is_refused_with_the_cure(tiled_server):
    with pytest.raises(CatalogError, match="TILED_API_KEY"):
        open_catalog(tiled_server.uri, api_key="wrong")


def test_missing_key_is_refused_with_the_cure(tiled_server, monkeypatch):
    monkeypatch.delenv("TILED_API_KEY", raising=False)
    with pytest.raises(CatalogError, match="TILED_API_KEY"):
        open_catalog(tiled_server.uri)


def test_key_is_kept_for_its_owner_alone(tiled_server):
    assert (tiled_server.folder / "api_key").stat().st_mode & 0o777 == 0o600


def test_terminal_shows_how_to_connect_and_no_log(tiled_server):
    terminal = (tiled_server.folder / "terminal.log").read_text()
    assert tiled_server.uri in terminal
    assert "TILED_API_KEY" in terminal
    assert "INFO" not in terminal
    assert tiled_server.api_key not in terminal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_server_ends_promptly(serve, tmp_path: Path, number):
    process = serve(tmp_path)
    uri = json.loads((tmp_path / "server.json").read_text())["uri"]
    address = uri.replace("http", "ws", 1) + "/api/v1/stream/single/processed"
    headers = {"Authorization": f"Apikey {(tmp_path / 'api_key').read_text()}"}
    with connect(
        f"{address}?envelope_format=json", additional_headers=headers
    ):  # somebody listens
        process.send_signal(number)
        process.wait(timeout=10)
    assert not (tmp_path / "server.json").exists()
    assert (tmp_path / "catalog.db").exists()

"""Runs that Tiled did not take while they ran."""

import json
import uuid

import pytest
from bluesky import RunEngine
from bluesky.callbacks.json_writer import JSONLinesWriter
from bluesky_tiled_plugins import TiledWriter

from ainerd_bluesky.callbacks.backup import replay_backups
from ainerd_bluesky.callbacks.writer import tiled_writer
from ainerd_bluesky.plans import xpcs_scan

from .conftest import make_beamline

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def documents(tiled_server):
    """A run as it was, under a new uid each time it is asked for."""
    RE = RunEngine({}, call_returns_result=False)
    folder = tiled_server.detector_folder / uuid.uuid4().hex
    beamline = make_beamline(RE, folder)
    documents = []
    RE.subscribe(lambda name, doc: documents.append((name, doc)))
    [uid] = RE(xpcs_scan(beamline.detector, beamline.stage, "steady", n_frames=40))
    text = json.dumps(documents)
    return lambda: json.loads(text.replace(uid, str(uuid.uuid4())))


@pytest.fixture
def replay(tmp_path, catalog, tiled_server):
    def run(documents, roots=(tiled_server.detector_folder,)):
        writer = JSONLinesWriter(tmp_path)
        for name, doc in documents:
            writer(name, doc)
        return replay_backups(tmp_path, catalog["raw"], allowed_roots=roots)

    return run


def test_a_complete_run_is_brought_into_tiled_once(
    replay, documents, catalog, tmp_path
):
    kept = documents()
    uid = kept[0][1]["uid"]
    assert replay(kept) == [uid]
    assert catalog["raw", uid]["primary/eiger"].shape == (1, 40, 64, 64)
    assert len(list((tmp_path / "replayed").iterdir())) == 1
    assert replay_backups(tmp_path, catalog["raw"], allowed_roots=[]) == []


def test_what_is_left_of_a_broken_off_run_is_replaced(
    replay, documents, catalog, tiled_server, tmp_path
):
    kept = documents()
    uid = kept[0][1]["uid"]
    broken = tiled_writer(
        catalog["raw"],
        allowed_roots=[tiled_server.detector_folder],
        backup_folder=None,
    )
    for name, doc in kept[:3]:
        broken(name, doc)
    assert not catalog["raw", uid].metadata.get("stop")
    assert replay(kept) == [uid]
    assert catalog["raw", uid].metadata["stop"]["exit_status"] == "success"


def test_what_another_writer_left_is_not_touched(
    replay, documents, catalog, tmp_path, caplog
):
    kept = documents()
    uid = kept[0][1]["uid"]
    other = TiledWriter(catalog["raw"], batch_size=1)
    for name, doc in kept[:3]:
        other(name, doc)
    before = list(catalog["raw", uid])
    assert replay(kept) == []
    assert not catalog["raw", uid].metadata.get("stop")
    assert list(catalog["raw", uid]) == before
    assert "by another writer" in caplog.text
    assert len(list((tmp_path / "refused").iterdir())) == 1


def test_a_run_that_is_there_is_not_written_again(replay, documents):
    kept = documents()
    assert replay(kept) == replay(kept) == [kept[0][1]["uid"]]


def test_a_run_that_still_goes_on_stays(replay, documents, tmp_path):
    assert replay(documents()[:-1]) == []
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_a_run_with_files_elsewhere_is_put_aside(replay, documents, tmp_path, caplog):
    assert replay(documents(), roots=()) == []
    assert len(list((tmp_path / "refused").iterdir())) == 1
    assert "not under an allowed folder" in caplog.text

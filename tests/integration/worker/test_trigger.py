"""From the end of a scan to its label, with real processes on both sides."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import RunEngineInterrupted

from ainerd_bluesky.errors import OutboxError
from ainerd_bluesky.installation import install
from ainerd_bluesky.plans import autonomous_xpcs
from ainerd_bluesky.selection import Candidate, NoveltySelector

pytestmark = pytest.mark.integration

LIMIT = 90


def said_by(capsys, *words):
    """Wait for a line with all the words to be printed."""
    heard, deadline = "", time.monotonic() + 5
    while time.monotonic() < deadline:
        heard += capsys.readouterr().out
        for line in heard.splitlines():
            if all(word in line for word in words):
                return line
        time.sleep(0.02)
    pytest.fail(f"nobody said {words}: {heard}")


def test_a_scan_gets_its_label_and_the_session_says_so(session, results, capsys):
    run_uid = session.scan("steady")
    summary = session.summary(run_uid)
    assert summary["sample"] == "steady"
    assert results[run_uid].metadata["label"] == summary["label"]
    assert said_by(capsys, "steady", summary["label"]).endswith("s after the scan")


def test_a_warm_worker_answers_soon(session):
    session.summary(session.scan())
    run_uid = session.scan()
    ended = time.monotonic()
    session.summary(run_uid)
    assert time.monotonic() - ended < 10


def test_a_dark_run_is_invalid_and_the_session_says_why(session, capsys):
    summary = session.summary(session.scan("dark"))
    assert summary["label"] == "invalid"
    assert said_by(capsys, "dark  invalid: ", summary["quality"]["reasons"][0])


def test_an_aborted_run_is_recorded_as_invalid_with_the_reason(session, capsys):
    def interrupted():
        yield from bps.open_run({"technique": "XPCS", "sample": "steady"})
        yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        session.RE(interrupted())
    session.RE.abort("beam dump")
    assert said_by(capsys, "invalid: run ended with 'abort': beam dump")


def test_runs_of_another_technique_are_written_and_not_analysed(session, catalog):
    @bpp.run_decorator(md={"technique": "SAXS"})
    def plan():
        yield from bps.null()

    [run_uid] = session.RE(plan())
    assert catalog["raw", run_uid].metadata["stop"]["exit_status"] == "success"
    assert session.installation.outbox.state(run_uid) is None


def test_installing_twice_doubles_nothing(session, capsys):
    assert install(session.RE, session.config) is session.installation
    run_uid = session.scan()
    label = session.summary(run_uid)["label"]
    said_by(capsys, label)
    time.sleep(0.3)
    assert label not in capsys.readouterr().out


def test_what_cannot_be_analysed_is_said_with_the_way_to_try_again(session, capsys):
    partition = session.beamline.partition_path.read_bytes()
    session.beamline.partition_path.unlink()
    run_uid = session.scan()
    assert session.summary(run_uid) is None
    assert said_by(capsys, "no q-partition", f'ainerd.retry("{run_uid[:8]}")')

    session.beamline.partition_path.write_bytes(partition)
    assert session.installation.retry(run_uid[:8]) == [run_uid]
    assert session.summary(run_uid)["sample"] == "steady"
    with pytest.raises(OutboxError, match="no failed or done run begins with 'zzz'"):
        session.installation.retry("zzz")


def test_a_run_that_is_done_can_be_done_again(session):
    run_uid = session.scan()
    summary = session.summary(run_uid)
    assert session.installation.retry(run_uid) == [run_uid]
    assert session.summary(run_uid)["label"] == summary["label"]
    assert session.installation.outbox.job(run_uid).log[-1]["event"] == "done"


def test_a_series_chooses_its_samples_and_learns_their_labels(session):
    selector = NoveltySelector([Candidate(name) for name in ("steady", "dark")])
    detector, stage = session.beamline.detector, session.beamline.stage
    follower = session.installation.follower
    run_uids = session.RE(
        autonomous_xpcs(detector, stage, selector, follower, n_scans=5, n_frames=96)
    )
    assert len(run_uids) == 2
    assert {seen.name for seen in selector.observations} == {"steady", "dark"}


def test_a_worker_that_was_killed_is_replaced_and_no_run_is_lost(own_session):
    session = own_session()
    os.kill(session.installation.worker.pid, signal.SIGKILL)
    assert session.summary(session.scan())["sample"] == "steady"


SCRIPT = """
import os
import sys
from pathlib import Path
from tests.integration.worker.conftest import open_session
folder, uri, api_key = sys.argv[1:]
opened = open_session(Path(folder), uri, api_key)
print(opened.__enter__().scan(), flush=True)
os._exit(0)
"""


def test_the_worker_finishes_the_queue_of_a_session_that_has_ended(
    tiled_server, results, tmp_path
):
    folder = tiled_server.detector_folder / tmp_path.name
    code = [sys.executable, "-c", SCRIPT, folder, tiled_server.uri]
    ended = subprocess.run(
        [*code, tiled_server.api_key], check=True, capture_output=True, text=True
    )
    [run_uid] = [line for line in ended.stdout.splitlines() if len(line) == 36]
    log = folder / "outbox" / "worker.log"
    deadline = time.monotonic() + LIMIT
    while " ends\n" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert results[run_uid].metadata["sample"] == "steady"


@pytest.mark.slow
def test_a_server_that_comes_late_and_dies_early_loses_nothing(
    own_session, serve, tiled_server, tmp_path, capsys
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (f"--port={port}", f"--readable={tiled_server.detector_folder}")
    (tmp_path / "frail").mkdir()
    (tmp_path / "frail" / "api_key").write_text(tiled_server.api_key)

    session = own_session(uri=f"http://127.0.0.1:{port}")
    assert "No Tiled for now" in capsys.readouterr().err
    early = session.scan()
    outbox = session.installation.outbox
    assert outbox.state(early) == "new"
    [backup] = (outbox.folder / "backup").glob("*.jsonl")
    assert json.loads(backup.read_text().splitlines()[-1])["name"] == "stop"

    server = serve(tmp_path / "frail", *options)
    assert session.summary(early)["sample"] == "steady"

    names = []
    session.RE.subscribe(lambda name, doc: names.append(name))
    session.RE.subscribe(lambda *_: server.kill(), "descriptor")
    interrupted = session.scan()
    assert names[-1] == "stop"
    server.wait()
    (tmp_path / "frail" / "server.json").unlink()
    serve(tmp_path / "frail", *options)
    assert session.summary(interrupted)["sample"] == "steady"

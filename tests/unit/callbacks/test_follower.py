import asyncio
import io
import threading
import time

import pytest
from rich.console import Console

from ainerd_bluesky.callbacks import follower
from ainerd_bluesky.callbacks.follower import ResultFollower, result_line
from ainerd_bluesky.callbacks.outbox import Outbox

SUMMARY = {
    "status": "complete",
    "label": "aging",
    "confidence": 0.934,
    "quality": {"ok": True, "flags": [], "reasons": []},
    "physics": {"relaxation_time": 1.234, "q": 0.0123},
}
PAYLOAD = {"scan_id": 12, "sample": "lupolen", "stop_time": 1000.0}


class Node:
    def __init__(self, **metadata):
        self.metadata = metadata


class Session:
    """An outbox, a catalog in a dict, and what was printed."""

    def __init__(self, folder, **settings):
        self.outbox = Outbox(folder)
        self.results = {}
        self.printed = io.StringIO()
        self.follower = ResultFollower(
            self.outbox,
            lambda: self.results,
            console=Console(file=self.printed, width=300),
            **settings,
        )

    def put(self, uid="a"):
        self.outbox.put(uid, PAYLOAD)
        return self.follower.follow(uid)


@pytest.fixture
def session(tmp_path):
    session = Session(tmp_path)
    yield session
    session.follower.close()


def test_a_label_is_printed_in_one_line_when_it_is_there(session):
    result = session.put()
    session.outbox.done(session.outbox.claim())
    session.results["a"] = Node(**SUMMARY)
    assert result.result(timeout=5)["label"] == "aging"
    time.sleep(0.05)
    assert session.printed.getvalue().startswith(
        "scan 12  lupolen  aging 0.93  relaxation time 1.23 s at q 0.0123 1/Å  "
    )


def test_a_result_that_is_still_written_is_not_shown(session):
    result = session.put()
    session.results["a"] = Node(status="writing")
    session.outbox.done(session.outbox.claim())
    time.sleep(0.4)
    assert not result.done()
    session.results["a"] = Node(**SUMMARY)
    assert result.result(timeout=5) == SUMMARY


def test_a_refused_run_is_printed_with_its_reasons():
    refused = {
        "label": "invalid",
        "confidence": 1.0,
        "quality": {"reasons": ["34 % of frames are dark", "q-bin 3 is empty"]},
    }
    line = result_line(PAYLOAD, refused, 1003.14).plain
    assert line == (
        "scan 12  lupolen  invalid: 34 % of frames are dark; q-bin 3 is empty"
        "  3.1 s after the scan"
    )


def test_of_many_reasons_the_first_ones_are_printed():
    refused = {
        "label": "invalid",
        "confidence": 1.0,
        "quality": {"reasons": [f"q-bin {n} is empty" for n in range(6)]},
    }
    line = result_line({"scan_id": 1, "sample": "a"}, refused, 0.0).plain
    assert line.endswith("invalid: q-bin 0 is empty; q-bin 1 is empty; and 4 more")


def test_unknown_physics_is_left_out():
    summary = {**SUMMARY, "physics": {"relaxation_time": None, "q": None}}
    line = result_line({"scan_id": 1, "sample": None}, summary, 0.0).plain
    assert line == "scan 1  unnamed sample  aging 0.93"


def test_a_failed_job_is_printed_with_the_way_to_try_again(session):
    result = session.put("abcdefghij")
    session.outbox.fail(session.outbox.claim(), "no field 'eiger'")
    assert result.result(timeout=5) is None
    time.sleep(0.05)
    assert session.printed.getvalue().strip() == (
        "scan 12  lupolen  not analysed: no field 'eiger'"
        '  try again: ainerd.retry("abcdefgh")'
    )


def test_a_result_that_never_comes_is_given_up(tmp_path):
    session = Session(tmp_path, patience=0.3)
    result = session.put()
    session.outbox.done(session.outbox.claim())
    assert result.result(timeout=5) is None
    session.follower.close()


def test_only_finished_runs_are_forgotten(session, monkeypatch):
    monkeypatch.setattr(follower, "_MAX_RESULTS", 2)
    waiting = session.follower.follow("waiting")
    session.outbox.put("waiting", PAYLOAD)
    ended = [session.follower.follow(f"ended-{n}") for n in range(4)]
    for future in ended:
        future.set_result(None)
    session.follower.follow("last")
    assert session.follower.follow("waiting") is waiting
    assert session.follower.follow("ended-3") is ended[3]
    assert session.follower.follow("ended-0") is not ended[0]


def test_a_run_has_failed_only_when_no_result_will_come(session):
    uids = ("unknown", "waiting", "labelled", "hopeless")
    futures = {uid: session.follower.follow(uid) for uid in uids[1:]}
    session.outbox.put("waiting", PAYLOAD)
    futures["labelled"].set_result(SUMMARY)
    futures["hopeless"].set_result(None)
    failed = [uid for uid in uids if session.follower.has_failed(uid)]
    assert failed == ["hopeless"]
    session.follower.forget("hopeless")
    assert not session.follower.has_failed("hopeless")


@pytest.mark.parametrize("comes", [True, False])
def test_waiting_leaves_the_loop_free_and_has_a_limit(session, comes):
    session.put()

    def finish():
        session.results["a"] = Node(**SUMMARY)
        session.outbox.done(session.outbox.claim())

    if comes:
        threading.Timer(0.3, finish).start()

    async def wait():
        ticks = 0
        waiting = asyncio.ensure_future(session.follower.wait("a", 1.0))
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return waiting.result(), ticks

    began = time.monotonic()
    summary, ticks = asyncio.run(wait())
    assert (summary is not None) == comes
    assert ticks > 10
    assert time.monotonic() - began < 2


def test_a_catalog_that_is_away_for_a_while_is_asked_again(tmp_path, caplog):
    outbox, answers = (
        Outbox(tmp_path),
        [ConnectionError("away"), {"a": Node(**SUMMARY)}],
    )

    def connect():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    frail = ResultFollower(outbox, connect)
    result = frail.follow("a")
    outbox.put("a", PAYLOAD)
    outbox.done(outbox.claim())
    assert result.result(timeout=10) == SUMMARY
    assert "away" in caplog.text
    frail.close()

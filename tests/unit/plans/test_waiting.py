import asyncio
import threading

import pytest
from bluesky.utils import RunEngineInterrupted

from ainerd_bluesky.plans import wait_for_label
from ainerd_bluesky.plans.waiting import wait_for_labels
from tests.unit.plans.conftest import Results, summary


@pytest.mark.parametrize("answer", [summary(), None])
def test_waiting_for_a_label_returns_it(RE, answer):
    results = Results(answer)
    assert RE(wait_for_label(results, "a", 3.0)).plan_result == answer
    assert results.asked == [("a", 3.0)]


def test_several_runs_are_asked_for_at_once(RE):
    results = Results(summary(label="static"), None, summary())
    found = RE(wait_for_labels(results, ["a", "b", "c"], 1.0)).plan_result
    assert {uid: seen["label"] for uid, seen in found.items()} == {
        "a": "static",
        "c": "aging",
    }


def test_a_server_that_is_down_is_a_missing_label(RE, caplog):
    results = Results(ConnectionError("no route"))
    assert RE(wait_for_label(results, "a", 1.0)).plan_result is None
    assert "run a" in caplog.text
    assert "no route" in caplog.text


def test_whoever_does_not_keep_to_the_limit_is_not_waited_for(RE, monkeypatch):
    monkeypatch.setattr("ainerd_bluesky.plans.waiting._PATIENCE", 0.05)

    class Stuck:
        async def wait(self, run_uid, timeout):
            await asyncio.sleep(60)

    assert RE(wait_for_label(Stuck(), "a", 0.05)).plan_result is None


def test_a_pause_while_waiting_loses_no_label(RE):
    class Slow:
        async def wait(self, run_uid, timeout):
            await asyncio.sleep(0.3)
            return summary()

    threading.Timer(0.1, RE.request_pause).start()
    with pytest.raises(RunEngineInterrupted):
        RE(wait_for_label(Slow(), "a", 1.0))
    assert RE.resume().plan_result == summary()

"""Labels reach an agent: told by the server, or found by asking."""

import threading
import time
import uuid
from contextlib import contextmanager

import pytest

from tiled_adapters.publish import ResultsPublisher
from tiled_adapters.result_feed import ResultFeed

pytestmark = pytest.mark.integration

LIMIT = 20


@contextmanager
def open_feed(connect, **settings):
    wake = threading.Event()
    feed = ResultFeed(connect, time.time() - 1, wake, **settings)
    try:
        yield feed, wake
    finally:
        feed.close()


def wait_for(look):
    """Return the first answer that is not empty."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    pytest.fail("nothing came")


def open_results(connect):
    return lambda: connect()["processed/xpcs"]


def test_the_server_tells_of_a_label(connect, results, make_analysis):
    with open_feed(open_results(connect), interval=3600) as (feed, wake):
        wait_for(lambda: feed._subscription and feed._subscription._connected_event)
        feed._subscription._connected_event.wait(LIMIT)
        analysis = make_analysis("aging")
        assert not feed.of_runs({analysis.run_uid})
        ResultsPublisher(results).publish(analysis)
        assert wake.wait(LIMIT)
        found = wait_for(lambda: feed.of_runs({analysis.run_uid}))
    assert found[analysis.run_uid]["label"] == "aging"
    assert found[analysis.run_uid]["probabilities"]["aging"] == 0.9


def test_without_subscriptions_labels_are_asked_for(
    connect, results, make_analysis, monkeypatch
):
    monkeypatch.setattr(ResultFeed, "_listen", lambda self: None)
    with open_feed(open_results(connect), interval=0.1) as (feed, _):
        analysis = make_analysis("static")
        feed.of_runs({analysis.run_uid})
        ResultsPublisher(results).publish(analysis)
        found = wait_for(lambda: feed.of_runs({analysis.run_uid}))
    assert found[analysis.run_uid]["label"] == "static"


def test_results_of_others_are_told_once(connect, results, make_analysis):
    sample = uuid.uuid4().hex
    with open_feed(open_results(connect), interval=0.1) as (feed, _):
        ResultsPublisher(results).publish(make_analysis("aging", sample=sample))
        told = [
            row
            for _ in range(20)
            if not time.sleep(0.1)
            for row in feed.recent()
            if row["sample"] == sample
        ]
    assert [row["label"] for row in told] == ["aging"]


def test_a_server_that_is_away_is_said_and_tried_again(connect):
    answers = [ConnectionError("away")]

    def fail_first():
        if answers:
            raise answers.pop()
        return connect()["processed/xpcs"]

    with open_feed(fail_first, interval=0.1) as (feed, _):
        feed_said = wait_for(lambda: feed.trouble or not answers)
        wait_for(lambda: not feed.trouble and not answers)
    assert feed_said

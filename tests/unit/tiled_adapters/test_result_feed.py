"""A feed keeps one connection, and no clock hides results from it."""

import threading
import time
from types import SimpleNamespace

import pytest

from tiled_adapters import result_feed
from tiled_adapters.result_feed import ResultFeed

LIMIT = 5


class Server:
    """Gives out containers, and knows which of them were closed."""

    def __init__(self):
        self.n_opened = self.n_closed = self.n_searches = self.n_subscribed = 0
        self.is_away = False

    def connect(self):
        self.n_opened += 1
        client = SimpleNamespace(close=self._close)
        return SimpleNamespace(
            context=SimpleNamespace(http_client=client),
            search=self._search,
            subscribe=self._subscribe,
        )

    def _close(self):
        self.n_closed += 1

    def _search(self, _query):
        self.n_searches += 1
        if self.is_away:
            raise ConnectionError("away")
        return SimpleNamespace(search=lambda _query: None)

    def _subscribe(self):
        self.n_subscribed += 1
        raise RuntimeError("no streaming here")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(result_feed, "summary_rows", lambda *_: iter(()))
    monkeypatch.setattr(result_feed, "_RECONNECT", 0.001)
    monkeypatch.setattr(result_feed, "_PAUSE", 0.001)
    return Server()


def wait_until(is_so):
    deadline = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_searches_and_failed_subscriptions_share_one_connection(server):
    feed = ResultFeed(server.connect, 0.0, threading.Event(), interval=0.001)
    wait_until(lambda: server.n_subscribed > 3 and server.n_searches > 3)
    feed.close()
    assert (server.n_opened, server.n_closed) == (1, 1)


def test_every_connection_that_broke_is_closed(server):
    server.is_away = True
    feed = ResultFeed(server.connect, 0.0, threading.Event(), interval=0.001)
    wait_until(lambda: server.n_searches > 3)
    feed.close()
    assert server.n_opened == server.n_closed > 3


def test_a_server_that_is_away_is_asked_less_and_less_often(server, monkeypatch):
    monkeypatch.setattr(ResultFeed, "_listen", lambda _self: None)
    server.is_away = True
    feed = ResultFeed(server.connect, 0.0, threading.Event(), interval=0.01)
    time.sleep(0.4)  # 0.01 s, 0.02 s, ... 0.16 s between two
    feed.close()
    assert 2 <= server.n_searches <= 7


@pytest.mark.parametrize(
    ("ahead", "expected"), [(-50.0, -650.0), (1e6, -600.0)], ids=["right", "ahead"]
)
def test_a_clock_that_is_ahead_hides_nothing(server, monkeypatch, ahead, expected):
    monkeypatch.setattr(ResultFeed, "_search", lambda _self: None)
    monkeypatch.setattr(ResultFeed, "_listen", lambda _self: None)
    now = time.time()
    feed = ResultFeed(server.connect, now - 5000, threading.Event())
    assert feed._since == pytest.approx(now - 5600)
    feed._keep([], [{"run_uid": "r", "published": now + ahead}])
    feed.close()
    assert feed._since == pytest.approx(now + expected, abs=LIMIT)

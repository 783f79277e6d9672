"""Results as they are published, fetched by a thread that nobody waits for."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tiled.client.container import Container
from tiled.queries import Comparison, Eq, In

from ainerd_bluesky.agents.loop import Pace
from tiled_adapters.summaries import UIDS_AT_ONCE, summary_rows

__all__ = ["ResultFeed"]

logger = logging.getLogger(__name__)

Summary = dict[str, Any]

_COLUMNS = {
    "run_uid": "run_uid",
    "sample": "sample",
    "label": "label",
    "confidence": "confidence",
    "novelty": "novelty",
    "probabilities": "probabilities",
    "physics": "physics",
    "published": "published",
}
_INTERVAL = 5.0
_PAUSE = 0.1
_RECONNECT = 30.0
_LONGEST_PAUSE = 300.0
_OVERLAP = 600.0
"""Seconds: clocks of publishers may differ so much."""


class ResultFeed:
    """Follow the results on a server: told by a subscription, asking now and then.

    Every answer comes from searches; the subscription only says when it is worth one.
    So nothing is lost on a server that has no subscriptions, or while one is broken.

    Parameters
    ----------
    connect : callable
        Returns the container of results, with a client of its own that the feed closes.
    since : float
        Results published well before are none of `recent`, seconds since the epoch.
    wake : Event
        Set when there is something new.
    interval : float, optional
        Seconds between two searches while nothing is told.
    """

    def __init__(
        self,
        connect: Callable[[], Container],
        since: float,
        wake: threading.Event,
        *,
        interval: float = _INTERVAL,
    ) -> None:
        self.trouble = ""
        self._connect = connect
        self._since = since - _OVERLAP
        self._wake = wake
        self._interval = interval
        self._container: Container | None = None
        self._connecting = threading.Lock()
        self._lock = threading.Lock()
        self._awaited: frozenset[str] = frozenset()
        self._found: dict[str, Summary] = {}
        self._recent: list[Summary] = []
        self._given: set[str] = set()
        self._is_closed = threading.Event()
        self._is_due = threading.Event()
        self._subscription: Any = None
        self._threads = [
            threading.Thread(target=work, name=f"ainerd-{name}", daemon=True)
            for name, work in (("results", self._search), ("news", self._listen))
        ]
        for thread in self._threads:
            thread.start()

    def of_runs(self, run_uids: Collection[str]) -> Mapping[str, Summary]:
        """Return the summaries that are there, by run; ask for the rest meanwhile."""
        wanted = frozenset(run_uids)
        with self._lock:
            found = {uid: self._found[uid] for uid in wanted & set(self._found)}
            is_new = not wanted <= self._awaited
            self._awaited = wanted
        if is_new:
            self._is_due.set()
        return found

    def recent(self) -> Sequence[Summary]:
        """Return results of any run published since the campaign began, each once."""
        with self._lock:
            recent, self._recent = self._recent, []
        return recent

    def close(self, timeout: float = 5.0) -> None:
        """End the threads and the connection."""
        self._is_closed.set()
        self._is_due.set()
        if self._subscription is not None:
            self._subscription.disconnect()
        for thread in self._threads:
            thread.join(timeout)
        self._disconnect()

    def _open(self) -> Container:
        """Return the container of results: one connection for both threads."""
        with self._connecting:
            if self._container is None:
                self._container = self._connect()
            return self._container

    def _disconnect(self) -> None:
        with self._connecting:
            if self._container is not None:
                self._container.context.http_client.close()
            self._container = None

    def _search(self) -> None:
        """Ask again and again; what goes wrong is said, and tried again."""
        pace, n_failures = Pace(self._interval, _LONGEST_PAUSE), 0
        while not self._is_closed.is_set():
            self._is_due.clear()
            try:
                self._ask()
                self.trouble, n_failures = "", 0
            except Exception as error:  # noqa: BLE001 - the thread has to live
                logger.info("results cannot be asked for: %r", error)
                self.trouble = f"labels cannot be read for now: {error}"
                self._disconnect()
                n_failures += 1
            self._is_due.wait(pace.delay(n_failures))
            # News come in bursts: one search answers them all.
            self._is_closed.wait(_PAUSE)

    def _ask(self) -> None:
        complete = self._open().search(Eq("status", "complete"))
        with self._lock:
            missing = sorted(self._awaited - set(self._found))
        found = []
        for start in range(0, len(missing), UIDS_AT_ONCE):
            some = In("run_uid", missing[start : start + UIDS_AT_ONCE])
            found += list(summary_rows(complete.search(some), _COLUMNS))
        newer = Comparison("ge", "published", self._since)
        self._keep(found, list(summary_rows(complete.search(newer), _COLUMNS)))

    def _keep(self, found: Sequence[Summary], recent: Sequence[Summary]) -> None:
        fresh = [row for row in recent if row["run_uid"] not in self._given]
        with self._lock:
            self._found.update({row["run_uid"]: row for row in found})
            self._recent += fresh
        self._given.update(row["run_uid"] for row in fresh)
        published = [float(row["published"]) for row in fresh if row["published"]]
        # A publisher whose clock is ahead must not hide what others publish.
        latest = min(time.time(), max(published, default=0.0))
        self._since = max(self._since, latest - _OVERLAP)
        if found or fresh:
            self._wake.set()

    def _listen(self) -> None:
        """Be told of news for as long as it works, then try to be told again."""
        pace, n_failures = Pace(_RECONNECT, _LONGEST_PAUSE), 0
        while not self._is_closed.is_set():
            try:
                self._subscription = self._open().subscribe()
                # The registry forgets what nobody else holds: these are methods.
                self._subscription.child_created.add_callback(self._on_news)
                self._subscription.child_metadata_updated.add_callback(self._on_news)
                if not self._is_closed.is_set():
                    self._subscription.start()
                n_failures = 0
            except Exception as error:  # noqa: BLE001 - searches do without
                logger.info("no subscription to results: %r", error)
                n_failures += 1
            self._is_closed.wait(pace.delay(n_failures))

    def _on_news(self, update: object) -> None:
        logger.debug("news of results: %s", update)
        self._is_due.set()

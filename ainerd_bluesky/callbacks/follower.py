"""Wait for the labels of runs, and say them in the session."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from rich.console import Console
from rich.text import Text

from ainerd_bluesky.callbacks.job import Job
from ainerd_bluesky.callbacks.outbox import Outbox
from ainerd_bluesky.vocabulary import Label

__all__ = ["ResultFollower", "failure_line", "result_line"]

logger = logging.getLogger(__name__)

_POLL_INTERVAL = 0.1
_MAX_RESULTS = 1000
_MAX_REASONS = 2

Summary = dict[str, Any]


class ResultFollower:
    """Follow queued runs to their results, in a thread of its own.

    The outbox tells when it is worth asking Tiled; then one request per poll does.

    Parameters
    ----------
    outbox : Outbox
        Where the runs are queued.
    connect : callable
        Returns the container of results: run uid to node with `metadata`.
    console : Console, optional
        Where finished labels are printed; None: nothing is printed.
    patience : float, optional
        Longest wait for a result after its job was done, in seconds.
    look_after : callable, optional
        Called while runs are awaited, such as to see that the worker lives.
    """

    def __init__(
        self,
        outbox: Outbox,
        connect: Callable[[], Mapping[str, Any]],
        *,
        console: Console | None = None,
        patience: float = 600.0,
        look_after: Callable[[], None] | None = None,
    ) -> None:
        self._outbox = outbox
        self._connect = connect
        self._console = console
        self._patience = patience
        self._look_after = look_after
        self._results: dict[str, Future[Summary | None]] = {}
        self._done_since: dict[str, float] = {}
        self._container: Mapping[str, Any] | None = None
        self._is_closed = threading.Event()
        self._thread = threading.Thread(
            target=self._work, name="ainerd-follower", daemon=True
        )
        self._thread.start()

    def follow(self, run_uid: str) -> "Future[Summary | None]":
        """Return the result to come; None in it means there will be none."""
        if run_uid not in self._results:
            self._evict()
            self._results[run_uid] = Future()
        return self._results[run_uid]

    def has_failed(self, run_uid: str) -> bool:
        """Tell whether no result will come of a run, unless it is tried again."""
        future = self._results.get(run_uid)
        return future is not None and future.done() and future.result() is None

    def forget(self, run_uid: str) -> None:
        """Drop what is known of a run, so that it can be followed anew."""
        self._results.pop(run_uid, None)

    async def wait(self, run_uid: str, timeout: float) -> Summary | None:
        """Return the summary of a run's result; None if it does not come in time.

        Parameters
        ----------
        run_uid : str
            Uid of the run.
        timeout : float
            Longest wait, in seconds.

        Returns
        -------
        dict or None
            The summary.
        """
        future = self.follow(run_uid)
        await asyncio.wait({asyncio.wrap_future(future)}, timeout=timeout)
        return future.result() if future.done() else None

    def close(self, timeout: float = 5.0) -> None:
        """End the thread."""
        self._is_closed.set()
        self._thread.join(timeout)

    def _evict(self) -> None:
        """Drop the oldest results; a run without one is still waited for."""
        finished = [uid for uid, f in list(self._results.items()) if f.done()]
        for run_uid in finished[:-_MAX_RESULTS]:
            self.forget(run_uid)

    def _work(self) -> None:
        while not self._is_closed.wait(_POLL_INTERVAL):
            awaited = [uid for uid, f in list(self._results.items()) if not f.done()]
            try:
                if awaited and self._look_after is not None:
                    self._look_after()
                for run_uid in awaited:
                    self._look(run_uid)
            except Exception:
                logger.exception("results cannot be followed for now")
                self._container = None
                self._is_closed.wait(10 * _POLL_INTERVAL)

    def _look(self, run_uid: str) -> None:
        state = self._outbox.state(run_uid)
        if state in {"new", "cur"}:
            return
        if state == "failed":
            self._settle(run_uid, None)
            return
        summary = self._fetch(run_uid)
        since = self._done_since.setdefault(run_uid, time.monotonic())
        if summary is not None or time.monotonic() - since > self._patience:
            self._settle(run_uid, summary)

    def _fetch(self, run_uid: str) -> Summary | None:
        if self._container is None:
            self._container = self._connect()
        try:
            summary = dict(self._container[run_uid].metadata)
        except KeyError:
            return None
        return summary if summary.get("status") == "complete" else None

    def _settle(self, run_uid: str, summary: Summary | None) -> None:
        self._done_since.pop(run_uid, None)
        future = self._results.get(run_uid)
        if future is None:
            return
        future.set_result(summary)
        job = self._outbox.job(run_uid)
        if self._console is None or job is None:
            return
        if summary is None:
            line = failure_line(job)
        else:
            line = result_line(job.payload, summary, time.time())
        self._console.print(line, soft_wrap=True)


def result_line(payload: Mapping[str, Any], summary: Summary, now: float) -> Text:
    """Write a result as one line.

    Parameters
    ----------
    payload : mapping
        Of the job: scan id, sample, stop time.
    summary : dict
        Of the result.
    now : float
        Seconds since the epoch.

    Returns
    -------
    Text
        Such as ``scan 12  lupolen  aging 0.93  relaxation time 1.2 s at q 0.012 1/Å``.
    """
    line = _heading(payload)
    if summary["label"] == Label.INVALID:
        line.append(str(summary["label"]), "bold yellow")
        line.append(f": {_enumerate(summary['quality']['reasons'])}")
    else:
        line.append(f"{summary['label']} {summary['confidence']:.2f}", "bold green")
        line.append(_physics(summary.get("physics") or {}))
    if payload.get("stop_time"):
        line.append(f"  {now - payload['stop_time']:.1f} s after the scan", "dim")
    return line


def failure_line(job: Job) -> Text:
    """Write in one line why a run has no label, and what to do.

    Parameters
    ----------
    job : Job
        Failed, or done without a result.

    Returns
    -------
    Text
        With the last reason in the job's log.
    """
    reasons = [str(line["reason"]) for line in job.log if line.get("reason")]
    line = _heading(job.payload)
    line.append("not analysed", "bold red")
    line.append(f": {reasons[-1] if reasons else 'no result came'}")
    line.append(f'  try again: ainerd.retry("{job.run_uid[:8]}")', "dim")
    return line


def _heading(payload: Mapping[str, Any]) -> Text:
    line = Text()
    line.append(f"scan {payload.get('scan_id') or '?'}  ", "bold")
    line.append(f"{payload.get('sample') or 'unnamed sample'}  ")
    return line


def _enumerate(reasons: Sequence[str]) -> str:
    shown = "; ".join(reasons[:_MAX_REASONS])
    n_more = len(reasons) - _MAX_REASONS
    return f"{shown}; and {n_more} more" if n_more > 0 else shown


def _physics(physics: Mapping[str, Any]) -> str:
    parts = []
    if physics.get("relaxation_time") is not None:
        parts.append(f"  relaxation time {physics['relaxation_time']:.3g} s")
    if physics.get("q") is not None:
        parts.append(f" at q {physics['q']:.3g} 1/Å")
    return "".join(parts)

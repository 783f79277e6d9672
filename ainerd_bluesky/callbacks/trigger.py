"""RunEngine callback that queues each finished run of one technique."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["Queue", "RunStopTrigger", "sample_name"]

logger = logging.getLogger(__name__)

_MAX_OPEN_RUNS = 100


class Queue(Protocol):
    """Whatever takes a finished run, such as an `Outbox`."""

    def put(self, run_uid: str, payload: Mapping[str, Any]) -> bool:
        """Queue a run; False if it is already known."""
        ...


class RunStopTrigger:
    """Queue a run when its stop document comes.

    Subscribe it after the writer: then the run is readable by the time it is queued.
    It does no network, and whatever goes wrong is logged: the experiment goes on.
    Aborted and failed runs are queued too, with their ``exit_status``, so that they
    are recorded as what they are.

    Parameters
    ----------
    queue : Queue
        Takes one job per run.
    technique : str
        Value of ``technique`` in the start documents to react to.
    on_queued : callable, optional
        Called with run uid and payload after a run was queued.
    """

    def __init__(
        self,
        queue: Queue,
        technique: str,
        *,
        on_queued: Callable[[str, dict[str, Any]], object] | None = None,
    ) -> None:
        self._queue = queue
        self._technique = technique
        self._on_queued = on_queued
        self._starts: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take one document of any kind."""
        try:
            if name == "start":
                self._remember(doc)
            elif name == "stop":
                self._stop(doc)
        except Exception:
            logger.exception("a %s document could not be queued for analysis", name)

    def _remember(self, start: Mapping[str, Any]) -> None:
        if start.get("technique") != self._technique:
            return
        self._starts[start["uid"]] = dict(start)
        # A run that never stops must not stay for ever.
        while len(self._starts) > _MAX_OPEN_RUNS:
            del self._starts[next(iter(self._starts))]

    def _stop(self, stop: Mapping[str, Any]) -> None:
        start = self._starts.pop(stop["run_start"], None)
        if start is None:
            return
        payload = {
            "scan_id": start.get("scan_id"),
            "sample": sample_name(start),
            "stop_time": stop["time"],
            "exit_status": stop["exit_status"],
            "reason": stop.get("reason", ""),
        }
        if self._queue.put(start["uid"], payload) and self._on_queued is not None:
            self._on_queued(start["uid"], payload)


def sample_name(start: Mapping[str, Any]) -> str | None:
    """Return the name of a run's sample, be it a name or a mapping with one.

    Parameters
    ----------
    start : mapping
        Start document.

    Returns
    -------
    str or None
        None if the run does not say.
    """
    sample = start.get("sample")
    if isinstance(sample, Mapping):
        sample = sample.get("name")
    return None if sample is None else str(sample)

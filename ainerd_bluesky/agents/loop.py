"""Let an agent work until it is done or told to stop."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ainerd_bluesky.agents.protocols import Report
from ainerd_bluesky.agents.queue_agent import QueueAgent
from ainerd_bluesky.errors import QueueUnreachableError

__all__ = ["Pace", "run_agent"]


@dataclass(frozen=True)
class Pace:
    """How often an agent looks.

    Parameters
    ----------
    interval : float
        Seconds between two steps; a result that comes ends the wait.
    longest : float
        Seconds between two tries of a server that does not answer, at most; the
        first try comes after `interval`, and each later one after twice the time.
    """

    interval: float = 1.0
    longest: float = 60.0

    def delay(self, n_failures: int) -> float:
        """Reckon how long to wait after so many failures in a row.

        Parameters
        ----------
        n_failures : int
            Steps in a row that met no server.

        Returns
        -------
        float
            Seconds.

        Examples
        --------
        >>> [Pace(1.0, 60.0).delay(n) for n in (0, 1, 2, 7, 1000)]
        [1.0, 1.0, 2.0, 60.0, 60.0]
        """
        doublings = min(max(n_failures - 1, 0), 32)
        return min(self.interval * 2.0**doublings, max(self.longest, self.interval))


def run_agent(
    agent: QueueAgent,
    *,
    is_stopped: Callable[[], bool],
    wake: threading.Event,
    report: Callable[[Report], None],
    pace: Pace | None = None,
) -> Report:
    """Take step after step.

    Parameters
    ----------
    agent : QueueAgent
        Does the work.
    is_stopped : callable
        Whether a person wants it to end; asked between steps.
    wake : Event
        Set to end a wait: at a result, or to stop.
    report : callable
        Told of every step.
    pace : Pace, optional
        How often to look.

    Returns
    -------
    Report
        The last one.
    """
    pace = pace or Pace()
    n_failures = 0
    latest = Report()
    while not is_stopped():
        wake.clear()
        try:
            latest, n_failures = agent.step(), 0
        except QueueUnreachableError as error:
            n_failures += 1
            delay = pace.delay(n_failures)
            latest = Report(obstacle=f"{error}; next try in {delay:g} s")
        report(latest)
        if latest.is_finished:
            break
        if not is_stopped():
            wake.wait(pace.delay(n_failures))
    return latest

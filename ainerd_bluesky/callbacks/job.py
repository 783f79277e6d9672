"""One run in the durable queue, as its file holds it."""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ainerd_bluesky.errors import OutboxError

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """One run on its way to a label.

    Parameters
    ----------
    run_uid : str
        Uid of the run; the key of the job.
    payload : dict
        What the sender knew of the run, JSON values only.
    created : float
        When the job was put, in seconds since the epoch.
    attempts : int
        How often the job was tried and given back.
    not_before : float
        Earliest time of the next try, in seconds since the epoch.
    log : tuple of dict
        What happened, oldest first: ``time`` and ``event``, and what came with it.
    claim : str
        Name of the claimed file; empty when the job is not claimed.
    """

    run_uid: str
    payload: dict[str, Any]
    created: float
    attempts: int = 0
    not_before: float = 0.0
    log: tuple[dict[str, Any], ...] = field(default=())
    claim: str = ""

    def noted(self, event: str, **information: object) -> "Job":
        """Return a copy with one more line in its log."""
        line = {"time": time.time(), "event": event, **information}
        return replace(self, log=(*self.log, line))

    @property
    def n_losses(self) -> int:
        """How many owners were lost since a person put the job (back)."""
        events = [line["event"] for line in self.log]
        put_back = (n for n, event in enumerate(events) if event == "requeued")
        return events[max(put_back, default=0) :].count("lost")

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Read a job file; raise `OutboxError` with what is wrong."""
        try:
            document = json.loads(text)
            job = cls(**{**document, "log": tuple(document["log"])})
        except (ValueError, TypeError, KeyError) as error:
            raise OutboxError(f"not a job: {error!r}") from error
        numbers = (job.created, job.attempts, job.not_before)
        if not all(isinstance(number, int | float) for number in numbers):
            raise OutboxError(f"not a job: created, attempts, not_before are {numbers}")
        return job

    def to_json(self) -> str:
        """Write the job without its claim."""
        document = asdict(replace(self, claim=""))
        return json.dumps(document, default=str)

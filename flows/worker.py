"""The warm process beside a session: takes runs from the outbox, one by one.

Started by `ainerd_bluesky.install` as ``python -m flows.worker BEAMLINE``. It ends when
its stdin closes, after the jobs that are due.
"""

import argparse
import logging
import os
import pkgutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ainerd_bluesky.callbacks.backup import replay_backups
from ainerd_bluesky.callbacks.job import Job
from ainerd_bluesky.callbacks.outbox import Outbox
from ainerd_bluesky.config import BeamlineConfig
from ainerd_bluesky.errors import CatalogError
from flows.beamline import read_beamline
from flows.chain import open_beamline
from flows.retries import is_transient
from flows.runners import Runner

__all__ = ["Worker", "main"]

logger = logging.getLogger("flows.worker")

_IDLE = 0.1
_HOUSEKEEPING = 5.0
_LONGEST_PAUSE = 30.0
# By their names: one beamline needs one of them, and Prefect takes long to import.
_RUNNERS = {
    "embedded": "flows.runners:EmbeddedRunner",
    "prefect": "flows.end_of_run:PrefectRunner",
    "deployment": "flows.deployment:DeploymentRunner",
}


class Worker:
    """Take jobs from an outbox until told to stop; no job can end it.

    Parameters
    ----------
    outbox : Outbox
        May be shared with other workers.
    runner : Runner
        Does the jobs.
    housekeeping : callable, optional
        Called before the first job and then every few seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        runner: Runner,
        *,
        housekeeping: Callable[[], None] | None = None,
    ) -> None:
        self._outbox = outbox
        self._runner = runner
        self._housekeeping = housekeeping
        self._next_housekeeping = 0.0
        self._pause = 0.0

    def run(self, is_over: threading.Event) -> None:
        """Work until the event is set, then finish the jobs that are due."""
        while not is_over.is_set():
            if not self.step():
                is_over.wait(max(_IDLE, self._pause))
        self.drain()

    def drain(self) -> None:
        """Do all jobs that are due."""
        while self.step():
            pass

    def step(self) -> bool:
        """Do one job; return False if there was nothing to do, or no way to."""
        try:
            self._keep_house()
            if not self._outbox.has_due():
                return False
            self._runner.prepare()
            self._pause = 0.0
            job = self._outbox.claim()
            if job is None:
                return False
            self._do(job)
        except CatalogError as error:
            self._pause = min(2 * self._pause + 1.0, _LONGEST_PAUSE)
            logger.warning("%s; next try in %.0f s", error, self._pause)
            return False
        except Exception:
            self._pause = _LONGEST_PAUSE
            logger.exception("no job can be done; next try in %.0f s", self._pause)
            return False
        return True

    def _do(self, job: Job) -> None:
        logger.info("run %s: scan %s", job.run_uid, job.payload.get("scan_id"))
        try:
            information = self._runner.run(job)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if is_transient(error):
                state = self._outbox.retry(job, reason)
                logger.warning("run %s: %s; it is %s", job.run_uid, reason, state)
            else:
                logger.exception("run %s failed", job.run_uid)
                self._outbox.fail(job, reason)
        else:
            logger.info("run %s: %s", job.run_uid, information)
            self._outbox.done(job, **information)

    def _keep_house(self) -> None:
        if time.monotonic() < self._next_housekeeping:
            return
        try:
            if n_recovered := self._outbox.recover():
                logger.warning("%d jobs of crashed workers are back", n_recovered)
            if self._housekeeping is not None:
                self._housekeeping()
        except CatalogError:
            raise  # Nothing else can be done before this: again, and soon.
        except Exception:
            logger.exception("housekeeping failed; jobs go on")
        self._next_housekeeping = time.monotonic() + _HOUSEKEEPING


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a worker until its stdin closes.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line; unset: those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m flows.worker", description=__doc__)
    parser.add_argument("beamline", help="name, TOML file, or JSON file of a beamline")
    parser.add_argument("--once", action="store_true", help="do what is due, then end")
    options = parser.parse_args(arguments)

    config = read_beamline(options.beamline)
    outbox = Outbox(config.flow.outbox)
    _log_to(outbox.folder / "worker.log")
    logger.info("worker %d warms up for %s", os.getpid(), config.name)
    make_runner = pkgutil.resolve_name(_RUNNERS[config.flow.runner])
    runner: Runner = make_runner(config, options.beamline)
    worker = Worker(outbox, runner, housekeeping=lambda: _replay(config, outbox))
    logger.info("worker %d is ready", os.getpid())

    if options.once:
        worker.drain()
    else:
        worker.run(_end_of_stdin())
    logger.info("worker %d ends", os.getpid())


def _replay(config: BeamlineConfig, outbox: Outbox) -> None:
    """Bring runs into Tiled that it did not take while they ran."""
    folder = outbox.folder / "backup"
    if not any(folder.glob("*.jsonl")):
        return
    with open_beamline(config) as catalog:
        written = replay_backups(
            folder,
            catalog[config.catalog.raw],
            allowed_roots=config.catalog.allowed_roots,
        )
    logger.info("runs brought into Tiled from %s: %s", folder, written)


def _end_of_stdin() -> threading.Event:
    """Return an event that is set when stdin closes or somebody presses Ctrl-C."""
    is_over = threading.Event()

    def read() -> None:
        while sys.stdin.readline():
            pass
        is_over.set()

    threading.Thread(target=read, name="ainerd-stdin", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    return is_over


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=2_000_000, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)


if __name__ == "__main__":
    main()

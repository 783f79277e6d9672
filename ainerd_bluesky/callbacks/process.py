"""A helper process that lives as long as this one needs it."""

import logging
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["WorkerProcess"]

logger = logging.getLogger(__name__)

_MAX_STARTS = 4
_PAUSE = 10.0
_HEALTHY = 60.0


class WorkerProcess:
    """Start a process, start it again when it crashes, end it by closing its stdin.

    It has a process group of its own: Ctrl-C at the prompt does not reach it. When
    this process ends, however that happens, the pipe closes, and the worker ends after
    the work that is left.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    environment : mapping of str to str
        Its environment.
    log_path : Path
        Gets what it prints.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log_path: Path
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._log_path = log_path
        self._n_starts = 0
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def ensure(self) -> None:
        """Start it again if it has ended, a few times in a row at most."""
        exit_code = self._process.poll()
        if exit_code is None or self._n_starts > _MAX_STARTS:
            return
        age = time.monotonic() - self._started
        if age > _HEALTHY:
            self._n_starts = 0
        if age < _PAUSE * (self._n_starts - 1):
            return
        what_next = "starting it again"
        if self._n_starts == _MAX_STARTS:
            what_next = "giving up; runs stay in the outbox"
            self._n_starts += 1
        logger.warning(
            "the analysis worker ended with %s (%s), %s; its log: %s",
            exit_code,
            self._last_words(),
            what_next,
            self._log_path,
        )
        self.close(0.0)
        if self._n_starts < _MAX_STARTS:
            self._process = self._start()

    def close(self, timeout: float) -> bool:
        """Let it end, and wait; return whether it has ended."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _start(self) -> subprocess.Popen[bytes]:
        self._n_starts += 1
        self._started = time.monotonic()
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def _last_words(self) -> str:
        lines = self._log_path.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "no word")

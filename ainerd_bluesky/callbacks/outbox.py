"""A durable queue of finished runs: one small file per run, in folders.

``tmp`` holds what is being written, ``new`` waits, ``cur`` is claimed (the owner is in
the file's name), ``done`` and ``failed`` are the end. Every step is one link or one
rename, so several processes share an outbox, and a crash loses no run.
"""

import contextlib
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ainerd_bluesky.callbacks.job import Job
from ainerd_bluesky.errors import OutboxError

__all__ = ["JobState", "Outbox"]

JobState = Literal["new", "cur", "done", "failed"]

_STATES: tuple[JobState, ...] = ("new", "cur", "done", "failed")
_LEFTOVER_AGE = 3600.0
# What ended well long ago is looked for in the catalog, not here.
_DONE_AGE = 30 * 24 * 3600.0
_MAX_LOSSES = 2


class Outbox:
    """Durable queue in a folder, shared by threads and processes.

    Parameters
    ----------
    folder : Path
        Where the queue lives; made if it is not there.
    lease : float, optional
        Seconds after which a claim of another host, or of a process that hangs, is
        given back.
    backoff : tuple of float, optional
        Waiting times in seconds before the second, third, ... try. After the last
        one has passed in vain the job is failed.

    Raises
    ------
    OutboxError
        If the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lease: float = 1800.0,
        backoff: tuple[float, ...] = (1, 2, 5, 15, 60, 300, 900),
    ) -> None:
        self.folder = Path(folder).absolute()
        self._lease = lease
        self._backoff = backoff
        try:
            for name in ("tmp", *_STATES):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutboxError(f"cannot make outbox {self.folder}: {error}") from error

    def put(self, run_uid: str, payload: Mapping[str, Any]) -> bool:
        """Queue a run.

        Parameters
        ----------
        run_uid : str
            Uid of the run.
        payload : mapping
            JSON values to hand to the worker.

        Returns
        -------
        bool
            False if the run is already known, in whatever state.

        Raises
        ------
        OutboxError
            If the uid cannot be a file name, or the disk refuses.
        """
        _check_uid(run_uid)
        if self.state(run_uid) is not None:
            return False

        job = Job(run_uid=run_uid, payload=dict(payload), created=time.time())
        try:
            return self._link(job.noted("put"))
        except OSError as error:
            raise OutboxError(f"cannot write to {self.folder}: {error}") from error

    def claim(self) -> Job | None:
        """Take the oldest job that is due; None when there is nothing to do."""
        now = time.time()
        waiting = sorted(self._jobs("new"), key=lambda job: job.created)
        for job in waiting:
            if job.not_before <= now:
                claimed = self._take(self._path(job.run_uid, "new"))
                if claimed is not None:
                    return claimed
        return None

    def has_due(self) -> bool:
        """Return whether a job is due; the ended ones are not looked at."""
        now = time.time()
        return any(job.not_before <= now for job in self._jobs("new"))

    def done(self, job: Job, **information: object) -> None:
        """End a claimed job well; `information` goes to the end of its log."""
        self._finish(job.noted("done", **information), "done")

    def fail(self, job: Job, reason: str) -> None:
        """End a claimed job badly: it stays in ``failed`` with its log."""
        self._finish(job.noted("failed", reason=reason), "failed")

    def retry(self, job: Job, reason: str) -> JobState:
        """Give a claimed job back for a later try.

        Parameters
        ----------
        job : Job
            As `claim` returned it.
        reason : str
            Why it did not work.

        Returns
        -------
        str
            ``"new"``, or ``"failed"`` when all tries are used up.
        """
        tried = replace(job, attempts=job.attempts + 1)
        if tried.attempts > len(self._backoff):
            self.fail(tried, f"{reason} (gave up after {tried.attempts} tries)")
            return "failed"
        wait = self._backoff[tried.attempts - 1]
        later = replace(tried, not_before=time.time() + wait)
        self._finish(later.noted("retry", reason=reason, wait=wait), "new")
        return "new"

    def recover(self) -> int:
        """Give back the claims of crashed owners.

        A job that two owners did not survive is failed: it may have been the cause.

        Returns
        -------
        int
            Number of claims without an owner.
        """
        dead = [path for path in self._files("cur") if not self._is_held(path)]
        n_recovered = 0
        for path in dead:
            job = self._take(path)
            if job is None:
                continue
            if self._path(job.run_uid, "done").exists():
                self._release(job)
                continue
            self._give_back(job.noted("lost", owner=_owner(path)))
            n_recovered += 1
        self._sweep()
        return n_recovered

    def requeue(self, run_uid: str) -> bool:
        """Put a failed or done job back to the start.

        Parameters
        ----------
        run_uid : str
            Uid of the run.

        Returns
        -------
        bool
            False if the run is unknown.

        Raises
        ------
        OutboxError
            If the job waits or is being worked on.
        """
        state = self.state(run_uid)
        if state in {"new", "cur"}:
            raise OutboxError(f"run {run_uid} is already queued: it is in {state!r}")
        if state is None:
            return False

        ended = self._path(run_uid, state)
        job = Job.from_json(ended.read_text())
        fresh = replace(job, attempts=0, not_before=0.0).noted("requeued", was=state)
        is_queued = self._link(fresh)
        ended.unlink(missing_ok=True)
        return is_queued

    def state(self, run_uid: str) -> JobState | None:
        """Return where a run stands; None if it is unknown."""
        if self._path(run_uid, "new").exists():
            return "new"
        if any(self._claims(run_uid)):
            return "cur"
        for state in ("done", "failed"):
            if self._path(run_uid, state).exists():
                return state
        return None

    def job(self, run_uid: str) -> Job | None:
        """Return the job of a run in whatever state, as it stands on disk."""
        paths = [self._path(run_uid, state) for state in ("new", "done", "failed")]
        for path in (*self._claims(run_uid), *paths):
            with contextlib.suppress(FileNotFoundError, OutboxError):
                return Job.from_json(path.read_text())
        return None

    def jobs(self, state: JobState) -> list[Job]:
        """Return the jobs in one state, oldest first."""
        return sorted(self._jobs(state), key=lambda job: job.created)

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        return {state: sum(1 for _ in self._files(state)) for state in _STATES}

    # --- files ---------------------------------------------------------------

    def _path(self, run_uid: str, state: JobState) -> Path:
        return self.folder / state / f"{run_uid}.json"

    def _claims(self, run_uid: str) -> Iterator[Path]:
        return (p for p in self._files("cur") if _run_uid(p) == run_uid)

    def _files(self, state: JobState) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            for path in (self.folder / state).iterdir():
                if path.suffix == ".json":
                    yield path

    def _jobs(self, state: JobState) -> Iterator[Job]:
        for path in self._files(state):
            try:
                job = Job.from_json(path.read_text())
            except FileNotFoundError:
                continue
            except (OutboxError, UnicodeDecodeError) as error:
                self._bury(path, str(error))
            else:
                yield job

    def _write(self, job: Job) -> Path:
        path = self.folder / "tmp" / f"{job.run_uid}.{uuid.uuid4().hex}"
        with path.open("w") as file:
            file.write(job.to_json())
            file.flush()
            os.fsync(file.fileno())
        return path

    def _link(self, job: Job) -> bool:
        written = self._write(job)
        try:
            os.link(written, self._path(job.run_uid, "new"))
        except FileExistsError:
            return False
        finally:
            written.unlink()
        return True

    def _take(self, path: Path) -> Job | None:
        """Claim a file for this process; None if another was quicker."""
        run_uid = _run_uid(path)
        claim = f"{run_uid}@{socket.gethostname()}@{os.getpid()}@{uuid.uuid4().hex}"
        mine = self.folder / "cur" / f"{claim}.json"
        try:
            # The lease runs from the file's time: set it before anybody can see
            # the claim.
            os.utime(path)
            path.rename(mine)
            return replace(Job.from_json(mine.read_text()), claim=mine.name)
        except FileNotFoundError:
            return None
        except (OutboxError, UnicodeDecodeError) as error:
            self._bury(mine, str(error))
            return None

    def _finish(self, job: Job, state: JobState) -> None:
        self._write(job).replace(self._path(job.run_uid, state))
        self._release(job)

    def _release(self, job: Job) -> None:
        if job.claim:
            (self.folder / "cur" / job.claim).unlink(missing_ok=True)

    def _give_back(self, job: Job) -> None:
        n_losses = job.n_losses
        if n_losses >= _MAX_LOSSES:
            self.fail(job, f"the worker died {n_losses} times on it")
        else:
            owner = job.log[-1]["owner"]
            self.retry(job, f"its worker {owner} ended before the job did")

    def _is_held(self, path: Path) -> bool:
        host, _, process = _owner(path).partition(":")
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > self._lease:
                return False
        return host != socket.gethostname() or _is_running(process)

    def _bury(self, path: Path, reason: str) -> None:
        """Move an unreadable file to ``failed``, beside a job that says why."""
        run_uid = _run_uid(path)
        kept = self.folder / "failed" / f"{run_uid}.unreadable"
        with contextlib.suppress(FileNotFoundError):
            path.rename(kept)
            reason = f"unreadable job file, kept as {kept.name}: {reason}"
            job = Job(run_uid=run_uid, payload={}, created=time.time())
            self._finish(job.noted("failed", reason=reason), "failed")

    def _sweep(self) -> None:
        """Remove what nobody will ask for: leftovers, and jobs done long ago."""
        for name, age in (("tmp", _LEFTOVER_AGE), ("done", _DONE_AGE)):
            for path in (self.folder / name).iterdir():
                _remove_if_older(path, age)


def _check_uid(run_uid: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", run_uid) or run_uid.startswith("."):
        raise OutboxError(f"run uid must be letters, digits, . _ -, got {run_uid!r}")


def _remove_if_older(path: Path, age: float) -> None:
    with contextlib.suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > age:
            path.unlink()


def _run_uid(path: Path) -> str:
    return path.name.removesuffix(".json").split("@")[0]


def _owner(path: Path) -> str:
    parts = path.name.removesuffix(".json").split("@")
    return f"{parts[1]}:{parts[2]}" if len(parts) == 4 else "unknown:"


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True

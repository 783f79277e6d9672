"""CPU time and memory of a piece of work, measured in a process of its own."""

import gc
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Generic, TypeVar

from ainerd_bluesky.bench.cases import Case
from ainerd_bluesky.errors import AinerdError

__all__ = ["Cost", "Figures", "Measured", "cpu_seconds", "measure", "measure_in_child"]

Result = TypeVar("Result")

# One thread of the processor, and no graphics processor: its time is no CPU time.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
_MEGABYTE = 1e6
_CHILD = "ainerd_bluesky.bench.child"
# The slowest peer needs a minute; ten times that is a hang.
_PATIENCE_SECONDS = 1200


@dataclass(frozen=True)
class Cost:
    """What one call took."""

    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    """Highest resident memory above the level before the call, in megabytes."""


@dataclass(frozen=True)
class Measured(Generic[Result]):
    """Cost of one call, and what it returned."""

    result: Result
    cost: Cost


@dataclass(frozen=True)
class Figures:
    """What a child process reports of one job."""

    cpu_seconds: float = float("nan")
    wall_seconds: float = float("nan")
    peak_mb: float = float("nan")
    engine: str = ""
    """What did the work, as its result names it."""
    checks: dict[str, float] = field(default_factory=dict)
    """Largest difference to another way to the same result, by what was compared."""
    values: dict[str, Any] = field(default_factory=dict)
    """Other results: a rate, a list of times."""
    error: str = ""
    """Why there are no figures; empty if there are."""


def cpu_seconds() -> float:
    """Return the CPU time of this process so far, user and system, all threads."""
    return process_time()


def measure(work: Callable[[], Result]) -> Measured[Result]:
    """Call a function and measure what it costs.

    Parameters
    ----------
    work : callable
        Takes nothing; its data are loaded and its code is warm.

    Returns
    -------
    Measured
        Its result and cost.
    """
    gc.collect()
    level = _start_peak()
    cpu, wall = cpu_seconds(), perf_counter()
    result = work()
    cpu, wall = cpu_seconds() - cpu, perf_counter() - wall
    return Measured(result, Cost(cpu, wall, max(_peak_mb() - level, 0.0)))


def measure_in_child(
    job: str, case: Case, folder: Path, seconds: float = 0.0
) -> Figures:
    """Run one job in a fresh process on one thread.

    Parameters
    ----------
    job : str
        A name of `ainerd_bluesky.bench.jobs`.
    case : Case
        What it works on.
    folder : Path
        Where the data lie.
    seconds : float
        CPU time that the process works for, once at least; the fastest round counts.

    Returns
    -------
    Figures
        Those of the job, or the reason why it failed.
    """
    answer_path = folder / "answer.json"
    answer_path.unlink(missing_ok=True)
    order = {
        "job": job,
        "case": asdict(case),
        "folder": str(folder),
        "seconds": seconds,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", _CHILD, json.dumps(order), str(answer_path)],
            env={**os.environ, **_ONE_THREAD},
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Figures(error=f"no answer within {_PATIENCE_SECONDS} s")
    if answer_path.exists():
        return Figures(**json.loads(answer_path.read_text()))
    return Figures(error=_why_it_failed(done))


def _why_it_failed(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}, 9 is for want of memory"
    lines = done.stderr.strip().splitlines() or ["no message"]
    return lines[-1]


def _start_peak() -> float:
    """Return the resident memory in megabytes and start its maximum from there."""
    clear = Path("/proc/self/clear_refs")
    try:
        clear.write_text("5")
    except OSError:
        # Without Linux the maximum so far is all there is to compare with.
        return _highest_so_far()
    return _status("VmRSS")


def _peak_mb() -> float:
    try:
        return _status("VmHWM")
    except OSError:
        return _highest_so_far()


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / _MEGABYTE
    raise MeasureError(f"/proc/self/status does not tell {name}")


def _highest_so_far() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest * unit / _MEGABYTE


class MeasureError(AinerdError, OSError):
    """A machine does not tell what is to be measured."""

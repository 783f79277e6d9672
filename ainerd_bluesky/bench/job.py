"""What a measured job is, and how one is run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ainerd_bluesky.bench.cases import Case, load_series, small
from ainerd_bluesky.bench.measure import Cost, Figures, measure

__all__ = ["Job", "largest_difference", "run_job"]


def _nothing(_data: object, _result: object) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Job:
    """One way to compute one thing.

    Parameters
    ----------
    work : callable
        Takes the data and returns a result: this is measured.
    load : callable
        Takes the case and the folder of its data, and returns the data.
    describe : callable
        Takes data and result and returns further fields of `Figures`: what did the
        work, and how far the result is from that of another way. It is not measured.
    """

    work: Callable[[Any], Any]
    load: Callable[[Case, Path], Any] = load_series
    describe: Callable[[Any, Any], Mapping[str, Any]] = _nothing


def run_job(job: Job, case: Case, folder: Path, seconds: float = 0.0) -> Figures:
    """Load the data, warm up on a small case, measure, and compare.

    Parameters
    ----------
    job : Job
        What to run.
    case : Case
        What to run it on; its data and those of its `small` case lie in the folder.
    folder : Path
        Where the data lie.
    seconds : float
        CPU time to work for: the job is done once, and again until that much is spent.
        The fastest round counts, and the most memory.

    Returns
    -------
    Figures
        Cost, engine and agreement.
    """
    # Imports, compilation and self-tests are paid once in a process, not per scan.
    job.work(job.load(small(case), folder))
    data = job.load(case, folder)
    costs: list[Cost] = []
    result = None
    while not costs or sum(cost.cpu_seconds for cost in costs) < seconds:
        # What the last round made is no memory that this one needs.
        result = None
        measured = measure(lambda: job.work(data))
        result = measured.result
        costs.append(measured.cost)
        del measured
    return Figures(
        cpu_seconds=min(cost.cpu_seconds for cost in costs),
        wall_seconds=min(cost.wall_seconds for cost in costs),
        peak_mb=max(cost.peak_mb for cost in costs),
        **job.describe(data, result),
    )


def largest_difference(first: ArrayLike, second: ArrayLike) -> float:
    """Return the largest absolute difference of two arrays; nan counts only alone.

    Parameters
    ----------
    first, second : array_like
        Of one shape.

    Returns
    -------
    float
        Infinite where one array is nan and the other is not.

    Examples
    --------
    >>> largest_difference([1.0, np.nan], [1.5, np.nan])
    0.5
    >>> largest_difference([1.0, np.nan], [1.5, 2.0])
    inf
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not np.array_equal(np.isnan(first), np.isnan(second)):
        return float("inf")
    return float(np.nanmax(np.abs(first - second), initial=0.0))

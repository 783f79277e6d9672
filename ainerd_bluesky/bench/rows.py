"""From repeats of the jobs to the lines of the table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ainerd_bluesky.bench.cases import Case
from ainerd_bluesky.bench.comparisons import AT_LEAST, Comparison, Unit
from ainerd_bluesky.bench.measure import Figures

__all__ = ["Row", "Runs", "long_scan_seconds", "rows_of"]

Runs = Mapping[tuple[str, str], Sequence[Figures]]
"""Repeats of each job on each case, by names of job and case."""

_DENSE_MB = 200.0
_EVENTS_MB = 1000.0


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    subject: str
    case: str
    unit: Unit
    target: float | None
    value: float = math.nan
    engine: str = ""
    peer: str = ""
    own_seconds: float = math.nan
    """CPU time of the fastest repeat."""
    peer_seconds: float = math.nan
    peak_mb: float = math.nan
    """Most memory that our own work took in any repeat."""
    peer_peak_mb: float = math.nan
    checks: dict[str, float] = field(default_factory=dict)
    tolerance: float = 0.0
    error: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the results are the same, as far as they were compared."""
        return all(found <= self.tolerance for found in self.checks.values())

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none or no figure."""
        if self.target is None or math.isnan(self.value):
            return None
        if self.unit in AT_LEAST:
            return self.value >= self.target
        return self.value <= self.target


def rows_of(
    runs: Runs, comparisons: Sequence[Comparison], cases: Mapping[str, Case]
) -> list[Row]:
    """Make the lines of the table.

    Parameters
    ----------
    runs : mapping of (str, str) to sequence of Figures
        Repeats of each job on each case; a peer that is not installed has none.
    comparisons : sequence of Comparison
        What to compare.
    cases : mapping of str to Case
        Size of each case.

    Returns
    -------
    list of Row
        One for each comparison, then one for the memory of each group.
    """
    rows = [_row(line, runs, cases[line.case]) for line in comparisons]
    return [*rows, *_memory_rows(rows)]


def _row(comparison: Comparison, runs: Runs, case: Case) -> Row:
    own = runs.get((comparison.job, comparison.case), [])
    peer = runs.get((comparison.peer_job, comparison.case), [])
    failures = [f"{comparison.job}: {run.error}" for run in own if run.error]
    failures += [f"{comparison.peer_job}: {run.error}" for run in peer if run.error]
    done, peer_done = ([run for run in group if not run.error] for group in (own, peer))
    return Row(
        subject=comparison.subject,
        case=comparison.case,
        unit=comparison.unit,
        target=comparison.target,
        value=_value(comparison.unit, done, peer_done, case),
        engine=done[0].engine if done else "",
        peer=comparison.peer,
        own_seconds=_fastest(done),
        peer_seconds=_fastest(peer_done),
        peak_mb=max((run.peak_mb for run in done), default=math.nan),
        peer_peak_mb=max((run.peak_mb for run in peer_done), default=math.nan),
        checks=_checks([*done, *(peer_done if comparison.peer else [])]),
        tolerance=comparison.tolerance,
        error=failures[0] if failures else "",
    )


def _value(
    unit: Unit, own: Sequence[Figures], peer: Sequence[Figures], case: Case
) -> float:
    if not own:
        return math.nan
    if unit == "of peer":
        return _fastest(own) / _fastest(peer)
    if unit == "% of peak":
        # One multiplication and one addition for each pixel of the upper triangle.
        work = case.n_frames**2 * case.n_pixels / 1e9
        peak = max((float(run.values["gops"]) for run in peer), default=math.nan)
        return 100 * work / _fastest(own) / peak
    if unit == "x faster":
        # Two threads: what counts is the time on the clock.
        return _fastest(peer, "wall_seconds") / _fastest(own, "wall_seconds")
    if unit == "frames/s":
        return case.n_frames / _fastest(own)
    if unit == "power of n":
        return _power(*long_scan_seconds(own))
    return _fastest(own)


def long_scan_seconds(runs: Sequence[Figures]) -> tuple[list[int], list[float]]:
    """Return the lengths of long scans and the CPU time of each.

    Parameters
    ----------
    runs : sequence of Figures
        Repeats of the job `long scan`.

    Returns
    -------
    n_frames : list of int
        Lengths, rising.
    seconds : list of float
        The fastest of the repeats for each length.
    """
    repeats = [run.values["seconds"] for run in runs]
    return runs[0].values["n_frames"], [
        min(times) for times in zip(*repeats, strict=True)
    ]


def _power(n_frames: list[int], seconds: list[float]) -> float:
    """Return the power of the length that time grows with, by least squares."""
    # What every scan costs, however short, hides the power in the shorter ones.
    slope, _ = np.polyfit(np.log(n_frames[-3:]), np.log(seconds[-3:]), 1)
    return float(slope)


def _fastest(runs: Sequence[Figures], figure: str = "cpu_seconds") -> float:
    return min((getattr(run, figure) for run in runs), default=math.nan)


def _checks(runs: Sequence[Figures]) -> dict[str, float]:
    """Return the worst of each check over all repeats."""
    worst: dict[str, float] = {}
    for run in runs:
        for name, found in run.checks.items():
            worst[name] = max(found, worst.get(name, 0.0))
    return worst


def _memory_rows(rows: Sequence[Row]) -> list[Row]:
    groups = {
        "memory, dense": (_DENSE_MB, ("two-time", "multi-tau", "thumbnails")),
        "memory, events": (_EVENTS_MB, ("events",)),
    }
    memory = []
    for subject, (target, starts) in groups.items():
        group = [row for row in rows if row.subject.startswith(starts)]
        known = [row for row in group if not math.isnan(row.peak_mb)]
        if known:
            worst = max(known, key=lambda row: row.peak_mb)
            memory.append(
                Row(
                    subject,
                    worst.case,
                    "MB",
                    target,
                    value=worst.peak_mb,
                    engine=worst.engine,
                    peak_mb=worst.peak_mb,
                    peer_peak_mb=worst.peer_peak_mb,
                )
            )
    return memory

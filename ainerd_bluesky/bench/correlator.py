"""The benchmark of the correlator: every case, every engine, every peer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ainerd_bluesky.bench.cases import CASES, QUICK_CASES, Case, make_data, small
from ainerd_bluesky.bench.comparisons import COMPARISONS, Comparison
from ainerd_bluesky.bench.machine import describe_machine
from ainerd_bluesky.bench.measure import Figures, measure_in_child
from ainerd_bluesky.bench.peers import Peer, find_peers
from ainerd_bluesky.bench.rows import Row, rows_of
from ainerd_bluesky.errors import ConfigError

__all__ = ["Benchmark", "Progress", "bench_correlator"]

Progress = Callable[[str, int, int], None]
"""Takes what is done now, steps done and steps in total."""

_Step = tuple[str, str]

# CPU time for each job in a process: what is done in a tenth of a second is done often,
# since other work on the host makes single rounds slow.
_SECONDS, _QUICK_SECONDS = 6.0, 1.0


@dataclass(frozen=True)
class Benchmark:
    """All that was measured."""

    rows: list[Row]
    runs: dict[tuple[str, str], list[Figures]]
    """Every repeat, by names of job and case."""
    cases: dict[str, Case]
    peers: dict[str, Peer]
    machine: dict[str, Any]

    @property
    def missing_peers(self) -> list[Peer]:
        """Peers that the table has lines for and that are not installed."""
        needed = sorted({row.peer for row in self.rows if row.peer})
        return [self.peers[name] for name in needed if not self.peers[name].version]

    @property
    def failures(self) -> list[str]:
        """What is not as it should be, one line each; empty if all is well."""
        lines = [(row, _failure(row)) for row in self.rows]
        return [f"{row.subject} ({row.case}): {text}" for row, text in lines if text]

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values, every repeat included."""
        return {
            "machine": self.machine,
            "peers": {name: peer.version for name, peer in self.peers.items()},
            "cases": {name: asdict(case) for name, case in self.cases.items()},
            "rows": [asdict(row) | {"is_met": row.is_met} for row in self.rows],
            "runs": [
                {"job": job, "case": case, "repeats": [asdict(run) for run in repeats]}
                for (job, case), repeats in self.runs.items()
            ],
        }


def bench_correlator(
    *,
    cases: Sequence[str] = (),
    quick: bool = False,
    n_repeats: int | None = None,
    progress: Progress = lambda _what, _done, _total: None,
    parent: Path | None = None,
) -> Benchmark:
    """Measure the correlator beside its peers.

    Parameters
    ----------
    cases : sequence of str
        Names of the cases to measure; all if empty.
    quick : bool
        Whether to measure ratios on small cases only.
    n_repeats : int, optional
        Processes for each job; peer and own work take turns, and the fastest counts:
        3, or 1 with `quick`. In each, short work is done several times.
    progress : callable
        Told before each step.
    parent : Path, optional
        Folder for the temporary data, up to 2 GB; the system's by default.

    Returns
    -------
    Benchmark
        The rows of the table, and every repeat.

    Raises
    ------
    ConfigError
        If there is no case of a name.
    """
    known = QUICK_CASES if quick else CASES
    unknown = [name for name in cases if name not in known]
    if unknown:
        raise ConfigError(f"no case {', '.join(unknown)}; there are {', '.join(known)}")

    comparisons = [
        line
        for line in COMPARISONS
        if line.case in (cases or known) and (_is_quick(line) or not quick)
    ]
    peers = find_peers()
    chosen = {name: known[name] for name in known if _is_used(name, comparisons)}
    with TemporaryDirectory(prefix="ainerd-bench-", dir=parent) as folder:
        steps = _steps(comparisons, peers, chosen, n_repeats or (1 if quick else 3))
        seconds = _QUICK_SECONDS if quick else _SECONDS
        runs = _run_all(steps, chosen, Path(folder), seconds, progress)
    rows = rows_of(runs, comparisons, chosen)
    return Benchmark(
        # Small cases say nothing of memory: they would meet every target.
        rows=rows[: len(comparisons)] if quick else rows,
        runs=runs,
        cases=chosen,
        peers=peers,
        machine=describe_machine(),
    )


def _is_quick(line: Comparison) -> bool:
    """Return whether a line means something on small cases."""
    return line.unit == "of peer" and line.target is not None


def _is_used(name: str, comparisons: Sequence[Comparison]) -> bool:
    return any(line.case == name for line in comparisons)


def _steps(
    comparisons: Sequence[Comparison],
    peers: Mapping[str, Peer],
    cases: Mapping[str, Case],
    n_repeats: int,
) -> list[_Step]:
    """Return job and case of every run: case by case, all its jobs in every round."""
    steps: list[_Step] = []
    for name in cases:
        jobs: list[str] = []
        for line in comparisons:
            if line.case == name:
                is_there = not line.peer or peers[line.peer].version
                jobs += [line.peer_job, line.job] if is_there else [line.job]
        # Several lines may need one job; a dict keeps the order and drops the copies.
        wanted = [job for job in dict.fromkeys(jobs) if job]
        steps += [(job, name) for _ in range(n_repeats) for job in wanted]
    return steps


def _run_all(
    steps: Sequence[_Step],
    cases: Mapping[str, Case],
    folder: Path,
    seconds: float,
    progress: Progress,
) -> dict[_Step, list[Figures]]:
    runs: dict[_Step, list[Figures]] = {}
    for index, (job, name) in enumerate(steps):
        case = cases[name]
        progress(f"{name}: data", index, len(steps))
        make_data(small(case), folder)
        make_data(case, folder)
        progress(f"{name}: {job}", index, len(steps))
        figures = measure_in_child(job, case, folder, seconds)
        runs.setdefault((job, name), []).append(figures)
        if all(later != name for _, later in steps[index + 1 :]):
            # The largest case takes 1 GB of disk: not longer than needed.
            case.path(folder).unlink()
    progress("done", len(steps), len(steps))
    return runs


def _failure(row: Row) -> str:
    """Return what is wrong with a row; empty if nothing is."""
    if row.error:
        return row.error
    if not row.agrees:
        return f"results differ: {row.checks}"
    if row.target is None or row.is_met:
        return ""
    if row.is_met is None:
        return f"not compared, {row.peer} is not installed"
    return f"{row.value:.3g} {row.unit}, target {row.target:g}"

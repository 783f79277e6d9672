"""The benchmark of the selector: simulated campaigns against simple ways to choose."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from threadpoolctl import (  # type: ignore[import-untyped] # comes with scikit-learn
    threadpool_limits,
)

from ainerd_bluesky.bench.machine import describe_machine
from ainerd_bluesky.bench.selection_answers import (
    FEW_PHOTONS,
    PHOTONS,
    AnswerBank,
    answer_pair,
    bank_of,
    pair_jobs,
)
from ainerd_bluesky.bench.selection_jobs import Banks, CampaignJob, run_campaign
from ainerd_bluesky.bench.selection_rows import Outcome, SelectionRow, rows_of
from ainerd_bluesky.bench.selection_scenarios import (
    GRID_STEPS,
    MAP_MARKS,
    QUICK,
    SCENARIOS,
    Scenario,
)
from ainerd_bluesky.bench.selection_speed import decision_row
from ainerd_bluesky.json_values import as_json

__all__ = [
    "SelectionBenchmark",
    "Spread",
    "bench_selection",
    "measure_banks",
    "run_scenarios",
]

Job = TypeVar("Job")
Result = TypeVar("Result")

Progress = Callable[[str, int, int], None]
"""Takes what is done now, steps done and steps in total."""


class Spread(Protocol):
    """Does jobs, perhaps several at once, and gives their results in order."""

    def __call__(
        self, function: Callable[[Job], Result], jobs: Sequence[Job], /
    ) -> Iterator[Result]:
        """Return a result for each job."""


_N_SEEDS, _N_QUICK_SEEDS = 50, 6
_N_DRAWS, _N_QUICK_DRAWS = 16, 4
_N_STARVED_DRAWS, _N_QUICK_STARVED_DRAWS = 6, 1


@dataclass(frozen=True)
class SelectionBenchmark:
    """All that was measured.

    Parameters
    ----------
    rows : list of SelectionRow
        The table.
    outcomes : list of Outcome
        Every campaign.
    seeds : list of int
        Of the campaigns of each scenario.
    hits : dict of str to dict
        For usual and for starved scans, how often the classifier names the kind that a
        sample holds most of, by the share of the other kind.
    seconds : float
        Time that it took.
    """

    rows: list[SelectionRow]
    outcomes: list[Outcome]
    seeds: list[int]
    hits: dict[str, dict[str, float]]
    seconds: float

    @property
    def failures(self) -> list[str]:
        """What is not as it should be, one line each; empty if all is well."""
        return [
            f"{row.scenario}, {row.subject}: {row.value:.3g}, target {row.target:g}"
            for row in self.rows
            if row.target is not None and not row.is_met
        ]

    def outcome(self, name: str) -> Outcome:
        """Return the outcome of a scenario by its name."""
        return next(each for each in self.outcomes if each.scenario.name == name)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values, every campaign included."""
        content = {
            "seeds": self.seeds,
            "seconds": self.seconds,
            "machine": describe_machine(),
            "classifier_hits": self.hits,
            "map_marks": list(MAP_MARKS),
            "grid_steps": GRID_STEPS,
            "rows": [asdict(row) | {"is_met": row.is_met} for row in self.rows],
            "scenarios": [
                {**asdict(each.scenario), "results": each.results}
                for each in self.outcomes
            ],
        }
        plain: dict[str, Any] = as_json(content)
        return plain


def bench_selection(
    seeds: Sequence[int] = (),
    *,
    quick: bool = False,
    n_processes: int | None = None,
    progress: Progress = lambda _what, _done, _total: None,
) -> SelectionBenchmark:
    """Let selectors and simple policies scan the same simulated campaigns.

    Parameters
    ----------
    seeds : sequence of int
        Of the campaigns of each scenario; 1 to 50 if empty, 1 to 6 if quick.
    quick : bool
        Whether to leave most scenarios out and to ask the classifier less.
    n_processes : int, optional
        At once; as many as there are processors.
    progress : callable
        Told before each step.

    Returns
    -------
    SelectionBenchmark
        Rows of the table, and every campaign. The same seeds give the same rows, but
        for the time.
    """
    started = time.monotonic()
    seeds = list(seeds) or list(range(1, 1 + (_N_QUICK_SEEDS if quick else _N_SEEDS)))
    scenarios = [each for each in SCENARIOS if not quick or each.name in QUICK]
    with _processes(n_processes or os.cpu_count() or 1) as spread:
        banks = measure_banks(spread, progress, quick=quick)
        outcomes = run_scenarios(scenarios, seeds, banks, spread, progress)
    rows = [row for outcome in outcomes for row in rows_of(outcome)]
    progress("decision time", 0, 1)
    with threadpool_limits(1):
        rows.append(decision_row(banks.fair))
    hits = {"usual": banks.fair.hits(), "starved": banks.starved.hits()}
    seconds = round(time.monotonic() - started, 1)
    return SelectionBenchmark(rows, outcomes, seeds, hits, seconds)


def measure_banks(spread: Spread, progress: Progress, *, quick: bool) -> Banks:
    """Ask the shipped classifier about mixed dynamics.

    Parameters
    ----------
    spread : callable
        Does the jobs.
    progress : callable
        Told before each pair of kinds.
    quick : bool
        Whether to ask less.

    Returns
    -------
    Banks
        Its answers.
    """
    n_draws = _N_QUICK_DRAWS if quick else _N_DRAWS
    n_starved = _N_QUICK_STARVED_DRAWS if quick else _N_STARVED_DRAWS
    fair, starved = (
        _bank(spread, progress, n_draws, photons)
        for n_draws, photons in ((n_draws, PHOTONS), (n_starved, FEW_PHOTONS))
    )
    return Banks(fair, starved)


def run_scenarios(
    scenarios: Sequence[Scenario],
    seeds: Sequence[int],
    banks: Banks,
    spread: Spread,
    progress: Progress,
) -> list[Outcome]:
    """Let all policies scan all campaigns.

    Parameters
    ----------
    scenarios : sequence of Scenario
        Kinds of campaigns.
    seeds : sequence of int
        Which campaigns of each.
    banks : Banks
        What the classifier says.
    spread : callable
        Does the jobs.
    progress : callable
        Told before each campaign.

    Returns
    -------
    list of Outcome
        One a scenario.
    """
    jobs = [CampaignJob(scenario, seed) for scenario in scenarios for seed in seeds]
    outcomes = {scenario.name: Outcome(scenario, {}) for scenario in scenarios}
    done = spread(partial(run_campaign, banks), jobs)
    for number, job in enumerate(jobs):
        progress(job.scenario.name, number, len(jobs))
        for policy, runs in next(done).items():
            outcomes[job.scenario.name].results.setdefault(policy, []).append(runs)
    return list(outcomes.values())


def _bank(
    spread: Spread, progress: Progress, n_draws: int, photons: tuple[float, float]
) -> AnswerBank:
    jobs = pair_jobs(n_draws, photons)
    done = spread(answer_pair, jobs)
    answers = {}
    for number, job in enumerate(jobs):
        progress(f"classifier, {photons[0]:g} photons and more", number, len(jobs))
        answers[job.first, job.second] = next(done)
    return bank_of(answers)


@contextmanager
def _processes(n_processes: int) -> Iterator[Spread]:
    """Give a way to do jobs in so many processes, of one thread each."""
    if n_processes == 1:
        yield lambda function, jobs: map(partial(_alone, function), jobs)
        return
    # A fork would inherit threads that the parent's libraries have started. An executor
    # ends its processes in order, where a pool kills them, and says when one has died.
    with ProcessPoolExecutor(n_processes, get_context("spawn")) as executor:
        try:
            yield lambda function, jobs: executor.map(partial(_alone, function), jobs)
        finally:
            executor.shutdown(cancel_futures=True)


def _alone(function: Callable[[Job], Result], job: Job) -> Result:
    with threadpool_limits(1):
        return function(job)

"""How long a processor is busy with a decision after many results."""

import time

import numpy as np
import pytest

from ainerd_bluesky.selection import (
    Boundary,
    Candidate,
    Coverage,
    Novelty,
    Observation,
    RareLabel,
    StrategySelector,
    Turns,
    Uncertainty,
    WantedProperty,
)
from ainerd_bluesky.vocabulary import DYNAMICS

EVERYTHING = Turns(
    (
        RareLabel(),
        Boundary(),
        Novelty(),
        Uncertainty(),
        WantedProperty("relaxation_rate", 1.0, 0.1),
        Coverage(),
    ),
    (1.0,) * 6,
)
MOST_SECONDS = 0.1
N_AWAITED = 20


def seconds_of_a_decision(n_results):
    rng = np.random.default_rng(0)
    n_candidates = n_results + 500
    candidates = [
        Candidate(f"s{n}", (x, y))
        for n, (x, y) in enumerate(rng.random((n_candidates, 2)))
    ]
    rows = rng.dirichlet(np.full(len(DYNAMICS), 0.1), n_candidates)

    def answer(candidate):
        index = int(candidate.name[1:])
        row = dict(zip(DYNAMICS, rows[index].tolist(), strict=True))
        label = max(row, key=row.__getitem__)
        physics = {"relaxation_rate": candidate.coordinates[0]}
        return Observation(candidate.name, label, row[label], 0.5, row, physics)

    selector = StrategySelector(candidates, EVERYTHING)
    selector.ingest([answer(candidate) for candidate in candidates[:n_results]])
    for candidate in candidates[n_results : n_results + N_AWAITED]:
        selector.take(candidate.name)
    seconds = []
    for _ in range(12):
        started = time.process_time()
        [found] = selector.suggest()
        selector.ingest([answer(found.candidate)])
        seconds.append(time.process_time() - started)
    return float(np.median(seconds))


@pytest.mark.parametrize(
    "n_results", [500, pytest.param(10_000, marks=pytest.mark.slow)]
)
def test_deciding_takes_no_longer_than_a_moment(n_results):
    assert seconds_of_a_decision(n_results) < MOST_SECONDS

"""How long a decision takes after many results."""

import math
import time

from ainerd_bluesky.bench.selection_answers import AnswerBank
from ainerd_bluesky.bench.selection_campaigns import (
    MAX_REMEASURES,
    CampaignSettings,
    make_campaign,
)
from ainerd_bluesky.bench.selection_diagrams import DiagramSettings
from ainerd_bluesky.bench.selection_rows import SelectionRow
from ainerd_bluesky.selection import (
    Boundary,
    Chance,
    Coverage,
    Novelty,
    RareLabel,
    SelectorSettings,
    StrategySelector,
    Turns,
    Uncertainty,
)

__all__ = ["decision_row"]

_MOST_MS = 100.0
_N_SAMPLES, _N_RESULTS = 12_000, 10_000
_N_DECISIONS = 24


def decision_row(
    bank: AnswerBank, *, n_samples: int = _N_SAMPLES, n_results: int = _N_RESULTS
) -> SelectionRow:
    """Measure how long it takes to learn a result and decide, all strategies in turns.

    Parameters
    ----------
    bank : AnswerBank
        What the classifier says.
    n_samples, n_results : int
        Samples of the campaign, and how many of them were scanned before.

    Returns
    -------
    SelectionRow
        The slowest of 24 decisions, in milliseconds.
    """
    settings = CampaignSettings(DiagramSettings(n_samples=n_samples))
    campaign = make_campaign(settings, 1, bank)
    parts = (RareLabel(), Boundary(), Novelty(), Uncertainty(), Coverage(), Chance())
    selector = StrategySelector(
        campaign.candidates,
        Turns(parts, (1.0,) * len(parts)),
        settings=SelectorSettings(max_remeasures=MAX_REMEASURES),
    )
    selector.ingest([campaign.scan(index, 0) for index in range(n_results)])
    times = []
    for _ in range(_N_DECISIONS):
        started = time.perf_counter()
        [suggestion] = selector.suggest()
        index = int(suggestion.candidate.name[1:])
        selector.ingest([campaign.scan(index, MAX_REMEASURES)])
        times.append(1e3 * (time.perf_counter() - started))
    return SelectionRow(
        scenario=f"{n_results} results, {n_samples} samples",
        subject="slowest decision, with learning",
        own=max(times),
        other=math.nan,
        unit="ms",
        value=max(times),
        target=_MOST_MS,
    )

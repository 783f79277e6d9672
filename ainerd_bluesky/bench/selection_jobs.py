"""One campaign scanned by all policies: the unit that is spread over processes."""

from dataclasses import dataclass

from ainerd_bluesky.bench.selection_answers import AnswerBank
from ainerd_bluesky.bench.selection_campaigns import Campaign, make_campaign
from ainerd_bluesky.bench.selection_policies import (
    FarthestPolicy,
    GridPolicy,
    MakePolicy,
    RandomPolicy,
    SelectorPolicy,
    grid_order,
)
from ainerd_bluesky.bench.selection_rows import FARTHEST, GRID, RANDOM, SELECTOR
from ainerd_bluesky.bench.selection_runs import discover, map_by_grid, map_errors
from ainerd_bluesky.bench.selection_scenarios import GRIDS, Scenario, grid_name
from ainerd_bluesky.selection import discovery, phase_boundary

__all__ = ["Banks", "CampaignJob", "Results", "run_campaign"]

Results = dict[str, list[list[float]]]
"""By policy, for each repeat, its numbers."""

_N_RANDOM = 20
_N_RANDOM_MAPS = 2
_REFINEMENTS = (2, 4, 8, 16, 32)


@dataclass(frozen=True, eq=False)
class Banks:
    """What the classifier says.

    Parameters
    ----------
    fair, starved : AnswerBank
        Of usual scans, and of scans that see few photons.
    """

    fair: AnswerBank
    starved: AnswerBank


@dataclass(frozen=True)
class CampaignJob:
    """A campaign to be scanned.

    Parameters
    ----------
    scenario : Scenario
        Of what kind it is.
    seed : int
        Which one.
    """

    scenario: Scenario
    seed: int


def run_campaign(banks: Banks, job: CampaignJob) -> Results:
    """Let all policies scan one campaign.

    Parameters
    ----------
    banks : Banks
        What the classifier says.
    job : CampaignJob
        Which campaign.

    Returns
    -------
    dict of str to list
        By policy, for each repeat: see `Outcome`.
    """
    settings = job.scenario.settings
    bank = banks.starved if settings.is_starved else banks.fair
    campaign = make_campaign(settings, job.seed, bank)
    run = _find if job.scenario.task == "find" else _map
    return run(campaign, job)


def _find(campaign: Campaign, job: CampaignJob) -> Results:
    makers: dict[str, tuple[MakePolicy, int]] = {
        SELECTOR: (
            lambda c, s: SelectorPolicy(c, discovery(), s),
            job.scenario.n_repeats,
        ),
        RANDOM: (lambda c, s: RandomPolicy(c, [job.seed, s]), _N_RANDOM),
    }
    if not job.scenario.is_adversarial:
        makers[GRID] = (lambda c, _s: GridPolicy(c, _refined_grid(c)), 1)
        makers[FARTHEST] = (FarthestPolicy, 1)
    return {
        name: [
            [float(scan) for scan in discover(campaign, make(campaign, repeat))]
            for repeat in range(n_repeats)
        ]
        for name, (make, n_repeats) in makers.items()
    }


def _map(campaign: Campaign, job: CampaignJob) -> Results:
    makers: dict[str, tuple[MakePolicy, int]] = {
        SELECTOR: (lambda c, s: SelectorPolicy(c, phase_boundary(), s), 1),
        RANDOM: (lambda c, s: RandomPolicy(c, [job.seed, s]), _N_RANDOM_MAPS),
    }
    if not job.scenario.is_adversarial:
        makers[FARTHEST] = (FarthestPolicy, 1)
    marks = job.scenario.marks
    results = {
        name: [
            map_errors(campaign, make(campaign, repeat), marks).tolist()
            for repeat in range(n_repeats)
        ]
        for name, (make, n_repeats) in makers.items()
    }
    if not job.scenario.is_adversarial:
        for n_steps in GRIDS:
            results[grid_name(n_steps)] = [list(map_by_grid(campaign, n_steps))]
    return results


def _refined_grid(campaign: Campaign) -> list[int]:
    """Return all samples in the order of ever finer grids."""
    order: dict[int, None] = {}
    for n_steps in _REFINEMENTS:
        order |= dict.fromkeys(grid_order(campaign.coordinates, n_steps))
    return list(order | dict.fromkeys(range(len(campaign.truth))))

"""One campaign scanned by one policy: what was found, and how well the map became."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.selection_campaigns import Campaign
from ainerd_bluesky.bench.selection_policies import GridPolicy, Policy, grid_order
from ainerd_bluesky.selection.neighbours import Neighbours
from ainerd_bluesky.vocabulary import DYNAMICS

__all__ = ["discover", "map_by_grid", "map_errors"]


def discover(campaign: Campaign, policy: Policy) -> list[int]:
    """Scan until every rare class was measured.

    Parameters
    ----------
    campaign : Campaign
        With rare classes.
    policy : Policy
        Chooses the samples.

    Returns
    -------
    list of int
        Scan, from 1, at which each rare class was measured first, ascending. A sample
        counts as measured when the gate let its scan pass, whatever the label said; a
        class that was never found counts as found one scan after the last.
    """
    n_tries = np.zeros(len(campaign.truth), dtype=int)
    missing = set(campaign.rare)
    found_at: list[int] = []
    n_scans = 0
    while missing and (index := policy.choose()) is not None:
        observation = campaign.scan(index, n_tries[index])
        n_tries[index] += 1
        n_scans += 1
        policy.learn(index, observation)
        kind = int(campaign.truth[index])
        if kind in missing and not observation.is_refused:
            missing.remove(kind)
            found_at.append(n_scans)
    return found_at + [n_scans + 1] * len(missing)


def map_errors(
    campaign: Campaign, policy: Policy, marks: Sequence[int]
) -> NDArray[np.float64]:
    """Measure how much of the phase diagram is labelled wrongly after so many scans.

    Whatever the policy, the label of a condition is the one that the package's own
    estimate by nearest results gives to it.

    Parameters
    ----------
    campaign : Campaign
        The truth.
    policy : Policy
        Chooses the conditions.
    marks : sequence of int
        Numbers of scans, ascending.

    Returns
    -------
    ndarray of float64, shape (n_marks,)
        Fraction of the conditions; where the policy ended before, its last.
    """
    neighbours = Neighbours(campaign.coordinates, len(DYNAMICS))
    n_tries = np.zeros(len(campaign.truth), dtype=int)
    errors: list[float] = []
    for n_scans in range(1, marks[-1] + 1):
        if (index := policy.choose()) is None:
            break
        n_before = n_tries[index]
        observation = campaign.scan(index, n_before)
        n_tries[index] += 1
        policy.learn(index, observation)
        if not observation.is_refused:
            neighbours.learn(index, campaign.probabilities[index, n_before])
        if n_scans in marks:
            errors.append(_error(campaign, neighbours))
    missing = len(marks) - len(errors)
    return np.array(errors + [_error(campaign, neighbours)] * missing)


def map_by_grid(campaign: Campaign, n_steps: int) -> tuple[float, float]:
    """Scan a whole grid and measure how much of the diagram is labelled wrongly.

    Parameters
    ----------
    campaign : Campaign
        The truth.
    n_steps : int
        Rows and columns of the grid.

    Returns
    -------
    n_scans : float
        Scans it took, with those that were refused.
    error : float
        Fraction of the conditions with a wrong label.
    """
    policy = GridPolicy(campaign, grid_order(campaign.coordinates, n_steps))
    neighbours = Neighbours(campaign.coordinates, len(DYNAMICS))
    n_tries = np.zeros(len(campaign.truth), dtype=int)
    while (index := policy.choose()) is not None:
        observation = campaign.scan(index, n_tries[index])
        policy.learn(index, observation)
        if not observation.is_refused:
            neighbours.learn(index, campaign.probabilities[index, n_tries[index]])
        n_tries[index] += 1
    return float(n_tries.sum()), _error(campaign, neighbours)


def _error(campaign: Campaign, neighbours: Neighbours) -> float:
    return float(np.mean(neighbours.labels().argmax(axis=1) != campaign.truth))

"""One choice: from what is known and what it costs to the order of the candidates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.protocols import LARGEST
from ainerd_bluesky.selection.situation import Situation, Strategy
from ainerd_bluesky.selection.strategies import Coverage

__all__ = ["Choice", "choose"]

Floats = NDArray[np.float64]

# Scores that differ by rounding only are the same: chance decides, and decides alike
# on every machine.
_DECIMALS = 9
# Where the experiment stands costs nothing, which must not be worth everything.
_LEAST_COST = 0.05


@dataclass(frozen=True, eq=False)
class Choice:
    """One choice before it is told.

    Parameters
    ----------
    strategy : Strategy
        Who chose.
    situation : Situation
        What it saw.
    score : ndarray of float64, shape (n_candidates,)
        Of each candidate, costs and awaited results counted.
    cost : ndarray of float64, shape (n_candidates,)
        Time to get there and measure, in seconds.
    order : ndarray of int64, shape (n_free,)
        Candidates that could be chosen, best first.
    """

    strategy: Strategy
    situation: Situation
    score: Floats
    cost: Floats
    order: NDArray[np.int64]

    @property
    def chosen(self) -> int:
        """Index of the candidate that was chosen."""
        return int(self.order[0])


def choose(
    strategy: Strategy, situation: Situation, cost: Floats, cost_weight: float
) -> Choice:
    r"""Put the free candidates in order; a score that is no number is an error.

    Parameters
    ----------
    strategy : Strategy
        Scores the candidates. One without an answer must not end a campaign: coverage
        chooses in its place.
    situation : Situation
        With one free candidate or more.
    cost : ndarray of shape (n_candidates,)
        Time to get there and measure, in seconds.
    cost_weight : float
        0 to 1, how much costs count.

    Returns
    -------
    Choice
        Best first; chance decides between equals.

    Notes
    -----
    The score s of a candidate becomes

    .. math:: s\,(1 - a) / (c / \bar c + 0.05)^w

    with the degree a to which awaited results will speak for it, its cost c, the mean
    cost of all, and the weight w.
    """
    chooser, score = strategy.pick(situation) or (
        Coverage(),
        Coverage().score(situation),
    )
    free = np.flatnonzero(situation.is_free)
    _check_scores(chooser, score[free])

    worth = score * (1.0 - situation.forecast.awaited) / _price(cost, cost_weight)
    highest = max(float(worth[free].max()), 1e-300)
    rank = np.round(worth[free] / highest, _DECIMALS)
    order = free[np.lexsort((-situation.chance[free], -rank))]
    return Choice(chooser, situation, worth, cost, order)


def _check_scores(strategy: Strategy, scores: Floats) -> None:
    # With costs counted, a larger one would be no number; not-a-number is refused, too.
    wrong = ~((scores >= 0) & (scores <= LARGEST))
    if wrong.any():
        raise SelectionError(
            f"strategy {strategy.name!r} gave {int(wrong.sum())} of {len(scores)} "
            f"candidates no usable score, such as {scores[wrong][0]}: scores must be "
            f"finite and >= 0, to {LARGEST:g}; nothing was chosen"
        )


def _price(cost: Floats, cost_weight: float) -> Floats:
    """Return what scores are divided by: costs relative to their mean."""
    mean = cost.mean()
    if not mean > 0:
        return np.ones(len(cost))
    return np.asarray((cost / mean + _LEAST_COST) ** cost_weight)

"""Ways to choose the next sample of a campaign."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.selection_campaigns import MAX_REMEASURES, Campaign
from ainerd_bluesky.selection import (
    Observation,
    SelectorSettings,
    Strategy,
    StrategySelector,
)

__all__ = [
    "FarthestPolicy",
    "GridPolicy",
    "MakePolicy",
    "Policy",
    "RandomPolicy",
    "SelectorPolicy",
    "grid_order",
]

Floats = NDArray[np.float64]


class Policy(Protocol):
    """Chooses sample after sample."""

    def choose(self) -> int | None:
        """Return the next sample; None if there is none left."""

    def learn(self, index: int, observation: Observation, /) -> None:
        """Take notice of a result."""


class _Pool:
    """Samples that may still be scanned: measured ones drop out, refused ones later."""

    def __init__(self, n_samples: int) -> None:
        self.is_free = np.ones(n_samples, dtype=bool)
        self._n_tries = np.zeros(n_samples, dtype=int)

    def enter(self, index: int, observation: Observation) -> None:
        self._n_tries[index] += 1
        again = observation.is_refused and self._n_tries[index] <= MAX_REMEASURES
        self.is_free[index] = again


class RandomPolicy:
    """Draw without looking; a refused sample goes back among the others.

    Parameters
    ----------
    campaign : Campaign
        Gives the number of samples.
    seed : int or sequence of int
        Rules all chance.
    """

    def __init__(self, campaign: Campaign, seed: int | list[int]) -> None:
        self._rng = np.random.default_rng(seed)
        self._pool = _Pool(len(campaign.truth))
        self._order = self._rng.permutation(len(campaign.truth)).tolist()

    def choose(self) -> int | None:
        """Return the next of a shuffled list."""
        return self._order.pop() if self._order else None

    def learn(self, index: int, observation: Observation) -> None:
        """Put a refused sample back at a place drawn at random."""
        self._pool.enter(index, observation)
        if self._pool.is_free[index]:
            self._order.insert(int(self._rng.integers(len(self._order) + 1)), index)


class FarthestPolicy:
    """Go to the sample farthest from all that was scanned, by coordinates alone.

    Parameters
    ----------
    campaign : Campaign
        Gives the coordinates.
    seed : int
        Draws the first sample.
    """

    def __init__(self, campaign: Campaign, seed: int) -> None:
        self._points = campaign.coordinates
        self._pool = _Pool(len(self._points))
        self._distance = np.random.default_rng(seed).uniform(9, 10, len(self._points))

    def choose(self) -> int | None:
        """Return the farthest."""
        if not self._pool.is_free.any():
            return None
        return int(np.argmax(np.where(self._pool.is_free, self._distance, -1.0)))

    def learn(self, index: int, observation: Observation) -> None:
        """Shorten the distances; a refused sample is tried again at once."""
        self._pool.enter(index, observation)
        if not self._pool.is_free[index]:
            away = np.linalg.norm(self._points - self._points[index], axis=1)
            self._distance = np.minimum(self._distance, away)


class GridPolicy:
    """Scan in a fixed order; a refused sample is tried again at once.

    Parameters
    ----------
    campaign : Campaign
        Gives the number of samples.
    order : list of int
        Samples in the order of their scans, each once.
    """

    def __init__(self, campaign: Campaign, order: list[int]) -> None:
        self._pool = _Pool(len(campaign.truth))
        self._order = order

    def choose(self) -> int | None:
        """Return the first that is not settled."""
        while self._order and not self._pool.is_free[self._order[0]]:
            self._order.pop(0)
        return self._order[0] if self._order else None

    def learn(self, index: int, observation: Observation) -> None:
        """Count the try."""
        self._pool.enter(index, observation)


class SelectorPolicy:
    """Ask a selector.

    Parameters
    ----------
    campaign : Campaign
        Gives the candidates.
    strategy : Strategy
        What the selector goes by.
    seed : int
        Random state of the selector.
    """

    def __init__(self, campaign: Campaign, strategy: Strategy, seed: int) -> None:
        settings = SelectorSettings(max_remeasures=MAX_REMEASURES, random_state=seed)
        self._selector = StrategySelector(
            campaign.candidates, strategy, settings=settings
        )
        self._index = {c.name: i for i, c in enumerate(self._selector.candidates)}

    def choose(self) -> int | None:
        """Return what the selector suggests."""
        suggestions = self._selector.suggest()
        return self._index[suggestions[0].candidate.name] if suggestions else None

    def learn(self, _index: int, observation: Observation, /) -> None:
        """Tell the selector."""
        self._selector.ingest([observation])


MakePolicy = Callable[[Campaign, int], Policy]
"""Makes a policy for a campaign and a seed."""


def grid_order(points: Floats, n_steps: int) -> list[int]:
    """Return the samples nearest to the points of a grid, row by row.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Within 0 to 1.
    n_steps : int
        Rows and columns of the grid.

    Returns
    -------
    list of int
        Each sample once.
    """
    steps = (np.arange(n_steps) + 0.5) / n_steps
    taken: dict[int, None] = {}
    for x in steps:
        for y in steps:
            distance = np.linalg.norm(points - (x, y), axis=1)
            taken[int(distance.argmin())] = None
    return list(taken)

"""Strategies together: in turns, or as one sum."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.situation import Situation, Strategy, require_strategy

__all__ = ["Blend", "Turns"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Mixture(Strategy):
    strategies: tuple[Strategy, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        for strategy in self.strategies:
            require_strategy(strategy)
        names = [strategy.name for strategy in self.strategies]
        if len(set(names)) != len(names) or not names:
            raise SelectionError(f"a mixture needs strategies that differ, got {names}")
        if len(names) != len(self.weights) or not all(
            0 < weight < np.inf for weight in self.weights
        ):
            raise SelectionError(
                f"a mixture needs a weight > 0 for each of {names}, got {self.weights}"
            )

    @property
    def parts(self) -> Sequence[Strategy]:
        """The strategies that it is mixed of."""
        return self.strategies


@dataclass(frozen=True)
class Turns(_Mixture):
    """Let strategies choose in turns, each as often as its weight says.

    Whatever one of them believes, the others get their turns: with `Coverage` or
    `Chance` among them, that much exploration is certain. A strategy that has no
    answer misses its turn.

    Parameters
    ----------
    strategies : tuple of Strategy
        With different names.
    weights : tuple of float
        More than 0, one for each.

    Raises
    ------
    SelectionError
        If a strategy has its turn in two places: their turns could not be told apart.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [part.name for part in self.choosers]
        if len(set(names)) != len(names):
            raise SelectionError(
                f"turns need strategies that differ at any depth, got {names}"
            )

    @property
    def name(self) -> str:
        """Name the parts."""
        return "turns of " + ", ".join(part.name for part in self.strategies)

    @property
    def choosers(self) -> Sequence[Strategy]:
        """The strategies whose turn it may be, at any depth."""
        return [part for strategy in self.strategies for part in strategy.choosers]

    def score(self, situation: Situation) -> Floats | None:
        """Return the scores of the strategy whose turn it is."""
        picked = self.pick(situation)
        return None if picked is None else picked[1]

    def tell(self, situation: Situation, index: int) -> str:
        """Let the strategy whose turn it is say why."""
        picked = self.pick(situation)
        return "nothing to say" if picked is None else picked[0].tell(situation, index)

    def pick(self, situation: Situation) -> tuple[Strategy, Floats] | None:
        """Return the strategy that lags most behind its weight and has an answer."""
        used = [self._n_used(strategy, situation) for strategy in self.strategies]
        lag = [(n + 1) / w for n, w in zip(used, self.weights, strict=True)]
        order = sorted(range(len(lag)), key=lag.__getitem__)
        answers = (self.strategies[index].pick(situation) for index in order)
        return next((answer for answer in answers if answer is not None), None)

    @staticmethod
    def _n_used(strategy: Strategy, situation: Situation) -> int:
        return sum(situation.n_used.get(part.name, 0) for part in strategy.choosers)


@dataclass(frozen=True)
class Blend(_Mixture):
    """Add up the scores of strategies, each scaled to 0 to 1 and weighted.

    Parameters
    ----------
    strategies : tuple of Strategy
        With different names.
    weights : tuple of float
        More than 0, one for each.
    """

    @property
    def name(self) -> str:
        """Name the parts."""
        return "blend of " + ", ".join(part.name for part in self.strategies)

    def score(self, situation: Situation) -> Floats | None:
        """Return the weighted sum; None if no part has an answer."""
        scores = [self._scaled(part.score(situation)) for part in self.strategies]
        known = [
            weight * score
            for weight, score in zip(self.weights, scores, strict=True)
            if score is not None
        ]
        return np.sum(known, axis=0) / sum(self.weights) if known else None

    def tell(self, situation: Situation, index: int) -> str:
        """Tell the part that adds most, and the next."""
        share = []
        for part, weight in zip(self.strategies, self.weights, strict=True):
            score = self._scaled(part.score(situation))
            if score is not None:
                share.append((weight * score[index], part))
        first = sorted(share, key=lambda item: -item[0])[:2]
        return "; ".join(part.tell(situation, index) for _, part in first)

    @staticmethod
    def _scaled(score: Floats | None) -> Floats | None:
        if score is None:
            return None
        spread = np.ptp(score)
        # A score that is not a number must stay one, to be refused when it is used.
        return np.zeros_like(score) if spread == 0 else (score - score.min()) / spread

"""Selectors for the usual purposes, with settings that were measured."""

from collections.abc import Mapping, Sequence

from ainerd_bluesky.selection.mixtures import Turns
from ainerd_bluesky.selection.protocols import Candidate
from ainerd_bluesky.selection.selector import StrategySelector
from ainerd_bluesky.selection.settings import SelectorSettings
from ainerd_bluesky.selection.situation import Strategy
from ainerd_bluesky.selection.strategies import (
    Boundary,
    Coverage,
    Novelty,
    RareLabel,
    Remeasure,
    WantedLabel,
)
from ainerd_bluesky.vocabulary import DYNAMICS

__all__ = ["NoveltySelector", "WantedLabelSelector", "discovery", "phase_boundary"]


def discovery() -> Strategy:
    """Return the mixture that finds rare classes soonest."""
    return Turns((RareLabel(), Coverage(), Remeasure()), (0.8, 0.1, 0.1))


def phase_boundary() -> Strategy:
    """Return the mixture that maps where labels change."""
    return Turns((Boundary(), Coverage(), Remeasure()), (0.9, 0.05, 0.05))


class NoveltySelector(StrategySelector):
    """Look where the dynamics is unlike everything known.

    Parameters
    ----------
    candidates : sequence of Candidate
        What can be measured.
    length_scale : float, optional
        Distance, as a fraction of the range of a coordinate, over which neighbours
        are alike.
    exploration : float, optional
        Weight of the unknown against the expected value.
    random_state : int, optional
        Decides between candidates of the same score.
    vocabulary : sequence of str, optional
        The labels that results may have, besides `invalid`.

    Examples
    --------
    >>> from ainerd_bluesky.selection import Observation
    >>> selector = NoveltySelector([Candidate("a", (0.0,)), Candidate("b", (1.0,))])
    >>> selector.ingest([Observation("a", "aging", 0.9, novelty=0.1)])
    >>> [suggestion.candidate.name for suggestion in selector.suggest()]
    ['b']
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        length_scale: float = 0.2,
        exploration: float = 1.0,
        random_state: int = 0,
        vocabulary: Sequence[str] = DYNAMICS,
    ) -> None:
        super().__init__(
            candidates,
            Novelty(exploration),
            vocabulary=vocabulary,
            settings=_one(length_scale, random_state),
        )


class WantedLabelSelector(StrategySelector):
    """Look for samples that show certain dynamics.

    Parameters
    ----------
    candidates : sequence of Candidate
        What can be measured.
    wanted : mapping of str to float
        Weight of each wanted label, more than 0; one label alone is all the weight.
    length_scale : float, optional
        Distance, as a fraction of the range of a coordinate, over which neighbours
        are alike.
    exploration : float, optional
        Weight of the unknown against the expected value.
    random_state : int, optional
        Decides between candidates of the same score.
    vocabulary : sequence of str, optional
        The labels that results may have, besides `invalid`.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        wanted: Mapping[str, float],
        *,
        length_scale: float = 0.2,
        exploration: float = 0.3,
        random_state: int = 0,
        vocabulary: Sequence[str] = DYNAMICS,
    ) -> None:
        super().__init__(
            candidates,
            WantedLabel(dict(wanted), exploration),
            vocabulary=vocabulary,
            settings=_one(length_scale, random_state),
        )


def _one(length_scale: float, random_state: int) -> SelectorSettings:
    return SelectorSettings(
        length_scales=(length_scale,), max_remeasures=0, random_state=random_state
    )

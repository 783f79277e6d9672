"""A choice in words and as a record."""

from collections.abc import Sequence

import numpy as np

from ainerd_bluesky.selection.choosing import Choice
from ainerd_bluesky.selection.decisions import Decision, Ranked
from ainerd_bluesky.selection.protocols import Candidate, Observation
from ainerd_bluesky.selection.situation import Situation

__all__ = ["decide", "tell"]

_N_RANKED = 5


def tell(
    choice: Choice, candidates: Sequence[Candidate], nearest: Observation | None
) -> str:
    """Say in one sentence why a candidate was chosen.

    Parameters
    ----------
    choice : Choice
        What was chosen.
    candidates : sequence of Candidate
        All of them.
    nearest : Observation or None
        Last observation of the nearest measured candidate; None if there is none.

    Returns
    -------
    str
        The strategy's reason, the time it takes, and the nearest result.
    """
    index = choice.chosen
    name = candidates[index].name
    if nearest is None and np.isinf(choice.situation.forecast.distance[index]):
        why = "a start like any other"
    else:
        why = choice.strategy.tell(choice.situation, index)
    cost = choice.cost[index]
    way = f", {cost:.0f} s to get there and measure" if cost > 0 else ""
    return f"{name}: {why}{way}; {_neighbour(name, nearest)}."


def _neighbour(name: str, nearest: Observation | None) -> str:
    if nearest is None:
        return "nothing is measured yet"
    if nearest.is_refused:
        found = "refused by the quality gate"
    else:
        found = f"{nearest.label} ({nearest.confidence:.2f})"
    where = "its own last result" if nearest.name == name else "nearest result"
    return f"{where}, {nearest.name}: {found}"


def decide(  # noqa: PLR0913 - keyword-only, each a field of the record
    choice: Choice,
    candidates: Sequence[Candidate],
    axis_names: Sequence[str],
    *,
    number: int,
    reason: str,
    n_observations: int,
    state_hash: str,
) -> Decision:
    """Make the record of a choice.

    Parameters
    ----------
    choice : Choice
        What was chosen.
    candidates : sequence of Candidate
        All of them.
    axis_names : sequence of str
        Names of the coordinates.
    number : int
        Decisions before this one.
    reason : str
        From `tell`.
    n_observations : int
        Results so far.
    state_hash : str
        Of the selector before the choice.

    Returns
    -------
    Decision
        Complete but for the run that will come of it.
    """
    chosen = candidates[choice.chosen]
    top = tuple(
        Ranked(candidates[i].name, float(choice.score[i]), float(choice.cost[i]))
        for i in choice.order[:_N_RANKED]
    )
    return Decision(
        number=number,
        chosen=chosen.name,
        coordinates=dict(zip(axis_names, chosen.coordinates, strict=True)),
        strategy=choice.strategy.name,
        score=top[0].score,
        cost=top[0].cost,
        reason=reason,
        values=_values(choice.situation, choice.chosen),
        top=top,
        n_candidates=len(choice.order),
        n_observations=n_observations,
        state_hash=state_hash,
    )


def _values(situation: Situation, index: int) -> dict[str, float]:
    """Return the forecast of a candidate: what is known of it, finite numbers only."""
    forecast = situation.forecast
    likeliest = int(np.argmax(forecast.labels[index]))
    values = {
        "novelty": forecast.novelty[index],
        "support": forecast.support[index],
        "distance": forecast.distance[index],
        "awaited": forecast.awaited[index],
        f"probability of {situation.vocabulary[likeliest]}": forecast.labels[
            index, likeliest
        ],
    }
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}

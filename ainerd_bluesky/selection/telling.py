"""A choice in words and as a record."""

from collections.abc import Sequence

import numpy as np

from ainerd_bluesky.selection.choosing import Choice
from ainerd_bluesky.selection.decisions import Decision, Ranked
from ainerd_bluesky.selection.protocols import Candidate, Observation, Suggestion
from ainerd_bluesky.selection.situation import Situation

__all__ = ["OPERATOR", "as_suggestion", "decide", "decide_by_hand", "tell"]

OPERATOR = "operator"
"""Who chose, where a person did."""

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
    way = _way(choice.cost[index])
    return f"{name}: {why}{way}; {_neighbour(name, nearest)}."


def _way(cost: float) -> str:
    return f", {cost:.0f} s to get there and measure" if cost > 0 else ""


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


def decide_by_hand(  # noqa: PLR0913 - keyword-only, each a field of the record
    chosen: Candidate,
    axis_names: Sequence[str],
    *,
    cost: float,
    number: int,
    n_candidates: int,
    n_observations: int,
    state_hash: str,
) -> Decision:
    """Make the record of a person's choice, which nothing was ranked for.

    Parameters
    ----------
    chosen : Candidate
        What the person wants.
    axis_names : sequence of str
        Names of the coordinates.
    cost : float
        Time to get there and measure, in seconds.
    number : int
        Decisions before this one.
    n_candidates : int
        How many could be chosen.
    n_observations : int
        Results so far.
    state_hash : str
        Of the selector before the choice.

    Returns
    -------
    Decision
        With the chosen candidate alone among the best, its score 1.
    """
    return Decision(
        number=number,
        chosen=chosen.name,
        coordinates=dict(zip(axis_names, chosen.coordinates, strict=True)),
        strategy=OPERATOR,
        score=1.0,
        cost=cost,
        reason=f"{chosen.name}: the operator chose it{_way(cost)}.",
        values={},
        top=(Ranked(chosen.name, 1.0, cost),),
        n_candidates=n_candidates,
        n_observations=n_observations,
        state_hash=state_hash,
    )


def as_suggestion(candidate: Candidate, decision: Decision) -> Suggestion:
    """Return a decision as what a selector is asked for."""
    return Suggestion(
        candidate=candidate,
        score=decision.score,
        reason=decision.reason,
        strategy=decision.strategy,
        cost=decision.cost,
        decision=decision,
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

"""Selectors from their saved state: to go on, or to see each decision again."""

from collections.abc import Mapping
from typing import Any

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.decisions import Decision
from ainerd_bluesky.selection.history import FORMAT_VERSION, hash_of_state
from ainerd_bluesky.selection.protocols import Candidate
from ainerd_bluesky.selection.selector import StrategySelector
from ainerd_bluesky.selection.settings import SelectorSettings
from ainerd_bluesky.selection.space import axis_from_json
from ainerd_bluesky.selection.strategy_json import strategy_from_json

__all__ = ["load_selector", "replay"]

_HEADER = ("format_version", "candidates", "strategy", "axes", "vocabulary", "settings")


def load_selector(state: Mapping[str, Any]) -> StrategySelector:
    """Make a selector that goes on where another one was.

    Parameters
    ----------
    state : mapping
        From `StrategySelector.state`, perhaps by way of a JSON file. One that is none,
        that another version wrote or that was changed is a `SelectionError`.

    Returns
    -------
    StrategySelector
        Gives the same suggestions as the other one would.
    """
    selector = _fresh(state)
    for event in state["events"]:
        selector.redo(event)
    return selector


def replay(state: Mapping[str, Any]) -> list[Decision]:
    """Take every decision of a saved state again.

    Parameters
    ----------
    state : mapping
        From `StrategySelector.state`.

    Returns
    -------
    list of Decision
        What the selector decides at each point of its history, oldest first; where
        a person chose, that choice.

    Raises
    ------
    SelectionError
        If the state is not one, or a decision comes out differently.
    """
    selector = _fresh(state)
    decisions: list[Decision] = []
    for event in state["events"]:
        if event.get("event") != "suggest":
            selector.redo(event)
            if event.get("event") == "take":
                decisions.append(_taken_last(selector))
            continue
        decision = _decide(selector)
        if (decision.chosen, decision.strategy) != (event["name"], event["strategy"]):
            raise SelectionError(
                f"decision {decision.number} was {event['name']!r} by "
                f"{event['strategy']!r} and is now {decision.chosen!r} by "
                f"{decision.strategy!r}: another version of the software took it"
            )
        decisions.append(decision)
    return decisions


def _decide(selector: StrategySelector) -> Decision:
    for suggestion in selector.suggest():
        if suggestion.decision is not None:
            return suggestion.decision
    raise SelectionError("the state holds a suggestion where no candidate was left")


def _taken_last(selector: StrategySelector) -> Decision:
    *_, last = (taken.decision for taken in selector.taken if taken.decision)
    return last


def _fresh(state: Mapping[str, Any]) -> StrategySelector:
    """Return a selector as it was before its first event."""
    try:
        if state["format_version"] != FORMAT_VERSION:
            raise SelectionError(
                f"the state has format {state['format_version']!r}, this version "
                f"reads {FORMAT_VERSION}: load it with the version that wrote it"
            )
        header = {key: state[key] for key in _HEADER}
        if hash_of_state(header, state["events"]) != state["state_hash"]:
            raise SelectionError(
                f"the state does not fit its hash {state['state_hash']!r}: it was "
                "changed or cut off after it was saved"
            )
        return _from_header(header)
    except (KeyError, TypeError) as error:
        raise SelectionError(f"not the state of a selector: {error!r}") from error


def _from_header(header: Mapping[str, Any]) -> StrategySelector:
    settings = header["settings"]
    scales = tuple(settings["length_scales"])
    return StrategySelector(
        [Candidate.from_json(item) for item in header["candidates"]],
        strategy_from_json(header["strategy"]),
        axes=[axis_from_json(item) for item in header["axes"]],
        vocabulary=header["vocabulary"],
        settings=SelectorSettings(**{**settings, "length_scales": scales}),
    )

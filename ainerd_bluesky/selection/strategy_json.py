"""Strategies as JSON values and back."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection.mixtures import Blend, Turns
from ainerd_bluesky.selection.situation import Strategy
from ainerd_bluesky.selection.strategies import (
    Boundary,
    Chance,
    Coverage,
    Novelty,
    RareLabel,
    Remeasure,
    Uncertainty,
    WantedLabel,
    WantedProperty,
)

__all__ = ["strategy_as_json", "strategy_from_json"]

_KINDS: dict[str, type[Strategy]] = {
    kind.__name__: kind
    for kind in (
        Blend, Boundary, Chance, Coverage, Novelty, RareLabel, Remeasure, Turns,
        Uncertainty, WantedLabel, WantedProperty,
    )
}  # fmt: skip


def strategy_as_json(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy as JSON values.

    Parameters
    ----------
    strategy : Strategy
        A dataclass, or a mixture of such.

    Returns
    -------
    dict
        Its kind and its settings.
    """
    settings: dict[str, Any] = {"kind": type(strategy).__name__}
    for field in fields(strategy):  # type: ignore[arg-type] # each kind is a dataclass
        value = getattr(strategy, field.name)
        if field.name == "strategies":
            value = [strategy_as_json(part) for part in value]
        elif isinstance(value, Mapping):
            value = {str(key): float(item) for key, item in value.items()}
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = [float(item) for item in value]
        settings[field.name] = value
    return settings


def strategy_from_json(values: Mapping[str, Any]) -> Strategy:
    """Make a strategy from its JSON values.

    Parameters
    ----------
    values : mapping
        From `strategy_as_json`.

    Returns
    -------
    Strategy
        Equal to the one that was written.

    Raises
    ------
    SelectionError
        If the kind is none of this package, or its settings do not fit.
    """
    try:
        settings = {key: value for key, value in values.items() if key != "kind"}
        kind = _KINDS.get(values["kind"])
        if kind is None:
            raise SelectionError(
                f"{values['kind']!r} is no strategy of this version; those are "
                f"{', '.join(_KINDS)}"
            )
        if "strategies" in settings:
            parts = tuple(strategy_from_json(part) for part in settings["strategies"])
            settings |= {"strategies": parts, "weights": tuple(settings["weights"])}
        return kind(**settings)
    except (KeyError, TypeError, AttributeError) as error:
        raise SelectionError(f"not a strategy: {values!r} ({error!r})") from error

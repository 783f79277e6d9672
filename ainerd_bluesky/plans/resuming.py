"""Begin a campaign, or go on with one from its file."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ainerd_bluesky.errors import ConfigError, SelectionError
from ainerd_bluesky.plans.campaign import FORMAT_VERSION, KIND, Campaign
from ainerd_bluesky.plans.spots import Spots
from ainerd_bluesky.selection.history import canonical_json, hash_of_state
from ainerd_bluesky.selection.protocols import ResumableSelector, Selector
from ainerd_bluesky.selection.saving import read_json

__all__ = ["as_resumable", "open_campaign"]

# Its decisions stand below a node of this name.
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
# What a state of a campaign has, in this format.
_KEYS = (
    "campaign", "n_scans", "beam_time", "doses", "under_way", "awaited", "selector"
)  # fmt: skip


def open_campaign(
    selector: Selector,
    *,
    name: str = "",
    spots: Spots | None = None,
    path: Path | None = None,
    is_dry: bool = False,
) -> Campaign:
    """Begin a campaign, or go on with the one in a file.

    Parameters
    ----------
    selector : Selector
        As it was when the campaign began, or as it is now.
    name : str, optional
        Of the campaign; unset: the one in the file, or else one with today's date.
    spots : Spots, optional
        Places in the samples.
    path : Path, optional
        File of the state, written at once and at each event.
    is_dry : bool, optional
        Whether all happens to a copy of the selector, and nothing is written. One that
        cannot be copied takes part itself.

    Returns
    -------
    Campaign
        Saved, unless it is dry.

    Raises
    ------
    ConfigError
        If the selector cannot be resumed, or the name cannot be that of a node.
    """
    if name and not _KEY.fullmatch(name):
        raise ConfigError(
            "the name of a campaign has up to 100 letters, digits and . _ - only, got "
            f"{name!r}"
        )
    if is_dry and isinstance(selector, ResumableSelector):
        selector = selector.copy()
    if path is None:
        return Campaign(selector, name or _new_name(), spots)

    selector = as_resumable(selector)
    saved = _read(path, name) if path.exists() else {}
    name = name or saved.get("campaign") or _new_name()
    campaign = Campaign(selector, name, spots, None if is_dry else path)
    if saved:
        _go_on(campaign, selector, saved, path)
    campaign.save()
    return campaign


def _go_on(
    campaign: Campaign,
    selector: ResumableSelector,
    saved: Mapping[str, Any],
    path: Path,
) -> None:
    """Bring campaign and selector to where the saved ones were."""
    try:
        _catch_up(selector, saved["selector"])
        campaign.restore(saved)
    except ConfigError:
        raise
    except SelectionError as error:
        raise SelectionError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SelectionError(
            f"{path} is damaged ({error!r}): put back a copy, or name another file"
        ) from error


def as_resumable(selector: Selector) -> ResumableSelector:
    """Return a selector whose state can be kept in a file.

    Parameters
    ----------
    selector : Selector
        Any.

    Returns
    -------
    ResumableSelector
        The same.

    Raises
    ------
    ConfigError
        If it has no state.
    """
    if not isinstance(selector, ResumableSelector):
        raise ConfigError(
            "state_path needs a selector that can be saved, such as a "
            f"StrategySelector, got a {type(selector).__name__}"
        )
    return selector


def _new_name() -> str:
    return f"{datetime.now(tz=UTC):%Y-%m-%d}-{uuid.uuid4().hex[:6]}"


def _read(path: Path, name: str) -> dict[str, Any]:
    """Read the state of a campaign; any campaign's if no name is given."""
    values = read_json(path)
    kind = values.get("kind"), values.get("format_version")
    if kind != (KIND, FORMAT_VERSION):
        raise SelectionError(
            f"{path} is no state of a campaign: it holds {kind}, not "
            f"{(KIND, FORMAT_VERSION)}; name another file"
        )
    missing = [key for key in _KEYS if key not in values]
    if missing:
        raise SelectionError(f"{path} is no whole state of a campaign: no {missing}")
    if name not in {"", values["campaign"]}:
        raise SelectionError(
            f"{path} is the state of campaign {values['campaign']!r}, not {name!r}: "
            "name another file"
        )
    return values


def _catch_up(selector: ResumableSelector, state: Mapping[str, Any]) -> None:
    """Let happen to a selector what happened to the one that was saved.

    Parameters
    ----------
    selector : CampaignSelector
        Made alike; the first events of the state have happened to it, or more than all.
    state : mapping
        Of the saved one.

    Raises
    ------
    SelectionError
        If the state was changed, or neither is a beginning of the other.
    """
    header, events = _split(state)
    own_header, own_events = _split(selector.state())
    if hash_of_state(header, events) != state.get("state_hash"):
        raise SelectionError("the state of the selector was changed after it was saved")
    n_common = min(len(events), len(own_events))
    if canonical_json([header, events[:n_common]]) != canonical_json(
        [own_header, own_events[:n_common]]
    ):
        raise SelectionError(
            "the saved campaign is of another selector: make it with the same "
            "candidates and settings, tell it nothing new before, or name another file"
        )
    for event in events[n_common:]:
        selector.redo(event)


def _split(state: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    header = {key: state[key] for key in state if key not in {"events", "state_hash"}}
    return header, list(state.get("events", ()))

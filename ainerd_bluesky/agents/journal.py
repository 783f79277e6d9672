"""What an agent must not forget: its selector, and which item carries out what."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import Decision, StrategySelector, load_selector
from ainerd_bluesky.selection.saving import read_json, write_json

__all__ = ["Entry", "Journal", "load_journal", "new_journal"]

_FORMAT_VERSION = 1

State = Literal["planned", "queued", "measured", "labelled", "released", "removed"]


@dataclass
class Entry:
    """One decision on its way to a label.

    Parameters
    ----------
    decision : Decision
        What was chosen, and why.
    state : str
        `planned` until an item of it is known, `queued` while it waits or runs,
        `measured` until its label comes, then `labelled`; `released` if none will,
        `removed` if a person did not want it.
    item_uid : str
        Item that carries it out.
    run_uids : tuple of str
        Runs that came of it.
    waited : float
        Seconds that its label could have come in.
    has_begun : bool
        Whether its item was seen to run.
    """

    decision: Decision
    state: State = "planned"
    item_uid: str = ""
    run_uids: tuple[str, ...] = ()
    waited: float = 0.0
    has_begun: bool = False

    @property
    def name(self) -> str:
        """Name of the candidate."""
        return self.decision.chosen

    @property
    def has_measured(self) -> bool:
        """Whether it counts as a scan: it is under way, or made a run."""
        return self.state in {"queued", "measured", "labelled"} or bool(self.run_uids)


@dataclass
class Journal:
    """The state of an agent in one file, written whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    campaign : str
        What the agent works for.
    agent : str
        Id of the agent.
    started : float
        When the campaign began, in seconds since the epoch.
    selector : StrategySelector
        Chooses.
    entries : list of Entry
        All decisions, oldest first.
    """

    path: Path
    campaign: str
    agent: str
    started: float
    selector: StrategySelector
    entries: list[Entry] = field(default_factory=list)

    def of_state(self, *states: State) -> Iterator[Entry]:
        """Yield the entries in one of some states, oldest first."""
        return (entry for entry in list(self.entries) if entry.state in states)

    @property
    def n_scans(self) -> int:
        """Number of scans that were made or are under way."""
        return sum(entry.has_measured for entry in self.entries)

    @property
    def item_uids(self) -> set[str]:
        """Items that were added and whose end is not known."""
        return {entry.item_uid for entry in self.of_state("queued")}

    def release(self, entry: Entry, state: State = "released") -> None:
        """Give a decision up: its candidate is awaited no more."""
        entry.state = state
        if entry.name in self.selector.pending:
            self.selector.release(entry.name)
        self.save()

    def save(self) -> None:
        """Write the file: a crash leaves the old one or the new one, whole."""
        content = {
            "format_version": _FORMAT_VERSION,
            "campaign": self.campaign,
            "agent": self.agent,
            "started": self.started,
            "entries": [
                {**asdict(entry), "decision": entry.decision.as_json()}
                for entry in self.entries
            ],
            "selector": self.selector.state(),
        }
        write_json(content, self.path)


def new_journal(
    path: Path, campaign: str, selector: StrategySelector, started: float
) -> Journal:
    """Begin a campaign; nothing is written yet.

    Parameters
    ----------
    path : Path
        File for the state.
    campaign : str
        Name of the campaign.
    selector : StrategySelector
        Chooses.
    started : float
        Now, in seconds since the epoch.

    Returns
    -------
    Journal
        Of a new agent.
    """
    agent = f"{campaign}-{uuid.uuid4().hex[:8]}"
    return Journal(path, campaign, agent, started, selector)


def load_journal(path: Path, campaign: str) -> Journal | None:
    """Read the state of an agent.

    Parameters
    ----------
    path : Path
        The file.
    campaign : str
        Name of the campaign that is to go on.

    Returns
    -------
    Journal or None
        None if there is no file.

    Raises
    ------
    SelectionError
        If the file is damaged, of another format or of another campaign.
    """
    if not path.exists():
        return None
    try:
        journal = _read(path, read_json(path))
    except (KeyError, TypeError) as error:
        raise SelectionError(
            f"{path} is not the state of an agent: {error!r}"
        ) from error
    if journal.campaign != campaign:
        raise SelectionError(
            f"{path} is of campaign {journal.campaign!r}, not {campaign!r}: name "
            "another folder for the state"
        )
    return journal


def _read(path: Path, content: Mapping[str, Any]) -> Journal:
    if content["format_version"] != _FORMAT_VERSION:
        raise SelectionError(
            f"{path} has format {content['format_version']}, not {_FORMAT_VERSION}"
        )
    return Journal(
        path,
        content["campaign"],
        content["agent"],
        content["started"],
        load_selector(content["selector"]),
        [_entry(item) for item in content["entries"]],
    )


def _entry(values: Mapping[str, Any]) -> Entry:
    return Entry(
        **{
            **values,
            "decision": Decision.from_json(values["decision"]),
            "run_uids": tuple(values["run_uids"]),
        }
    )

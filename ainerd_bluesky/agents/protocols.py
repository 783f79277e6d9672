"""What an agent asks of a queue and of a catalog of results."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Item", "Mark", "Outcome", "Queue", "QueueView", "Report", "Results"]

Summary = dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """What tells that an item was added by an agent.

    Parameters
    ----------
    agent : str
        Id of the agent, kept over restarts.
    campaign : str
        What it works for.
    key : str
        Of the decision that the item carries out; empty if there is none.
    plan : str
        Name of the plan as the agent added it.
    arguments : mapping of str to Any
        Of the plan as the agent added it; empty if that is not known.
    """

    agent: str
    campaign: str = ""
    key: str = ""
    plan: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How an item ended.

    Parameters
    ----------
    status : str
        `completed`, `stopped`, `failed`, `aborted`, `halted` or `unknown`.
    run_uids : tuple of str
        Runs that it made.
    message : str
        Why it failed; empty if it did not.
    """

    status: str
    run_uids: tuple[str, ...] = ()
    message: str = ""

    @property
    def is_success(self) -> bool:
        """Whether a label may come of it: a stopped plan kept what it had."""
        return self.status in {"completed", "stopped", "unknown"} and bool(
            self.run_uids
        )


@dataclass(frozen=True)
class Item:
    """One item of a queue: waiting, running or ended.

    Parameters
    ----------
    uid : str
        From the queue server, which never gives one twice.
    name : str
        Of the plan.
    user : str
        Who added it.
    mark : Mark or None
        None where no agent added it.
    outcome : Outcome or None
        None before it ended. A waiting item that has one failed before and was put
        back by the server.
    args : sequence
        Arguments of the plan by their places.
    kwargs : mapping of str to Any
        Arguments of the plan by their names.
    """

    uid: str
    name: str
    user: str = ""
    mark: Mark | None = None
    outcome: Outcome | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_edited(self) -> bool:
        """Whether a person changed what an agent wanted done: it is theirs now."""
        mark = self.mark
        if mark is None or not mark.arguments:
            return False
        return bool(self.args) or (self.name, self.kwargs) != (
            mark.plan,
            mark.arguments,
        )

    @property
    def agent(self) -> str:
        """Id of the agent whose item it is; empty if it is a person's."""
        return "" if self.mark is None or self.is_edited else self.mark.agent


@dataclass(frozen=True)
class QueueView:
    """A queue at one moment.

    Parameters
    ----------
    waiting : sequence of Item
        Next one first.
    running : Item or None
        What is measured now.
    history : sequence of Item
        What ended, oldest first.
    obstacle : str
        Why nothing should be added now, in words for an operator; empty if it may.
    hint : str
        What else an operator should know, such as that the queue is not started.
    """

    waiting: Sequence[Item] = ()
    running: Item | None = None
    history: Sequence[Item] = ()
    obstacle: str = ""
    hint: str = ""

    @property
    def present(self) -> list[Item]:
        """What runs, and what waits."""
        return [*([self.running] if self.running else []), *self.waiting]


class Queue(Protocol):
    """A queue of plans."""

    def look(self) -> QueueView:
        """Return how it stands; an item on its way is seen at least once."""
        ...

    def allowed_plans(self) -> Collection[str]:
        """Return the names of the plans that the server lets this user add."""
        ...

    def add(
        self, plan: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> str:
        """Add a plan behind all others; return the uid of the item."""
        ...

    def move_to_back(self, uids: Sequence[str]) -> None:
        """Put items behind all others, in this order."""
        ...

    def remove(self, uids: Sequence[str]) -> None:
        """Take items out; those that are gone are no error."""
        ...


class Results(Protocol):
    """Knows what came of runs, without ever being waited for."""

    trouble: str
    """Why nothing can be known at present; empty if all is well."""

    def of_runs(self, run_uids: Collection[str]) -> Mapping[str, Summary]:
        """Return the summaries that are there, by run; ask for the rest meanwhile."""
        ...

    def recent(self) -> Sequence[Summary]:
        """Return results of any run published since the campaign began, each once."""
        ...


@dataclass(frozen=True)
class Report:
    """What an agent did in a step, and where it stands.

    Parameters
    ----------
    events : tuple of str
        What happened, a sentence each.
    obstacle : str
        What it waits for, other than labels; empty if nothing is in the way.
    n_queued, n_awaited, n_labelled, n_released : int
        Its items that wait or run, runs that wait for their label, labels learned,
        candidates given up.
    n_left : int
        Candidates that may still be chosen.
    is_finished : bool
        Whether there is nothing left to do.
    """

    events: tuple[str, ...] = ()
    obstacle: str = ""
    n_queued: int = 0
    n_awaited: int = 0
    n_labelled: int = 0
    n_released: int = 0
    n_left: int = 0
    is_finished: bool = False

"""Other agents on the queue: one gives way, unless it is told to take over."""

from collections.abc import Callable

from ainerd_bluesky.agents.journal import Journal
from ainerd_bluesky.agents.protocols import Item, Queue, QueueView
from ainerd_bluesky.errors import AgentConflictError

__all__ = ["Rivals"]


class Rivals:
    """Items of other agents, in the queue of one.

    Parameters
    ----------
    queue : Queue
        Of both.
    journal : Journal
        Decisions of this one.
    say : callable
        Told in words what was done.
    """

    def __init__(
        self, queue: Queue, journal: Journal, say: Callable[[str], None]
    ) -> None:
        self._queue = queue
        self._journal = journal
        self._say = say
        self._takes_over = False
        self._beaten: set[str] = set()

    def obstacle(self, view: QueueView) -> str:
        """Tell who else works on the queue; empty if nobody does."""
        items = self._items(view)
        return f"{_describe(items[0])} works on this queue" if items else ""

    def take_over(self) -> None:
        """Remove what other agents have waiting, as soon as the queue is seen."""
        self._takes_over = True

    def require_none(self, view: QueueView) -> None:
        """Give way to another agent, unless it came later or was taken over from.

        Parameters
        ----------
        view : QueueView
            How the queue stands.

        Raises
        ------
        AgentConflictError
            If another agent was first; own items that wait are taken out before.
        """
        if self._takes_over:
            self._beat(view)
        theirs = self._items(view)
        beaten = [item for item in theirs if item.agent in self._beaten]
        # What was taken over from adds more until it sees an item of this one.
        if waiting := [item.uid for item in beaten if item != view.running]:
            self._queue.remove(waiting)
        rivals = {item.uid for item in theirs if item.agent not in self._beaten}
        own = self._journal.item_uids
        marked = [item for item in view.present if item.uid in own | rivals]
        if not marked:
            return
        if marked[0].uid in own:
            # From now on it gives way by itself, and may take over in its turn.
            self._beaten = {item.agent for item in beaten}
            return
        first = marked[0]
        self._withdraw(view)
        raise AgentConflictError(
            f"{_describe(first)} works on this queue (item {first.name} "
            f"{first.uid[:8]}): end it, or start this one with --take-over to remove "
            "what it has waiting"
        )

    def _beat(self, view: QueueView) -> None:
        """Note who works on the queue; their items are no obstacle from now on."""
        self._beaten = {item.agent for item in self._items(view)}
        self._takes_over = False
        for agent in sorted(self._beaten):
            self._say(f"took over from agent {agent}")

    def _items(self, view: QueueView) -> list[Item]:
        nobody = {"", self._journal.agent}
        return [item for item in view.present if item.agent not in nobody]

    def _withdraw(self, view: QueueView) -> None:
        """Take own items out; they, and those that a rival removed, come later."""
        own = self._journal.item_uids
        waiting = [item.uid for item in view.waiting if item.uid in own]
        ended = {item.uid for item in view.history}
        for entry in self._journal.of_state("queued"):
            if not entry.has_begun and entry.item_uid not in ended:
                entry.state, entry.item_uid = "planned", ""
        # In this order: after a crash between the two they are found in the queue.
        self._journal.save()
        if waiting:
            self._queue.remove(waiting)


def _describe(item: Item) -> str:
    """Name the agent that an item is of."""
    mark = item.mark
    return f"agent {mark.agent!r} of campaign {mark.campaign!r}" if mark else "a person"

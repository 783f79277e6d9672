"""An agent that adds what a selector chooses to a queue that people use as well."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ainerd_bluesky.agents.items import PlanTemplate, decision_meta, keys_of
from ainerd_bluesky.agents.journal import Entry, Journal
from ainerd_bluesky.agents.lessons import Lessons
from ainerd_bluesky.agents.protocols import Item, Queue, QueueView, Report, Results
from ainerd_bluesky.agents.rules import AgentRules, Proposal
from ainerd_bluesky.errors import AgentConflictError, ConfigError, QueueError
from ainerd_bluesky.selection import load_selector

__all__ = ["QueueAgent"]

logger = logging.getLogger(__name__)


class QueueAgent:
    """Follow results, and keep a few plans behind everybody else's in a queue.

    Each step looks at the queue and the results first and does what follows from
    them, so a step after a crash is like any other. Only items of its own are ever
    moved or removed. A decision stands in the journal before its item is added, and
    is looked for in queue and history before it is added (again): none is added twice.

    Parameters
    ----------
    queue : Queue
        Where plans go.
    results : Results
        Where labels come from.
    journal : Journal
        Selector and decisions, kept on disk.
    template : PlanTemplate
        Plan that measures a candidate.
    rules : AgentRules
        What the agent may do.
    clock : callable, optional
        Returns seconds that never go back.

    Raises
    ------
    ConfigError
        If the plan is not on the list of those allowed.
    """

    def __init__(
        self,
        queue: Queue,
        results: Results,
        journal: Journal,
        template: PlanTemplate,
        rules: AgentRules,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if template.name not in rules.allowed_plans:
            raise ConfigError(
                f"plan {template.name!r} is not among the plans an agent may add: "
                f"{', '.join(rules.allowed_plans) or 'none'}; allow it in [queue] of "
                "the beamline's file"
            )
        self._queue = queue
        self._results = results
        self._journal = journal
        self._selector = journal.selector
        self._candidates = {c.name: c for c in self._selector.candidates}
        self._template = template
        self._rules = rules
        self._lessons = Lessons(journal, results, rules, self._say, clock)
        self._n_failures = 0
        self._events: list[str] = []
        self._beaten: set[str] = set()
        self._is_plan_known = False

    def propose(self, n_proposals: int) -> list[Proposal]:
        """Return what would be added now, best first; nothing is changed.

        Parameters
        ----------
        n_proposals : int
            How many.

        Returns
        -------
        list of Proposal
            Fewer where fewer candidates are left.
        """
        rehearsal = load_selector(self._selector.state())
        return [
            Proposal(
                self._template.name,
                self._arguments(s.candidate.name, s.decision.coordinates),
                s.reason,
                s.score,
                s.cost,
            )
            for s in rehearsal.suggest(n_proposals)
            if s.decision is not None
        ]

    def require_plan(self) -> None:
        """Refuse to go on where the server would refuse the plan.

        Raises
        ------
        QueueError
            If the plan is not among those that the server allows.
        """
        if self._is_plan_known:
            return
        allowed = self._queue.allowed_plans()
        if self._template.name not in allowed:
            raise QueueError(
                f"the queue server allows no plan {self._template.name!r}, only "
                f"{', '.join(sorted(allowed)) or 'none'}"
            )
        self._is_plan_known = True

    def take_over(self) -> list[str]:
        """Remove what other agents have waiting in the queue.

        Returns
        -------
        list of str
            Ids of these agents.
        """
        view = self._queue.look()
        waiting = [item.uid for item in view.waiting if self._is_rival(item)]
        self._beaten = {
            item.mark.agent
            for item in view.present
            if item.mark is not None and self._is_rival(item)
        }
        if waiting:
            self._queue.remove(waiting)
        return sorted(self._beaten)

    def step(self) -> Report:
        """Do all that can be done now, without waiting.

        Returns
        -------
        Report
            What was done.

        Notes
        -----
        Another agent's items in the queue are an `AgentConflictError`, too many failed
        items a `QueueError`, a server that does not answer a `QueueUnreachableError`.
        """
        view = self._queue.look()
        self._require_no_rival(view)
        self._follow_items(view)
        self._lessons.learn()
        self._remove_failed_copies(view)
        self._let_people_go_first(view)
        if not view.obstacle:
            self._fill_queue()
        return self._report(view)

    def _follow_items(self, view: QueueView) -> None:
        """Note what became of the items."""
        # What has ended comes first: the server puts a copy of what failed back.
        known = keys_of([*view.history, *view.present], self._journal.agent)
        for entry in self._journal.of_state("planned"):
            item = known.get(entry.decision.key)
            if item is not None:
                entry.state, entry.item_uid = "queued", item.uid
                self._say(f"{entry.name}: its item is in the queue already")
                self._journal.save()
        present = {item.uid for item in view.present}
        ended = {item.uid: item for item in view.history}
        for entry in self._journal.of_state("queued"):
            if entry.item_uid in ended:
                self._note_end(entry, ended[entry.item_uid])
            elif entry.item_uid not in present:
                self._journal.release(entry, "removed")
                self._say(f"{entry.name}: a person took it out of the queue")

    def _note_end(self, entry: Entry, item: Item) -> None:
        outcome = item.outcome
        if outcome is None:
            return
        entry.run_uids = outcome.run_uids
        for run_uid in outcome.run_uids:
            self._selector.note_run(entry.name, run_uid)
        if outcome.is_success:
            entry.state, self._n_failures = "measured", 0
            self._say(f"{entry.name}: measured, run {outcome.run_uids[-1][:8]}")
            self._journal.save()
            return
        message = outcome.message or "it made no run"
        self._give_up(entry, f"the plan ended as {outcome.status!r}: {message}")
        # A person who aborts a plan has a reason; a plan that fails has a fault.
        self._n_failures += outcome.status not in {"aborted", "halted"}
        if self._n_failures >= self._rules.max_failures:
            raise QueueError(
                f"{self._n_failures} items in a row failed, the last one "
                f"{entry.name!r}: {message}; mend that, then start the agent again"
            )

    def _remove_failed_copies(self, view: QueueView) -> None:
        """Take out items that the server put back after they had failed."""
        current = {entry.item_uid for entry in self._journal.entries}
        copies = [
            item.uid
            for item in view.waiting
            if item.mark is not None
            and item.mark.agent == self._journal.agent
            and item.outcome is not None
            and item.uid not in current
        ]
        if copies:
            self._queue.remove(copies)
            self._say(f"took {len(copies)} failed item(s) out of the queue")

    def _let_people_go_first(self, view: QueueView) -> None:
        own = self._own_uids()
        places = [i for i, item in enumerate(view.waiting) if item.uid in own]
        others = [i for i, item in enumerate(view.waiting) if item.uid not in own]
        if places and others and places[0] < others[-1]:
            self._queue.move_to_back([view.waiting[i].uid for i in places])
            self._say(f"moved {len(places)} item(s) behind those of people")

    def _fill_queue(self) -> None:
        """Add decisions until a limit is reached; those from before a crash first."""
        self.require_plan()
        for planned in self._journal.of_state("planned"):
            self._add(planned)
        n_items = len(list(self._journal.of_state("queued")))
        while self._may_add(n_items) and (entry := self._decide()) is not None:
            self._add(entry)
            n_items += 1

    def _may_add(self, n_items: int) -> bool:
        n_scans = sum(entry.has_measured for entry in self._journal.entries)
        in_flight = list(self._journal.of_state("planned", "queued", "measured"))
        return (
            n_items < self._rules.max_items
            and len(in_flight) < self._rules.max_awaited
            and n_scans < self._rules.n_scans
        )

    def _decide(self) -> Entry | None:
        """Choose what nobody has taken out of the queue before."""
        unwanted = {entry.name for entry in self._journal.of_state("removed")}
        while suggestions := self._selector.suggest():
            decision = suggestions[0].decision
            if decision is None:
                return None
            if decision.chosen in unwanted:
                self._selector.release(decision.chosen)
                continue
            self._journal.entries.append(Entry(decision))
            self._journal.save()
            return self._journal.entries[-1]
        return None

    def _add(self, entry: Entry) -> None:
        decision = entry.decision
        entry.item_uid = self._queue.add(
            self._template.name,
            self._arguments(entry.name, decision.coordinates),
            decision_meta(self._journal.agent, self._journal.campaign, decision),
        )
        entry.state = "queued"
        self._journal.save()
        self._say(f"added to the queue: {decision.reason}")

    def _give_up(self, entry: Entry, why: str) -> None:
        self._journal.release(entry)
        self._say(f"{entry.name}: given up, {why}")

    def _arguments(self, name: str, coordinates: Mapping[str, float]) -> dict[str, Any]:
        return self._template.fill(self._candidates[name], coordinates)

    def _own_uids(self) -> set[str]:
        return {entry.item_uid for entry in self._journal.of_state("queued")}

    def _is_rival(self, item: Item) -> bool:
        return item.mark is not None and item.mark.agent != self._journal.agent

    def _require_no_rival(self, view: QueueView) -> None:
        """Give way to another agent, unless it came later and will do so itself."""
        own = self._own_uids()
        marked = [i for i in view.present if i.uid in own or self._is_rival(i)]
        if view.running in marked[:1] and self._is_beaten(marked[0]):
            marked = marked[1:]
        if not marked or marked[0].uid in own:
            return
        first = marked[0]
        self._withdraw([item.uid for item in view.waiting if item.uid in own])
        raise AgentConflictError(
            f"{_describe(first)} works on this queue (item {first.name} "
            f"{first.uid[:8]}): end it, or start this one with --take-over to remove "
            "what it has waiting"
        )

    def _is_beaten(self, item: Item) -> bool:
        """Whether an item runs that was taken over too late to be removed."""
        return item.mark is not None and item.mark.agent in self._beaten

    def _withdraw(self, uids: Sequence[str]) -> None:
        """Take own items out; their decisions are carried out another time."""
        if not uids:
            return
        for entry in self._journal.of_state("queued"):
            if entry.item_uid in uids:
                entry.state, entry.item_uid = "planned", ""
        self._queue.remove(uids)
        self._journal.save()

    def _report(self, view: QueueView) -> Report:
        counts = {
            state: len(list(self._journal.of_state(state)))
            for state in ("queued", "measured", "labelled", "released", "removed")
        }
        open_entries = list(self._journal.of_state("planned", "queued", "measured"))
        n_scans = sum(entry.has_measured for entry in self._journal.entries)
        n_left = self._selector.n_left
        is_spent = n_scans >= self._rules.n_scans or n_left == 0
        events, self._events = tuple(self._events), []
        return Report(
            events=events,
            obstacle=view.obstacle or self._results.trouble or view.hint,
            n_queued=counts["queued"],
            n_awaited=counts["measured"],
            n_labelled=counts["labelled"],
            n_released=counts["released"] + counts["removed"],
            n_left=n_left,
            is_finished=is_spent and not open_entries,
        )

    def _say(self, event: str) -> None:
        logger.info("%s", event)
        self._events.append(event)


def _describe(item: Item) -> str:
    """Name the agent that an item is of."""
    mark = item.mark
    return f"agent {mark.agent!r} of campaign {mark.campaign!r}" if mark else "a person"

"""An agent that adds what a selector chooses to a queue that people use as well."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from ainerd_bluesky.agents.items import PlanTemplate, decision_meta, items_by_key
from ainerd_bluesky.agents.journal import Entry, Journal
from ainerd_bluesky.agents.lessons import Lessons
from ainerd_bluesky.agents.protocols import Item, Queue, QueueView, Report, Results
from ainerd_bluesky.agents.rivals import Rivals
from ainerd_bluesky.agents.rules import AgentRules, Proposal
from ainerd_bluesky.errors import ConfigError, QueueError
from ainerd_bluesky.selection import Decision, StrategySelector, load_selector

__all__ = ["QueueAgent"]

logger = logging.getLogger(__name__)


class QueueAgent:
    """Follow results, and keep a few plans behind everybody else's in a queue.

    Each step looks at the queue and the results first and does what follows from
    them, so a step after a crash is like any other. Only items of its own are ever
    moved or removed; one that a person edits is that person's. A decision stands in
    the journal before its item is added, and is looked for in queue and history before
    it is added (again): none is added twice.

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
        self._lessons = Lessons(journal, results, rules, template, self._say, clock)
        self._n_failures = 0
        self._events: list[str] = []
        self._rivals = Rivals(queue, journal, self._say)
        self._is_plan_known = False

    def propose(self, n_proposals: int) -> list[Proposal]:
        """Return what would be added now, first one first; nothing is changed.

        Parameters
        ----------
        n_proposals : int
            How many.

        Returns
        -------
        list of Proposal
            Fewer where the rules allow fewer, or fewer candidates are left.
        """
        n_proposals = min(n_proposals, self._n_free())
        rehearsal = load_selector(self._selector.state())
        decisions = [entry.decision for entry in self._journal.of_state("planned")]
        while len(decisions) < n_proposals and (decision := self._choose(rehearsal)):
            decisions.append(decision)
        return [
            Proposal(
                self._template.name,
                self._arguments(decision.chosen, decision.coordinates),
                decision.reason,
                decision.score,
                decision.cost,
            )
            for decision in decisions[: max(n_proposals, 0)]
        ]

    def find_obstacle(self) -> str:
        """Say what would be in the way, another agent included; nothing is changed.

        Returns
        -------
        str
            In words for an operator; empty if nothing is. A server that does not
            answer, or does not allow the plan, is a `QueueError`.
        """
        view = self._queue.look()
        obstacle = self._rivals.obstacle(view) or view.obstacle
        if not obstacle:
            self.require_plan()
        return obstacle

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

    def take_over(self) -> None:
        """Remove what other agents have waiting, as soon as the server answers."""
        self._rivals.take_over()

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
        self._find_items(view)
        self._rivals.require_none(view)
        self._follow_items(view)
        self._lessons.learn()
        self._remove_failed_copies(view)
        self._let_people_go_first(view)
        if not (view.obstacle or self._lessons.obstacle):
            self._fill_queue()
        return self._report(view)

    def _find_items(self, view: QueueView) -> None:
        """Know own items again: after a crash, and those that people edited."""
        # What has ended comes first: the server puts a copy of what failed back.
        items = [*view.history, *view.present]
        by_uid = {item.uid: item for item in items}
        by_key = items_by_key(items, self._journal.agent)
        for entry in self._journal.of_state("planned", "queued"):
            item = by_uid.get(entry.item_uid) or by_key.get(entry.decision.key)
            if item is None:
                continue
            if item.is_edited:
                self._journal.release(entry, "removed")
                self._say(f"{entry.name}: a person changed its item, which is theirs")
                continue
            if entry.item_uid != item.uid:
                entry.state, entry.item_uid = "queued", item.uid
                self._say(f"{entry.name}: its item is in the queue already")
                self._journal.save()
            if item == view.running:
                self._note_beginning(entry)

    def _note_beginning(self, entry: Entry) -> None:
        if not entry.has_begun:
            entry.has_begun = True
            self._journal.save()

    def _follow_items(self, view: QueueView) -> None:
        """Note what became of the items."""
        present = {item.uid for item in view.present if item.outcome is None}
        ended = {item.uid: item for item in [*view.waiting, *view.history]}
        for entry in self._journal.of_state("queued"):
            if entry.item_uid in present:
                continue
            if entry.item_uid in ended:
                self._note_end(entry, ended[entry.item_uid])
            elif entry.has_begun:
                # Nobody takes out what runs: somebody cleared the history.
                entry.state = "measured"
                self._say(f"{entry.name}: it ended, and its run is not known")
                self._journal.save()
            else:
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
        current = self._journal.item_uids
        copies = [
            item.uid
            for item in view.waiting
            if item.agent == self._journal.agent
            and item.outcome is not None
            and item.uid not in current
        ]
        if copies:
            self._queue.remove(copies)
            self._say(f"took {len(copies)} failed item(s) out of the queue")

    def _let_people_go_first(self, view: QueueView) -> None:
        own = self._journal.item_uids
        places = [i for i, item in enumerate(view.waiting) if item.uid in own]
        people = [i for i, item in enumerate(view.waiting) if not item.agent]
        if places and people and places[0] < people[-1]:
            self._queue.move_to_back([view.waiting[i].uid for i in places])
            self._say(f"moved {len(places)} item(s) behind those of people")

    def _fill_queue(self) -> None:
        """Add decisions until a limit is reached; those from before a crash first."""
        self.require_plan()
        planned = list(self._journal.of_state("planned"))
        while self._n_free() > 0:
            entry = planned.pop(0) if planned else self._decide()
            if entry is None:
                return
            self._add(entry)

    def _n_free(self) -> int:
        """Return how many items may be added now."""
        queued = list(self._journal.of_state("queued"))
        awaited = list(self._journal.of_state("queued", "measured"))
        return min(
            self._rules.max_items - len(queued),
            self._rules.max_awaited - len(awaited),
            self._rules.n_scans - self._journal.n_scans,
        )

    def _decide(self) -> Entry | None:
        decision = self._choose(self._selector)
        if decision is None:
            return None
        self._journal.entries.append(Entry(decision))
        self._journal.save()
        return self._journal.entries[-1]

    def _choose(self, selector: StrategySelector) -> Decision | None:
        """Choose what nobody has taken out of the queue before."""
        unwanted = {entry.name for entry in self._journal.of_state("removed")}
        while suggestions := selector.suggest():
            decision = suggestions[0].decision
            if decision is None or decision.chosen not in unwanted:
                return decision
            selector.release(decision.chosen)
        return None

    def _add(self, entry: Entry) -> None:
        journal, template, decision = self._journal, self._template, entry.decision
        arguments = self._arguments(entry.name, decision.coordinates)
        meta = decision_meta(
            journal.agent, journal.campaign, decision, template, arguments
        )
        entry.item_uid = self._queue.add(template.name, arguments, meta)
        entry.state = "queued"
        self._journal.save()
        self._say(f"added to the queue: {decision.reason}")

    def _give_up(self, entry: Entry, why: str) -> None:
        self._journal.release(entry)
        self._say(f"{entry.name}: given up, {why}")

    def _arguments(self, name: str, coordinates: Mapping[str, float]) -> dict[str, Any]:
        return self._template.fill(self._candidates[name], coordinates)

    def _report(self, view: QueueView) -> Report:
        counts = {
            state: len(list(self._journal.of_state(state)))
            for state in ("queued", "measured", "labelled", "released", "removed")
        }
        n_left = self._selector.n_left
        n_more = n_left + len(list(self._journal.of_state("planned")))
        is_spent = self._journal.n_scans >= self._rules.n_scans or not n_more
        is_over = is_spent and not (counts["queued"] or counts["measured"])
        trouble = self._lessons.obstacle
        if is_over and not trouble and self._lessons.is_mute:
            trouble = "no label of any run: see `ainerd check`"
        events, self._events = tuple(self._events), []
        return Report(
            events=events,
            obstacle=view.obstacle or self._results.trouble or trouble or view.hint,
            n_queued=counts["queued"],
            n_awaited=counts["measured"],
            n_labelled=counts["labelled"],
            n_released=counts["released"] + counts["removed"],
            n_left=n_left,
            is_finished=is_over and not trouble,
        )

    def _say(self, event: str) -> None:
        logger.info("%s", event)
        self._events.append(event)

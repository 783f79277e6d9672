"""What an agent learns from results, its own and those of people."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from ainerd_bluesky.agents.items import PlanTemplate
from ainerd_bluesky.agents.journal import Entry, Journal
from ainerd_bluesky.agents.protocols import Results
from ainerd_bluesky.agents.rules import AgentRules
from ainerd_bluesky.errors import SelectionError
from ainerd_bluesky.selection import Observation

__all__ = ["Lessons"]

logger = logging.getLogger(__name__)

# Waiting for a label longer than this in one step means that the agent slept.
_LONGEST_STEP = 30.0


class Lessons:
    """Tell the selector of a journal what came of runs.

    Parameters
    ----------
    journal : Journal
        Selector and decisions.
    results : Results
        Where labels come from.
    rules : AgentRules
        How long to wait, and from whom to learn.
    template : PlanTemplate
        Plan that measures a candidate.
    say : callable
        Told of what happened, in sentences.
    clock : callable
        Returns seconds that never go back.
    """

    def __init__(
        self,
        journal: Journal,
        results: Results,
        rules: AgentRules,
        template: PlanTemplate,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._results = results
        self._rules = rules
        self._is_told_by_sample = not template.coordinate_arguments
        self._say = say
        self._clock = clock
        self._last_step = clock()
        self._names = {candidate.name for candidate in journal.selector.candidates}
        self._n_silent = 0

    @property
    def obstacle(self) -> str:
        """Why more runs would be in vain; empty if labels come."""
        if self._n_silent < self._rules.max_failures:
            return ""
        return f"no label of the last {self._n_silent} runs: see `ainerd check`"

    @property
    def is_mute(self) -> bool:
        """Whether labels were waited for in vain, and none ever came."""
        longest = max((entry.waited for entry in self._journal.entries), default=0.0)
        is_late = longest > self._rules.label_timeout
        return is_late and not self._journal.selector.observations

    def learn(self) -> None:
        """Take in what is there, and give up on what took too long."""
        self._collect_labels()
        self._give_up_on_labels()
        if self._rules.learns_from_others:
            self._learn_from_others()

    def _collect_labels(self) -> None:
        awaited = list(self._journal.of_state("measured"))
        wanted = {run_uid for entry in awaited for run_uid in entry.run_uids}
        found = self._results.of_runs(wanted)
        for entry in awaited:
            for run_uid in entry.run_uids:
                if run_uid in found and entry.state == "measured":
                    self._learn(entry, found[run_uid])

    def _learn(self, entry: Entry, summary: Mapping[str, Any]) -> None:
        self._n_silent = 0
        try:
            seen = self._ingest(entry.name, summary)
        except SelectionError as error:
            self._give_up(entry, f"its result cannot be used: {error}")
            return
        entry.state = "labelled"
        self._say(f"{entry.name}: {_told(seen, summary)} {seen.confidence:.2f}")
        self._journal.save()

    def _give_up_on_labels(self) -> None:
        """Count the time in which labels could have come, and no other."""
        now = self._clock()
        passed = min(now - self._last_step, _LONGEST_STEP)
        self._last_step = now
        if self._results.trouble:
            return
        for entry in self._journal.of_state("measured"):
            entry.waited += passed
            if entry.waited > self._rules.label_timeout:
                self._n_silent += bool(entry.run_uids)
                self._give_up(entry, f"no label in {self._rules.label_timeout:g} s")

    def _learn_from_others(self) -> None:
        """Learn what people found out about candidates, and labels that came late."""
        recent = self._results.recent()
        if not recent:
            return
        own = {uid: entry for entry in self._journal.entries for uid in entry.run_uids}
        known = {seen.run_uid for seen in self._journal.selector.observations}
        for summary in recent:
            run_uid = str(summary.get("run_uid"))
            entry = own.get(run_uid)
            name = self._measured_by(summary) if entry is None else entry.name
            is_open = entry is not None and entry.state not in {"released", "removed"}
            if name in self._names and run_uid not in known and not is_open:
                self._learn_beside(name, run_uid, summary)

    def _measured_by(self, summary: Mapping[str, Any]) -> str:
        """Name the candidate that a run of a person measured; empty if unsure."""
        sample = str(summary.get("sample"))
        unseen = {e.name for e in self._journal.of_state("measured") if not e.run_uids}
        # Where a plan sets conditions, a person's scan of the sample had any.
        return sample if self._is_told_by_sample or sample in unseen else ""

    def _learn_beside(
        self, name: str, run_uid: str, summary: Mapping[str, Any]
    ) -> None:
        try:
            seen = self._ingest(name, summary)
        except SelectionError as error:
            logger.warning("nothing is learned from run %s: %s", run_uid, error)
            return
        self._n_silent = 0
        for entry in self._journal.of_state("measured"):
            if entry.name == name and not entry.run_uids:
                entry.state, entry.run_uids = "labelled", (run_uid,)
        self._say(f"{name}: {_told(seen, summary)}, from run {run_uid[:8]}")
        self._journal.save()

    def _ingest(self, name: str, summary: Mapping[str, Any]) -> Observation:
        selector = self._journal.selector
        seen = Observation.from_summary(name, summary, selector.vocabulary)
        selector.ingest([seen])
        return seen

    def _give_up(self, entry: Entry, why: str) -> None:
        self._journal.release(entry)
        self._say(f"{entry.name}: given up, {why}")


def _told(seen: Observation, summary: Mapping[str, Any]) -> str:
    """Say a label, and the word that it stands for where the selector has no such."""
    word = str(summary["label"])
    return seen.label if seen.label == word else f"{seen.label} (for {word!r})"

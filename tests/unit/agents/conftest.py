"""A queue and a catalog in memory, and an agent between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ainerd_bluesky.agents import (
    AgentRules,
    Journal,
    PlanTemplate,
    QueueAgent,
    QueueView,
    load_journal,
    new_journal,
)
from ainerd_bluesky.agents.items import read_mark
from ainerd_bluesky.agents.protocols import Item, Outcome
from ainerd_bluesky.errors import QueueUnreachableError
from ainerd_bluesky.selection import (
    Candidate,
    Coverage,
    SelectorSettings,
    StrategySelector,
)

PLANS = ("xpcs_scan", "count")


@dataclass
class FakeQueue:
    """What a queue server does, without one."""

    waiting: list[Item] = field(default_factory=list)
    running: Item | None = None
    history: list[Item] = field(default_factory=list)
    obstacle: str = ""
    plans: Sequence[str] = PLANS
    added: list[dict[str, Any]] = field(default_factory=list)
    answers_lost: int = 0
    n_uids: int = 0

    def look(self) -> QueueView:
        return QueueView(
            tuple(self.waiting), self.running, tuple(self.history), self.obstacle
        )

    def allowed_plans(self) -> Sequence[str]:
        return self.plans

    def add(
        self, plan: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> str:
        item = self.put(plan, mark=read_mark(meta), kwargs=dict(arguments))
        self.added.append({"plan": plan, "arguments": arguments, "meta": meta})
        if self.answers_lost:
            self.answers_lost -= 1
            raise QueueUnreachableError("the answer was lost")
        return item.uid

    def move_to_back(self, uids: Sequence[str]) -> None:
        moved = {item.uid: item for item in self.waiting if item.uid in uids}
        self.waiting = [item for item in self.waiting if item.uid not in moved]
        self.waiting += [moved[uid] for uid in uids]

    def remove(self, uids: Sequence[str]) -> None:
        self.waiting = [item for item in self.waiting if item.uid not in uids]

    def put(self, plan: str = "count", place: int | None = None, **values: Any) -> Item:
        """Add an item as anybody else would."""
        self.n_uids += 1
        item = Item(f"item-{self.n_uids}", plan, **values)
        self.waiting.insert(len(self.waiting) if place is None else place, item)
        return item

    def edit(self, **values: Any) -> Item:
        """Change the first item as a person does: it gets a uid of its own."""
        self.n_uids += 1
        self.waiting[0] = replace(
            self.waiting[0], uid=f"item-{self.n_uids}", user="operator", **values
        )
        return self.waiting[0]

    def start(self) -> Item:
        self.running = self.waiting.pop(0)
        return self.running

    def end(self, status: str = "completed", message: str = "") -> str:
        """End what runs; return the uid of its run."""
        assert self.running is not None
        run_uid = f"run-of-{self.running.uid}"
        outcome = Outcome(status, (run_uid,), message)
        self.history.append(replace(self.running, outcome=outcome))
        if status in {"failed", "aborted", "halted"}:
            self.n_uids += 1
            copy = replace(self.running, uid=f"item-{self.n_uids}", outcome=outcome)
            self.waiting.insert(0, copy)
        self.running = None
        return run_uid

    def measure(self) -> str:
        self.start()
        return self.end()

    @property
    def order(self) -> list[str]:
        return [item.uid for item in self.waiting]


@dataclass
class FakeResults:
    """What a catalog knows."""

    trouble: str = ""
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    news: list[dict[str, Any]] = field(default_factory=list)

    def of_runs(self, run_uids):
        return {uid: self.summaries[uid] for uid in run_uids if uid in self.summaries}

    def recent(self):
        news, self.news = self.news, []
        return news


def summary(run_uid: str = "", label: str = "aging", **more: Any) -> dict[str, Any]:
    return {
        "run_uid": run_uid,
        "label": label,
        "confidence": 0.9,
        "novelty": 0.2,
        "probabilities": {label: 0.9},
        **more,
    }


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_selector(n_candidates: int = 6, max_remeasures: int = 0) -> StrategySelector:
    shelf = [Candidate(f"S{i}", (float(i),)) for i in range(n_candidates)]
    settings = SelectorSettings(max_remeasures=max_remeasures)
    return StrategySelector(shelf, Coverage(), settings=settings)


@dataclass
class World:
    """An agent with its surroundings; `restart` is what a crash leaves of it."""

    folder: Path
    rules: AgentRules
    queue: FakeQueue = field(default_factory=FakeQueue)
    results: FakeResults = field(default_factory=FakeResults)
    clock: Clock = field(default_factory=Clock)
    max_remeasures: int = 0
    template: PlanTemplate = field(default_factory=lambda: PlanTemplate("xpcs_scan"))

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        path = self.folder / "agent.json"
        self.journal: Journal = load_journal(path, "peptide") or new_journal(
            path,
            "peptide",
            make_selector(max_remeasures=self.max_remeasures),
            started=0.0,
        )
        self.agent = QueueAgent(
            self.queue,
            self.results,
            self.journal,
            self.template,
            self.rules,
            clock=self.clock,
        )

    def step(self):
        return self.agent.step()

    def label(self, run_uid: str, label: str = "aging") -> None:
        self.results.summaries[run_uid] = summary(run_uid, label)

    @property
    def keys(self) -> list[str]:
        """Decisions that were ever added, in order."""
        return [item["meta"]["agent"]["key"] for item in self.queue.added]


@pytest.fixture
def world(tmp_path):
    """Make a world with rules of one's own."""

    def make(max_remeasures: int = 0, **rules: Any) -> World:
        return World(tmp_path, AgentRules(**rules), max_remeasures=max_remeasures)

    return make
